"""Notices when a recorder refuses what is sent to it, and when it takes it again.

A refusal is the ICMP answer "port unreachable" to a packet of the fork; a recorder that
is silent without refusing is found by the SIPREC session above, not here.
"""

import logging
from dataclasses import dataclass
from typing import Final

from .recordings import OpenFork, OpenRecording, Recordings

logger = logging.getLogger(__name__)

CHECK_S: Final = 0.25
CALM_CHECKS: Final = 8


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fork that a recorder refuses (``raised``), or takes again."""

    recording: str
    index: int
    raised: bool
    remote: str

    def details(self) -> dict[str, object]:
        """Returns the alarm as OLDCB reports it."""
        return {
            "code": "recording.refused" if self.raised else "recording.accepted",
            "recording": self.recording,
            "index": self.index,
            "raised": self.raised,
            "remote": self.remote,
        }


def check(recordings: Recordings) -> list[Alarm]:
    """Returns what has changed since the last check; to be called every ``CHECK_S``."""
    forks = [(rec, index, fork) for rec in recordings for index, fork in rec.forks.items()]
    changed = [(rec, index, fork) for rec, index, fork in forks if _noticed(rec, index, fork)]
    alarms = [_alarm(rec, index, fork) for rec, index, fork in changed]
    for alarm in alarms:
        logger.warning("recording %s fork %d: %s", alarm.recording, alarm.index, alarm.details())
    return alarms


def standing(recordings: Recordings) -> list[Alarm]:
    """Returns the alarms that stand now."""
    return [
        _alarm(recording, index, fork)
        for recording in recordings
        for index, fork in recording.forks.items()
        if fork.refused
    ]


def _noticed(recording: OpenRecording, index: int, fork: OpenFork) -> bool:
    try:
        return _changed(recording, index, fork)
    except OSError as error:  # this fork cannot be read now; the others must be
        logger.warning("recording %s fork %d: %s", recording.name, index, error)
        return False


def _changed(recording: OpenRecording, index: int, fork: OpenFork) -> bool:
    if fork.target is None:
        return False
    errors = recording.engine.stats()[index].send_errors
    fresh, fork.errors_seen = errors > fork.errors_seen, errors
    fork.quiet_checks = 0 if fresh else fork.quiet_checks + 1
    refused = fresh or (fork.refused and fork.quiet_checks < CALM_CHECKS)
    was, fork.refused = fork.refused, refused
    return was != refused


def _alarm(recording: OpenRecording, index: int, fork: OpenFork) -> Alarm:
    target = fork.target
    remote = "" if target is None else f"{target.address}:{target.rtp_port}"
    return Alarm(recording.name, index, fork.refused, remote)
