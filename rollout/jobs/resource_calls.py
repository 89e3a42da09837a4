"""Calls the jobs that wait for a resource when something of it was given back."""

from collections.abc import Callable, Mapping, Sequence

from rollout.errors import BrokerUnreachable, LedgerUnreachable
from rollout.jobs.ports import Queues
from rollout.jobs.resources import Need, Resources
from rollout.log import log
from rollout.routing.clock import Clock


class ResourceCalls:
    """Calls waiting jobs.

    Args:
        ledger: Who waits.
        queues: Where a stored message is sent.
        clock: Time.
    """

    def __init__(self, ledger: Resources, queues: Queues, clock: Clock) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._after = 0

    def given_back(self, needs: Sequence[Need]) -> int:
        """Call those that have room since an attempt with these needs has ended; how many.

        What cannot be called now is called by the controller's next turn.
        """
        if not needs:
            return 0
        try:
            return self._call({need.resource: need.capacity for need in needs})
        except (LedgerUnreachable, BrokerUnreachable) as error:
            log.warning("jobs that wait for a resource wait for the sweep", why=str(error))
            return 0

    def call_forgotten(self, limit: int, capacities: Callable[[], Mapping[str, int]]) -> int:
        """Call those that nobody has called: their worker died, a kill took a job from another.

        Args:
            limit: How much of what is stale is cleared away in one turn.
            capacities: As the controller's own process reads them; asked only where somebody waits.

        Raises:
            LedgerUnreachable: Nothing more was called.
        """
        lines = self._ledger.lines(limit, self._after)
        self._after = lines.after
        if not lines.resources:
            return 0
        known = capacities()
        try:
            return self._call({resource: known.get(resource) for resource in lines.resources})
        except BrokerUnreachable as error:
            log.warning("jobs that wait for a resource wait for the broker", why=str(error))
            return 0

    def _call(self, capacities: Mapping[str, int | None]) -> int:
        called = self._ledger.call_next(capacities, self._clock.now())
        if called:
            self._queues.send_jobs(called)
        return len(called)
