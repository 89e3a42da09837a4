"""What each path of a sub-pipeline did in a window, from the ledger's jobs."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Connection,
    case,
    func,
    not_,
    select,
    text,
    type_coerce,
    union_all,
)

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.outcomes import IN_DRILL
from rollout.adapters.sql.tables import OPEN, job
from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobState
from rollout.pilot.outcome import Outcome, outcome_of
from rollout.routing.decision import JobPath, Reason

_REASONS: dict[str | None, Reason | None] = {None: None, **{str(one): one for one in Reason}}
_PATHS = {str(one): one for one in JobPath}
_STATES = {str(one): one for one in JobState}
_TOOK_US = type_coerce(job.c.finished_at, BigInteger) - type_coerce(job.c.accepted_at, BigInteger)
_COLUMNS = (
    job.c.name,
    job.c.assigned_path,
    job.c.path,
    job.c.state,
    job.c.fallback_reason,
    job.c.moved_reason,
    _TOOK_US.label("took_us"),
)
_COUNTS = (
    not_(IN_DRILL),
    job.c.reason != Reason.OPTED_OUT,  # it waits in a queue of its caller's choice
    # Its failure was counted when it failed; how long a person took to try again is no cycle time.
    func.coalesce(job.c.moved_reason, "") != Reason.RETRIED_BY_HAND,
)
_Key: TypeAlias = tuple[str, JobPath]
_due_at = case((job.c.not_before > job.c.accepted_at, job.c.not_before), else_=job.c.accepted_at)


class SampleRows:
    """`drills.ports.Samples`: the jobs that finished in the window, and the open ones."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def samples(self, since: datetime, until: datetime) -> dict[str, dict[JobPath, PathSample]]:
        """Say what both paths did after `since` and up to `until`, by assigned path."""
        with self._db.read() as connection:
            finished = _finished(connection, since, until)
            due_at = _oldest_due(connection, until)
        return {
            each: {
                path: PathSample.of(until, finished.get((each, path), ()), due_at.get((each, path)))
                for path in JobPath
            }
            for each in sorted({one for one, _ in (*finished, *due_at)})
        }


def _finished(
    connection: Connection, since: datetime, until: datetime
) -> dict[_Key, list[tuple[bool, float]]]:
    """Whether each finished job failed, and its cycle time in seconds."""
    # One query per state, with the condition of its index as a literal: a planner does not see
    # through a parameter that the index holds these rows.
    rows = connection.execute(
        union_all(
            *(
                select(*_COLUMNS).where(
                    text(f"state = '{state}'"),
                    job.c.finished_at > since,
                    job.c.finished_at <= until,
                    *_COUNTS,
                )
                for state in (JobState.COMMITTED, JobState.FAILED)
            )
        )
    )
    found: defaultdict[_Key, list[tuple[bool, float]]] = defaultdict(list)
    for row in rows:
        outcome = _outcome(row)
        if outcome in (Outcome.GOOD, Outcome.FAILED):
            took_s = row.took_us / 1e6
            key = (row.name, _PATHS[row.assigned_path])
            found[key].append((outcome is Outcome.FAILED, took_s))
    return found


def _outcome(row: Any) -> Outcome:
    return outcome_of(
        _PATHS[row.assigned_path],
        _PATHS[row.path],
        _STATES[row.state],
        _REASONS[row.fallback_reason],
        _REASONS[row.moved_reason],
        backwards=row.took_us < 0,
    )


def _oldest_due(connection: Connection, until: datetime) -> dict[_Key, datetime]:
    """Since when the oldest open job of each path could run."""
    query = (
        select(job.c.name, job.c.assigned_path, func.min(_due_at))
        .where(
            OPEN,
            _due_at <= until,
            *_COUNTS,
        )
        .group_by(job.c.name, job.c.assigned_path)
    )
    return {(each, _PATHS[path]): due_at for each, path, due_at in connection.execute(query)}
