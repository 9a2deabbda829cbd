"""The hand at a rig: an operator who is asked, or a program that works actuators.

The program is called with what to do, one word for each argument of the method, as in
``lift handset-left`` or ``tone handset-left 1000 -10``, and ends with 0 when it is done.
``abilities`` prints words of :class:`.hand.Ability` that it has, ``lamps POSITION`` the names of
those that are lit, ``speak`` and ``stop_listening`` get the path of a WAV file at their end.
What the program refuses with :data:`CANNOT` the operator is asked to do.
"""

import asyncio
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from ...drivers.errors import HandRefusedError
from .hand import Ability, Sound
from .sockets import read_wav, write_wav

CANNOT: Final = 64
"""Exit status of a program that has no actuator for it: EX_USAGE of sysexits.h."""

_BY_HAND: Final = frozenset({Ability.CABLE, Ability.TURN})


class Console(Protocol):
    """Where the operator reads and writes."""

    async def ask(self, text: str) -> str:
        """Shows a text and returns the line that is typed."""
        ...


class Terminal:
    """The terminal that the tests were started from, whatever captures their output."""

    def __init__(self, path: Path = Path("/dev/tty")) -> None:
        self._path = path

    async def ask(self, text: str) -> str:
        """Shows a text and returns the line that is typed."""
        return await asyncio.to_thread(self._ask, text)

    def _ask(self, text: str) -> str:
        with self._path.open("r+b", buffering=0) as terminal:
            terminal.write(f"\n{text} ".encode())
            return terminal.readline().decode(errors="replace").strip()


class OperatorHand:
    """One person, with or without actuators.

    Args:
        console: Where the person is asked.
        actuator: The program and its first arguments, none without actuators.
        abilities: What the hand can do, as :meth:`abilities_of` found out.
    """

    def __init__(
        self, console: Console, actuator: Sequence[str], abilities: frozenset[Ability]
    ) -> None:
        self._console = console
        self._actuator = actuator
        self._abilities = abilities
        self._folder = tempfile.TemporaryDirectory(prefix="ot-hand-")

    @staticmethod
    def abilities_of(actuator: Sequence[str]) -> frozenset[Ability]:
        """Returns what an operator can do with some actuators.

        Raises:
            HandRefusedError: The program failed, or prints what is no ability.
        """
        if not actuator:
            return _BY_HAND
        command = [*actuator, "abilities"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        words = done.stdout.split()
        if done.returncode or not set(words) <= set(Ability):
            known = ", ".join(Ability)
            raise HandRefusedError(
                f"{shlex.join(command)} ended with {done.returncode} and printed {words}; "
                f"abilities are {known}"
            )
        return _BY_HAND | {Ability(word) for word in words}

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do: cables and knobs always, the rest as far as there are actuators."""
        return self._abilities

    async def lift(self, position: str) -> None:
        """Has it lifted, or switched on."""
        await self._do(f"Lift {position}, or switch it on", "lift", position)

    async def cradle(self, position: str) -> None:
        """Has it put back, or switched off."""
        await self._do(f"Put {position} back, or switch it off", "cradle", position)

    async def press(self, position: str, key: str) -> None:
        """Has a key pressed and held."""
        await self._do(f"Press {key} of {position} and hold it", "press", position, key)

    async def release(self, position: str, key: str) -> None:
        """Has a key released."""
        await self._do(f"Let go of {key} of {position}", "release", position, key)

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Has the mute switched."""
        state = "on" if muted else "off"
        await self._do(f"Switch the mute of {position} {state}", "mute", position, state)

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Has a knob turned."""
        way = "louder" if steps > 0 else "quieter"
        text = f"Turn knob {channel} of {position} {abs(steps)} steps {way}"
        await self._do(text, "turn", position, str(steps), str(channel))

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Has a sine made at the microphone."""
        text = f"Make a tone of {frequency_hz:g} Hz at {position}"
        await self._do(text, "tone", position, f"{frequency_hz:g}", f"{level_dbfs:g}")

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Has something said into the microphone."""
        path = self._file(position)
        write_wav(path, sound)
        often = "over and over" if loop else "once"
        await self._do(f"Play {path} at {position} {often}", "speak", position, often, str(path))

    async def silence(self, position: str) -> None:
        """Has the microphone left in silence."""
        await self._do(f"Be silent at {position}", "silence", position)

    async def listen(self, position: str) -> None:
        """Has an ear put to the earpiece."""
        await self._do(f"Begin to record {position}", "listen", position)

    async def stop_listening(self, position: str) -> Sound:
        """Returns what was heard."""
        path = self._file(position)
        await self._do(f"Stop, and keep it in {path}", "stop_listening", position, str(path))
        return read_wav(path)

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit, as they are seen."""
        said = await self._do(f"Which lamps of {position} are lit?", "lamps", position)
        return dict.fromkeys(said.replace(",", " ").split(), True)

    async def counters(self, position: str) -> dict[str, int]:
        """Refuses: nobody can look into a device.

        Raises:
            HandRefusedError: Always.
        """
        raise HandRefusedError(f"nobody can see what {position} counts")

    async def unplug(self, position: str) -> None:
        """Has the cable pulled."""
        await self._do(f"Pull the cable of {position}", "unplug", position)

    async def plug(self, position: str) -> None:
        """Has the cable put back."""
        await self._do(f"Plug {position} in again", "plug", position)

    async def tidy(self) -> None:
        """Has everything put back."""
        await self._do("Put everything back, cables plugged in", "tidy")

    async def close(self) -> None:
        """Goes away."""
        self._folder.cleanup()

    def _file(self, position: str) -> Path:
        return Path(self._folder.name) / f"{position}.wav"

    async def _do(self, text: str, *words: str) -> str:
        """Lets the program do it, or else the operator; returns what was said."""
        if self._actuator:
            status, said = await _run([*self._actuator, *words])
            if status == 0:
                return said
            if status != CANNOT:
                raise HandRefusedError(f"{shlex.join(words)} ended with {status}: {said}")
        return await self._console.ask(f"{text}, then press Enter:")


async def _run(command: Sequence[str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace").strip()
