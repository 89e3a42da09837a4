"""A stream's jobs on their way: which path routing gave them, and when what could be seen of them.

Rows of a ledger as numpy columns. All times are whole microseconds, as in the database, so that
the two ledgers agree on every job.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from rollout.evidence.buckets import BUCKET_MAX, bucket_edge_s, bucket_index
from rollout.rehearsal.job_stream import SECOND_US, Flags, JobStream, Whole
from rollout.routing.rule import Reading, threshold, why_closed
from rollout.routing.stages import ControlState

RANGE = 2**64


NEVER = 2**62
"""Microseconds since 1970 that no clock of a rehearsal comes to."""

AHEAD = 50_000
"""Jobs that are routed at once, before their time: a call for each tick's few costs more."""


@dataclass(slots=True)
class Columns:
    """What becomes of the jobs; beyond `admitted` they are still to come and may be routed anew.

    Attributes:
        concurrent: Assigned to the concurrent path.
        moved_us: When the concurrent path failed the job and legacy took over, or `NEVER`.
        finish_us: When it had its outcome.
        failed: Whether that outcome is a failure, kept for a person.
        by_legacy: Whether legacy commits it.
    """

    concurrent: Flags
    moved_us: Whole
    finish_us: Whole
    failed: Flags
    by_legacy: Flags


class StreamJobs:
    """Admits the jobs of a stream as time passes."""

    def __init__(self, stream: JobStream) -> None:
        self.stream = stream
        self.admitted = 0
        self.open = np.empty(0, dtype=np.int64)
        """Jobs that were not folded yet, by admission."""
        size = stream.jobs
        self.columns = Columns(
            np.zeros(size, dtype=np.bool_),
            np.full(size, NEVER, dtype=np.int64),
            np.zeros(size, dtype=np.int64),
            np.zeros(size, dtype=np.bool_),
            np.zeros(size, dtype=np.bool_),
        )
        self._routed = 0
        self._routed_by: ControlState | None = None

    def before(self, at_us: int) -> int:
        """How many jobs come before a time; those at it come after."""
        return int(np.searchsorted(self.stream.at_us, at_us, side="left"))

    def admit(self, now_us: int, state: ControlState) -> None:
        """Route the jobs that came before `now` by the control state that was in force."""
        begin, end = self.admitted, max(self.admitted, self.before(now_us))
        if begin == end:
            return
        if state != self._routed_by:
            self._routed, self._routed_by = begin, state
        if self._routed < end:
            ahead = min(self.stream.jobs, max(end, self._routed + AHEAD))
            self._route(slice(self._routed, ahead), state)
            self._routed = ahead
        self.open = np.concatenate([self.open, np.arange(begin, end, dtype=np.int64)])
        self.admitted = end

    def _route(self, which: slice, state: ControlState) -> None:
        """Say what becomes of jobs under a control state."""
        stream, rows = self.stream, self.columns
        concurrent = self._in_scope(which, state)
        took_over = concurrent & stream.concurrent_failed[which]
        on_path = np.where(concurrent, stream.concurrent_us[which], stream.legacy_us[which])
        seen_us = stream.at_us[which] + on_path
        rows.concurrent[which] = concurrent
        rows.moved_us[which] = np.where(took_over, seen_us, NEVER)
        rows.finish_us[which] = seen_us + np.where(took_over, stream.legacy_us[which], 0)
        on_legacy = ~concurrent | took_over
        rows.failed[which] = stream.legacy_failed[which] & on_legacy
        rows.by_legacy[which] = on_legacy & ~rows.failed[which]

    def _in_scope(self, which: slice, state: ControlState) -> Flags:
        """The routing rule, on a reading that a supervised store would have given."""
        positions = self.stream.position[which]
        closed = why_closed(Reading(state, supervised=True)) is not None
        first_outside = 0 if closed else threshold(min(state.scope_bp, state.scope_bp_max))
        if first_outside >= RANGE:
            return np.ones(positions.size, dtype=np.bool_)
        return positions < np.uint64(first_outside)

    def take_finished(self, now_us: int, limit: int) -> Whole:
        """Take the jobs off the open ones that have finished, oldest end first."""
        finish = self.columns.finish_us[self.open]
        ripe = finish <= now_us
        taken = self.open[ripe][np.argsort(finish[ripe], kind="stable")]
        if taken.size <= limit:
            self.open = self.open[~ripe]
            return taken
        taken = taken[:limit]
        self.open = np.setdiff1d(self.open, taken, assume_unique=True)
        return taken

    def unfinished(self, now_us: int) -> Whole:
        """Admitted jobs without an outcome, by admission."""
        return self.open[self.columns.finish_us[self.open] > now_us]

    def on_legacy(self, which: Whole, now_us: int) -> Flags:
        """Which of these unfinished jobs run on legacy now."""
        moved: Flags = self.columns.moved_us[which] <= now_us
        return ~self.columns.concurrent[which] | moved


def buckets_of(durations_us: Whole) -> Whole:
    """The bucket of each duration, exactly as `bucket_index` gives it."""
    found: Whole = np.searchsorted(_edges_us(), durations_us, side="left").astype(np.int64)
    return found


def edge_of(bucket: int) -> int:
    """The longest duration of a bucket in whole microseconds; nothing is beyond the last one."""
    return int(_edges_us()[bucket]) if bucket < BUCKET_MAX else NEVER


@cache
def _edges_us() -> Whole:
    """The longest whole number of microseconds in each bucket but the last."""
    edges = []
    for bucket in range(BUCKET_MAX):
        edge = round(bucket_edge_s(bucket) * SECOND_US)
        while bucket_index((edge + 1) / SECOND_US) <= bucket:
            edge += 1
        while bucket_index(edge / SECOND_US) > bucket:
            edge -= 1
        edges.append(edge)
    return np.array(edges, dtype=np.int64)
