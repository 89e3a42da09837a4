"""Sends the next job of a key when the one in front has its outcome."""

import structlog

from rollout.errors import BrokerUnreachable, LedgerUnreachable
from rollout.jobs.order import JobOrder
from rollout.jobs.ports import Queues
from rollout.routing.clock import Clock

log = structlog.get_logger("rollout")


class KeyOrder:
    """Sends the next job of a key.

    Args:
        order: The ledger.
        queues: Where a stored message is sent.
        clock: Time.
    """

    def __init__(self, order: JobOrder, queues: Queues, clock: Clock) -> None:
        self._order = order
        self._queues = queues
        self._clock = clock
        self._after = 0

    def send_next(self, name: str, key: str) -> bool:
        """Send the next job of a key, if it waits for that; whether there was one.

        What cannot be sent now is sent by the controller's sweep.
        """
        try:
            handed = self._order.next_of(name, key, self._clock.now())
            if handed is None:
                return False
            self._queues.send_jobs([handed])
        except (LedgerUnreachable, BrokerUnreachable) as error:
            log.warning("the next job of a key waits for the sweep", name=name, why=str(error))
            return False
        return True

    def send_stuck(self, limit: int) -> int:
        """Send first jobs of their keys that nobody sent; how many.

        Raises:
            LedgerUnreachable: Nothing more was sent.
        """
        stuck = self._order.keys_stuck(limit, self._after)
        self._after = stuck.after
        return sum(self.send_next(name, key) for name, key in stuck.keys)

    def let_go(self, name: str, job_id: str, actor: str, reason: str) -> bool:
        """Have a failed job hold its key no longer; whether a next one was sent.

        Raises:
            UnknownJob, IllegalTransition, LedgerUnreachable: Nothing has changed.
        """
        key = self._order.let_go(name, job_id, actor, reason, self._clock.now())
        return self.send_next(name, key)
