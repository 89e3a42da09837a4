"""A forked producer (a prefork child, a gunicorn worker) does not route by its parent's reading."""

import os

from rollout.adapters.clock import SystemClock
from rollout.core.decision import JobPath
from rollout.core.routing import Reading
from rollout.core.stages import ControlState, Stage
from rollout.service.router import Router


class CountedStore:
    """Answers the same, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def read(self, name: str) -> Reading:
        """Everything up to the holdback runs concurrently."""
        self.asked += 1
        state = ControlState(name, Stage.SPLIT, scope_bp=9_500, revision=1, salt=name)
        return Reading(state, supervised=True)


def test_child_asks_for_itself_and_parent_keeps_its_reading() -> None:
    """One fork: the child's first decision reads the store, the parent's next one does not."""
    store = CountedStore()
    router = Router(store, SystemClock(), snapshot_s=3600)  # type: ignore[arg-type]  # only reads
    assert router.decide("invoices", "customer-1").path is JobPath.CONCURRENT
    child = os.fork()
    if child == 0:
        router.decide("invoices", "customer-1")
        router.decide("invoices", "customer-2")
        os._exit(store.asked)  # 1 from the parent's memory, 1 of its own
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    router.decide("invoices", "customer-1")
    assert store.asked == 1
