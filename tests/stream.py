"""Jobs by the thousand for the controller's tests, straight into the ledger."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.rule import position, threshold
from rollout.routing.stages import Stage
from tests.builders import NAME
from tests.world import World


class Stream:
    """Submits and finishes jobs while the controller ticks; the paths are equal until told.

    `both` lets legacy fail what the concurrent path fails.

    Args:
        world: The system; jobs are drawn by its routing rule.
        jobs_a_day: How many.
        seed: Draws cycle times and failures.
    """

    def __init__(self, world: World, jobs_a_day: int = 2_500, seed: int = 1) -> None:
        self.world = world
        self.jobs_a_day = jobs_a_day
        self.fail_legacy = self.fail_concurrent = 0.0
        self.slow_concurrent = 1.0
        self.both = False
        self.tick_s = 1800.0
        self.name = NAME
        self.numbers = 0
        self._rng = random.Random(seed)

    def days(self, days: float) -> None:
        """Let days pass."""
        self._pass(days * 86_400, lambda: False)

    def until(self, true: Callable[[], bool], hours: float) -> None:
        """Let time pass until something is true; fails after so many hours."""
        self._pass(hours * 3600, true)
        assert true(), f"not within {hours} h"

    def _pass(self, seconds: float, true: Callable[[], bool]) -> None:
        end = self.world.clock.now() + timedelta(seconds=seconds)
        while self.world.clock.now() < end and not true():
            self._submit()
            self.world.clock.advance(self.tick_s)
            self._judge()

    def _judge(self) -> None:
        """The part of the controller's turn that judges."""
        now, ledger = self.world.clock.now(), self.world.ledger
        assert self.world.runtime.pilots.lead(now) is not None
        while ledger.fold(2_000) == 2_000:
            pass
        report = self.world.runtime.pilots.turn(ledger.controls(), [], now)
        assert report.errors == []

    def _submit(self) -> None:
        """Put the jobs of one tick into the ledger, finished in the past of the next tick."""
        now = self.world.clock.now()
        count = self.jobs_a_day * self.tick_s / 86_400
        jobs = int(count) + (self._rng.random() < count % 1)
        state = self.world.ledger.control(self.name)
        rows = [self._row(now, state.stage, state.scope_bp, state.revision) for _ in range(jobs)]
        if rows:
            with self.world.ledger.database.write() as connection:
                connection.execute(insert(job), rows)

    def _row(self, now: datetime, stage: Stage, scope_bp: int, revision: int) -> dict[str, Any]:
        self.numbers += 1
        job_id = f"{self.name}-{self.numbers}"
        concurrent = position(self.name, job_id) < threshold(scope_bp)
        path = JobPath.CONCURRENT if concurrent else JobPath.LEGACY
        reason = Reason.IN_SCOPE if concurrent else Reason.OUT_OF_SCOPE
        taken = self._rng.lognormvariate(0.0, 0.5)
        taken *= self.slow_concurrent if concurrent else 1.0
        failed = self._rng.random() < (self.fail_concurrent if concurrent else self.fail_legacy)
        kept = failed and (not concurrent or self.both)
        at = now + timedelta(seconds=self._rng.random() * self.tick_s / 2)
        return {
            "job_id": job_id,
            "name": self.name,
            "key": job_id,
            "state": JobState.FAILED if kept else JobState.COMMITTED,
            "assigned_path": path,
            "path": JobPath.LEGACY if failed else path,
            "reason": reason if stage not in (Stage.LEGACY, Stage.SHADOW) else Reason.STAGE,
            "revision": revision,
            "attempt": 1,
            "fence_revision": 0,
            "deaths": 0,
            "accepted_at": at,
            "sent_at": at,
            "started_at": at,
            "renewed_at": at,
            "finished_at": at + timedelta(seconds=taken),
            "fallback_reason": Reason.FAILED if failed and concurrent else None,
            "moved_reason": Reason.FAILED if failed and concurrent else None,
            "folded": False,
            "way": "",
            "envelope": "{}",
        }
