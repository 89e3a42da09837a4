"""The finished jobs of one sub-pipeline as a stream, for a replay."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import job
from rollout.adapters.sql.waits import unbound
from rollout.evidence.buckets import DURATION_S_MAX
from rollout.jobs.claims import JobState
from rollout.pilot.outcome import Outcome, outcome_of
from rollout.rehearsal.counterfactual import Recorded, complete
from rollout.rehearsal.from_ledger import FromLedger
from rollout.rehearsal.job_stream import (
    SECOND_US,
    BadStream,
    numbers_of,
    positions_of,
    us_of,
)
from rollout.routing.decision import JobPath, Reason

_COLUMNS = (
    job.c.job_id,
    job.c.key,
    job.c.accepted_at,
    job.c.started_at,
    job.c.finished_at,
    job.c.assigned_path,
    job.c.path,
    job.c.state,
    job.c.fallback_reason,
    job.c.moved_reason,
)


def read_finished(database: Database, name: str, salt: str) -> FromLedger:
    """Read all finished jobs that the ledger still holds, ordered by admission.

    Raises:
        BadStream: There is none.
        LedgerUnreachable: The database does not answer.
    """
    query = (
        select(*_COLUMNS)
        .where(job.c.name == name, job.c.finished_at.is_not(None), job.c.drill.is_(None))
        .where(job.c.state.in_([str(JobState.COMMITTED), str(JobState.FAILED)]))
        .order_by(job.c.accepted_at, job.c.job_id)
    )
    kept, keys, left_out = [], [], 0
    with database.read() as connection:
        if database.is_postgresql:
            unbound(connection)  # a long history, read once and by itself
        for row in connection.execute(query):
            one = _recorded(row)
            if one is None:
                left_out += 1
                continue
            kept.append(one)
            keys.append((row.key, row.job_id))
    if not kept:
        raise BadStream(
            f"a backtest of {name!r} needs finished jobs, the ledger holds none that tell anything",
            "let some jobs run, or try `rollout simulate`",
        )
    columns = list(zip(*kept, strict=True))
    took_legacy, took_concurrent = (np.array(columns[at], dtype=np.bool_) for at in (1, 2))
    own = all(key == job_id for key, job_id in keys)
    recorded = Recorded(
        took_legacy,
        took_concurrent,
        np.array(columns[3], dtype=np.int64),
        np.array(columns[4], dtype=np.int64),
        np.array(columns[5], dtype=np.bool_),
        np.array(columns[6], dtype=np.bool_),
    )
    stream = complete(
        name,
        np.array(columns[0], dtype=np.int64),
        positions_of(salt, (key for key, _ in keys), len(keys)),
        None if own else numbers_of([key for key, _ in keys]),
        recorded,
    )
    return FromLedger(stream, int(took_legacy.sum()), int(took_concurrent.sum()), left_out)


_Job = tuple[int, bool, bool, int, int, bool, bool]
"""Admission; whether legacy and the concurrent path ran it; how long each; whether each failed."""


def _recorded(row: Any) -> _Job | None:
    """What one row says of both paths; None for nothing."""
    at, end = us_of(row.accepted_at), us_of(row.finished_at)
    taken = end - at
    sane = 0 <= taken <= DURATION_S_MAX * SECOND_US
    state, assigned = JobState(row.state), JobPath(row.assigned_path)
    fallback, moved = _reason(row.fallback_reason), _reason(row.moved_reason)
    path = JobPath(row.path)
    outcome = outcome_of(assigned, path, state, fallback, moved, backwards=not sane)
    if outcome is Outcome.UNJUDGED:
        return None
    failed = outcome is not Outcome.GOOD
    if assigned is JobPath.LEGACY:
        return at, True, False, taken, 0, failed, False
    if fallback is None:
        return at, False, True, 0, taken, False, failed
    started = row.started_at
    if started is None or not at <= us_of(started) <= end:
        return at, False, True, 0, taken, False, True
    # Legacy started it when the concurrent path had failed it.
    before = us_of(started) - at
    return at, True, True, taken - before, before, outcome is Outcome.BOTH_FAILED, True


def _reason(text: str | None) -> Reason | None:
    return None if text is None else Reason(text)
