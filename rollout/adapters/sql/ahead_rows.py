"""Open jobs whose times lie in the future, as a process wrote them whose clock was ahead."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger_clock import LedgerClock
from rollout.adapters.sql.tables import OPEN, job
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath

NAMES_MAX = 500
"""Sub-pipelines in one statement."""
_HEARD = func.coalesce(job.c.renewed_at, job.c.started_at)


class AheadRows:
    """Sets such times to now, so that the sweeper sees the jobs before the clocks get there."""

    def __init__(self, database: Database, *, own_clock: bool = True) -> None:
        self._db = database
        self._clock = LedgerClock(database, own=own_clock)

    def redate(
        self, names: Sequence[str], sent_ahead: timedelta, heard_ahead: timedelta, now: datetime
    ) -> int:
        """Date accepted jobs sent, and started ones heard of, so far ahead of now as of now."""
        dated = 0
        for begin in range(0, len(names), NAMES_MAX):
            # By name, state and path, which the index of what is open begins with: a queue of a
            # million is not read for those of its jobs that are dated tomorrow.
            some = (job.c.name.in_(names[begin : begin + NAMES_MAX]), job.c.path.in_(list(JobPath)))
            accepted = and_(OPEN, *some, job.c.state == JobState.ACCEPTED)
            started = and_(OPEN, *some, job.c.state == JobState.STARTED)
            sent = and_(accepted, job.c.sent_at > now + sent_ahead)
            heard = and_(started, self._clock.at(now, heard_ahead) < _HEARD)
            # Looking first: a writing transaction at each tick would make SQLite's workers wait.
            dated += self._set(sent, now, "sent_at")
            dated += self._set(heard, self._clock.at(now), "renewed_at")
        return dated

    def silent_names(
        self, names: Sequence[str], silent_after: timedelta, now: datetime
    ) -> list[str]:
        """Those of these sub-pipelines that have started jobs of silent workers, in order."""
        found: set[str] = set()
        for begin in range(0, len(names), NAMES_MAX):
            query = (
                select(job.c.name)
                .distinct()
                .where(
                    OPEN,
                    job.c.name.in_(names[begin : begin + NAMES_MAX]),
                    job.c.state == JobState.STARTED,
                    self._clock.at(now, -silent_after) > _HEARD,
                    job.c.envelope != "",
                )
            )
            with self._db.read() as connection:
                found |= set(connection.execute(query).scalars())
        return sorted(found)

    def _set(self, wanted: ColumnElement[bool], now: Any, column: str) -> int:
        with self._db.read() as connection:
            if connection.execute(select(job.c.job_id).where(wanted).limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            return connection.execute(update(job).where(wanted).values({column: now})).rowcount
