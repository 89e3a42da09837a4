"""The windows that a band is drawn from: at most 48, however long the watch runs.

At first every normal window is kept. When there is no room for more, every second one is dropped
and from then on only every second, fourth ... 32nd window is kept, the oldest going first: with
windows of a minute the band rests on the last day, and a new level takes half a day to become
usual. What it rests on depends on the windows alone, so a watch that was stored and read back
goes on exactly as it would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollout.core.evidence.errors import BadState
from rollout.core.evidence.stored import Json, read_count, read_list, read_number, read_object
from rollout.core.excursion.band import Band, band_from
from rollout.core.excursion.sample import PathSample

SLOTS = 48
"""Windows kept; about 3 KB as JSON."""

STRIDE_MAX = 32
"""At last one window in so many is kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Normal windows, oldest first, and the band they give (None while they are too few)."""

    kept: tuple[PathSample, ...] = ()
    stride: int = 1
    passed: int = 0
    band: Band | None = None

    def learn(self, sample: PathSample) -> Baseline:
        """Take in a window that was normal."""
        if self.passed + 1 < self.stride:
            return Baseline(self.kept, self.stride, self.passed + 1, self.band)
        kept, stride = (*self.kept, sample), self.stride
        if len(kept) > SLOTS and stride < STRIDE_MAX:
            kept, stride = kept[::2], stride * 2
        return Baseline(kept[-SLOTS:], stride, 0, band_from(kept[-SLOTS:]))

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "kept": [_stored(sample) for sample in self.kept],
            "stride": self.stride,
            "passed": self.passed,
        }

    @classmethod
    def from_json(cls, payload: Json) -> Baseline:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, ["kept", "stride", "passed"])
        kept = tuple(_sample(item) for item in read_list(stored["kept"]))
        stride, passed = read_count(stored["stride"]), read_count(stored["passed"])
        if len(kept) > SLOTS or not 1 <= stride <= STRIDE_MAX or passed >= stride:
            raise BadState(
                f"a baseline keeps {SLOTS} windows, one in 1..{STRIDE_MAX}",
                (len(kept), stride, passed),
                "start this watch afresh",
            )
        return cls(kept, stride, passed, band_from(kept))


def _stored(sample: PathSample) -> Json:
    at_us = (sample.at - _EPOCH) // _MICROSECOND
    return [at_us, sample.jobs, sample.failed, sample.p95_s, sample.oldest_s]


def _sample(payload: Json) -> PathSample:
    at_us, jobs, failed, p95_s, oldest_s = read_list(payload, 5)
    return PathSample(
        _EPOCH + timedelta(microseconds=read_count(at_us)),
        read_count(jobs),
        read_count(failed),
        None if p95_s is None else read_number(p95_s),
        read_number(oldest_s),
    )
