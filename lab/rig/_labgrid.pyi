"""What we use of labgrid 26 and of its coordinator's messages."""

import abc
import asyncio
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from .usb_match import UdevDevice

LABGRID_ENV_KEY: pytest.StashKey[Environment]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., object])

class _Factory:
    def reg_driver(self, cls: type[_T]) -> type[_T]: ...
    def reg_resource(self, cls: type[_T]) -> type[_T]: ...
    def make_resource(
        self, target: Target, resource: str, name: str | None, args: Mapping[str, object]
    ) -> Resource: ...
    def make_driver(
        self, target: Target, driver: str, name: str | None, args: Mapping[str, object]
    ) -> Driver: ...

target_factory: _Factory

class Target:
    name: str
    resources: list[Resource]
    def __init__(self, name: str) -> None: ...
    def activate(self, client: object, name: str | None = ...) -> None: ...
    def deactivate(self, client: object, name: str | None = ...) -> None: ...
    def get_driver(
        self, cls: type[_T] | str, *, name: str | None = ..., activate: bool = ...
    ) -> _T: ...
    def get_resource(
        self, cls: type[_T] | str, *, name: str | None = ..., wait_avail: bool = ...
    ) -> _T: ...
    def interact(self, msg: str) -> None: ...
    def cleanup(self) -> None: ...

class Environment:
    def __init__(self, config_file: str) -> None: ...
    def get_target(self, role: str) -> Target: ...
    def cleanup(self) -> None: ...

class _BindingMixin:
    target: Target
    name: str | None
    def __attrs_post_init__(self) -> None: ...

class Resource(_BindingMixin):
    avail: bool
    extra: Mapping[str, object]
    def __init__(self, target: Target | None, name: str | None, **attributes: object) -> None: ...
    @property
    def command_prefix(self) -> list[str]: ...
    def poll(self) -> None: ...

class NetworkResource(Resource):
    host: str

class ManagedResource(Resource):
    timeout: float
    manager_cls: ClassVar[type[object]]

class RemotePlaceManager:
    session: ClientSession | None
    loop: asyncio.AbstractEventLoop
    @classmethod
    def get(cls) -> RemotePlaceManager: ...

class USBResource(ManagedResource):
    match: dict[str, str]
    device: UdevDevice | None
    @property
    def busnum(self) -> int | None: ...
    @property
    def devnum(self) -> int | None: ...
    @property
    def path(self) -> str | None: ...
    @property
    def vendor_id(self) -> int | None: ...
    @property
    def model_id(self) -> int | None: ...
    def filter_match(self, device: UdevDevice) -> bool: ...

class RemoteUSBResource(NetworkResource, ManagedResource):
    busnum: int | None
    devnum: int | None
    path: str | None
    vendor_id: int | None
    model_id: int | None

class NetworkSerialPort(NetworkResource):
    port: int
    speed: int
    protocol: str

class RawSerialPort(Resource):
    port: str
    speed: int

class USBSerialPort(USBResource):
    port: str | None
    speed: int

class Driver(_BindingMixin):
    bindings: ClassVar[Mapping[str, object]]
    def __init__(self, target: Target, name: str | None, **attributes: object) -> None: ...
    def on_activate(self) -> None: ...
    def on_deactivate(self) -> None: ...
    @staticmethod
    def check_active(function: _F) -> _F: ...

class PowerProtocol(abc.ABC):
    @abc.abstractmethod
    def on(self) -> None: ...
    @abc.abstractmethod
    def off(self) -> None: ...
    @abc.abstractmethod
    def cycle(self) -> None: ...

class Strategy(Driver):
    def transition(self, status: str) -> None: ...
    def force(self, status: str) -> None: ...

class StrategyError(Exception):
    msg: str
    def __init__(self, msg: str) -> None: ...

def step(*, args: Iterable[str] = ..., result: bool = ...) -> Callable[[_F], _F]: ...

class _ProxyManager:
    def get_host_and_port(
        self, resource: Resource, *, default_port: int | None = ...
    ) -> tuple[str, int]: ...

proxymanager: _ProxyManager

class ResourceExport:
    host: str
    local: Resource
    local_params: dict[str, Any]
    data: dict[str, Any]
    cls: str
    def __init__(self, data: dict[str, object], host: str) -> None: ...
    def poll(self) -> bool: ...
    def __attrs_post_init__(self) -> None: ...
    def _get_params(self) -> dict[str, object]: ...
    def _get_start_params(self) -> dict[str, object]: ...
    def _start(self, start_params: dict[str, object]) -> None: ...
    def _stop(self, start_params: dict[str, object]) -> None: ...

class exporter:  # noqa: N801 - a module of labgrid
    exports: ClassVar[dict[str, type[ResourceExport]]]
    @staticmethod
    def main() -> None: ...

class Error(Exception): ...

class AioRpcError(Exception):
    def details(self) -> str | None: ...

class ReservationState(enum.Enum):
    waiting = 0
    allocated = 1
    acquired = 2
    expired = 3
    invalid = 4

class Place:
    name: str
    tags: dict[str, str]
    acquired: str | None
    reservation: str | None

class Reservation:
    token: str
    state: int
    allocations: Mapping[str, str]
    class Filter:
        def __init__(self, *, filter: Mapping[str, str]) -> None: ...  # noqa: A002 - its own name

class _ReservationAnswer:
    reservation: Reservation

class AcquirePlaceRequest:
    def __init__(self, *, placename: str) -> None: ...

class ReleasePlaceRequest:
    def __init__(self, *, placename: str, fromuser: str) -> None: ...

class SetPlaceTagsRequest:
    def __init__(self, *, placename: str, tags: Mapping[str, str]) -> None: ...

class CreateReservationRequest:
    def __init__(self, *, filters: Mapping[str, Reservation.Filter], prio: float = ...) -> None: ...

class PollReservationRequest:
    def __init__(self, *, token: str) -> None: ...

class CancelReservationRequest:
    def __init__(self, *, token: str) -> None: ...

class _Stub:
    async def AcquirePlace(self, request: AcquirePlaceRequest) -> object: ...  # noqa: N802
    async def ReleasePlace(self, request: ReleasePlaceRequest) -> object: ...  # noqa: N802
    async def SetPlaceTags(self, request: SetPlaceTagsRequest) -> object: ...  # noqa: N802
    async def CreateReservation(  # noqa: N802
        self, request: CreateReservationRequest
    ) -> _ReservationAnswer: ...
    async def PollReservation(  # noqa: N802
        self, request: PollReservationRequest
    ) -> _ReservationAnswer: ...
    async def CancelReservation(  # noqa: N802
        self, request: CancelReservationRequest
    ) -> object: ...

class ClientSession:
    places: dict[str, Place]
    stub: _Stub
    stopping: asyncio.Event
    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None: ...
    def gethostname(self) -> str: ...
    def getuser(self) -> str: ...
    def check_matches(self, place: Place) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def close(self) -> None: ...
    async def sync_with_coordinator(self) -> bool: ...
