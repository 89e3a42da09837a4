"""What arrives at each sub-pipeline, counted from the ledger's finished jobs."""

from datetime import datetime

from sqlalchemy import case, func, select, text

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import from_microseconds, job, sub_pipeline
from rollout.core.claims import JobState
from rollout.core.decision import JobPath
from rollout.core.effects import Effects
from rollout.ports import Arrived

_AT_LEGACY = job.c.assigned_path == str(JobPath.LEGACY)
# One query per state, with the condition of its index; literals, because a planner does not see
# through a parameter that the index holds these rows.
_STATES = {state: text(f"state = '{state}'") for state in (JobState.COMMITTED, JobState.FAILED)}


class ArrivalRows:
    """Traffic and declarations, for a person who asks; reads a week's finished jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def arrivals(self, since: datetime) -> list[Arrived]:
        """Count the jobs of each sub-pipeline that have finished since then."""
        counted: dict[str, list[int]] = {}
        with self._db.read() as connection:
            for state, condition in _STATES.items():
                legacy = func.sum(case((_AT_LEGACY, 1), else_=0))
                first = func.min(job.c.finished_at, type_=job.c.finished_at.type)
                rows = connection.execute(
                    select(job.c.name, func.count(), legacy, first)
                    .where(condition, job.c.finished_at >= since)
                    .group_by(job.c.name)
                )
                for name, jobs, at_legacy, first_at in rows:
                    self._add(counted, name, state, int(jobs), int(at_legacy), first_at)
        return [Arrived(name, *values) for name, values in sorted(counted.items())]

    def declared_effects(self) -> dict[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        with self._db.read() as connection:
            rows = connection.execute(select(sub_pipeline.c.name, sub_pipeline.c.effects))
            return {name: Effects(effects) for name, effects in rows if name != "*"}
