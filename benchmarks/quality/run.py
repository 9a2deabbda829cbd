"""What is heard through bad networks, and after how long: ours beside librem, PJMEDIA and spandsp.

Speech is sent in PCMU packets of 20 ms through the traces of ``traces.py`` under a virtual clock;
what each receiver plays is compared with what was spoken by PESQ (ITU-T P.862, narrow band) and
by where in time each half second of it is found again.  Everything is repeatable; medians over
sentences and seeds go into ``docs/quality.md``.

    python -m benchmarks.quality.run [--clips 8] [--jobs 2] [--no-hours] [--print]
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pesq import pesq

from openturret.c_ext._engine import ffi, lib

from .clips import RATE_HZ, Pcm, all_clips
from .receivers import (
    TICK_SAMPLES,
    Appendix,
    MissingError,
    Ours,
    Program,
    Receiver,
    Zeros,
    librem,
    pjmedia,
    spandsp,
)
from .traces import HOURS, LOSSES, PACKET_SAMPLES, REDUNDANT, TRACES, Trace, packets

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "quality.md"
TAIL_TICKS = 60
WINDOW_S = 0.5
LAG_MAX_S = 0.6
HOUR_S = 3600
HOUR_JUDGED_S = 12


@dataclass(frozen=True, slots=True)
class Score:
    """What one run sounded like; None: there was nothing to compare."""

    mos: float
    delay_ms: float
    delay_most_ms: float
    concealed: float
    late: float


@dataclass(frozen=True, slots=True)
class Job:
    """One clip through one trace into one receiver."""

    receiver: Receiver
    trace: str
    clip: int
    seed: int


CLIPS: list[Pcm] = []
BY_NAME = {trace.name: trace for trace in (*TRACES, *HOURS, *LOSSES, *REDUNDANT)}


def encode(pcm: Pcm) -> bytes:
    """PCMU."""
    code = ffi.new("uint8_t[]", len(pcm))
    lib.ot_ulaw_encode(code, ffi.from_buffer("int16_t[]", pcm.data), len(pcm))
    return bytes(ffi.buffer(code))


def lags_ms(spoken: Pcm, heard: Pcm) -> list[float]:
    """How much later each loud half second of what was spoken is heard."""
    window = int(WINDOW_S * RATE_HZ)
    reach = window + int(LAG_MAX_S * RATE_HZ)
    size = 1 << (reach + window).bit_length()
    loud = np.sqrt(np.mean(spoken.astype(float) ** 2)) / 2
    lags = []
    for start in range(0, len(spoken) - window, window // 2):
        part = spoken[start : start + window].astype(float)
        there = heard[start : start + reach].astype(float)
        if np.sqrt(np.mean(part**2)) < loud or len(there) < reach:
            continue
        product = np.fft.irfft(np.fft.rfft(there, size) * np.conj(np.fft.rfft(part, size)), size)
        energy = np.concatenate([[0.0], np.cumsum(there**2)])
        energy = energy[window:] - energy[:-window]
        likeness = product[: len(energy)] / np.sqrt(energy + 1e4 * window)
        lags.append(float(np.argmax(likeness)) * 1000 / RATE_HZ)
    return lags


def judge(spoken: Pcm, heard: Pcm, concealed: float, late: float) -> Score:
    """Compares what was heard with what was spoken."""
    lags = lags_ms(spoken, heard)
    heard = heard[: len(spoken) + TAIL_TICKS * TICK_SAMPLES]
    padded = np.concatenate([spoken, np.zeros(len(heard) - len(spoken), np.int16)])
    mos = float(pesq(RATE_HZ, padded, heard, "nb"))
    if not lags:
        return Score(mos, float("nan"), float("nan"), concealed, late)
    return Score(mos, statistics.median(lags), float(np.percentile(lags, 95)), concealed, late)


def run(job: Job) -> Score:
    """Sends one clip."""
    clip = CLIPS[job.clip]
    clip = clip[: len(clip) // PACKET_SAMPLES * PACKET_SAMPLES]
    trace = BY_NAME[job.trace]
    rng = np.random.default_rng([job.seed, job.clip])
    sent = packets(encode(clip), trace.first_sequence, trace.first_timestamp)
    came = trace.shape(sent, rng)
    ticks = len(clip) // TICK_SAMPLES + TAIL_TICKS
    heard = job.receiver.play(came, ticks, ticks - TAIL_TICKS)
    concealed = 100 * heard.concealed_samples / len(clip)
    return judge(clip, heard.pcm, concealed, 100 * heard.late_packets / len(sent))


def run_hour(job: Job) -> Score:
    """Repeats a clip for an hour and judges the end."""
    clip = CLIPS[job.clip]
    clip = np.resize(clip, -(-len(clip) // PACKET_SAMPLES) * PACKET_SAMPLES)
    spoken = np.tile(clip, HOUR_S * RATE_HZ // len(clip) + 1)
    trace = BY_NAME[job.trace]
    sent = packets(encode(spoken), trace.first_sequence, trace.first_timestamp)
    came = trace.shape(sent, np.random.default_rng(0))
    ticks = int(came[-1].at_ms / 10) - 100
    heard = job.receiver.play(came, ticks, ticks - 1)
    first = int((ticks - HOUR_JUDGED_S * 100) * 10 / came[-1].at_ms * len(sent))
    first -= first % (len(clip) // PACKET_SAMPLES)
    start = round(came[first].at_ms * RATE_HZ / 1000)
    part = heard.pcm[start : start + len(clip) + TAIL_TICKS * TICK_SAMPLES]
    concealed = 100 * heard.concealed_samples / len(spoken)
    return judge(clip, part, concealed, 100 * heard.late_packets / len(sent))


def median(scores: Sequence[Score]) -> Score:
    """The medians of opinion and delay, and the means of what is counted."""
    return Score(
        statistics.median(score.mos for score in scores),
        statistics.median(score.delay_ms for score in scores),
        statistics.median(score.delay_most_ms for score in scores),
        statistics.mean(score.concealed for score in scores),
        statistics.mean(score.late for score in scores),
    )


class Bench:
    """Runs jobs on a pool and remembers nothing."""

    def __init__(self, jobs: int) -> None:
        self._pool = multiprocessing.Pool(jobs)

    def measure(self, receiver: Receiver, trace: Trace, clips: int) -> Score:
        """The median over clips and seeds."""
        jobs = [
            Job(receiver, trace.name, clip, seed)
            for clip in range(clips)
            for seed in range(trace.seeds)
        ]
        return median(self._pool.map(run, jobs, chunksize=2))

    def measure_hour(self, receiver: Receiver, trace: Trace) -> Score:
        """One clip, an hour."""
        return run_hour(Job(receiver, trace.name, 0, 0))


def peer(build: Callable[[], Program], missing: list[str], name: str) -> Receiver | None:
    """Builds a peer, or says why it is not here."""
    try:
        return build()
    except MissingError as error:
        missing.append(f"| {name} | not here: `{error}` |")
        return None


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def trace_table(bench: Bench, receivers: Sequence[Receiver], clips: int, hours: bool) -> list[str]:
    """Opinion, added delay (median, 95 of 100), concealed and late per cent."""
    lines = [
        row(["trace", *(receiver.name for receiver in receivers)]),
        row(["---"] * (len(receivers) + 1)),
    ]
    for trace in (*TRACES, *(HOURS if hours else ())):
        cells = [trace.name]
        for receiver in receivers:
            if trace in HOURS:
                score = bench.measure_hour(receiver, trace)
            else:
                score = bench.measure(receiver, trace, clips)
            cells.append(
                f"**{score.mos:.2f}** · {score.delay_ms:.0f} ({score.delay_most_ms:.0f}) ms"
                f" · {score.concealed:.1f} % · {score.late:.1f} %"
            )
        lines.append(row(cells))
        sys.stderr.write(lines[-1] + "\n")
    return lines


def loss_table(bench: Bench, receivers: Sequence[Receiver], clips: int) -> list[str]:
    """Opinion by loss."""
    lines = [row(["", *(trace.name for trace in LOSSES)]), row(["---"] * (len(LOSSES) + 1))]
    for receiver in receivers:
        scores = [bench.measure(receiver, trace, clips) for trace in LOSSES]
        lines.append(row([receiver.name, *(f"{score.mos:.2f}" for score in scores)]))
        sys.stderr.write(lines[-1] + "\n")
    return lines


def redundancy_table(bench: Bench, receiver: Receiver, clips: int) -> list[str]:
    """Opinion with the packet before in each packet, beside less loss without."""
    scores = {
        trace.name: bench.measure(receiver, trace, clips)
        for trace in (*REDUNDANT, LOSSES[1], LOSSES[3])
    }
    lines = [row(["loss", "PESQ", "added delay"]), row(["---"] * 3)]
    for name, score in scores.items():
        lines.append(row([name, f"{score.mos:.2f}", f"{score.delay_ms:.0f} ms"]))
        sys.stderr.write(lines[-1] + "\n")
    return lines


def document(bench: Bench, folder: Path, clips: int, hours: bool) -> str:
    """The whole page."""
    missing: list[str] = []
    theirs = [
        peer(lambda: librem(folder), missing, "librem"),
        peer(lambda: pjmedia(folder), missing, "PJMEDIA"),
    ]
    plain = peer(lambda: spandsp(folder), missing, "spandsp")
    shallow, deep = Ours(20), Ours(60)
    concealers = [Zeros(), plain, Appendix(), shallow, deep]
    lines = [
        "# What is heard through bad networks",
        "",
        "Generated by `python -m benchmarks.quality.run`; do not edit. Speech of "
        f"{clips} voices (espeak-ng, 8 kHz), PCMU in packets of 20 ms, a virtual clock, medians "
        "over voices and seeds. PESQ is ITU-T P.862 narrow band as a MOS; what is perfect but for "
        "u-law reaches about 3.9 here.",
        "",
        "## Traces",
        "In each cell: PESQ · added delay, median (95 of 100) · concealed · late. The delay is "
        "where the speech is found again. librem and spandsp's concealment are driven as baresip "
        "drives them, PJMEDIA's buffer and concealment as its audio stream does; a packet that is "
        "lost is not late.",
        "",
        *trace_table(bench, [deep, shallow, *(one for one in theirs if one)], clips, hours=hours),
        "",
        "## Concealment",
        "PESQ by loss. The play-out buffer knows what follows a gap and bridges it from both "
        "sides; where it holds only 20 ms it goes to 40 when packets are lost often.",
        "",
        *loss_table(bench, [one for one in concealers if one], clips),
        "",
        "## Redundancy",
        "RFC 2198, each packet with the one before once more:",
        "",
        *redundancy_table(bench, deep, clips),
        "",
    ]
    if missing:
        lines += ["## Not measured", row(["peer", "remedy"]), row(["---", "---"]), *missing, ""]
    return "\n".join(lines)


def main() -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=8, help="sentences (default: 8)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--no-hours", action="store_true", help="leave the drift traces out")
    parser.add_argument("--print", action="store_true", help="to standard output, not into docs/")
    options = parser.parse_args()
    CLIPS.extend(all_clips(options.clips))
    with tempfile.TemporaryDirectory() as folder:
        page = document(Bench(options.jobs), Path(folder), options.clips, not options.no_hours)
    if options.print:
        sys.stdout.write(page)
    else:
        DOCUMENT.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
