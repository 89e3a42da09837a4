"""What a producer or a worker needs on a job's way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, cast

from rollout.wiring.servers import Late, Servers

if TYPE_CHECKING:  # each is loaded when it is first used: a command waits for what it needs alone
    from rollout.drills.ports import JobMarker
    from rollout.jobs.attempt import Attempts
    from rollout.jobs.key_order import KeyOrder
    from rollout.jobs.resource_calls import ResourceCalls
    from rollout.jobs.submit import Submit
    from rollout.shadow.ports import ShadowQueue
    from rollout.shadow.publish import ShadowPublisher
    from rollout.shadow.runs import ShadowRuns


class JobServices(Servers):
    """The services on a job's way, each built when it is first used."""

    @cached_property
    def key_order(self) -> KeyOrder:
        """Sends the next job of a key."""
        from rollout.jobs.key_order import KeyOrder

        return KeyOrder(self.job_ledger, self.queues, self.clock)

    @cached_property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for a resource."""
        from rollout.jobs.resource_calls import ResourceCalls

        return ResourceCalls(self.job_ledger, self.queues, self.clock)

    @cached_property
    def capacities(self) -> Mapping[str, int]:
        """How much there is of each resource, from `rollout.toml`; raises WrongSettings."""
        from rollout.capacities import read_capacities

        return read_capacities()

    @cached_property
    def submit(self) -> Submit:
        """Routes and files new jobs."""
        from rollout.jobs.submit import Submit
        from rollout.routing.router import Router

        router = Router(self.control, self.clock, self.settings.snapshot_s)
        return Submit(router, self.job_ledger, self.clock)

    def attempts(
        self,
        passes: tuple[type[BaseException], ...] = (),
        forgets: tuple[type[BaseException], ...] = (),
        sent_back: Callable[[BaseException], bool] = lambda said: False,
        sent_again: Callable[[BaseException], bool] = lambda said: False,
        ends_run: Callable[[BaseException], bool] = lambda said: False,
    ) -> Attempts:
        """Runs deliveries; what is given says what the queue engine's own exceptions mean."""
        from rollout.adapters.process import end_this_process
        from rollout.drills.interference import DrillInterference
        from rollout.jobs.attempt import Attempts

        marker = cast("JobMarker", Late(lambda: self.ledger))  # a drill's jobs alone are marked
        return Attempts(
            self.control,
            self.job_ledger,
            self.clock,
            self.settings.silent_after,
            passes,
            forgets,
            DrillInterference(self.control, self.plans, marker, self.clock, end_this_process),
            sent_back,
            sent_again,
            ends_run,
        )

    def shadow_publisher(self, queue: ShadowQueue) -> ShadowPublisher:
        """Sends copies of legacy jobs, in a legacy worker."""
        from rollout.shadow.publish import ShadowLimits, ShadowPublisher

        given = self.settings
        limits = ShadowLimits(
            shadow_bp=given.shadow_bp,
            split_bp=given.shadow_split_bp,
            again_bp=given.shadow_again_bp,
            rate_per_s=given.shadow_rate,
            per_day=given.shadow_daily_max,
            backlog_max=given.shadow_backlog_max,
            limit_s=given.shadow_limit_s,
        )
        return ShadowPublisher(self.control, self.shadow_budget, queue, self.clock, limits)

    @cached_property
    def shadow_runs(self) -> ShadowRuns:
        """Runs shadows, in a shadow worker."""
        from rollout.shadow.runs import ShadowRuns

        limit = timedelta(seconds=self.settings.shadow_limit_s)
        return ShadowRuns(
            self.control,
            self.ledger,
            self.database_ledger,
            self.clock,
            self.settings.keep,
            limit,
        )
