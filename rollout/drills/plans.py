"""What drills need of the control store: planted faults and leases, each with an expiry.

Apart from `ports.py`, for every quick command and every worker loads this with the store.
"""

from datetime import timedelta
from typing import NamedTuple, Protocol

from rollout.drills.fault import FaultPlan

LEASE_S = 30.0
"""A runner that does not renew its lease for so long, in seconds, has died."""


class Held(NamedTuple):
    """Who has a resource, and for how long if it is not renewed."""

    owner: str
    left: timedelta


class DrillPlans(Protocol):
    """The control store, as far as drills need it; every adapter of `ControlStore` is one, too.

    Whatever is kept here expires. All raise ControlStoreUnreachable.
    """

    def plant(self, plan: FaultPlan, ttl: timedelta) -> bool:
        """Put a fault in force for at most `ttl`; False when the sub-pipeline has one already."""
        ...

    def unplant(self, name: str, drill_id: str | None) -> bool:
        """Take a fault away if it is this drill's (None: anybody's); False when there is none."""
        ...

    def planted(self, name: str) -> FaultPlan | None:
        """Read the fault in force on a sub-pipeline."""
        ...

    def take(self, plan: FaultPlan, job_id: str, node: str) -> bool:
        """Take this job into the drill; False when the plan is gone, full, killed or another's.

        Atomic over all workers: no more than `plan.jobs_max` jobs, and none after a kill latch.
        """
        ...

    def reserve(self, resource: str, owner: str, ttl: timedelta) -> Held | None:
        """Have a resource for one drill, for `ttl` from now on; who else has it, and how long yet.

        The owner itself renews it so.
        """
        ...

    def release(self, resource: str, owner: str) -> None:
        """Give a resource back, if it is this owner's."""
        ...
