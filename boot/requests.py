"""What the boot agent answers on its control socket, one method each."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ..hal.wire.json_lines import JsonObject, optional
from ..hal.wire.json_lines import field as member
from .control import Handler
from .document import Document
from .errors import ControlError, DhcpError, DnsError
from .lan.connection import Connection
from .status import StatusBoard
from .users.login import Logins

logger = logging.getLogger(__name__)

REPORTED: Final = ("matrix", "runtime", "hal", "register")
"""The stages that the services may report about."""


class Requests:
    """Answers status, login, logout, reports and retry.

    Args:
        status: The stages and alarms.
        logins: Logs people in.
        connection: Finds the directory.
        configuration: The one in force; None before there is one.
        heard: Told stage and state of every report.
        retry: Ends every wait for a better time.
    """

    def __init__(
        self,
        status: StatusBoard,
        logins: Logins,
        connection: Connection,
        configuration: Callable[[], Document | None],
        heard: Callable[[str, str], None],
        retry: Callable[[], None],
    ) -> None:
        self._status = status
        self._logins = logins
        self._connection = connection
        self._configuration = configuration
        self._heard = heard
        self._retry = retry

    def methods(self) -> dict[str, Handler]:
        """Returns every method by its name."""
        return {
            "status": self._say_status,
            "login": self._log_in,
            "logout": self._log_out,
            "report": self._take_report,
            "retry": self._try_again,
        }

    async def _say_status(self, _: JsonObject) -> Mapping[str, object]:
        return self._status.as_json()

    async def _log_in(self, parameters: JsonObject) -> Mapping[str, object]:
        user, password = member(parameters, "user", str), member(parameters, "password", str)
        configuration = self._configuration()
        if configuration is None:
            raise ControlError("the unit is not configured yet", "wait for the end of the boot")
        names = _Names(self._connection)
        person, path = await self._logins.login(user, password, configuration, names)
        return {"user": person.user, "name": person.name, "profile": str(path)}

    async def _log_out(self, _: JsonObject) -> Mapping[str, object]:
        self._logins.logout()
        return {}

    async def _try_again(self, _: JsonObject) -> Mapping[str, object]:
        logger.info("somebody asks for another attempt")
        self._retry()
        return {}

    async def _take_report(self, parameters: JsonObject) -> Mapping[str, object]:
        stage, state = member(parameters, "stage", str), member(parameters, "state", str)
        detail = optional(parameters, "detail", str) or ""
        if stage not in REPORTED:
            raise ControlError(f"stage {stage[:40]!r} is not yours", f"use one of {REPORTED}")
        try:
            self._status.report(stage, state, detail, optional(parameters, "duration_s", float))
        except ValueError as error:
            raise ControlError(str(error)) from error
        self._heard(stage, state)
        return {}


@dataclass(frozen=True, slots=True)
class _Names:
    """Finds names through the connection as it is now; without an address there are none."""

    connection: Connection

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        try:
            network = self.connection.network
        except DhcpError as error:
            raise DnsError(str(error), error.remedy) from error
        return await network.resolver.resolve(name)
