"""A job's row in memory after each thing that can happen to it: records in, records out."""

from dataclasses import replace
from datetime import datetime

from rollout.adapters.memory.rows import OutcomeKey
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.ports import Filing
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState


def outcome_of(record: JobRecord) -> OutcomeKey:
    """The tally that a finished job belongs to."""
    why = record.fallback_reason or record.moved_reason or record.reason
    if record.drill and record.fallback_reason and record.state is JobState.COMMITTED:
        why = Reason.DRILL  # no fallback of the path's own
    return record.name, record.assigned_path, record.path, record.state, why


def moved(record: JobRecord, reason: Reason, error: str | None, now: datetime) -> JobRecord:
    """A job's row after it was sent to legacy."""
    fallback = record.fallback_reason
    if record.path is JobPath.CONCURRENT and reason.means.fallback:
        fallback = reason
    return replace(
        record,
        state=JobState.ACCEPTED,
        path=JobPath.LEGACY,
        sent_at=now,
        renewed_at=None,
        # One that has started waits for nothing more: neither for its time nor to be called.
        not_before=record.not_before if record.state is JobState.ACCEPTED else None,
        fallback_reason=fallback,
        moved_reason=reason,
        deaths=record.deaths + (reason is Reason.WORKER_LOST),
        error=error if record.error is None else record.error,
        way=record.way + step(now, "handed to legacy", reason=reason, error=error),
    )


def failed(record: JobRecord, reason: Reason | None, error: str, now: datetime) -> JobRecord:
    """A job's row after it was kept as failed."""
    return replace(
        record,
        state=JobState.FAILED,
        finished_at=now,
        error=error if record.error is None else f"{record.error}\n{error}",
        way=record.way + step(now, "failed", path=None, reason=reason, error=error),
    )


def started(
    record: JobRecord, delivered: JobPath, control: ControlState, worker: str, now: datetime
) -> JobRecord:
    """A job's row after a claim, which may have found an earlier start's worker dead."""
    silent = record.state is JobState.STARTED
    lost = silent and record.path is JobPath.CONCURRENT
    attempt = record.attempt + 1
    return replace(
        record,
        state=JobState.STARTED,
        path=delivered,
        attempt=attempt,
        fence_revision=control.fence_revision,
        fallback_reason=Reason.WORKER_LOST if lost else record.fallback_reason,
        moved_reason=record.moved_reason if lost else moved_by(record, delivered),
        deaths=record.deaths + silent,
        started_at=now,
        renewed_at=now,
        worker=worker,
        way=record.way + step(now, "started", path=delivered, attempt=attempt, worker=worker),
    )


def moved_by(record: JobRecord, delivered: JobPath) -> Reason | None:
    """Why a job stands where it is delivered: the ledger refused its claim where it stood."""
    if record.path is delivered or record.moved_reason is not None:
        return record.moved_reason
    return Reason.LEDGER_UNREACHABLE


def filed(filing: Filing) -> JobRecord:
    """A job's row when it is accepted."""
    return JobRecord(
        job_id=filing.job_id,
        name=filing.name,
        key=filing.key,
        state=JobState.ACCEPTED,
        assigned_path=filing.path,
        path=filing.path,
        reason=filing.reason,
        revision=filing.revision,
        attempt=0,
        fence_revision=0,
        deaths=0,
        accepted_at=filing.at,
        sent_at=filing.at,
        started_at=None,
        renewed_at=None,
        finished_at=None,
        not_before=filing.not_before,
        fallback_reason=None,
        moved_reason=None,
        error=None,
        result=None,
        worker=None,
        way=step(
            filing.at,
            "accepted",
            path=filing.path,
            reason=filing.reason,
            revision=filing.revision,
            key=filing.key,
        ),
        envelope=filing.envelope,
    )
