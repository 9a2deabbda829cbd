"""A sound card of the rig as ear and mouth: ALSA's own tools, here or over SSH.

Nothing of ours need be installed on the exporter's machine, only ``alsa-utils``. The WAV file
goes through the pipe, so it lies on the machine of the test wherever the card is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attr

from ..tools import tool
from ._labgrid import Driver, step, target_factory
from .errors import SoundError
from .here import is_here
from .protocols import AudioListenerProtocol, AudioSpeakerProtocol
from .resources import AlsaAudio, USBAudio

RATES_HZ = (8000, 16000, 48000)
_SLACK_S = 10.0
_LONGEST_S = 600.0


@target_factory.reg_driver
@attr.s(eq=False)
class AlsaAudioDriver(Driver, AudioListenerProtocol, AudioSpeakerProtocol):
    """Records and plays at a sound card.

    Attributes:
        rate_hz: of recordings, hertz.
    """

    bindings: ClassVar = {"card": {AlsaAudio, USBAudio}}
    card: AlsaAudio | USBAudio
    rate_hz: int = attr.ib(default=48000, validator=attr.validators.in_(RATES_HZ))

    @Driver.check_active
    @step(args=["wav", "seconds"])
    def listen(self, wav: Path, *, seconds: float) -> None:
        """Record a WAV file, mono, 16 bits; whole seconds, because arecord counts so."""
        whole = max(1, round(seconds))
        options = [
            "-t",
            "wav",
            "-f",
            "S16_LE",
            "-c",
            "1",
            "-r",
            str(self.rate_hz),
            "-d",
            str(whole),
        ]
        wav.write_bytes(self._run("arecord", options, limit_s=whole + _SLACK_S))

    @Driver.check_active
    @step(args=["wav"])
    def speak(self, wav: Path) -> None:
        """Play a WAV file to its end."""
        self._run("aplay", [], wav.read_bytes(), limit_s=_LONGEST_S)

    def _run(
        self, program: str, options: Sequence[str], given: bytes = b"", *, limit_s: float
    ) -> bytes:
        argv, environment = self._reach(program)
        argv = [*argv, "-q", "-D", self._name(), *options]
        try:
            done = subprocess.run(
                argv, input=given, capture_output=True, timeout=limit_s, check=False,
                env=environment,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SoundError(f"{program}: {error}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise SoundError(f"{program} ended with {done.returncode}: {said}")
        return done.stdout

    def _reach(self, program: str) -> tuple[list[str], Mapping[str, str] | None]:
        """How to start a program where the card is, and its environment."""
        if isinstance(self.card, AlsaAudio) and not is_here(self.card.host):
            return [*self.card.command_prefix, program], None
        found = tool(program)
        return [str(found.path)], found.environment()

    def _name(self) -> str:
        name = self.card.alsa_name
        if name is None:
            raise SoundError("the sound card is unplugged; plug it in and look at `arecord -l`")
        return name
