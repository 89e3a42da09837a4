"""What has happened to jobs lately: counted by path, and listed by where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from rollout.jobs.claims import JobRecord, JobState
from rollout.routing.decision import JobPath


class JobKind(StrEnum):
    """Which jobs are asked for."""

    FAILED = "failed"
    """Failed on both paths, or where no fallback is allowed, and kept for a person."""
    FALLBACKS = "fallbacks"
    """Failed on the concurrent path and taken over by legacy."""
    RUNNING = "running"
    """Started and not finished."""
    WAITING = "waiting"
    """Accepted and not started."""
    HURT = "hurt"
    """Fell back or failed: whatever carries the error of a path."""


KEYS_BACK = 100_000
"""Newest jobs of a sub-pipeline among which a routing key is looked for."""


class Came(StrEnum):
    """What came of a job so far."""

    OPEN = "open"
    """Not finished."""
    COMMITTED = "committed"
    """Committed by the path that it was assigned to, or moved and not hurt."""
    FELL_BACK = "fell_back"
    """Failed on the concurrent path; legacy took it over."""
    FAILED = "failed"
    """Kept for a person."""


@dataclass(frozen=True, slots=True)
class RecentCount:
    """Jobs of one sub-pipeline admitted in a span, of one path and one fate.

    `path` is where routing sent them; `drilled` says that a drill hurt them. `first_at` and
    `last_at` are times of admission.
    """

    name: str
    path: JobPath
    came: Came
    drilled: bool
    jobs: int
    first_at: datetime
    last_at: datetime


class PacedJob(NamedTuple):
    """How long a job took on the path that it was assigned to; a tuple, as thousands are drawn.

    `cycle_s` is None until it is finished; `hurt` says that the path failed it. Jobs that a drill
    hurt are none of these.
    """

    accepted_at: datetime
    path: JobPath
    hurt: bool
    cycle_s: float | None


class RecentJobs(Protocol):
    """The ledger, as far as it is asked what has happened lately. All raise LedgerUnreachable."""

    def recent_counts(self, since: datetime, name: str | None = None) -> Sequence[RecentCount]:
        """Count the jobs of one sub-pipeline, or every one, admitted at `since` or later."""
        ...

    def ids_like(self, beginning: str, limit: int, name: str | None = None) -> list[str]:
        """Ids of jobs that begin so, of one sub-pipeline or all, in order.

        It reads every id of these where the database has no better.
        """
        ...

    def paced_jobs(self, name: str, since: datetime | None, limit: int) -> list[PacedJob]:
        """Read how long the newest jobs took, newest admission first; drilled ones are left out."""
        ...

    def jobs_with_key(self, name: str, key: str, limit: int) -> list[JobRecord]:
        """Read jobs with this routing key among the newest, newest first, without messages."""
        ...

    def recent_jobs(
        self,
        name: str | None,
        kind: JobKind,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, str] | None = None,
    ) -> list[JobRecord]:
        """Read jobs of one kind, newest admission first, without their messages.

        Args:
            name: One sub-pipeline; None for all.
            kind: Which.
            since: Time of admission; None for all that are kept.
            limit: At most so many.
            before: Admission and id of a job: only those after it in this order.
        """
        ...


def came_of(record: JobRecord) -> Came:
    """What came of a job so far."""
    if record.state is JobState.FAILED:
        return Came.FAILED
    if record.fallback_reason is not None:
        return Came.FELL_BACK
    return Came.COMMITTED if record.state.finished else Came.OPEN


def is_of(record: JobRecord, kind: JobKind) -> bool:
    """Whether a job is of this kind."""
    fell_back = record.fallback_reason is not None
    failed = record.state is JobState.FAILED
    if kind is JobKind.RUNNING:
        return record.state is JobState.STARTED
    if kind is JobKind.WAITING:
        return record.state is JobState.ACCEPTED
    if kind is JobKind.FALLBACKS:
        return fell_back
    return failed or (kind is JobKind.HURT and fell_back)
