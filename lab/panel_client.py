"""Speaks to a unit's panel over HTTP, as a browser does."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp

from .errors import LabError

TIMEOUT_S = 12.0


class PanelError(LabError):
    """The panel refused a command or did not answer.

    Attributes:
        status: the HTTP status of the refusal; 0 when nobody answered.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PanelClient:
    """A session at the panel of one unit.

    Args:
        address: the unit's IPv4 address.
        port: the panel's port.
    """

    def __init__(self, address: str, port: int = 80) -> None:
        self._base = f"http://{address}:{port}"
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"X-OpenTurret": "lab"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def state(self) -> dict[str, Any]:
        """Everything that the panel shows.

        Raises:
            PanelError: nobody answers.
        """
        return await self._call("GET", "/api/state")

    async def legs(self) -> list[dict[str, Any]]:
        """The media legs with their counters.

        Raises:
            PanelError: nobody answers, or nobody is logged in.
        """
        answer = await self._call("GET", "/api/legs")
        legs: list[dict[str, Any]] = answer["legs"]
        return legs

    async def login(self, user: str, password: str) -> dict[str, Any]:
        """Log a user in at the unit.

        Raises:
            PanelError: the directory refused it, or nobody answers.
        """
        return await self._call("POST", "/api/login", {"user": user, "password": password})

    async def dial(self, side: str, number: str) -> None:
        """Dial on a handset that is off-hook.

        Raises:
            PanelError: it is on-hook or busy, or nobody is logged in.
        """
        await self._call("POST", f"/api/handsets/{side}/dial", {"number": number})

    async def logout(self) -> None:
        """Log the user out.

        Raises:
            PanelError: nobody is logged in, or nobody answers.
        """
        await self._call("POST", "/api/logout", {})

    async def talk(self, channel: int, *, on: bool) -> None:
        """Open or close the gooseneck towards a speaker channel.

        Raises:
            PanelError: there is no such channel, or nobody is logged in.
        """
        await self._call("POST", f"/api/speakers/{channel}/talk", {"on": on})

    async def _call(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, Any]:
        try:
            async with self._http.request(method, self._base + path, json=body) as reply:
                answer: dict[str, Any] = await reply.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise PanelError(f"{method} {path}: {type(error).__name__} {error}") from error
        if reply.status >= 400:
            raise PanelError(_refusal(answer), status=reply.status)
        return answer


def _refusal(answer: dict[str, Any]) -> str:
    error = answer.get("error", {})
    return f"{error.get('message', 'refused')} ({error.get('remedy') or error.get('code')})"
