"""Open jobs whose times lie in the future, as a process wrote them whose clock was ahead."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger_clock import LedgerClock
from rollout.adapters.sql.tables import OPEN, job
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath

_HEARD = func.coalesce(job.c.renewed_at, job.c.started_at)


class AheadRows:
    """Sets such times to now, so that the sweeper sees the jobs before the clocks get there."""

    def __init__(self, database: Database, *, own_clock: bool = True) -> None:
        self._db = database
        self._clock = LedgerClock(database, own=own_clock)

    def redate(
        self, name: str, sent_ahead: timedelta, heard_ahead: timedelta, now: datetime
    ) -> int:
        """Date accepted jobs sent, and started ones heard of, so far ahead of now as of now."""
        mine, here = and_(OPEN, job.c.name == name), self._clock
        waits = and_(mine, job.c.state == JobState.ACCEPTED, job.c.path.in_(list(JobPath)))
        sent = and_(waits, job.c.sent_at > now + sent_ahead)  # a range of the index `job_open`
        heard = and_(mine, job.c.state == JobState.STARTED, here.at(now, heard_ahead) < _HEARD)
        # Looking first: a writing transaction at each tick would make SQLite's workers wait.
        return self._set(sent, now, "sent_at") + self._set(heard, here.at(now), "renewed_at")

    def _set(self, wanted: ColumnElement[bool], now: Any, column: str) -> int:
        with self._db.read() as connection:
            if connection.execute(select(job.c.job_id).where(wanted).limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            return connection.execute(update(job).where(wanted).values({column: now})).rowcount
