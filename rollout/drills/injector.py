"""A planted fault as an injector: the plan in the control store, and the stub that answers 503."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rollout.drills.drill import Drill
from rollout.drills.errors import DrillRefused
from rollout.drills.fault import Fault, FaultPlan
from rollout.drills.plans import DrillPlans
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath

Stub = Callable[[], tuple[str, Callable[[], None]]]
"""Starts a server that answers errors; gives its URL and what stops it."""


class FaultInjector:
    """Plants the fault of a drill, and takes it away; the workers mark whom it hurts.

    Args:
        stub: Starts the failing stub of a `downstream` fault.
    """

    external = False

    def __init__(self, drill: Drill, plans: DrillPlans, clock: Clock, stub: Stub) -> None:
        assert isinstance(drill.fault, Fault), "other drills have injectors of their own"
        self._drill = drill
        self._fault = drill.fault
        self._plans = plans
        self._clock = clock
        self._stub = stub
        self._stop_stub: Callable[[], None] | None = None
        self._drill_id: str | None = None
        self._until: datetime | None = None

    def on(self, drill_id: str, path: JobPath, until: datetime) -> None:
        """Plant the fault; it expires by itself at `until`.

        Raises:
            DrillRefused: Another fault is planted here; nothing was changed.
            ControlStoreUnreachable: Nothing was planted.
        """
        drill, url = self._drill, ""
        if self._fault is Fault.DOWNSTREAM:
            url, self._stop_stub = self._stub()
        plan = FaultPlan(
            drill_id=drill_id,
            name=drill.sub_pipeline,
            paths=(path,),
            fault=self._fault,
            until=until,
            jobs_max=drill.jobs_max,
            share_bp=drill.target.share_bp,
            worker=drill.target.worker,
            fault_s=drill.fault_s,
            memory_mb=drill.memory_mb,
            stub_url=url,
        )
        ttl = max(until - self._clock.now(), timedelta(milliseconds=1))
        try:
            planted = self._plans.plant(plan, ttl)
        except BaseException:
            self.off()  # the stub would else answer errors for as long as this process lives
            raise
        if not planted:
            self.off()
            raise DrillRefused(
                drill.sub_pipeline, "a fault is planted here", "`rollout drill stop` takes it away"
            )
        self._drill_id, self._until = drill_id, until

    def off(self) -> Mapping[str, Any]:
        """Take the fault away; it may have expired."""
        if self._stop_stub is not None:
            self._stop_stub()
            self._stop_stub = None
        if self._drill_id is not None:
            self._plans.unplant(self._drill.sub_pipeline, self._drill_id)
            self._drill_id = None
        return {}

    def finished(self) -> bool:
        """It lasts until it is taken away."""
        return False

    def gone(self) -> bool:
        """Whether the plan was taken away before its time."""
        if self._until is None or self._clock.now() >= self._until - timedelta(seconds=0.5):
            return False  # it is about to expire
        plan = self._plans.planted(self._drill.sub_pipeline)
        return plan is None or plan.drill_id != self._drill_id
