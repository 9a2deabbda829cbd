"""Drivers by name: entry points of the group ``openturret.drivers``.

A driver registers under ``<driver>.<type>``, its audio under ``<driver>.audio``, and what tells of
its devices that come and go, if it has that, under ``<driver>.hotplug``::

    [project.entry-points."openturret.drivers"]
    "emulated.handset" = "openturret.drivers.emulated.handset:EmulatedHandset"
    "usb.audio" = "openturret.drivers.portaudio.usb:usb_audio [rig]"

The extra in brackets is what :class:`DriverMissingError` tells the user to install.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeVar

from .audio import AudioPort
from .board import DeviceSpec
from .clock import Clock
from .device import Device
from .errors import DriverMissingError
from .gooseneck import Gooseneck
from .handset import Handset
from .hotplug import Hotplug
from .panel import Panel
from .speaker import Speaker
from .speakerphone import Speakerphone

GROUP: Final = "openturret.drivers"
D = TypeVar("D")


def installed_drivers() -> Iterable[EntryPoint]:
    """Returns the drivers of every distribution that Python can see."""
    return entry_points(group=GROUP)


class Registry:
    """Makes devices from their description, by the name of their driver.

    Args:
        source: Where the entry points come from; the installed distributions by default.
    """

    def __init__(self, source: Callable[[], Iterable[EntryPoint]] = installed_drivers) -> None:
        self._drivers = {point.name: point for point in source()}

    def names(self) -> tuple[str, ...]:
        """Returns the registered names, sorted."""
        return tuple(sorted(self._drivers))

    def load(self, name: str) -> Callable[..., object]:
        """Returns the driver class of that name.

        Raises:
            DriverMissingError: No such driver, or what it imports is not installed.
        """
        if name not in self._drivers:
            known = ", ".join(self._drivers) or "none"
            raise DriverMissingError(f"no driver {name!r} is installed; installed are: {known}")
        return _loaded(self._drivers[name])

    def handset(self, spec: DeviceSpec, clock: Clock) -> Handset:
        """Returns the handset that the spec describes, not opened yet."""
        return self._device(spec, clock, Handset)  # type: ignore[type-abstract]

    def speakerphone(self, spec: DeviceSpec, clock: Clock) -> Speakerphone:
        """Returns the speakerphone that the spec describes, not opened yet."""
        return self._device(spec, clock, Speakerphone)  # type: ignore[type-abstract]

    def gooseneck(self, spec: DeviceSpec, clock: Clock) -> Gooseneck:
        """Returns the gooseneck that the spec describes, not opened yet."""
        return self._device(spec, clock, Gooseneck)  # type: ignore[type-abstract]

    def speaker(self, spec: DeviceSpec, clock: Clock) -> Speaker:
        """Returns the loudspeaker that the spec describes, not opened yet."""
        return self._device(spec, clock, Speaker)  # type: ignore[type-abstract]

    def panel(self, spec: DeviceSpec, clock: Clock) -> Panel:
        """Returns the key panel that the spec describes, not opened yet."""
        return self._device(spec, clock, Panel)  # type: ignore[type-abstract]

    def device(self, spec: DeviceSpec, clock: Clock) -> Device:
        """Returns the device that the spec describes, whatever it is, not opened yet."""
        return self._device(spec, clock, Device)  # type: ignore[type-abstract]

    def audio(self, spec: DeviceSpec) -> AudioPort:
        """Returns the audio port of the device that the spec describes, not opened yet."""
        port = self.load(f"{spec.driver}.audio")(spec)
        return _checked(spec, port, AudioPort)  # type: ignore[type-abstract]

    def hotplug(self, driver: str) -> Hotplug | None:
        """Returns what tells when devices of a driver come and go; None when nothing does.

        Raises:
            DriverMissingError: It is registered, but what it imports is not installed.
        """
        name = f"{driver}.hotplug"
        if name not in self._drivers:
            return None
        made = self.load(name)()
        if not isinstance(made, Hotplug):
            raise DriverMissingError(f"driver {name} tells of no hotplug")
        return made

    def _device(self, spec: DeviceSpec, clock: Clock, protocol: type[D]) -> D:
        return _checked(spec, self.load(f"{spec.driver}.{spec.type}")(spec, clock), protocol)


def _loaded(point: EntryPoint) -> Callable[..., object]:
    try:
        driver: object = point.load()
    except ImportError as error:
        extra = ",".join(point.extras) or "unit"
        remedy = f'pip install "openturret[{extra}]"'
        raise DriverMissingError(f"driver {point.name}: {error}; {remedy}") from error
    if not callable(driver):
        raise DriverMissingError(f"driver {point.name}: {point.value} makes no devices")
    return driver


def _checked(spec: DeviceSpec, made: object, protocol: type[D]) -> D:
    if not isinstance(made, protocol):
        name = f"{spec.driver}.{spec.type}"
        raise DriverMissingError(f"driver {name} makes no {protocol.__name__.lower()}")
    return made
