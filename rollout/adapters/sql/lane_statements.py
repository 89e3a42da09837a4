"""What every job passes, one statement each: file, claim, commit. Zero rows say nothing.

A statement here changes a row only where `jobs.claims` grants it; whatever else there is to a job,
and every word of a refusal, is judged by the transactions in `job_rows.py`. A test holds these
conditions against `judge_claim` and `judge_commit` over all states of a row.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    cast,
    exists,
    false,
    or_,
    select,
    update,
)

from rollout.adapters.sql.control_rows import fence_key
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.job_statements import NEW
from rollout.adapters.sql.ledger_clock import NOW
from rollout.adapters.sql.tables import job, sub_pipeline
from rollout.adapters.sql.waits import LOCAL_BOUNDS
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath

_CONTROL = sub_pipeline.c.name == bindparam("b_name")
# The control row by subqueries, not by a join: then SQLite changes the row where it finds it.
_THIS = and_(
    job.c.name == bindparam("b_name"),
    job.c.job_id == bindparam("b_job_id"),
    exists().where(_CONTROL),
)
_WAITS_HERE = and_(
    job.c.path == JobPath.CONCURRENT,
    exists().where(_CONTROL, sub_pipeline.c.killed == false()),
)
_HELD = and_(
    job.c.state == JobState.STARTED,
    job.c.attempt == bindparam("b_attempt"),
    or_(job.c.nonce.is_(None), job.c.nonce == bindparam("b_nonce", type_=String)),
)
_UNFENCED = exists().where(
    _CONTROL,
    sub_pipeline.c.killed == false(),
    sub_pipeline.c.fence_revision == bindparam("b_fence"),
)
_COMMITTED = {
    "state": JobState.COMMITTED,
    "finished_at": bindparam("b_now"),
    "result": bindparam("b_result"),
    "way": job.c.way + bindparam("b_step"),
}
CLAIMED = (job.c.attempt, job.c.fence_revision, job.c.fallback_reason)
"""What a claim reads of its row."""

_ALONE = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
"""One message is one transaction, and an administrator may have set another default for those."""
_UNHURRIED = "SET LOCAL synchronous_commit = off; "
"""A claim that a crash of the database forgets can only be refused later: see `job_rows.py`."""
_FENCE = "SELECT pg_advisory_xact_lock_shared(%(fence_key)s); "
"""A statement of its own, so that the next one sees what a kill has written that it waited for."""


def _claim(heard: Any, *granted: ColumnElement[bool]) -> Any:
    return (
        update(job)
        .where(_THIS, job.c.state == JobState.ACCEPTED, *granted)
        .values(
            state=JobState.STARTED,
            path=bindparam("b_path"),
            attempt=job.c.attempt + 1,
            fence_revision=select(sub_pipeline.c.fence_revision).where(_CONTROL).scalar_subquery(),
            started_at=bindparam("b_now"),
            renewed_at=heard,
            worker=bindparam("b_worker"),
            nonce=bindparam("b_nonce"),
            way=job.c.way
            + bindparam("b_before")
            + cast(job.c.attempt + 1, String)
            + bindparam("b_after"),
        )
        .returning(*CLAIMED)
    )


class LaneStatements:
    """The statements of one kind of database, with what has to go before them in their message.

    Args:
        database: Whose words they are in.
        own_clock: A start is heard of by the database's clock, else by the time that is given.
        lent: A pooler lends the session: its bounds are set in each message.
    """

    def __init__(self, database: Database, *, own_clock: bool, lent: bool) -> None:
        dialect = database.lane.dialect
        insert: Any = database.insert
        heard = NOW[dialect.name] if own_clock else bindparam("b_now")
        commit = update(job).where(_THIS, _HELD).values(_COMMITTED)
        file = Statement(insert(job).values(NEW).on_conflict_do_nothing(), dialect)
        claims = (Statement(_claim(heard), dialect), Statement(_claim(heard, _WAITS_HERE), dialect))
        commits = (Statement(commit, dialect), Statement(commit.where(_UNFENCED), dialect))
        if database.is_postgresql:
            free = f"{_ALONE}{LOCAL_BOUNDS}; " if lent else _ALONE
            fenced = free + _FENCE
            file = file.after(free)
            claims = (claims[0].after(free + _UNHURRIED), claims[1].after(fenced + _UNHURRIED))
            commits = (commits[0].after(free), commits[1].after(fenced))
        self.file = file
        self.claim_legacy, self.claim_concurrent = claims
        self.commit_free, self.commit_fenced = commits

    @staticmethod
    def fence(name: str) -> dict[str, int]:
        """The value of the fence's lock; SQLite's single writer needs none."""
        return {"fence_key": fence_key(name)}
