"""Drills in the memory of one process: what `redis_drills.py` keeps in the store."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.drills.fault import ONE_WORKER, FaultPlan
from rollout.drills.plans import Held
from rollout.routing.clock import Clock


@dataclass
class MemoryDrillPlans(ABC):
    """`drills.ports.DrillPlans`, the part of `MemoryControlStore` that drills use."""

    clock: Clock
    reachable: bool = True
    _plans: dict[str, tuple[FaultPlan, datetime]] = field(default_factory=dict)
    _hurt: dict[str, set[str]] = field(default_factory=dict)
    _workers: dict[str, str] = field(default_factory=dict)
    _leases: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    @abstractmethod
    def _must_answer(self) -> None:
        """Raise ControlStoreUnreachable while the store plays an absent one."""

    @abstractmethod
    def _is_killed(self, name: str) -> bool:
        """Whether a kill latch covers this sub-pipeline."""

    def _plan_now(self, name: str) -> FaultPlan | None:
        plan, until = self._plans.get(name, (None, None))
        return plan if until is not None and self.clock.now() < until else None

    def plant(self, plan: FaultPlan, ttl: timedelta) -> bool:
        """Put a fault in force for at most `ttl`; False when the sub-pipeline has one already."""
        self._must_answer()
        if self._plan_now(plan.name) is not None:
            return False
        self._plans[plan.name] = plan, self.clock.now() + ttl
        return True

    def unplant(self, name: str, drill_id: str | None) -> bool:
        """Take a fault away if it is this drill's (None: anybody's); False when there is none."""
        self._must_answer()
        plan = self._plan_now(name)
        if plan is None or drill_id not in (None, plan.drill_id):
            return False
        del self._plans[name]
        return True

    def planted(self, name: str) -> FaultPlan | None:
        """Read the fault in force on a sub-pipeline."""
        self._must_answer()
        return self._plan_now(name)

    def take(self, plan: FaultPlan, job_id: str, node: str) -> bool:
        """Take this job into the drill; False when the plan is gone, full, killed or another's."""
        self._must_answer()
        planted = self._plan_now(plan.name)
        if planted is None or planted.drill_id != plan.drill_id or self._is_killed(plan.name):
            return False
        if plan.worker == ONE_WORKER and self._workers.get(plan.drill_id, node) != node:
            return False
        hurt = self._hurt.setdefault(plan.drill_id, set())
        if job_id not in hurt and len(hurt) >= plan.jobs_max:
            return False
        hurt.add(job_id)
        self._workers.setdefault(plan.drill_id, node)
        return True

    def reserve(self, resource: str, owner: str, ttl: timedelta) -> Held | None:
        """Have a resource for one drill, for `ttl` from now on; who else has it, how long yet."""
        self._must_answer()
        now = self.clock.now()
        holder, until = self._leases.get(resource, ("", now))
        if holder not in ("", owner) and now < until:
            return Held(holder, until - now)
        self._leases[resource] = owner, now + ttl
        return None

    def release(self, resource: str, owner: str) -> None:
        """Give a resource back, if it is this owner's."""
        self._must_answer()
        if self._leases.get(resource, ("",))[0] == owner:
            del self._leases[resource]
