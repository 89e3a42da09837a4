"""What arrives at each sub-pipeline, counted from the ledger's finished jobs."""

from datetime import datetime

from sqlalchemy import case, func, select, text

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import job, sub_pipeline
from rollout.jobs.claims import JobState
from rollout.policy.ports import LONGEST, Arrived
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import ALL

_LEGACY_JOBS = func.sum(case((job.c.assigned_path == str(JobPath.LEGACY), 1), else_=0))
# One query per state, with the condition of its index; literals, because a planner does not see
# through a parameter that the index holds these rows.
_STATES = {state: text(f"state = '{state}'") for state in (JobState.COMMITTED, JobState.FAILED)}


class ArrivalRows:
    """Traffic and declarations, for a person who asks; reads a week's finished jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def arrivals(self, since: datetime, name: str | None = None) -> list[Arrived]:
        """Count the jobs of each, or one, that have finished since then, by name.

        Those of one are found by their admission: of 200 it has few of all that finished.
        """
        arrived: dict[str, Arrived] = {}
        among = [job.c.finished_at >= since]
        if name is not None:
            among += [job.c.name == name, job.c.accepted_at >= since - LONGEST]
        with self._db.read() as connection:
            for state, condition in _STATES.items():
                rows = connection.execute(
                    select(job.c.name, func.count(), _LEGACY_JOBS, func.min(job.c.finished_at))
                    .where(condition, *among)
                    .group_by(job.c.name)
                )
                for one, jobs, legacy_jobs, first_at in rows:
                    failed = legacy_jobs if state is JobState.FAILED else 0
                    here = Arrived(one, jobs, int(legacy_jobs), int(failed), first_at)
                    arrived[one] = here if one not in arrived else arrived[one].and_also(here)
        return [arrived[one] for one in sorted(arrived)]

    def declared_effects(self) -> dict[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        with self._db.read() as connection:
            rows = connection.execute(select(sub_pipeline.c.name, sub_pipeline.c.effects))
            return {name: Effects(effects) for name, effects in rows if name != ALL}
