"""Turns what the story saw and what the far ends kept into the closing table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import plan, speech
from ..bench import RECORDER_NAMES, Bench
from ..errors import LabError
from ..listening import Heard, compare
from ..recorder.compare import Comparison, compare_files
from ..recorder.session import load
from ..report import Attachment, Clip
from ..rtp_capture import RtpStream, rtp_streams
from ..verdict import Verdict
from .findings import Findings
from .story import DEALERS, SPEAKER

CORRELATION_MIN = 0.95
SNR_MIN_DB = 20.0
MIXED_CORRELATION_MIN = 0.35
"""Three voices at once: each is about 0.57 of the whole; another voice alone is below 0.1."""

UNIT = "touchpro-1"
GAP_MAX_MS = 100.0
REATTACHED_MAX_S = 2.0
STREAMS = ("handsets", "speakers-1")


class Judge:
    """Judges one run of the story.

    Args:
        findings: what the story saw.
        bench: whose files hold what the far ends heard and kept.
    """

    def __init__(self, findings: Findings, bench: Bench) -> None:
        self._findings = findings
        self._bench = bench
        self._sentences = speech.make_all()
        self._streams = {host: rtp_streams(file) for host, file in findings.captures.items()}
        self.verdict = Verdict()

    def judge(self) -> Verdict:
        """Fill the table, section by section."""
        self._power_on()
        self._legs()
        self._far_ends()
        self._earpieces()
        self._recorders()
        self._kill()
        return self.verdict

    # ------------------------------------------------------------ sections

    def _power_on(self) -> None:
        section = "power-on"
        for stage in self._findings.stages:
            took = f"{(stage['duration_s'] or 0.0) * 1000:.0f} ms"
            trips = stage["round_trips"]
            self.verdict.note(section, stage["name"], f"{took}, {trips} round trips")
        trips = sum(stage["round_trips"] for stage in self._findings.stages)
        self.verdict.note(section, "round trips in all", str(trips))
        registered = self._findings.registered_after_s
        self.verdict.note(section, "registered at both PBXs after", f"{registered:.2f} s")
        refused = self._findings.wrong_password_refused
        self.verdict.holds(
            section, "a wrong password", refused, _yes(refused, "refused"), "refused"
        )

    def _legs(self) -> None:
        section = "packets per leg (sent / received / lost)"
        for leg in self._findings.legs:
            stats, tag = leg["stats"], leg["tag"]
            counted = (stats[f"packets_{what}"] for what in ("sent", "received", "lost"))
            sent, received, lost = counted
            name = f"leg {leg['leg']}: {tag.get('device')} with {tag.get('remote')}"
            alive = sent > 0 and received > 0 and lost == 0
            self.verdict.holds(section, name, alive, f"{sent} / {received} / {lost}", "lost 0")

    def _far_ends(self) -> None:
        section = "speech at the far end"
        for party, dealer in zip(plan.PARTIES, DEALERS.values(), strict=True):
            heard = self._bench.party(party.number).heard()
            self._voice(section, f"{party.number} hears the {dealer}", dealer, heard)

    def _earpieces(self) -> None:
        section = "speech at the unit"
        for position, party in zip(DEALERS, plan.PARTIES, strict=True):
            ear = self._findings.ear[position]
            self._voice(section, f"{position} hears {party.number}", party.sentence, [ear])
        for hoot in plan.HOOTS:
            heard = compare(self._sentences[hoot], self._findings.ear[SPEAKER])
            name = f"{SPEAKER} hears {hoot}, among three voices"
            self.verdict.at_least(
                section, name, heard.correlation, MIXED_CORRELATION_MIN, "", digits=2
            )

    def _voice(self, section: str, name: str, sentence: str, files: list[Path]) -> None:
        spoken = self._sentences[sentence]
        results = [compare(spoken, file) for file in files] or [Heard(0.0, -99.0, 0.0, 0, 0.0)]
        best = max(results, key=lambda heard: heard.correlation)
        self.verdict.at_least(
            section, f"{name}: correlation", best.correlation, CORRELATION_MIN, "", digits=3
        )
        self.verdict.at_least(section, f"{name}: signal to noise", best.snr_db, SNR_MIN_DB, "dB")

    def _recorders(self) -> None:
        for stream in STREAMS:
            for name in RECORDER_NAMES:
                self._recorder(name, stream)
            self._identity(stream)
        kept = self.stream_folder("A", "handsets")
        for sentence in (*DEALERS.values(), *(party.sentence for party in plan.PARTIES)):
            self._recorded_voice(sentence, kept)

    def _recorder(self, name: str, stream: str) -> None:
        folder = self.stream_folder(name, stream)
        about = next((s for s in _streams(folder) if s["name"] == stream), {}) if folder else {}
        seconds, samples = float(about.get("seconds", 0)), int(about.get("samples", 0))
        lost = int(about.get("lost", 0))
        value = f"{seconds:.2f} s, {samples} samples, {lost} lost"
        whole = seconds >= self._findings.talked_s and not lost
        bound = f"≥ {self._findings.talked_s:.2f} s, lost 0"
        self.verdict.holds("recorders", f"recorder {name}: {stream}", whole, value, bound)

    def _identity(self, stream: str) -> None:
        folders = [self.stream_folder(name, stream) for name in RECORDER_NAMES]
        same, value = False, "nothing recorded"
        if all(folders):
            comparison = _compared([folder for folder in folders if folder], stream)
            same = comparison is not None and comparison.same
            value = f"{comparison.identical} of {comparison.common}" if comparison else "no match"
        name = f"{stream}: packets identical at A and B"
        self.verdict.holds("recorders", name, same, value, "all")

    def _recorded_voice(self, sentence: str, folder: Path | None) -> None:
        spoken = self._sentences[sentence]
        wav = folder / "handsets.wav" if folder else None
        found = compare(spoken, wav).correlation if wav else 0.0
        name = f"handsets holds the {sentence}, among four voices"
        self.verdict.at_least("recorders", name, found, MIXED_CORRELATION_MIN, "", digits=2)

    def _kill(self) -> None:
        kill, section = self._findings.kill, "runtime killed in mid-call"
        before, after = len(kill.before), len(kill.after)
        self.verdict.holds(section, "calls that came back", after == before > 0,
                           f"{after} of {before}", "all")  # fmt: skip
        adopted = sum(call.adopted for call in kill.after)
        self.verdict.note(
            section, "adopted / taken over by Replaces", f"{adopted} / {after - adopted}"
        )
        self.verdict.within(
            section, "calls back after", kill.calls_back_s, REATTACHED_MAX_S, "s", 2
        )
        self.verdict.note(section, "registered again after", f"{kill.registered_back_s:.2f} s")
        self.verdict.holds(section, "the matrix is the same process", kill.matrix_pid_same,
                           _yes(kill.matrix_pid_same, "yes"), "yes")  # fmt: skip
        self._voice_gaps(section)
        bye, freed = self._findings.bye_reached_party, self._findings.party_hang_up_freed_line
        self.verdict.holds(section, "a hang-up reached the far end as BYE",
                           bye, _yes(bye, "yes"), "yes")  # fmt: skip
        self.verdict.holds(section, "the far end's hang-up freed the line",
                           freed, _yes(freed, "yes"), "yes")  # fmt: skip

    def _voice_gaps(self, section: str) -> None:
        begin = self._findings.kill.at_unix - 0.1
        end = self._findings.kill.at_unix + self._findings.kill.registered_back_s + 1.0
        sent, received = self._around(begin, end)
        for name, streams in (("sent", sent), ("received", received)):
            gap = max((s.longest_gap_ms(begin, end) for s in streams), default=float("inf"))
            title = f"longest gap in the voice {name} ({len(streams)} streams)"
            self.verdict.within(section, title, gap, GAP_MAX_MS, "ms")
        far = [s for host, streams in self._streams.items() if host != UNIT for s in streams]
        lost = sum(stream.lost for stream in far)
        title = f"voice packets lost between the unit and {len(far)} far streams"
        self.verdict.holds(section, title, not lost, str(lost), "0")

    # ------------------------------------------------------------ what others need

    def _around(self, begin: float, end: float) -> tuple[list[RtpStream], list[RtpStream]]:
        """The streams that live through a window: those the unit sent, those it received."""
        living = [s for s in self._streams[UNIT] if s.times_s[0] < begin and s.times_s[-1] > end]
        sent = [stream for stream in living if stream.source[0].startswith("10.1.")]
        return sent, [stream for stream in living if stream not in sent]

    def stream_folder(self, recorder: str, stream: str) -> Path | None:
        """The session of a recorder with the most of a stream; None when it kept none."""
        sessions = [path.parent for path in self._bench.recorder(recorder).glob("*/session.json")]
        holding = [folder for folder in sessions if (folder / f"{stream}.wav").is_file()]
        return max(
            holding, key=lambda folder: (folder / f"{stream}.wav").stat().st_size, default=None
        )

    def clips(self) -> Iterator[Clip]:
        """Everything worth listening to."""
        for position, wav in self._findings.ear.items():
            yield Clip("At the unit", position, wav)
        for party in plan.PARTIES:
            for number, wav in enumerate(self._bench.party(party.number).heard(), start=1):
                yield Clip("At the far end", f"{party.number} call {number}", wav)
        for name in RECORDER_NAMES:
            for stream in STREAMS:
                folder = self.stream_folder(name, stream)
                if folder:
                    yield Clip(f"Recorder {name}", stream, folder / f"{stream}.wav")

    def attachments(self) -> Iterator[Attachment]:
        """Captures, the unit's logs and the recorders' metadata."""
        for file in self._findings.captures.values():
            yield Attachment("Captures", file)
        for file in sorted((self._bench.units[UNIT].state / "log").glob("*.log")):
            yield Attachment("Logs", file)
        for name in RECORDER_NAMES:
            folder = self.stream_folder(name, STREAMS[0])
            if folder:
                kept = [*sorted(folder.glob("*.xml")), folder / "session.json"]
                yield from (Attachment(f"Recorder {name}", file) for file in kept)


def _streams(folder: Path) -> list[dict[str, Any]]:
    found = load(folder).get("streams", [])
    return found if isinstance(found, list) else []


def _compared(folders: list[Path], stream: str) -> Comparison | None:
    try:
        return compare_files(folders[0], folders[1], stream)
    except LabError:
        return None


def _yes(truth: bool, word: str) -> str:
    return word if truth else f"not {word}"
