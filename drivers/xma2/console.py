"""A session at an XMA2's console: greeting, login, commands and their answers, news, a pulse.

    line opens → hello → login → watch → in session → commands, news, ping

One command is asked at a time.  An answer that does not come in time ends the session, and a new
one is begun; the nonce of its greeting tells its answers from those of the one before.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from ...hal.errors import DeviceGoneError, HalError
from ..errors import ConsoleError, ConsoleLineError, LoginRefusedError
from ..serial.line import SerialLine
from ..serial.places import Place
from .wire import (
    ERROR,
    MAX_LINE_BYTES,
    NEWS,
    OK,
    PROTOCOL,
    Greeting,
    KeyNews,
    KnobNews,
    decode,
)

logger = logging.getLogger(__name__)

ANSWER_S: Final = 2.0
"""How long an answer may take."""

PULSE_S: Final = 1.0
MAX_ANSWER_LINES: Final = 64
MAX_EARLY: Final = 64
UP: Final = "up"


class Owner(Protocol):
    """Whose console it is; called on the loop."""

    def check(self, greeting: Greeting) -> None:
        """Refuses a module that is not the one meant, by a HalError."""
        ...

    def begun(self, held: list[KeyNews]) -> None:
        """A session has begun; these keys are held."""
        ...

    async def settle(self) -> None:
        """The session stands: tells the module what it must show."""
        ...

    def ended(self, reason: str) -> None:
        """The session, or an attempt at one, has ended; another is begun by itself."""
        ...

    def told(self, news: KeyNews | KnobNews) -> None:
        """Something happened at the module."""
        ...


class Console:
    """Keeps a session from :meth:`start` to :meth:`close`.

    Args:
        name: For logs, the position of the module.
        place: Finds its serial line.
        secret: Returns the module's secret, read anew for each login, or raises HalError.
        owner: Is told.
        answer_s: How long an answer may take, seconds.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        secret: Callable[[], bytes],
        owner: Owner,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._secret = secret
        self._owner = owner
        self._answer_s = answer_s
        self._line = SerialLine(name, place, self, max_line_bytes=MAX_LINE_BYTES)
        self._session: asyncio.Task[None] | None = None
        self._answer: _Answer | None = None
        self._turn = asyncio.Lock()
        self._in_session = False
        self._early: list[KeyNews | KnobNews] = []

    def start(self) -> None:
        """Begins to look for the module."""
        self._line.start()

    async def close(self) -> None:
        """Ends the session."""
        session = self._session
        await self._line.close()
        if session is not None:
            await asyncio.gather(session, return_exceptions=True)

    async def ask(self, command: str) -> list[str]:
        """Asks a command within the session and returns the lines of its answer.

        Raises:
            DeviceGoneError: There is no session, or it ended before the answer.
            ConsoleError: The module refused.
        """
        async with self._turn:
            if not self._in_session:
                raise DeviceGoneError("the console does not answer")
            return await self._converse(command)

    # ------------------------------------------------------------ what the line says

    def opened(self) -> None:
        """The line is open: begins a session."""
        self._session = asyncio.get_running_loop().create_task(self._hold(), name="xma2 console")

    def heard(self, text: bytes) -> None:
        """A line came: news, or a line of an answer.

        Raises:
            HalError: It ends the session.
        """
        line = decode(text)
        if line.startswith(NEWS):
            self._hear_news(line.removeprefix(NEWS))
        elif self._answer is not None:
            self._answer.add(line)

    def lost(self, reason: str) -> None:
        """The line is not open any more."""
        self._in_session = False
        if self._answer is not None:
            self._answer.fail(reason)
        if self._session is not None:
            self._session.cancel()
            self._session = None
        self._owner.ended(reason)

    def _hear_news(self, news: str) -> None:
        if news == UP:
            raise DeviceGoneError("the module has started anew")
        parse = KnobNews.parse if news.startswith("knob") else KeyNews.parse
        try:
            self._tell(parse(news))
        except ConsoleLineError as error:
            logger.warning("news that makes no sense: %s", error)

    def _tell(self, news: KeyNews | KnobNews) -> None:
        """Tells the owner; what comes between the answer and its reading waits a moment."""
        if self._in_session:
            self._owner.told(news)
        elif len(self._early) < MAX_EARLY:
            self._early.append(news)

    # ------------------------------------------------------------ the session

    async def _hold(self) -> None:
        try:
            held = await self._begin()
            self._enter(held)
            await self._owner.settle()
            while True:
                await asyncio.sleep(PULSE_S)
                await self._ask("ping")
        except HalError as error:
            self._line.give_up(str(error))

    def _enter(self, held: list[KeyNews]) -> None:
        self._in_session = True
        self._line.confirm()
        self._owner.begun(held)
        for news in self._early:
            self._owner.told(news)

    async def _begin(self) -> list[KeyNews]:
        nonce = secrets.token_hex(16)
        greeting = await self._greeting(nonce)
        if greeting.protocol != PROTOCOL:
            raise DeviceGoneError(f"the module speaks protocol {greeting.protocol}, not {PROTOCOL}")
        self._owner.check(greeting)
        await self._log_in(greeting)
        self._early.clear()
        return [KeyNews.parse(line) for line in await self._ask("watch")]

    async def _greeting(self, nonce: str) -> Greeting:
        lines = await self._ask(f"hello {PROTOCOL} {nonce}")
        greeting = Greeting.parse(lines[0] if lines else "")
        if greeting.nonce != nonce:
            raise DeviceGoneError("the greeting belongs to another session")
        return greeting

    async def _log_in(self, greeting: Greeting) -> None:
        try:
            await self._ask(f"login {greeting.answer(self._secret())}")
        except ConsoleError as error:
            remedy = "write the secret of this module into the file that the board names"
            raise LoginRefusedError(f"{greeting.serial} refuses the login; {remedy}") from error

    async def _ask(self, command: str) -> list[str]:
        async with self._turn:
            return await self._converse(command)

    async def _converse(self, command: str) -> list[str]:
        verb = command.partition(" ")[0]
        answer = self._answer = _Answer(verb)
        self._line.write(f"{command}\n".encode())
        try:
            async with asyncio.timeout(self._answer_s):
                return await answer.complete
        except TimeoutError as error:
            raise DeviceGoneError(f"{verb!r} was not answered") from error
        finally:
            self._answer = None
            if answer.complete.cancelled():
                self._line.give_up(f"{verb!r} was not answered in {self._answer_s} s")


class _Answer:
    """The lines of one answer as they come."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._lines: list[str] = []
        self.complete: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def add(self, line: str) -> None:
        """Takes a line; ``ok`` and ``error`` end the answer.

        Raises:
            ConsoleLineError: The answer has no end.
        """
        if self.complete.done():
            return
        word, _, rest = line.partition(" ")
        if line == OK:
            self.complete.set_result(self._lines)
        elif word == ERROR:
            self.complete.set_exception(ConsoleError(f"{self._verb}: {rest}"))
        elif len(self._lines) >= MAX_ANSWER_LINES:
            raise ConsoleLineError(f"the answer to {self._verb!r} has no end")
        else:
            self._lines.append(line)

    def fail(self, reason: str) -> None:
        """There will be no answer."""
        if not self.complete.done():
            self.complete.set_exception(DeviceGoneError(f"{self._verb}: {reason}"))
