"""Who drills what: a lease on a sub-pipeline (and on the ledger), renewed as long as one waits.

A drill spends its time waiting, so waiting is what renews: a runner that died lets go within
`LEASE_S`. One that was only paused ends when it finds another drill in its place: each would take
the other's damage for its own.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from rollout.drills.errors import DrillRefused
from rollout.drills.plans import LEASE_S, DrillPlans
from rollout.errors import ControlStoreUnreachable
from rollout.routing.clock import Clock

log = structlog.get_logger("rollout.drill")

RENEW_S = 5.0


class Lease:
    """Resources of one drill; as a clock it renews them while it sleeps.

    Raises:
        DrillRefused: Another drill has one of them, as `describe` names it; none is held. So does
            `sleep` when a runner was paused for so long that another drill has taken one.
        ControlStoreUnreachable: None is held.
    """

    def __init__(
        self,
        plans: DrillPlans,
        clock: Clock,
        name: str,
        resources: list[str],
        owner: str,
        describe: Callable[[str], str] = lambda owner: f"drill {owner[:12]}",
    ) -> None:
        self._plans = plans
        self._name = name
        self._describe = describe
        self._clock = clock
        self._owner = owner
        self._held: list[str] = []
        self.now = clock.now
        self.monotonic = clock.monotonic
        self._renewed = clock.monotonic()
        for resource in resources:
            holder = plans.reserve(resource, owner, timedelta(seconds=LEASE_S))
            if holder is not None:
                self.release()
                ends_at = clock.now() + holder.left
                raise DrillRefused(
                    name,
                    f"{describe(holder.owner)} has {resource.strip('*')!r}",
                    "wait for its end, `rollout drill list` shows it; if its runner died, it lets"
                    f" go at {ends_at:%H:%M:%S} UTC",
                )
            self._held.append(resource)

    def sleep(self, seconds: float) -> None:
        """Wait, and renew in between."""
        while seconds > 0:
            if self._clock.monotonic() - self._renewed >= RENEW_S:
                self._renew()
            part = min(seconds, RENEW_S)
            self._clock.sleep(part)
            seconds -= part

    def _renew(self) -> None:
        self._renewed = self._clock.monotonic()
        try:
            for resource in self._held:
                holder = self._plans.reserve(resource, self._owner, timedelta(seconds=LEASE_S))
                if holder is not None:
                    raise DrillRefused(
                        self._name,
                        f"its runner was silent for over {LEASE_S:g} s, and"
                        f" {self._describe(holder.owner)} has {resource.strip('*')!r} now",
                        "run it again when that one has ended",
                    )
        except ControlStoreUnreachable as error:
            log.warning("lease not renewed", why=str(error))

    def release(self) -> None:
        """Let go; without the store it expires."""
        try:
            for resource in self._held:
                self._plans.release(resource, self._owner)
        except ControlStoreUnreachable as error:
            log.warning("lease expires by itself", why=str(error))
