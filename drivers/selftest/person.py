"""A person at the devices, asked at a terminal."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...hal.board import DeviceSpec
from ...hal.errors import DeviceGoneError
from .hands import Action, Hearing, Play
from .sound import Sound

Ask: TypeAlias = Callable[[str], Awaitable[str]]
Tell: TypeAlias = Callable[[str], object]

ABOVE_NOISE_DB: Final = 10.0
AUDIBLE_DBFS: Final = -60.0
MAX_ANSWER: Final = 256


@dataclass(frozen=True, slots=True)
class Speech:
    """Somebody talks: louder than it was before, whatever the words."""

    seconds: float = 3.0

    def recognised(self, sound: Sound, noise_dbfs: float) -> bool:
        """Whether it is louder than the noise."""
        return sound.level_dbfs >= max(AUDIBLE_DBFS, noise_dbfs + ABOVE_NOISE_DB)


class Person:
    """Does what is printed, and answers questions.

    Args:
        ask: Puts a question and returns the answer.
        tell: Prints a line.
    """

    patience_s = 20.0
    prompt = False

    def __init__(self, ask: Ask, tell: Tell) -> None:
        self._ask = ask
        self._tell = tell

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        """Asks for it to be done now; the device's event is the answer."""
        self._tell(f"  {spec.position}: {action} now\n")

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        """Asks what is lit."""
        shown = ", ".join(sorted(lamps)) or "nothing"
        return await self._agrees(f"  {spec.position}: is {shown} lit, and nothing else?")

    async def speaks(self, spec: DeviceSpec) -> Speech:
        """Asks for speech."""
        speech = Speech()
        self._tell(f"  {spec.position}: speak into it now, for {speech.seconds:g} seconds\n")
        return speech

    async def hushes(self, spec: DeviceSpec) -> None:
        """Says thank you."""
        self._tell(f"  {spec.position}: thank you\n")

    async def hears(self, spec: DeviceSpec, play: Play) -> Hearing:
        """Plays, and asks what was heard."""
        self._tell(f"  {spec.position}: listen to it now\n")
        await play()
        heard = await self._agrees(f"  {spec.position}: did you hear a tone?")
        return Hearing(heard, "a person heard it" if heard else "the person heard nothing", {})

    async def close(self) -> None:
        """The person may go."""

    async def _agrees(self, question: str) -> bool:
        answer = await self._ask(f"{question} [Y/n] ")
        return answer.strip().lower() in ("", "y", "yes")


class Terminal:
    """Questions on standard error, answers from standard input.

    A thread that waits for somebody's answer cannot be ended; it is a daemon, and reads the
    descriptor itself, so that the process can end while it waits.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor

    async def ask(self, question: str) -> str:
        """Puts a question and returns the line that answers it.

        Raises:
            DeviceGoneError: Standard input has ended: there is no person.
        """
        self.tell(question)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._read, args=(answer,), daemon=True).start()
        line = await answer
        if not line:
            raise DeviceGoneError("standard input has ended; use --no-hands without a person")
        return line.decode(errors="replace")

    def tell(self, text: str) -> None:
        """Prints it."""
        sys.stderr.write(text)
        sys.stderr.flush()

    def _read(self, answer: "asyncio.Future[bytes]") -> None:
        line = os.read(self._descriptor, MAX_ANSWER)
        answer.get_loop().call_soon_threadsafe(answer.set_result, line)
