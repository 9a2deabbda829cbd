"""Every configuration key of a unit, once: type, default, bounds, unit, port and meaning.

The tables in docs/ and what ``turret config`` prints are made from this list.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable

from .errors import UnknownKeyError
from .forms import CODECS, TRANSPORTS, Form
from .key import Key, Kind, Source

SPEAKER_CHANNELS = range(1, 33)
SPEED_DIALS = range(1, 201)

_DOCUMENTED = Source.DOCUMENTED

_WEB = (
    Key(
        "application.boot.startserver",
        Kind.FLAG,
        default=True,
        description="Whether the unit serves web administration and its panel.",
        source=_DOCUMENTED,
        port="web",
    ),
    Key(
        "application.boot.enrolment.enable",
        Kind.FLAG,
        default=True,
        description="Whether the unit gets a certificate of its own from TSS, and renews it.",
    ),
    Key(
        "application.boot.health.timeout",
        Kind.INTEGER,
        120,
        "How long new firmware may take to prove itself before the old one comes back.",
        minimum=20,
        maximum=3600,
        unit="s",
    ),
    Key(
        "application.boot.update",
        Kind.CHOICE,
        "restart",
        "When firmware that comes while the unit runs is tried: at the next restart, or as soon as "
        "no call and no open line is up (idle).",
        choices=("restart", "idle"),
    ),
    Key(
        "application.boot.dhcp.release",
        Kind.FLAG,
        default=False,
        description=(
            "Whether a unit that is switched off cleanly gives its address back. It then needs "
            "a DHCP server to boot again; with false it boots with the address it had."
        ),
    ),
    Key(
        "application.web.port",
        Kind.INTEGER,
        80,
        "Where web administration listens. Anything but 80 is for work at a desk.",
        minimum=1,
        maximum=65535,
        unit="port",
        port="web",
    ),
    Key(
        "application.web.lockout.attempts",
        Kind.INTEGER,
        5,
        "Wrong passwords in a row after which an address has to wait.",
        minimum=1,
        maximum=100,
        unit="attempts",
    ),
    Key(
        "application.web.lockout.duration",
        Kind.INTEGER,
        60,
        "How long an address waits after too many wrong passwords.",
        minimum=1,
        maximum=86400,
        unit="s",
    ),
    Key(
        "application.web.session.duration",
        Kind.INTEGER,
        43200,
        "How long a web session lives without a new login.",
        minimum=60,
        maximum=604800,
        unit="s",
    ),
)

_SUPERVISION = (
    Key(
        "application.global.snmp.enable",
        Kind.FLAG,
        default=True,
        description="Whether the unit answers SNMP.",
        source=_DOCUMENTED,
        port="snmp",
    ),
    Key(
        "application.global.snmp.read.community",
        Kind.TEXT,
        "",
        "Community that may read. While it is empty the unit answers nobody.",
        source=_DOCUMENTED,
        port="snmp",
        secret=True,
    ),
    Key(
        "application.global.snmp.trap.community",
        Kind.TEXT,
        "",
        "Community that the unit's traps carry.",
        source=_DOCUMENTED,
        port="snmp",
        secret=True,
    ),
    Key(
        "application.global.rpcapd.enable",
        Kind.FLAG,
        default=False,
        description="Whether remote packet capture may be asked for.",
        source=_DOCUMENTED,
        port="capture",
    ),
    Key(
        "profile.setting.debuginfobutton.alwaysavailable",
        Kind.FLAG,
        default=False,
        description="The panel shows the debug button (capture, logs, versions) even when "
        "capture is off.",
        source=_DOCUMENTED,
        port="capture",
        needs_restart=False,
    ),
    Key(
        "application.syslog.server",
        Kind.TEXT,
        "",
        "Where the unit sends its log (UDP, RFC 5424). Empty: nowhere.",
        form=Form.ENDPOINT,
    ),
)

_MATRIX = (
    Key(
        "application.oldcb.address",
        Kind.TEXT,
        "127.0.0.1",
        "Address that the mixing matrix listens on. Keep it on loopback unless a peer is needed.",
        form=Form.ADDRESS,
        port="oldcb",
    ),
    Key(
        "application.mm.rtplowerport",
        Kind.INTEGER,
        11000,
        "First port for voice RTP. Must be even.",
        source=_DOCUMENTED,
        minimum=1024,
        maximum=65534,
        unit="port",
        port="voice",
    ),
    Key(
        "application.mm.rtpupperport",
        Kind.INTEGER,
        13000,
        "Last port for voice RTP.",
        source=_DOCUMENTED,
        minimum=1025,
        maximum=65535,
        unit="port",
        port="voice",
    ),
    Key(
        "application.mm.vie.rtplowerport",
        Kind.INTEGER,
        31000,
        "First port for video RTP. Must be even.",
        source=_DOCUMENTED,
        minimum=1024,
        maximum=65534,
        unit="port",
        port="video",
    ),
    Key(
        "application.mm.vie.rtpupperport",
        Kind.INTEGER,
        31100,
        "Last port for video RTP.",
        source=_DOCUMENTED,
        minimum=1025,
        maximum=65535,
        unit="port",
        port="video",
    ),
    Key(
        "application.xma.enable",
        Kind.FLAG,
        default=False,
        description="Whether an XMA2 does the mixing instead of the matrix.",
        port="oldcb",
    ),
    Key(
        "application.xma.telnetaccess",
        Kind.FLAG,
        default=False,
        description="Whether the XMA's switch administration console may be reached.",
        source=_DOCUMENTED,
        port="xma-admin",
    ),
    Key(
        "application.xma.trafficin.portef",
        Kind.INTEGER,
        0x2800,
        "First port of the XMA2's range. `application.xma.trafficin.portref` means the same.",
        source=_DOCUMENTED,
        minimum=1024,
        maximum=65535,
        unit="port",
        port="voice-xma",
        aliases=("application.xma.trafficin.portref",),
    ),
    Key(
        "application.xma.trafficin.netmask",
        Kind.INTEGER,
        0xF800,
        "Mask of the XMA2's port filter: a datagram passes when `dport & netmask == portref`.",
        source=_DOCUMENTED,
        minimum=0x8000,
        maximum=0xFFFE,
        port="voice-xma",
    ),
    Key(
        "application.xma.trafficin.portrange",
        Kind.INTEGER,
        2048,
        "Number of ports in the XMA2's range. Its meaning is ours: it must match the mask.",
        source=_DOCUMENTED,
        minimum=2,
        maximum=32768,
        unit="ports",
        port="voice-xma",
    ),
)

_SIP = (
    Key(
        "application.sip.connection.port",
        Kind.INTEGER,
        5060,
        "Port of SIP over UDP and TCP.",
        source=_DOCUMENTED,
        minimum=1,
        maximum=65535,
        unit="port",
        port="sip",
    ),
    Key(
        "application.sip.tlsconnection.port",
        Kind.INTEGER,
        0,
        "Port of SIP over TLS, 5061 when used.",
        source=_DOCUMENTED,
        minimum=1,
        maximum=65535,
        unit="port",
        port="sip-tls",
        zero_is_off=True,
    ),
    Key(
        "application.sip.websocket.listening.port",
        Kind.INTEGER,
        0,
        "Port of SIP over WebSocket, 80 when used; it shares the listener of web administration.",
        source=_DOCUMENTED,
        minimum=1,
        maximum=65535,
        unit="port",
        port="sip-websocket",
        zero_is_off=True,
    ),
    Key(
        "application.sip.websocketsecure.listening.port",
        Kind.INTEGER,
        0,
        "Port of SIP over secure WebSocket, 443 when used.",
        source=_DOCUMENTED,
        minimum=1,
        maximum=65535,
        unit="port",
        port="sip-websocket-secure",
        zero_is_off=True,
    ),
    Key(
        "application.sip.pbx.servers",
        Kind.LIST,
        (),
        "The PBXs, first one first. The unit stays registered at all of them.",
        form=Form.ENDPOINT,
    ),
    Key(
        "application.sip.codecs",
        Kind.LIST,
        CODECS,
        "Codecs that calls are offered with, the preferred one first. An empty list offers all.",
        form=Form.CODEC,
    ),
    Key(
        "profile.setting.broadcasting.enabled",
        Kind.FLAG,
        default=False,
        description="Whether the unit takes part in the multicast hoot (ITMH).",
        source=_DOCUMENTED,
        port="itmh",
        needs_restart=False,
    ),
    Key(
        "profile.setting.broadcasting.mcast",
        Kind.TEXT,
        "",
        "Multicast group of the hoot.",
        source=_DOCUMENTED,
        form=Form.MULTICAST,
        port="itmh",
        needs_restart=False,
    ),
)

_RECORDING = (
    Key(
        "application.recording.recorder.a",
        Kind.TEXT,
        "",
        "SIP address of recorder A. Empty: no such recorder.",
        form=Form.SIP_URI,
    ),
    Key(
        "application.recording.recorder.b",
        Kind.TEXT,
        "",
        "SIP address of recorder B. Empty: no such recorder.",
        form=Form.SIP_URI,
    ),
    Key(
        "application.recording.policy",
        Kind.CHOICE,
        "warn",
        "What happens when both recorders are lost: `warn` lets calls go on with an alarm, "
        "`block` refuses new ones.",
        choices=("warn", "block"),
    ),
)

_UNIT = (
    Key(
        "application.boot.transports",
        Kind.LIST,
        TRANSPORTS,
        "What brings firmware from a TSS, in the order of preference. Configuration, profiles and "
        "what is signed about all of them come over https first where it is in the list.",
        form=Form.TRANSPORT,
    ),
    Key(
        "application.boot.bandwidth",
        Kind.INTEGER,
        0,
        "How fast the unit takes files from a TSS, at most, so that an update never disturbs "
        "voice. 0 is as fast as they come.",
        minimum=64,
        maximum=1_000_000,
        unit="kbit/s",
        zero_is_off=True,
    ),
    Key(
        "application.directory.servers",
        Kind.LIST,
        (),
        "Directory servers for the login, first one first.",
        form=Form.LDAPS_URL,
    ),
    Key(
        "application.directory.user.dn",
        Kind.TEXT,
        "uid={user},ou=people,dc=turret,dc=example",
        "Distinguished name that a user logs in with; {user} is replaced, escaped.",
        form=Form.USER_DN,
    ),
    Key(
        "application.login.lockout.attempts",
        Kind.INTEGER,
        5,
        "Wrong passwords in a row after which a user has to wait, at every way of logging in. "
        "The unit as a whole has four times as many, over all users.",
        minimum=1,
        maximum=100,
        unit="attempts",
    ),
    Key(
        "application.login.lockout.duration",
        Kind.INTEGER,
        60,
        "How long a user waits at first after too many wrong passwords. It doubles with every "
        "further one, up to an hour.",
        minimum=1,
        maximum=86400,
        unit="s",
    ),
    Key(
        "application.login.offline",
        Kind.CHOICE,
        "never",
        "Who gets in while no directory can be reached: nobody (`never`), or whoever the "
        "directory has let in at this unit lately (`cached`). Where a directory refuses, nobody.",
        choices=("never", "cached"),
    ),
    Key(
        "application.login.offline.days",
        Kind.INTEGER,
        7,
        "How long ago the directory may have let somebody in who is to get in without it.",
        minimum=1,
        maximum=90,
        unit="days",
    ),
    Key(
        "application.login.keep",
        Kind.FLAG,
        default=True,
        description="Whether the last user is still logged in after a power cut. The profile "
        "lies sealed on the medium; without this it is opened by a login only.",
    ),
    Key(
        "application.unit.model",
        Kind.CHOICE,
        "TouchPro",
        "Model that the configuration was written for.",
        choices=("TouchPro", "FlexPro"),
    ),
    Key(
        "application.config.version",
        Kind.INTEGER,
        0,
        "Version of the configuration. It only ever grows.",
        minimum=0,
        maximum=2**31 - 1,
    ),
)

_PROFILE = (
    Key(
        "profile.user.name",
        Kind.TEXT,
        "",
        "The user's name as the panel shows it.",
        needs_restart=False,
    ),
    Key(
        "profile.sip.username",
        Kind.TEXT,
        "",
        "The user's number at the PBXs.",
        form=Form.NAME,
        needs_restart=False,
    ),
    Key(
        "profile.sip.password",
        Kind.TEXT,
        "",
        "The password that goes with `profile.sip.username`.",
        needs_restart=False,
        secret=True,
    ),
    Key(
        "profile.sip.domain",
        Kind.TEXT,
        "turret.example",
        "SIP domain of the PBXs.",
        form=Form.NAME,
        needs_restart=False,
    ),
    Key(
        "profile.speaker.<n>.label",
        Kind.TEXT,
        "",
        "Name of speaker channel n on the panel.",
        indices=SPEAKER_CHANNELS,
        needs_restart=False,
    ),
    Key(
        "profile.speaker.<n>.uri",
        Kind.TEXT,
        "",
        "Open line that speaker channel n listens to. Empty: the channel is not used.",
        form=Form.SIP_URI,
        indices=SPEAKER_CHANNELS,
        needs_restart=False,
    ),
    Key(
        "profile.speeddial.<n>.label",
        Kind.TEXT,
        "",
        "Name of speed dial n on the panel.",
        indices=SPEED_DIALS,
        needs_restart=False,
    ),
    Key(
        "profile.speeddial.<n>.number",
        Kind.TEXT,
        "",
        "What speed dial n dials.",
        form=Form.DIAL,
        indices=SPEED_DIALS,
        needs_restart=False,
    ),
)

KEYS: tuple[Key, ...] = (
    *_WEB,
    *_SUPERVISION,
    *_MATRIX,
    *_SIP,
    *_RECORDING,
    *_UNIT,
    *_PROFILE,
)
"""Every key, in the order in which people read them."""

_NUMBER = re.compile(r"(?<=\.)([1-9][0-9]{0,3})(?=\.)")


def names(keys: Iterable[Key] = KEYS) -> dict[str, Key]:
    """Every spelling, aliases included, with its key."""
    return {name: key for key in keys for name in (key.name, *key.aliases)}


_names = functools.cache(names)


def find(name: str) -> Key | None:
    """The key of a name, or None; an index must be one that the key has.

    >>> find("profile.speaker.32.uri") is find("profile.speaker.1.uri")
    True
    >>> find("profile.speaker.33.uri") is None
    True
    """
    plain = _names().get(name)
    if plain is not None:
        return plain if plain.indices is None else None
    found = _NUMBER.search(name)
    key = _names().get(_NUMBER.sub("<n>", name)) if found else None
    in_range = found and key and key.indices and int(found[1]) in key.indices
    return key if in_range else None


def canonical(name: str) -> str:
    """The registry's own spelling of a name: an alias becomes the name it stands for.

    Raises:
        UnknownKeyError: The registry does not hold the name.
    """
    key = find(name)
    if key is None:
        raise UnknownKeyError(f"there is no key {name!r}{suggestion(name)}")
    return key.name if name in key.aliases else name


def suggestion(name: str) -> str:
    """The end of a sentence that asks whether a similar key was meant, or nothing."""
    index = _NUMBER.search(name)
    near = difflib.get_close_matches(_NUMBER.sub("<n>", name), _names(), n=1, cutoff=0.75)
    meant = near[0].replace("<n>", index[1] if index else "<n>") if near else ""
    return f", did you mean {meant!r}?" if meant else ""
