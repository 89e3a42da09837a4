"""The statements that every job passes, compiled once: file, judge, start, commit."""

from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, get_args, get_type_hints

from sqlalchemy import String, bindparam, func, select, update

from rollout.adapters.sql.control_rows import FENCE_SHARED
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import RowReader, Statement
from rollout.adapters.sql.job_values import RECORD_FIELDS
from rollout.adapters.sql.ledger_clock import NOW
from rollout.adapters.sql.tables import from_microseconds, job, sub_pipeline
from rollout.jobs.claims import JobRecord, JobState
from rollout.routing.stages import ControlState

_HEAVY = ("way", "envelope")  # the last two fields; judging a job does without them
_LIGHT = tuple(job.c[name] for name in RECORD_FIELDS if name not in _HEAVY)
_THIS = (job.c.name == bindparam("b_name"), job.c.job_id == bindparam("b_job_id"))
_CONTROL = tuple(sub_pipeline.c[field.name] for field in fields(ControlState))
_JUDGED = (
    select(*_LIGHT, *_CONTROL)
    .join(sub_pipeline, sub_pipeline.c.name == job.c.name)
    .where(*_THIS)
    .with_for_update(of=job)
)
_WORDS = {
    name: word
    for record in (JobRecord, ControlState)
    for name, hint in get_type_hints(record).items()
    for word in (hint, *get_args(hint))
    if isinstance(word, type) and issubclass(word, Enum)
}
_JUDGED_ROW = RowReader([*_LIGHT, *_CONTROL], _WORDS)
_MINE = (*_THIS, job.c.attempt == bindparam("b_attempt"))
_START = (
    update(job)
    .where(*_THIS)
    .values(
        state=JobState.STARTED,
        path=bindparam("b_path"),
        attempt=bindparam("b_attempt"),
        fence_revision=bindparam("b_fence"),
        fallback_reason=func.coalesce(bindparam("b_fallback", type_=String), job.c.fallback_reason),
        moved_reason=func.coalesce(job.c.moved_reason, bindparam("b_moved", type_=String)),
        deaths=bindparam("b_deaths"),
        started_at=bindparam("b_now"),
        renewed_at=bindparam("b_heard"),
        worker=bindparam("b_worker"),
        nonce=bindparam("b_nonce"),
        way=job.c.way + bindparam("b_step"),
    )
)
_COMMIT = (
    update(job)
    .where(*_MINE)
    .values(
        state=JobState.COMMITTED,
        finished_at=bindparam("b_now"),
        result=bindparam("b_result"),
        way=job.c.way + bindparam("b_step"),
    )
)
_NO_WAIT_FOR_DISK = func.set_config("synchronous_commit", "off", True)
"""SET LOCAL as a column, so that it costs no round trip of its own."""
NEW = {
    "job_id": bindparam("b_job_id"),
    "name": bindparam("b_name"),
    "key": bindparam("b_key"),
    "state": JobState.ACCEPTED,
    "assigned_path": bindparam("b_path"),
    "path": bindparam("b_path"),
    "reason": bindparam("b_reason"),
    "revision": bindparam("b_revision"),
    "attempt": 0,
    "fence_revision": 0,
    "deaths": 0,
    "accepted_at": bindparam("b_at"),
    "sent_at": bindparam("b_at"),
    "not_before": bindparam("b_not_before"),
    "folded": False,
    "way": bindparam("b_way"),
    "envelope": bindparam("b_envelope"),
}
"""A job that was just accepted."""


class Hot:
    """The statements that every job passes."""

    def __init__(self, database: Database) -> None:
        # In their own schema: a hook may have made a temporary table with the name of one of ours.
        dialect = database.engine.dialect
        insert: Any = database.insert
        # Without a target: a ledger in the middle of the move from one key to the other has both.
        file = insert(job).values(NEW).on_conflict_do_nothing()
        timed = _JUDGED.add_columns(NOW[dialect.name])
        hurried = timed.add_columns(_NO_WAIT_FOR_DISK) if database.is_postgresql else timed
        self.file = Statement(file, dialect)
        self.judged = Statement(_JUDGED, dialect)
        self.claimed = Statement(timed, dialect)
        self.claimed_without_waiting = Statement(hurried, dialect)
        self.state = Statement(select(job.c.state).where(*_THIS), dialect)
        self.start = Statement(_START, dialect)
        self.commit = Statement(_COMMIT, dialect)
        self.fence_shared = Statement(FENCE_SHARED, dialect)


Judged = tuple[JobRecord, ControlState, datetime | None]
"""A job, its control row, and the database's time where the statement asks for it."""


def judged(cursor: Any, statement: Statement, name: str, job_id: str) -> Judged | None:
    """Read the job and its control row as they stand under the lock; None when it is not filed."""
    statement.run(cursor, {"b_name": name, "b_job_id": job_id})
    row = cursor.fetchone()
    if row is None:
        return None
    values = _JUDGED_ROW.read(row)
    light, both = len(_LIGHT), len(_LIGHT) + len(_CONTROL)
    at = from_microseconds(values[both]) if len(values) > both else None
    return JobRecord(*values[:light]), ControlState(*values[light:both]), at
