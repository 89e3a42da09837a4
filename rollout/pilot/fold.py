"""Finished jobs into totals: each job once, into the hour of its admission and legacy's profile.

The ledger marks the jobs folded in the transaction that writes what this gives, so a controller
that dies loses nothing and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import NamedTuple

from rollout.evidence.buckets import DURATION_S_MAX
from rollout.evidence.thresholds import Thresholds, is_slow
from rollout.jobs.claims import JobState
from rollout.pilot.outcome import Outcome, outcome_of
from rollout.pilot.profile import FinishedJob
from rollout.routing.decision import JobPath, Reason


class Finished(NamedTuple):
    """A finished job, as the ledger gives it to the fold."""

    name: str
    assigned: JobPath
    path: JobPath
    state: JobState
    reason: Reason
    revision: int
    fallback: Reason | None
    moved: Reason | None
    drill: str | None
    accepted_at: datetime
    started_at: datetime | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """The step that finished jobs are counted into."""

    step: int
    step_revision: int
    began_at: datetime
    hour_s: float
    thresholds: Thresholds | None
    on_trial: bool


@dataclass(slots=True)
class Sum:
    """What one hour of one path gained."""

    jobs: int = 0
    failed: int = 0
    both_failed: int = 0
    unjudged: int = 0
    slow_median: int = 0
    slow_tail: int = 0


SUMS = tuple(one.name for one in fields(Sum))
"""The counts of an hour by name: columns of its row in every ledger, in the order of `HourRow`."""

HourKey = tuple[str, int, int, JobPath]
"""Sub-pipeline, step, hour, assigned path."""


@dataclass(slots=True)
class Folded:
    """What a batch of finished jobs adds."""

    hours: dict[HourKey, Sum] = field(default_factory=dict)
    profiles: dict[str, list[FinishedJob]] = field(default_factory=dict)


Span = tuple[datetime, datetime | None]


def fold_finished(
    jobs: Iterable[Finished],
    frames: Mapping[str, Frame],
    spans: Mapping[str, Sequence[Span]],
) -> Folded:
    """Add finished jobs up.

    Args:
        jobs: Each job once; the caller sees to it.
        frames: The present step of each sub-pipeline that is watched.
        spans: Spans of drills; jobs admitted inside tell nothing.

    Returns:
        What to add to the totals and to the profiles.
    """
    folded = Folded()
    for job in jobs:
        taken_s = (job.finished_at - job.accepted_at).total_seconds()
        sane = 0.0 <= taken_s <= DURATION_S_MAX
        outcome = outcome_of(
            job.assigned, job.path, job.state, job.fallback, job.moved, backwards=not sane
        )
        in_drill = job.drill is not None or _inside(job.accepted_at, spans.get(job.name, ()))
        folded.profiles.setdefault(job.name, []).append(_profiled(job, outcome, taken_s, in_drill))
        frame = frames.get(job.name)
        if frame is not None and not in_drill and _belongs(job, frame):
            _count(folded.hours, job, frame, outcome, taken_s)
    return folded


def _belongs(job: Finished, frame: Frame) -> bool:
    """Whether a job is one of this step's; a failure that is retried was counted before."""
    return (
        frame.on_trial
        and job.reason.means.drawn
        and job.revision >= frame.step_revision
        and job.accepted_at >= frame.began_at
        and job.moved is not Reason.RETRIED_BY_HAND
    )


def _count(
    hours: dict[HourKey, Sum], job: Finished, frame: Frame, outcome: Outcome, taken_s: float
) -> None:
    hour = int((job.accepted_at - frame.began_at).total_seconds() // frame.hour_s)
    key = (job.name, frame.step, hour, job.assigned)
    total = hours.get(key)
    if total is None:
        total = hours[key] = Sum()
    if outcome is Outcome.UNJUDGED:
        total.unjudged += 1
        return
    if outcome is Outcome.BOTH_FAILED:
        total.both_failed += 1
        return
    total.jobs += 1
    total.failed += outcome is Outcome.FAILED
    thresholds = frame.thresholds
    if thresholds is not None:
        failed = outcome is Outcome.FAILED  # a failed job is no fast job, however soon it failed
        total.slow_median += failed or is_slow(taken_s, thresholds.median)
        total.slow_tail += failed or is_slow(taken_s, thresholds.tail)


def _profiled(job: Finished, outcome: Outcome, taken_s: float, in_drill: bool) -> FinishedJob:
    """What the job shows of legacy."""
    by_legacy = job.path is JobPath.LEGACY and job.state is JobState.COMMITTED
    tells = (
        not in_drill
        and job.assigned is JobPath.LEGACY
        and job.reason.means.usual
        and outcome in (Outcome.GOOD, Outcome.FAILED)
        and job.moved is not Reason.RETRIED_BY_HAND
    )
    run_s = None
    if by_legacy and job.started_at is not None:
        run_s = max(0.0, (job.finished_at - job.started_at).total_seconds())
    return FinishedJob(
        job.finished_at,
        by_legacy,
        run_s,
        taken_s if tells else None,
        outcome is Outcome.FAILED if tells else None,
    )


def _inside(at: datetime, spans: Sequence[Span]) -> bool:
    return any(began <= at and (ended is None or at <= ended) for began, ended in spans)
