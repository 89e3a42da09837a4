"""Open jobs whose times lie in the future, as a process wrote them whose clock was ahead."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import OPEN, job
from rollout.jobs.claims import JobState

_HEARD = func.coalesce(job.c.renewed_at, job.c.started_at)


class AheadRows:
    """Sets such times to now, so that the sweeper sees the jobs before the clocks get there."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def redate(self, name: str, sent_after: datetime, heard_after: datetime, now: datetime) -> int:
        """Date accepted jobs sent after, and started ones heard of after, a time as of now."""
        mine = and_(OPEN, job.c.name == name)
        sent = and_(mine, job.c.state == JobState.ACCEPTED, job.c.sent_at > sent_after)
        heard = and_(mine, job.c.state == JobState.STARTED, heard_after < _HEARD)
        # Looking first: a writing transaction at each tick would make SQLite's workers wait.
        return self._set(sent, now, "sent_at") + self._set(heard, now, "renewed_at")

    def _set(self, wanted: ColumnElement[bool], now: datetime, column: str) -> int:
        with self._db.read() as connection:
            if connection.execute(select(job.c.job_id).where(wanted).limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            return connection.execute(update(job).where(wanted).values({column: now})).rowcount
