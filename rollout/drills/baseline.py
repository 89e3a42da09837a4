"""The windows that a band is drawn from: at most 48, however long the watch runs.

At first every normal window is kept. When there is no room for more, every second one is dropped
and the pause between two kept ones doubles, until they lie a 48th of the memory apart; from then
on the oldest goes for each new one. So the band comes to rest on the last seven days, nights and
weekends included, whatever the length of a window, and a new level takes half a week to become
usual. What is kept depends on the windows alone: a watch that was stored and read back goes on
exactly as it would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollout.drills.band import Band, band_from
from rollout.evidence.errors import BadState
from rollout.evidence.sample import PathSample
from rollout.evidence.stored import Json, read_count, read_flag, read_list, read_number, read_object

SLOTS = 48
"""Windows kept; about 3 KB as JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Normal windows, oldest first, and the band they give.

    Attributes:
        kept: At most 48 windows.
        pause: The next window to keep ends no sooner after the last one.
        band: What they say is normal; None while they are too few or span too little.
    """

    kept: tuple[PathSample, ...] = ()
    pause: timedelta = timedelta(0)
    band: Band | None = None

    def learn(self, sample: PathSample, settle: timedelta, memory: timedelta) -> Baseline:
        """Take in a window that was normal.

        Args:
            sample: It ends after all windows before it.
            settle: There is no band before the windows span this much time.
            memory: The time that the band comes to rest on.
        """
        if self.kept and sample.at - self.kept[-1].at < self.pause:
            return self
        kept, pause = (*self.kept, sample), self.pause
        if len(kept) > SLOTS and pause < memory / SLOTS:
            pause = min(2 * (kept[-1].at - kept[0].at) / SLOTS, memory / SLOTS)
            kept = kept[::2]
        kept = kept[-SLOTS:]
        settled = self.band is not None or kept[-1].at - kept[0].at >= settle
        return Baseline(kept, pause, band_from(kept) if settled else None)

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "kept": [_stored(sample) for sample in self.kept],
            "pause_us": self.pause // _MICROSECOND,
            "settled": self.band is not None,
        }

    @classmethod
    def from_json(cls, payload: Json) -> Baseline:
        """Read what `to_json` gave; raises EvidenceError."""
        stored = read_object(payload, ["kept", "pause_us", "settled"])
        kept = tuple(_sample(item) for item in read_list(stored["kept"]))
        if len(kept) > SLOTS:
            raise BadState(
                f"a baseline keeps {SLOTS} windows at most", len(kept), "start this watch afresh"
            )
        pause = _MICROSECOND * read_count(stored["pause_us"])
        return cls(kept, pause, band_from(kept) if read_flag(stored["settled"]) else None)


NOTHING_KNOWN = Baseline()
"""The baseline of a new watch, and after an incident that was given up on."""


def _stored(sample: PathSample) -> Json:
    at_us = (sample.at - _EPOCH) // _MICROSECOND
    return [at_us, sample.jobs, sample.failed, sample.p95_s, sample.oldest_s]


def _sample(payload: Json) -> PathSample:
    at_us, jobs, failed, p95_s, oldest_s = read_list(payload, 5)
    return PathSample(
        _EPOCH + _MICROSECOND * read_count(at_us),
        read_count(jobs),
        read_count(failed),
        None if p95_s is None else read_number(p95_s),
        read_number(oldest_s),
    )
