"""The key panel beside the touch screen: keys, and a lamp in each."""

from typing import Final

from ....hal.clock import Clock
from ...errors import EmulationError
from .descriptors import Identity
from .hid import HidShape
from .peripheral import VID, Peripheral
from .reports import Controls, Report, ReportKind, Within
from .telephony import indicator
from .usages import Page, Telephony

PID: Final = 0x7705
MAX_KEYS: Final = 256


class PanelModel(Peripheral):
    """A panel of keys ``key-1`` and so on, in one usage range; its lamps share one usage.

    Args:
        serial: Which unit it is.
        keys: How many it has, 1 to 256.
        clock: Of its timeouts.

    Raises:
        EmulationError: It cannot have so many keys.
    """

    def __init__(
        self, serial: str = "PN-0001", *, keys: int = 24, clock: Clock | None = None
    ) -> None:
        if not 1 <= keys <= MAX_KEYS:
            raise EmulationError(f"{keys} keys are not between 1 and {MAX_KEYS}")
        identity = Identity(VID, PID, "Turret Key Panel", serial)
        super().__init__(identity, _controls(keys), clock=clock)


def key_name(number: int) -> str:
    """Returns the name that a key and its lamp carry, ``key-3``."""
    return f"key-{number}"


def _controls(keys: int) -> HidShape:
    names = tuple(key_name(number) for number in range(1, keys + 1))
    buttons = Controls(names, Page.BUTTON, tuple(range(1, keys + 1)), ranged=True)
    panel = Within((Page.TELEPHONY, Telephony.PROGRAMMABLE_BUTTON), (buttons,))
    reports = (
        Report(1, ReportKind.INPUT, (panel,)),
        Report(2, ReportKind.OUTPUT, (indicator(*names),)),
    )
    return HidShape((Page.TELEPHONY, Telephony.PHONE), reports, name="Panel keys")
