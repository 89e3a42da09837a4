"""One job's way, in memory: file, claim, commit, hand over, fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rollout.adapters.memory.job_values import failed, filed, moved, moved_by, outcome_of, started
from rollout.adapters.memory.resource_rows import enter, inherits, lacking
from rollout.adapters.memory.rows import Rows
from rollout.adapters.memory.transaction import MemoryTransaction
from rollout.errors import UnknownJob
from rollout.jobs.claims import (
    UNCLAIMED,
    Claim,
    JobRecord,
    JobRef,
    JobState,
    Refusal,
    check_reopen,
    judge_claim,
    judge_commit,
)
from rollout.jobs.order import NEVER
from rollout.jobs.ports import Committed, ConnectionSource, Filing, Handed, Refused, Running
from rollout.jobs.resources import Need
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState


class JobRows:
    """The half of the ledger that holds jobs."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def file(self, filings: Sequence[Filing]) -> frozenset[JobRef]:
        """Record accepted jobs in one transaction; those that had their outcome already."""
        finished = set()
        with self._rows as rows:
            for filing in filings:
                there = rows.jobs.get((filing.name, filing.job_id))
                if there is None:
                    rows.put(filed(filing))
                elif there.state.finished:
                    finished.add(there.ref)
        return frozenset(finished)

    def claim(
        self,
        name: str,
        job_id: str,
        delivered: JobPath,
        effects: Effects,
        worker: str,
        now: datetime,
        silent_after: timedelta,
        needs: Sequence[Need] = (),
    ) -> Claim | Refused:
        """Claim a delivered job, or say why not (`jobs.claims.judge_claim`)."""
        with self._rows as rows:
            judged = _judged(rows, (name, job_id))
            if judged is None:
                return Refused(Refusal.UNFILED, None)
            record, control = judged
            heard = rows.clock(now)
            refusal = judge_claim(record, delivered, control, effects, heard, silent_after)
            if refusal is not None:
                return Refused(refusal, record)
            nonce = str(rows.claims + 1)
            refusal = _take(rows, needs, record, delivered, nonce, now) if needs else None
            if refusal is not None:
                return Refused(refusal, record)
            rows.claims += 1
            running = replace(
                started(record, delivered, control, worker, now),
                renewed_at=heard,
                nonce=nonce,
            )
            rows.put(running)
            return Claim(
                job_id,
                record.name,
                delivered,
                running.attempt,
                running.fence_revision,
                fell_back=running.fallback_reason is not None,
                nonce=running.nonce,
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
            judged = _judged(rows, (claim.name, claim.job_id))
            refusal = (
                Refusal.UNFILED
                if judged is None
                else judge_commit(judged[0], claim, judged[1], effects)
            )
            transaction.end(counts=refusal is None)
            if refusal is Refusal.FINISHED and judged is not None:
                return Committed(judged[0].result or "null")
            if refusal is not None or judged is None:
                return refusal or Refusal.UNFILED
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
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it, None when unfiled."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None:
                return None
            if attempt is None:
                held = record.state is JobState.ACCEPTED and record.path is JobPath.CONCURRENT
            else:
                held = record.state is JobState.STARTED and _is_held(record, attempt, nonce)
            if held:
                rows.put(moved(record, reason, error, now))
            return held

    def release(self, filing: Filing, attempt: int) -> bool | None:
        """Put a started job back to accepted for a retry, while this attempt holds it."""
        with self._rows as rows:
            record = rows.jobs.get((filing.name, filing.job_id))
            if record is None:
                return None
            held = record.state is JobState.STARTED and record.attempt == attempt
            if attempt == UNCLAIMED:
                held = record.state is JobState.ACCEPTED
            if not held:
                return False
            rows.put(
                replace(
                    record,
                    state=JobState.ACCEPTED,
                    path=filing.path,
                    revision=filing.revision,
                    envelope=filing.envelope,
                    sent_at=filing.at,
                    renewed_at=None,
                    not_before=filing.not_before,
                    way=record.way
                    + step(filing.at, "retry", path=filing.path, reason=filing.reason),
                )
            )
            return True

    def fail(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason | None,
        error: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None:
                return None
            if record.state.finished or not _is_held(record, attempt, nonce):
                return False
            rows.put(failed(record, reason, error, now))
            return True

    def call_off(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        state: JobState,
        sentence: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool:
        """Record that the job's owner ended it, counted in the tallies."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None or record.state.finished:
                return False
            if not _is_held(record, attempt, nonce):
                return False
            ended = replace(
                record,
                state=state,
                finished_at=now,
                error=sentence if record.error is None else f"{record.error}\n{sentence}",
                way=record.way + step(now, str(state), error=sentence),
            )
            rows.put(ended)
            rows.outcomes[outcome_of(ended)] += 1
            return True

    def reopen(self, name: str, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
            if record is None:
                raise UnknownJob(job_id)
            check_reopen(job_id, record.state)
            again = moved(record, Reason.RETRIED_BY_HAND, None, now)
            if rows.reopened(replace(again, error=None, deaths=0, finished_at=None)):
                rows.outcomes[outcome_of(record)] -= 1
            return Handed(job_id, record.name, record.envelope, Reason.RETRIED_BY_HAND)

    def renew(self, running: Sequence[Running], now: datetime) -> None:
        """Say that the workers of these started jobs live, for those that still have their job."""
        with self._rows as rows:
            heard = rows.clock(now)
            for run in running:
                record = rows.jobs.get((run.name, run.job_id))
                if record is None or record.state is not JobState.STARTED:
                    continue
                mine = (record.worker, record.path) == (run.worker, run.path)
                if mine and (record.renewed_at is None or record.renewed_at < heard):
                    rows.put(replace(record, renewed_at=heard))

    def note_fetched(self, name: str, path: JobPath, job_ids: Sequence[str], now: datetime) -> None:
        """Note when a live worker last had these messages of waiting jobs in its hands."""
        with self._rows as rows:
            heard = rows.clock(now)
            for job_id in job_ids:
                record = rows.jobs.get((name, job_id))
                if record is None or record.state is not JobState.ACCEPTED:
                    continue
                if record.path is path:
                    rows.put(replace(record, renewed_at=heard))

    def job(self, name: str, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        with self._rows as rows:
            record = rows.jobs.get((name, job_id))
        if record is None:
            raise UnknownJob(job_id)
        return record

    def jobs_of(self, job_id: str) -> list[JobRecord]:
        """Read the jobs of this id in all sub-pipelines, by name. Raises UnknownJob for none."""
        with self._rows as rows:
            found = [rows.jobs.get((name, job_id)) for name in sorted(rows.names())]
        records = [record for record in found if record is not None]
        if not records:
            raise UnknownJob(job_id)
        return records

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        with self._rows as rows:
            kept = [record for record in rows.failed_jobs() if name in (None, record.name)]
        kept.sort(key=lambda record: record.finished_at or record.accepted_at, reverse=True)
        return kept[:limit]


def _is_held(record: JobRecord, attempt: int | None, nonce: str | None) -> bool:
    return attempt in (None, record.attempt) and nonce in (None, record.nonce)


def _judged(rows: Rows, ref: JobRef) -> tuple[JobRecord, ControlState] | None:
    record = rows.jobs.get(ref)
    control = None if record is None else rows.states.get(record.name)
    return None if record is None or control is None else (record, control)


def _take(
    rows: Rows,
    needs: Sequence[Need],
    record: JobRecord,
    delivered: JobPath,
    nonce: str,
    now: datetime,
) -> Refusal | None:
    """Take what a claim needs, or put its job to rest."""
    if record.state is JobState.STARTED:  # of a silent worker, and taken over with all it has
        if not inherits(rows, needs, record):
            return Refusal.BUSY  # declared since; the sweep puts it back to where it waits
    elif missing := lacking(rows, needs, record, now):
        enter(rows, needs, record.ref, None, now)
        way = record.way + step(now, "waits", resource=", ".join(missing))
        rows.put(
            replace(
                record,
                path=delivered,
                moved_reason=moved_by(record, delivered),
                renewed_at=None,
                not_before=NEVER,
                way=way,
            )
        )
        return Refusal.TAKEN
    enter(rows, needs, record.ref, nonce, now)
    return None
