"""The boot agent as a service of systemd: watched itself, restarted for ever, services spared."""

import sys
from pathlib import Path
from typing import Final

WATCHDOG_S: Final = 30
"""How long the agent's event loop may be stuck before systemd restarts it."""

_UNIT: Final = """\
# made by: turret boot --systemd-unit
[Unit]
Description=OpenTurret boot agent
Documentation=https://www.freedesktop.org/software/systemd/man/sd_notify.html
# Restart for ever: the agent counts boots that do not last, and never restarts the unit.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
Restart=always
RestartSec=1
WatchdogSec={watchdog}
# Matrix and runtime outlive the agent: voice goes on, and the next agent takes them over.
KillMode=process
TimeoutStopSec=30
# DHCP, address and routes, ports below 1024, the tick of the engine, the clock.
AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SYS_NICE CAP_SYS_TIME
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SYS_NICE CAP_SYS_TIME
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ReadWritePaths={state}
ReadOnlyPaths={factory}

[Install]
WantedBy=multi-user.target
"""


def unit_file(state: Path, factory: Path, interface: str, slots: str = "files") -> str:
    """Returns the unit file of an agent, to be written to ``/etc/systemd/system``.

    Args:
        state: The unit's state folder.
        factory: Its factory folder.
        interface: Its network interface.
        slots: Who keeps the firmware.
    """
    words = (sys.executable, "-m", "openturret.boot", "--state", state.absolute(),
             "--factory", factory.absolute(), "--interface", interface,
             "--slots", slots)  # fmt: skip
    return _UNIT.format(
        command=" ".join(_quoted(str(word)) for word in words),
        watchdog=WATCHDOG_S,
        state=_quoted(str(state.absolute())),
        factory=_quoted(str(factory.absolute())),
    )


def _quoted(word: str) -> str:
    """Returns a word as systemd.syntax(7) wants it: specifiers doubled, blanks inside quotes."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word
