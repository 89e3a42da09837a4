"""Rows of jobs from values and values from rows; nothing here asks the database."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, case, func, literal, null

from rollout.adapters.sql.tables import job, to_microseconds
from rollout.adapters.sql.words import Words
from rollout.jobs.claims import Claim, JobRecord, JobState
from rollout.jobs.ports import Filing
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState

RECORD_FIELDS = tuple(field.name for field in fields(JobRecord))


def moved(reason: Reason, error: str | None, now: datetime) -> dict[str, Any]:
    """Values that send an unfinished job to legacy. Callers add the condition."""
    fallback = reason if reason.means.fallback else null()
    line = step(now, "handed to legacy", reason=reason, error=error)
    return {
        "state": JobState.ACCEPTED,
        "path": JobPath.LEGACY,
        "sent_at": now,
        "renewed_at": None,
        # One that has started waits for nothing more: neither for its time nor to be called.
        "not_before": case((job.c.state == JobState.ACCEPTED, job.c.not_before), else_=null()),
        "fallback_reason": case(
            (job.c.path == JobPath.CONCURRENT, func.coalesce(fallback, job.c.fallback_reason)),
            else_=job.c.fallback_reason,
        ),
        "moved_reason": reason,
        "error": func.coalesce(job.c.error, literal(error, Words)),
        "way": job.c.way + line,
    }


def failed(reason: Reason | None, error: str, now: datetime) -> dict[str, Any]:
    """Values that keep a job as failed. Callers add the condition."""
    return {
        "state": JobState.FAILED,
        "finished_at": now,
        "error": case(
            (job.c.error.is_(None), literal(error, Words)), else_=job.c.error + "\n" + error
        ),
        "way": job.c.way + step(now, "failed", path=None, reason=reason, error=error),
    }


def called_off(state: JobState, sentence: str, now: datetime) -> dict[str, Any]:
    """Values that end a job for its owner. Callers add the condition, and count it."""
    return {
        "state": state,
        "finished_at": now,
        "error": case((job.c.error.is_(None), sentence), else_=job.c.error + "\n" + sentence),
        "way": job.c.way + step(now, str(state), error=sentence),
        "folded": True,
    }


def record_of(row: RowMapping) -> JobRecord:
    """Build the record from a row that has its columns; heavy ones may be missing."""
    values = {name: row[name] for name in RECORD_FIELDS if name in row}
    fallback, move = values["fallback_reason"], values["moved_reason"]
    values |= {
        "state": JobState(values["state"]),
        "assigned_path": JobPath(values["assigned_path"]),
        "path": JobPath(values["path"]),
        "reason": Reason(values["reason"]),
        "fallback_reason": None if fallback is None else Reason(fallback),
        "moved_reason": None if move is None else Reason(move),
    }
    return JobRecord(**values)


def _lost(record: JobRecord) -> bool:
    """Whether the delivery that claims this job has found its concurrent worker dead."""
    return record.state is JobState.STARTED and record.path is JobPath.CONCURRENT


def _moved_by(record: JobRecord, claim: Claim) -> Reason | None:
    """Why a job that waits elsewhere is delivered here: the ledger refused its claim there."""
    if record.path is claim.path or _lost(record):
        return None
    return Reason.LEDGER_UNREACHABLE


def claim_of(record: JobRecord, delivered: JobPath, control: ControlState, nonce: str) -> Claim:
    return Claim(
        record.job_id,
        record.name,
        delivered,
        record.attempt + 1,
        control.fence_revision,
        fell_back=_lost(record) or record.fallback_reason is not None,
        nonce=nonce,
    )


def start_values(
    claim: Claim, record: JobRecord, worker: str, now: datetime, heard: datetime
) -> dict[str, Any]:
    """Values of a claim: `now` by the worker's clock, `heard` by that which measures silence."""
    silent = record.state is JobState.STARTED
    return {
        "b_name": claim.name,
        "b_job_id": claim.job_id,
        "b_nonce": claim.nonce,
        "b_heard": to_microseconds(heard),
        "b_path": claim.path,
        "b_attempt": claim.attempt,
        "b_fence": claim.fence_revision,
        "b_fallback": Reason.WORKER_LOST if _lost(record) else None,
        "b_moved": _moved_by(record, claim),
        "b_deaths": record.deaths + silent,
        "b_now": to_microseconds(now),
        "b_worker": worker,
        "b_step": step(now, "started", path=claim.path, attempt=claim.attempt, worker=worker),
    }


def commit_values(claim: Claim, result: str, now: datetime) -> dict[str, Any]:
    return {
        "b_name": claim.name,
        "b_job_id": claim.job_id,
        "b_attempt": claim.attempt,
        "b_now": to_microseconds(now),
        "b_result": result,
        "b_step": step(now, "committed", path=claim.path, attempt=claim.attempt),
    }


def new_row(filing: Filing) -> dict[str, Any]:
    not_before = filing.not_before
    return {
        "b_job_id": filing.job_id,
        "b_name": filing.name,
        "b_key": filing.key,
        "b_path": filing.path.value,  # SQLite's driver takes its time over a subclass of str
        "b_reason": filing.reason.value,
        "b_revision": filing.revision,
        "b_at": to_microseconds(filing.at),
        "b_not_before": None if not_before is None else to_microseconds(not_before),
        "b_envelope": filing.envelope,
        "b_way": step(
            filing.at,
            "accepted",
            path=filing.path,
            reason=filing.reason,
            revision=filing.revision,
            key=filing.key,
        ),
    }
