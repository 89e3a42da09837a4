"""One job's way, on a database: file, claim, commit."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import OperationalError

from rollout.adapters.sql.causes import is_wrong_sql
from rollout.adapters.sql.control_rows import fence_key
from rollout.adapters.sql.driver import LazyTransaction
from rollout.adapters.sql.hook_connection import is_cut_off
from rollout.adapters.sql.job_moves import JobMoves
from rollout.adapters.sql.job_statements import Hot, judged
from rollout.adapters.sql.job_values import claim_of, commit_values, new_row, start_values
from rollout.adapters.sql.lane import Lane
from rollout.adapters.sql.resource_statements import Takings
from rollout.errors import CommitHookError, LedgerUnreachable
from rollout.jobs.claims import (
    Claim,
    JobRecord,
    JobRef,
    JobState,
    Refusal,
    judge_claim,
    judge_commit,
)
from rollout.jobs.ports import Committed, ConnectionSource, Filing, Refused
from rollout.jobs.resources import Need
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects


class HookFailed(Exception):
    """Carries an exception of the user's commit hook out of the transaction."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(type(error).__name__)


class JobRows(JobMoves):
    """The half of the ledger that holds jobs."""

    @cached_property
    def _hot(self) -> "Hot":
        """The statements of every job, compiled at the first one: declaring needs no driver."""
        return Hot(self._db)

    @cached_property
    def _lane(self) -> Lane:
        """Where every job is tried first."""
        return Lane(self._db, own_clock=self._clock.own)

    @cached_property
    def _takings(self) -> Takings:
        """What claims do at resources."""
        return Takings(self._db)

    def file(self, filings: Sequence[Filing]) -> frozenset[JobRef]:
        """Record accepted jobs in one transaction; those that had their outcome already."""
        with self._db.translated(), LazyTransaction(self._db) as transaction:
            if len(filings) == 1 and self._lane.file(filings[0]):
                return frozenset()
            cursor = transaction.cursor()
            if len(filings) == 1:
                self._hot.file.run(cursor, new_row(filings[0]))
            else:
                self._hot.file.run_many(cursor, [new_row(filing) for filing in filings])
            there = cursor.rowcount < len(filings)
            finished = self._finished(cursor, filings) if there else frozenset[JobRef]()
            transaction.commit()
            return finished

    def _finished(self, cursor: Any, filings: Sequence[Filing]) -> frozenset[JobRef]:
        found = set()
        for filing in filings:
            self._hot.state.run(cursor, {"b_name": filing.name, "b_job_id": filing.job_id})
            row = cursor.fetchone()
            if row is not None and JobState(row[0]).finished:
                found.add((filing.name, filing.job_id))
        return frozenset(found)

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
        with self._db.translated(), LazyTransaction(self._db) as transaction:
            if effects.repeatable and not needs:
                granted = self._lane.claim(name, job_id, delivered, worker, now)
                if granted is not None:
                    return granted
            cursor = transaction.cursor()
            if delivered is JobPath.CONCURRENT:
                self._share_fence(cursor, name)
            if needs:
                self._takings.lock(cursor, needs)
            # A claim that a database crash forgets can only be refused later: the commit compares
            # attempt and fence, and commits do wait for the disk. An unsafe job must not be
            # started a second time either.
            hot = self._hot
            judge = hot.claimed_without_waiting if effects.repeatable else hot.claimed
            found = judged(cursor, judge, name, job_id)
            if found is None:
                return Refused(Refusal.UNFILED, None)
            record, control, at = found
            heard = at if at is not None and self._clock.own else now
            refusal = judge_claim(record, delivered, control, effects, heard, silent_after)
            if refusal is not None:
                return Refused(refusal, record)
            claim = claim_of(record, delivered, control, uuid4().hex)
            if needs:
                refusal = self._take(cursor, needs, claim, record, now)
                if refusal is not None:
                    transaction.commit()
                    return Refused(refusal, record)
            self._hot.start.run(cursor, start_values(claim, record, worker, now, heard))
            transaction.commit()
            return claim

    def _take(
        self, cursor: Any, needs: Sequence[Need], claim: Claim, record: JobRecord, now: datetime
    ) -> Refusal | None:
        """Take what a claim needs, or put its job to rest."""
        takings = self._takings
        if record.state is JobState.STARTED:  # of a silent worker, and taken over with all it has
            if not takings.inherits(cursor, needs, record):
                return Refusal.BUSY  # declared since; the sweep puts it back to where it waits
        elif lacking := takings.lacking(cursor, needs, record, now):
            takings.rest(cursor, needs, claim, lacking, now)
            return Refusal.TAKEN
        takings.take(cursor, needs, claim, now)
        return None

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Run the hook's writes and the fence check in one transaction."""
        try:
            with self._db.translated(), LazyTransaction(self._db) as transaction:
                result = self._write(transaction, write)
                fenced = claim.path is JobPath.CONCURRENT and effects.repeatable
                if not transaction.begun and self._lane.commit(claim, result, now, fenced=fenced):
                    return Committed(result)
                cursor = transaction.cursor()
                if claim.path is JobPath.CONCURRENT:
                    self._share_fence(cursor, claim.name)
                found = judged(cursor, self._hot.judged, claim.name, claim.job_id)
                if found is None:
                    return Refusal.UNFILED
                refusal = judge_commit(found[0], claim, found[1], effects)
                if refusal is Refusal.FINISHED:
                    return Committed(found[0].result or "null")
                if refusal is not None:
                    return refusal
                self._hot.commit.run(cursor, commit_values(claim, result, now))
                transaction.commit()
                return Committed(result)
        except HookFailed as failure:
            raise failure.error from None

    def _share_fence(self, cursor: Any, name: str) -> None:
        """Keep a kill waiting until this transaction ends, or wait for one that is under way.

        A statement of its own, on PostgreSQL: a statement sees the rows as they were when it
        began, so one that took the lock and read the control row would miss the kill it waited
        for.
        """
        if self._db.is_postgresql:
            self._hot.fence_shared.run(cursor, {"key": fence_key(name)})

    def _write(self, transaction: LazyTransaction, write: Callable[[ConnectionSource], str]) -> str:
        """Call the hook; tell its own errors from those of the ledger's connection."""
        try:
            result = write(transaction.connection)
            transaction.leave_hook()
            return result
        except LedgerUnreachable:
            raise
        except Exception as error:
            if not is_cut_off(error) and self._went_away(transaction, error):
                raise LedgerUnreachable(self._db.url, error) from error
            raise HookFailed(error) from error

    def _went_away(self, transaction: LazyTransaction, error: Exception) -> bool:
        """Whether the database failed under the hook; an error that it swallowed tells it, too."""
        met = transaction.swallowed if isinstance(error, CommitHookError) else error
        return transaction.broken or (met is not None and _sqlite_gave_up(transaction, met))


def _sqlite_gave_up(transaction: LazyTransaction, error: Exception) -> bool:
    """Whether a hook met a locked, full or broken SQLite; wrong SQL is the hook's own mistake."""
    return (
        transaction.begun
        and isinstance(error, OperationalError)
        and isinstance(error.orig, sqlite3.Error)
        and not is_wrong_sql(error)
    )
