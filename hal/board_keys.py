"""Every key of a board description once: what it holds, and what it means.

The parser (:mod:`.board`) reads with the kinds; the JSON Schema (:mod:`.board_schema`) and the
tables of docs/devices.md are made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from .description import Capability, DeviceType
from .kinds import Choice, Choices, Hexadecimal, Kind, Number, Text, Truth

MAX_DEVICES: Final = 64
MAX_CHANNELS: Final = 32
"""Loudspeaker channels of a unit (SPEC section 1)."""

FLEXPRO: Final = "flexpro"
FLEXPRO_CHANNELS: Final = 3
"""Loudspeaker channels of a FlexPro that does not say otherwise."""

POSITION: Final = "[a-z][a-z0-9]*(-[a-z0-9]+)*"
_ONE_LINE: Final = r"[^\x00-\x1f\x7f]+"
_PORT: Final = (
    "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_HOST: Final = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
_URL: Final = rf"/[^\x00-\x20]+|(socket|rfc2217)://{_HOST}:{_PORT}"

NAME: Final = Text(_ONE_LINE, "touchpro")
CHANNELS_LIMIT: Final = Number(range(MAX_CHANNELS + 1))
TYPE: Final = Choice(DeviceType)
DRIVER: Final = Text("[A-Za-z0-9][A-Za-z0-9_.-]*", "usb")
CAPABILITIES: Final = Choices(Capability)
FRAME_MS: Final = Number((10, 20))
RATE_HZ: Final = Number((8000, 16000, 48000))
CHANNELS: Final = Number(range(1, MAX_CHANNELS + 1))
FALLBACK: Final = Text(POSITION, "speakerphone")
OPTIONAL: Final = Truth()


K_co = TypeVar("K_co", bound="Kind[object] | None", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[K_co]):
    """One key.

    Attributes:
        kind: What it holds; None is a mapping of keys.
        meaning: A sentence for people.
        default: What holds when it is not there, in words; "" when it must be there.
    """

    kind: K_co
    meaning: str
    default: str = ""


BOARD_KEYS: Final[Mapping[str, Key[Kind[object] | None]]] = MappingProxyType(
    {
        "board": Key(NAME, "What the unit is: touchpro, flexpro, or a name for a rig."),
        "speaker_channels_limit": Key(
            CHANNELS_LIMIT,
            "Loudspeaker channels that its speakers may have together, without those of an XMA2.",
            f"{FLEXPRO_CHANNELS} on a flexpro, {MAX_CHANNELS} otherwise",
        ),
        "devices": Key(None, f"The devices by position, at most {MAX_DEVICES}."),
    }
)

DEVICE_KEYS: Final[Mapping[str, Key[Kind[object] | None]]] = MappingProxyType(
    {
        "type": Key(TYPE, "What the device is."),
        "driver": Key(DRIVER, "Name of the driver that answers for it: usb, serial, emulated."),
        "match": Key(None, "How its driver finds it; see below.", "nothing: the driver knows"),
        "capabilities": Key(CAPABILITIES, "What it can do.", "what its type can do"),
        "frame_ms": Key(FRAME_MS, "Length of its audio frames in milliseconds.", "20"),
        "rate_hz": Key(
            RATE_HZ, "Rate of its audio in hertz.", "the best that device and engine share"
        ),
        "channels": Key(CHANNELS, "Loudspeaker channels, of a speaker or an xma2.", "1"),
        "fallback": Key(
            FALLBACK, "Position whose audio takes over while this device is away.", "none"
        ),
        "optional": Key(OPTIONAL, "Whether a unit is whole without it.", "false"),
    }
)

MATCH_KEYS: Final[Mapping[str, Key[Kind[str | int]]]] = MappingProxyType(
    {
        "vid": Key(Hexadecimal(), "idVendor on USB; stands with pid.", "any"),
        "pid": Key(Hexadecimal(), "idProduct on USB; stands with vid.", "any"),
        "serial": Key(
            Text(_ONE_LINE, '"TP-0001"', 126),
            "iSerialNumber on USB: the unit, wherever it is plugged in. Beside url: the number "
            "that must answer there.",
            "any",
        ),
        "port": Key(
            Text(r"[1-9][0-9]{0,2}-[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2}){0,6}", '"1-1.2"', 32),
            "Bus and port path on USB: the place, whatever is plugged in there.",
            "any",
        ),
        "url": Key(
            Text(_URL, "/dev/ttyACM0 or rfc2217://rig:4001", 255),
            "Serial line: a device node, socket://host:port or rfc2217://host:port.",
            "none",
        ),
        "socket": Key(
            Text(r"/[^\x00]+", "/run/openturret/hardware/handset-left", 255),
            "Unix sockets of emulated hardware, without .control and .audio.",
            "none",
        ),
        "matrix": Key(
            Text(f"{_HOST}:{_PORT}", "192.0.2.7:4250", 255),
            "Where an xma2 answers for the mixing matrix.",
            "none",
        ),
        "secret": Key(
            Text(r"/[^\x00]+", "/etc/openturret/secrets/xma-1", 255),
            "File with the secret that the console of an xma2 asks for; never the secret itself.",
            "none",
        ),
        "name": Key(
            Text(_ONE_LINE, "Handset 1"),
            "Name of a JACK client that is its sound, on benches; never a product name.",
            "none",
        ),
    }
)
