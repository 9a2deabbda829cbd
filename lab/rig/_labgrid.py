"""The names of labgrid that we use; typed by the stub of the same name beside this file."""

from .errors import LabgridMissingError

try:
    from grpc.aio import AioRpcError
    from labgrid import Environment, Target, step, target_factory
    from labgrid.driver import Driver
    from labgrid.protocol import PowerProtocol
    from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY
    from labgrid.remote import exporter
    from labgrid.remote.client import ClientSession, Error
    from labgrid.remote.common import Place, ReservationState
    from labgrid.remote.exporter import ResourceExport
    from labgrid.remote.generated.labgrid_coordinator_pb2 import (
        AcquirePlaceRequest,
        CancelReservationRequest,
        CreateReservationRequest,
        PollReservationRequest,
        ReleasePlaceRequest,
        Reservation,
        SetPlaceTagsRequest,
    )
    from labgrid.resource import NetworkSerialPort, RawSerialPort, USBSerialPort
    from labgrid.resource.common import ManagedResource, NetworkResource, Resource
    from labgrid.resource.remote import RemotePlaceManager, RemoteUSBResource
    from labgrid.resource.udev import USBResource
    from labgrid.strategy import Strategy, StrategyError
    from labgrid.util.proxy import proxymanager
except ImportError as error:
    raise LabgridMissingError(
        f'{error}: pip install "openturret[labgrid]" in an environment of its own, because '
        "labgrid brings another pyserial than the unit's"
    ) from error

__all__ = [
    "LABGRID_ENV_KEY",
    "AcquirePlaceRequest",
    "AioRpcError",
    "CancelReservationRequest",
    "ClientSession",
    "CreateReservationRequest",
    "Driver",
    "Environment",
    "Error",
    "ManagedResource",
    "NetworkResource",
    "NetworkSerialPort",
    "Place",
    "PollReservationRequest",
    "PowerProtocol",
    "RawSerialPort",
    "ReleasePlaceRequest",
    "RemotePlaceManager",
    "RemoteUSBResource",
    "Reservation",
    "ReservationState",
    "Resource",
    "ResourceExport",
    "SetPlaceTagsRequest",
    "Strategy",
    "StrategyError",
    "Target",
    "USBResource",
    "USBSerialPort",
    "exporter",
    "proxymanager",
    "step",
    "target_factory",
]
