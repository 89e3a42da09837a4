"""One job's way, in memory: file, claim, commit, hand over, fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rollout.adapters.memory.rows import OutcomeKey, Rows
from rollout.adapters.memory.transaction import MemoryTransaction
from rollout.errors import IllegalTransition, UnknownJob
from rollout.jobs.claims import Claim, JobRecord, JobState, Refusal, judge_claim, judge_commit
from rollout.jobs.ports import Committed, ConnectionSource, Filing, Handed, Refused
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState


class JobRows:
    """The half of the ledger that holds jobs."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def file(self, filings: Sequence[Filing]) -> None:
        """Record accepted jobs in one transaction; a job id already there is left as it is."""
        with self._rows as rows:
            for filing in filings:
                if filing.job_id not in rows.jobs:
                    rows.put(_filed(filing))

    def claim(
        self,
        name: str,
        job_id: str,
        delivered: JobPath,
        effects: Effects,
        worker: str,
        now: datetime,
        silent_after: timedelta,
    ) -> Claim | Refused:
        """Claim a delivered job, or say why not (`jobs.claims.judge_claim`)."""
        with self._rows as rows:
            judged = _judged(rows, job_id)
            if judged is None:
                return Refused(Refusal.UNFILED, None)
            record, control = judged
            refusal = judge_claim(record, delivered, control, effects, now, silent_after)
            if refusal is not None:
                return Refused(refusal, record)
            started = _started(record, delivered, control, worker, now)
            rows.put(started)
            return Claim(
                job_id,
                record.name,
                delivered,
                started.attempt,
                started.fence_revision,
                fell_back=started.fallback_reason is not None,
            )

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Run the hook, then check the fence and do what the hook asked for in one transaction."""
        transaction = MemoryTransaction()
        result = write(lambda: transaction)
        with self._rows as rows:
            judged = _judged(rows, claim.job_id)
            refusal = (
                Refusal.STALE
                if judged is None
                else judge_commit(judged[0], claim, judged[1], effects)
            )
            transaction.end(counts=refusal is None)
            if refusal is Refusal.FINISHED and judged is not None:
                return Committed(judged[0].result or "null")
            if refusal is not None or judged is None:
                return refusal or Refusal.STALE
            record = judged[0]
            rows.put(
                replace(
                    record,
                    state=JobState.COMMITTED,
                    finished_at=now,
                    result=result,
                    way=record.way + step(now, "committed", path=claim.path, attempt=claim.attempt),
                )
            )
            return Committed(result)

    def hand_over(
        self,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it, None when unfiled."""
        with self._rows as rows:
            record = rows.jobs.get(job_id)
            if record is None:
                return None
            if attempt is None:
                held = record.state is JobState.ACCEPTED and record.path is JobPath.CONCURRENT
            else:
                held = record.state is JobState.STARTED and record.attempt == attempt
            if held:
                rows.put(moved(record, reason, error, now))
            return held

    def release(self, filing: Filing, attempt: int) -> bool:
        """Put a started job back to accepted for a retry, while this attempt holds it."""
        with self._rows as rows:
            record = rows.jobs.get(filing.job_id)
            if record is None or record.state is not JobState.STARTED or record.attempt != attempt:
                return False
            rows.put(
                replace(
                    record,
                    state=JobState.ACCEPTED,
                    path=filing.path,
                    revision=filing.revision,
                    envelope=filing.envelope,
                    sent_at=filing.at,
                    not_before=filing.not_before,
                    way=record.way
                    + step(filing.at, "retry", path=filing.path, reason=filing.reason),
                )
            )
            return True

    def fail(
        self, job_id: str, attempt: int | None, reason: Reason | None, error: str, now: datetime
    ) -> bool:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job."""
        with self._rows as rows:
            record = rows.jobs.get(job_id)
            if record is None or record.state.finished or attempt not in (None, record.attempt):
                return False
            rows.put(failed(record, reason, error, now))
            return True

    def reopen(self, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy."""
        with self._rows as rows:
            record = rows.jobs.get(job_id)
            if record is None:
                raise UnknownJob(job_id)
            if record.state is not JobState.FAILED:
                raise IllegalTransition(
                    job_id,
                    "retry",
                    f"while it is {record.state}",
                    "only a failed job can be retried",
                )
            again = moved(record, Reason.RETRIED_BY_HAND, None, now)
            if rows.reopened(replace(again, error=None, deaths=0, finished_at=None)):
                rows.outcomes[outcome_of(record)] -= 1
            return Handed(job_id, record.name, record.envelope, Reason.RETRIED_BY_HAND)

    def renew(self, job_ids: Sequence[str], now: datetime) -> None:
        """Say that the workers of these started jobs live."""
        with self._rows as rows:
            for job_id in job_ids:
                record = rows.jobs.get(job_id)
                if record is not None and record.state is JobState.STARTED:
                    rows.put(replace(record, renewed_at=now))

    def job(self, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        with self._rows as rows:
            record = rows.jobs.get(job_id)
        if record is None:
            raise UnknownJob(job_id)
        return record

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        with self._rows as rows:
            kept = [record for record in rows.failed_jobs() if name in (None, record.name)]
        kept.sort(key=lambda record: record.finished_at or record.accepted_at, reverse=True)
        return kept[:limit]


def outcome_of(record: JobRecord) -> OutcomeKey:
    """The tally that a finished job belongs to."""
    why = record.fallback_reason or record.moved_reason or record.reason
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


def _judged(rows: Rows, job_id: str) -> tuple[JobRecord, ControlState] | None:
    record = rows.jobs.get(job_id)
    control = None if record is None else rows.states.get(record.name)
    return None if record is None or control is None else (record, control)


def _started(
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
        deaths=record.deaths + silent,
        started_at=now,
        renewed_at=now,
        worker=worker,
        way=record.way + step(now, "started", path=delivered, attempt=attempt, worker=worker),
    )


def _filed(filing: Filing) -> JobRecord:
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
