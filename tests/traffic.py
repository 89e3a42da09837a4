"""Simulated jobs on both paths of one sub-pipeline, moved by a hand-set clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.jobs.delivery import Delivery, ToLegacy
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from tests.builders import filing
from tests.hand_clock import HandClock
from tests.world import World

TICK_S = 0.25


@dataclass
class Traffic:
    """Files a job per path and tick, and delivers it a tick later, as time goes by.

    Attributes:
        also: Called at each tick, with the time, after the jobs of the tick.
        stalled: While true, nothing is delivered.
    """

    world: World
    pipeline: SubPipeline
    also: list[Callable[[datetime], None]] = field(default_factory=list)
    stalled: set[JobPath] = field(default_factory=set)
    paths: tuple[JobPath, ...] = tuple(JobPath)
    _count: int = 0
    _waiting: list[tuple[str, JobPath, bool]] = field(default_factory=list)
    _inside: bool = False

    def __post_init__(self) -> None:
        self._advance = HandClock.advance
        clock = self.world.clock
        clock.advance = self._pass  # type: ignore[method-assign]

    def _pass(self, seconds: float) -> None:
        clock = self.world.clock
        if self._inside:  # a fault in a job waits: nobody else works meanwhile
            self._advance(clock, seconds)
            return
        end = clock.now() + timedelta(seconds=seconds)
        while clock.now() < end:
            rest = (end - clock.now()).total_seconds()
            self._advance(clock, min(TICK_S, rest))
            self._inside = True
            try:
                self._tick()
            finally:
                self._inside = False

    def _tick(self) -> None:
        waiting, self._waiting = self._waiting, []
        resent, self.world.queues.sent = self.world.queues.sent, []
        waiting += [(job_id, JobPath.LEGACY, False) for job_id in resent]
        for job_id, path, drilled in waiting:
            if path in self.stalled:
                self._waiting.append((job_id, path, drilled))
                continue
            if self._deliver(job_id, path, drilled):
                self._waiting.append((job_id, JobPath.LEGACY, False))
        for path in self.paths:
            self._count += 1
            job_id = f"{path}-{self._count}"
            self.world.ledger.file(
                [filing(job_id, path, name=self.pipeline.name, at=self.world.clock.now())]
            )
            self._waiting.append((job_id, path, True))
        for one in self.also:
            one(self.world.clock.now())

    def _deliver(self, job_id: str, path: JobPath, drilled: bool) -> bool:
        job = Job(job_id, self.pipeline.name, "7", path, 0, (), {"n": 7})
        made = filing(job_id, path, name=self.pipeline.name, at=self.world.clock.now())
        delivery = Delivery(job, "w1:7", lambda: made, drilled, False)
        outcome = self.world.runtime.attempts(()).run(self.pipeline.declared, delivery)
        return isinstance(outcome, ToLegacy)
