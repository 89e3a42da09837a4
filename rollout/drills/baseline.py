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
from typing import Annotated

from pydantic import Field

from rollout.drills.band import Band, band_from
from rollout.evidence.sample import PathSample
from rollout.evidence.stored import Count, Flag, Number, Stored, StoredAs

SLOTS = 48
"""Windows kept; about 3 KB as JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_US_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_Microseconds = Annotated[Count, Field(le=_TIME_US_MAX)]


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


NOTHING_KNOWN = Baseline()
"""The baseline of a new watch, and after an incident that was given up on."""


def _sample(row: tuple[int, int, int, float | None, float]) -> PathSample:
    at_us, jobs, failed, p95_s, oldest_s = row
    return PathSample(_EPOCH + _MICROSECOND * at_us, jobs, failed, p95_s, oldest_s)


def _row(sample: PathSample) -> tuple[int, int, int, float | None, float]:
    at_us = (sample.at - _EPOCH) // _MICROSECOND
    return at_us, sample.jobs, sample.failed, sample.p95_s, sample.oldest_s


_Row = tuple[_Microseconds, Count, Count, Number | None, Number]


@dataclass(frozen=True, slots=True)
class StoredBaseline(Stored):
    """A baseline as it is stored: the band is drawn again from the windows."""

    kept: Annotated[
        tuple[Annotated[PathSample, StoredAs(_Row, _sample, _row)], ...], Field(max_length=SLOTS)
    ]
    pause_us: _Microseconds
    settled: Flag

    @classmethod
    def of(cls, baseline: Baseline) -> StoredBaseline:
        """Take what is stored of a baseline."""
        settled = baseline.band is not None
        return cls(baseline.kept, baseline.pause // _MICROSECOND, settled)

    def baseline(self) -> Baseline:
        """Build it again."""
        band = band_from(self.kept) if self.settled else None
        return Baseline(self.kept, _MICROSECOND * self.pause_us, band)
