"""What is open, counted by an index alone: a row of a job has its message in it, an entry has not.

A million jobs may wait, and a turn of the controller counts them. A group's oldest is the one thing
that the index does not say: in a long group it is looked for among those sent longest ago.
"""

from typing import Any

from sqlalchemy import func, select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import OPEN, job
from rollout.jobs.ports import OLDEST_AMONG, OpenCount
from rollout.routing.decision import JobPath

_GROUP = (job.c.name, job.c.state, job.c.path)  # in the order of the index `job_open`
_COUNTED = select(*_GROUP, func.count()).where(OPEN).group_by(*_GROUP)
_WHOLE = _COUNTED.add_columns(func.min(job.c.accepted_at))
_SENT_FIRST = select(job.c.accepted_at).where(OPEN).order_by(job.c.sent_at).limit(OLDEST_AMONG)


class OpenRows:
    """The part of the ledger that counts unfinished jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs."""
        with self._db.read() as connection:
            counted = connection.execute(_COUNTED).all()
            if sum(row[-1] for row in counted) <= OLDEST_AMONG:
                rows: Any = connection.execute(_WHOLE).all()
            else:
                rows = [(*row, connection.execute(_oldest(*row[:3])).scalar()) for row in counted]
        return [
            OpenCount(name, JobPath(path), state, jobs, oldest)
            for name, state, path, jobs, oldest in rows
            if oldest is not None  # ended between the two questions
        ]


def _oldest(name: str, state: str, path: str) -> Any:
    first = _SENT_FIRST.where(job.c.name == name, job.c.state == state, job.c.path == path)
    return select(func.min(first.subquery().c.accepted_at))
