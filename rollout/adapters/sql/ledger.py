"""The ledger on one database: control rows, jobs, the controller's view of them, trials."""

from rollout.adapters.sql.access_rows import AccessRows
from rollout.adapters.sql.ahead_rows import AheadRows
from rollout.adapters.sql.arrival_rows import ArrivalRows
from rollout.adapters.sql.build_rows import BuildRows
from rollout.adapters.sql.control_rows import ControlRows
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.drill_rows import DrillRows
from rollout.adapters.sql.job_rows import JobRows
from rollout.adapters.sql.lease_rows import LeaseRows
from rollout.adapters.sql.notice_rows import NoticeRows
from rollout.adapters.sql.order_rows import OrderRows
from rollout.adapters.sql.pilot_rows import PilotRows
from rollout.adapters.sql.recent_rows import RecentRows
from rollout.adapters.sql.recovery_rows import RecoveryRows
from rollout.adapters.sql.resource_rows import ResourceRows
from rollout.adapters.sql.shadow_rows import ShadowRows
from rollout.adapters.sql.sweep_rows import SweepRows


class SqlLedger(
    ControlRows, JobRows, SweepRows, LeaseRows, PilotRows, RecoveryRows, ArrivalRows,
    DrillRows, ShadowRows, AheadRows, BuildRows, NoticeRows, RecentRows, OrderRows,
    AccessRows, ResourceRows,
):  # fmt: skip
    """`jobs.ports.Ledger`, its other roles, and `drills.ports.DrillLedger` on either database.

    Args:
        database: Connections; shared with nobody else.
        own_clock: Measure the silence of workers by the database's clock; False goes by the times
            that callers give, for a test whose clock is set by hand.
    """

    def __init__(self, database: Database, *, own_clock: bool = True) -> None:
        ControlRows.__init__(self, database)
        JobRows.__init__(self, database, own_clock=own_clock)
        SweepRows.__init__(self, database, own_clock=own_clock)
        AheadRows.__init__(self, database, own_clock=own_clock)
        RecentRows.__init__(self, database)
        AccessRows.__init__(self, database)
        BuildRows.__init__(self, database)
        NoticeRows.__init__(self, database)
        OrderRows.__init__(self, database)
        ResourceRows.__init__(self, database)
        LeaseRows.__init__(self, database)
        PilotRows.__init__(self, database)
        RecoveryRows.__init__(self, database)
        ArrivalRows.__init__(self, database)
        DrillRows.__init__(self, database)
        ShadowRows.__init__(self, database)
        self.database = database

    def close(self) -> None:
        """Close all connections of this process."""
        self.database.close()
