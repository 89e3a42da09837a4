"""The peers on a stream of jobs: the same ladder, climbed by the calendar until one rolls back.

Peers judge what their metrics show: jobs by the minute of their completion, not of their
admission. Uses numpy: never imported on a job's way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from rollout.rehearsal import peers
from rollout.rehearsal.exposed import Exposed
from rollout.rehearsal.job_stream import SECOND_US, Flags, JobStream, Whole, us_of
from rollout.rehearsal.peers import Floats, Minutes
from rollout.routing.rule import threshold

MINUTE_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Ladder:
    """A ladder climbed by the calendar.

    Attributes:
        start: When the first step begins.
        end: When nothing is counted any more.
        steps_bp: Scopes in basis points.
        step: How long each lasts.
    """

    start: datetime
    end: datetime
    steps_bp: Sequence[int]
    step: timedelta

    def scope_bp_at(self, at: datetime) -> int:
        """The scope in force at a time, if nothing was rolled back."""
        number = max(0, (at - self.start) // self.step)
        return self.steps_bp[min(number, len(self.steps_bp) - 1)]


@dataclass(frozen=True, slots=True)
class Climbed:
    """What one peer did.

    Attributes:
        name: The peer.
        scope_bp: The largest scope it came to.
        rolled_back_at: None when it never did.
    """

    name: str
    scope_bp: int
    rolled_back_at: datetime | None


class Completions:
    """Jobs of a stream by the minute of their end, on a ladder climbed by the calendar."""

    def __init__(self, stream: JobStream, ladder: Ladder) -> None:
        begin, end = us_of(ladder.start), us_of(ladder.end)
        which = slice(*np.searchsorted(stream.at_us, [begin, end]))
        self._at = stream.at_us[which]
        self._concurrent = _assigned(self._at, stream.position[which], ladder)
        taken = np.where(self._concurrent, stream.concurrent_us[which], stream.legacy_us[which])
        self._failed = np.where(
            self._concurrent, stream.concurrent_failed[which], stream.legacy_failed[which]
        )
        self._done = self._at + taken
        self._seconds = taken / SECOND_US
        self._minute = (self._done - begin) // MINUTE_US
        self._size = max(1, (end - begin) // MINUTE_US)
        self.minutes = Minutes(
            self._count(self._concurrent),
            self._count(self._concurrent & self._failed),
            self._count(~self._concurrent),
            self._count(~self._concurrent & self._failed),
        )

    def _count(self, which: Flags) -> Floats:
        counted = np.bincount(self._minute[which], minlength=self._size)
        return counted[: self._size].astype(np.float64)

    def tails(self, *, concurrent: bool) -> Floats:
        """The 95th percentile of cycle times in each minute; NaN in a minute without a job."""
        mine = np.flatnonzero(self._concurrent == concurrent)
        mine = mine[self._minute[mine] < self._size]
        order = mine[np.lexsort((self._seconds[mine], self._minute[mine]))]
        jobs = np.bincount(self._minute[order], minlength=self._size)
        first = np.cumsum(jobs) - jobs
        found = np.full(self._size, np.nan)
        some = jobs > 0
        rank = first[some] + np.ceil(0.95 * jobs[some]).astype(np.int64) - 1
        found[some] = self._seconds[order][rank]
        return found

    def exposed(self, since: datetime, until: datetime) -> Exposed:
        """Concurrent jobs admitted from `since` on, as they stood at `until`."""
        begin, end = us_of(since), us_of(until)
        mine = self._concurrent & (self._at >= begin) & (self._at < end)
        seen = mine & (self._done <= end)
        counted = [int(np.count_nonzero(one)) for one in (seen, seen & self._failed, mine & ~seen)]
        return Exposed(*counted)


def _assigned(at_us: Whole, position: np.ndarray, ladder: Ladder) -> Flags:
    """Which jobs the calendar's scope sends to the concurrent path."""
    concurrent = np.zeros(at_us.size, dtype=np.bool_)
    for number, scope_bp in enumerate(ladder.steps_bp):
        since = us_of(ladder.start + number * ladder.step)
        until = us_of(ladder.start + (number + 1) * ladder.step)
        last = number == len(ladder.steps_bp) - 1
        begin, end = np.searchsorted(at_us, [since, us_of(ladder.end) if last else until])
        limit = threshold(scope_bp)
        inside = position[begin:end] < np.uint64(min(limit, 2**64 - 1))
        concurrent[begin:end] = True if limit >= 2**64 else inside
    return concurrent


def judges(done: Completions, rate: float) -> dict[str, Callable[[], int | None]]:
    """Each peer's rule on these jobs, by name; it gives the minute of its rollback.

    Args:
        done: The jobs.
        rate: Legacy's true failure rate, which only the CUSUM is told.
    """
    minutes = done.minutes
    expected = rate * float(minutes.n.sum())
    told = min(max(rate, 1e-6), 0.24)
    return {
        "Flagger-style": lambda: peers.FLAGGER.rolls_back(minutes),
        "Argo-style": lambda: peers.ARGO.rolls_back(minutes),
        "naive z each minute": lambda: peers.naive_z(minutes),
        "Kayenta-style, errors": lambda: peers.hourly(*peers.failure_rates(minutes)),
        "Kayenta-style, p95": lambda: peers.hourly(
            done.tails(concurrent=True), done.tails(concurrent=False)
        ),
        "CUSUM told the true rate": lambda: peers.cusum_rolls_back(
            minutes, told, peers.cusum_limit(expected)
        ),
    }


def climb(stream: JobStream, ladder: Ladder, rate: float) -> tuple[list[Climbed], Completions]:
    """Let every peer watch the stream.

    Args:
        stream: The jobs.
        ladder: How the calendar climbs.
        rate: Legacy's true failure rate, which only the CUSUM is told.
    """
    done = Completions(stream, ladder)
    climbed = []
    for name, judge in judges(done, rate).items():
        minute = judge()
        at = None if minute is None else ladder.start + timedelta(minutes=minute + 1)
        last = ladder.end if at is None else at
        climbed.append(Climbed(name, ladder.scope_bp_at(last), at))
    return climbed, done
