"""The ledger in memory: the truth of one process, for programs and tests without a database.

It judges claims and commits by the same functions as the SQL ledger and passes the same contract.
It ends with its process: what has to outlive a crash, or be seen by a second process, needs SQLite
or PostgreSQL.
"""

from rollout.adapters.memory.access_rows import AccessRows
from rollout.adapters.memory.control_rows import ControlRows
from rollout.adapters.memory.drill_rows import DrillRows
from rollout.adapters.memory.evidence_rows import EvidenceRows
from rollout.adapters.memory.job_rows import JobRows
from rollout.adapters.memory.order_rows import OrderRows
from rollout.adapters.memory.pilot_rows import PilotRows
from rollout.adapters.memory.recent_rows import RecentRows
from rollout.adapters.memory.resource_rows import ResourceRows
from rollout.adapters.memory.rows import Rows
from rollout.adapters.memory.sweep_rows import SweepRows
from rollout.routing.clock import Clock


class MemoryLedger(
    ControlRows, JobRows, SweepRows, PilotRows, EvidenceRows, DrillRows, RecentRows, OrderRows,
    AccessRows, ResourceRows,
):  # fmt: skip
    """`jobs.ports.Ledger`, its other roles and drills' `DrillLedger`, for one process's threads.

    Args:
        clock: Measures the silence of workers; None goes by the times that callers give.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        rows = Rows(clock)
        ControlRows.__init__(self, rows)
        JobRows.__init__(self, rows)
        SweepRows.__init__(self, rows)
        PilotRows.__init__(self, rows)
        EvidenceRows.__init__(self, rows)
        DrillRows.__init__(self, rows)
        RecentRows.__init__(self, rows)
        AccessRows.__init__(self, rows)
        OrderRows.__init__(self, rows)
        ResourceRows.__init__(self, rows)

    @property
    def reachable(self) -> bool:
        """Whether calls are answered; set it to False to play a ledger that is away."""
        return self._rows.reachable

    @reachable.setter
    def reachable(self, answers: bool) -> None:
        self._rows.reachable = answers

    def ping(self) -> None:
        """Answer, or raise LedgerUnreachable when told to."""
        with self._rows:
            pass

    def close(self) -> None:
        """There is nothing to close."""
