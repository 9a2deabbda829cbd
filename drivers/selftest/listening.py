"""Microphone and loudspeaker: a tone is played, and listened for.

A device that hears itself (an acoustic coupler, a loop in a twin) is measured whole: frequency,
level, and the time from the host's write until the microphone has it.  Otherwise each half is
tried with the hands that there are; without any, the microphone's noise and the stream's xruns are
what is left.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from ...hal.audio import AudioPort
from ...hal.board import Capability
from ...hal.errors import DeviceError
from ..errors import UnattendedError
from .exchange import STARTING_S, TONE_HZ, Exchange, Plan, exchange
from .sound import SILENCE_DBFS, TOLERANCE_HZ, Sound, level_dbfs, measured, onset
from .subject import Subject
from .verdict import Verdict

QUIET_S: Final = 0.3
"""Of silence before the tone, after which the noise is known."""

TONE_S: Final = 0.6
SETTLING_S: Final = 0.05
LOUDER_DB: Final = 15.0
"""How far above the noise a tone must be to be the one that was played."""

FAINTEST_DBFS: Final = -60.0


async def check_sound(subject: Subject, port: AudioPort) -> AsyncIterator[Verdict]:
    """Yields the verdicts of microphone and loudspeaker."""
    capabilities = subject.spec.capabilities
    capture, playback = Capability.CAPTURE in capabilities, Capability.PLAYBACK in capabilities
    try:
        first = await exchange(port, _plan(playing=playback))
    except DeviceError as error:
        yield subject.failed("audio", str(error), "look at its cable, and who else has it open")
        return
    if capture and playback and (echo := _echo(first)) is not None:
        yield _whole(subject, first, echo)
        return
    if capture:
        yield await _attempt(subject, "microphone", _check_microphone(subject, port, first))
    if playback:
        yield await _attempt(subject, "loudspeaker", _check_loudspeaker(subject, port, first))


def _plan(*, playing: bool) -> Plan:
    if not playing:
        return Plan(QUIET_S, playing=False)
    return Plan(QUIET_S + TONE_S, QUIET_S)


async def _attempt(subject: Subject, check: str, attempt: Awaitable[Verdict]) -> Verdict:
    try:
        return await attempt
    except DeviceError as error:
        return subject.failed(check, str(error), "look at its cable, and who else has it open")


@dataclass(frozen=True, slots=True)
class Echo:
    """The tone as it came back, and how long that took."""

    sound: Sound
    latency_ms: float


def _echo(made: Exchange) -> Echo | None:
    after = made.samples[made.tone_at :]
    settling = round(SETTLING_S * made.rate_hz)
    start = onset(after, max(FAINTEST_DBFS, _noise_dbfs(made) + LOUDER_DB))
    if start is None:
        return None
    sound = measured(after[start + settling :], made.rate_hz)
    if abs(sound.frequency_hz - TONE_HZ) > TOLERANCE_HZ or sound.tone_dbfs < FAINTEST_DBFS:
        return None
    return Echo(sound, 1000 * start / made.rate_hz)


def _noise_dbfs(made: Exchange) -> float:
    return level_dbfs(made.samples[round(STARTING_S * made.rate_hz) : made.tone_at])


def _whole(subject: Subject, made: Exchange, echo: Echo) -> Verdict:
    figures = {
        **echo.sound.figures,
        "latency_ms": round(echo.latency_ms, 1),
        "noise_dbfs": round(_noise_dbfs(made), 1),
        **_xruns(made),
    }
    if made.xruns:
        return _late(subject, "loop", made.xruns, figures)
    text = f"heard itself: {echo.sound} after {echo.latency_ms:.1f} ms"
    return subject.passed("loop", text, figures)


def _late(subject: Subject, check: str, xruns: int, figures: Mapping[str, float]) -> Verdict:
    remedy = "look at the load of the machine"
    return subject.failed(check, f"{xruns} xruns in less than a second", remedy, figures)


async def _check_microphone(subject: Subject, port: AudioPort, quiet: Exchange) -> Verdict:
    noise_dbfs = _noise_dbfs(quiet)
    noise = {"noise_dbfs": round(noise_dbfs, 1), **_xruns(quiet)}
    try:
        voice = await subject.hands.speaks(subject.spec)
    except UnattendedError as error:
        return _unheard(subject, noise_dbfs, noise, str(error))
    try:
        made = await exchange(port, Plan(STARTING_S + voice.seconds, playing=False))
    finally:
        await subject.hands.hushes(subject.spec)
    sound = measured(made.samples[round(STARTING_S * made.rate_hz) :], made.rate_hz)
    if voice.recognised(sound, noise_dbfs):
        return subject.passed("microphone", str(sound), {**sound.figures, **noise})
    remedy = "unmute it; then look at its gain and its cable"
    text = f"what was said did not arrive; there was {sound}"
    return subject.failed("microphone", text, remedy, {**sound.figures, **noise})


def _unheard(
    subject: Subject, noise_dbfs: float, figures: Mapping[str, float], why: str
) -> Verdict:
    """Noise proves a microphone; digital silence proves a stream and no more."""
    if noise_dbfs <= SILENCE_DBFS:
        text = f"it delivers, but nothing else than zeros; {why}"
        return subject.skipped("microphone", text, figures)
    return subject.passed("microphone", f"its noise is {noise_dbfs:.1f} dBFS; {why}", figures)


async def _check_loudspeaker(subject: Subject, port: AudioPort, first: Exchange) -> Verdict:
    late = _xruns(first)
    if first.xruns:
        return _late(subject, "loudspeaker", first.xruns, late)

    async def play() -> None:
        await exchange(port, Plan(QUIET_S + TONE_S, QUIET_S))

    try:
        hearing = await subject.hands.hears(subject.spec, play)
    except UnattendedError as error:
        return subject.skipped("loudspeaker", f"it took a second of tone; {error}", late)
    figures = {**hearing.figures, **late}
    if hearing.heard:
        return subject.passed("loudspeaker", hearing.text, figures)
    remedy = "turn it up; then look at its cable"
    return subject.failed("loudspeaker", hearing.text, remedy, figures)


def _xruns(made: Exchange) -> dict[str, float]:
    return {} if made.xruns is None else {"xruns": float(made.xruns)}
