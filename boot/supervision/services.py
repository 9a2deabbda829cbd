"""The processes that a boot agent keeps running: the mixing matrix and the runtime."""

from pathlib import Path
from typing import Final

from ..document import Document
from .supervisor import Service

PANEL_KEY: Final = "application.boot.startserver"
PANEL_PORT_KEY: Final = "application.web.port"
XMA_KEY: Final = "application.xma.enable"
MATRIX_PORT: Final = 4250
PANEL_PORT: Final = 80

MATRIX_PATIENCE_S: Final = 5.0
"""How long the engine's tick may stand still, or the matrix be deaf to OLDCB, seconds."""

RUNTIME_PATIENCE_S: Final = 10.0
"""How long the event loop or the SIP thread may be stuck, seconds; calls go on meanwhile."""


def services(state: Path, configuration: Document) -> tuple[Service, Service]:
    """Returns the matrix and the runtime, in the order in which they start.

    A runtime whose panel is switched off opens no port that could be waited for; neither does a
    matrix beside an XMA2, which stands by.
    """
    arguments = ("--state", str(state))
    matrix = None if configuration.values.get(XMA_KEY) is True else MATRIX_PORT
    panel = panel_port(configuration)
    return (
        Service(
            "matrix",
            "openturret.firmware.matrix",
            arguments,
            ready_port=matrix,
            patience_s=MATRIX_PATIENCE_S,
        ),
        Service(
            "runtime",
            "openturret.firmware",
            arguments,
            ready_port=panel,
            patience_s=RUNTIME_PATIENCE_S,
        ),
    )


def panel_port(configuration: Document) -> int | None:
    """Returns the TCP port of the panel, None where it is switched off."""
    if configuration.values.get(PANEL_KEY) is False:
        return None
    port = configuration.values.get(PANEL_PORT_KEY)
    return port if isinstance(port, int) and 0 < port < 65_536 else PANEL_PORT
