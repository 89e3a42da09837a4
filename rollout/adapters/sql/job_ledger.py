"""The ledger as far as producers and workers need it: one job's way, order, resources, builds.

The whole ledger loads the judgement, drills and shadows whose rows it keeps: 10 MB in every worker.
"""

from rollout.adapters.sql.build_rows import BuildRows
from rollout.adapters.sql.control_rows import ControlRows
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.job_rows import JobRows
from rollout.adapters.sql.kept_rows import KeptRows
from rollout.adapters.sql.order_rows import OrderRows
from rollout.adapters.sql.resource_rows import ResourceRows


class SqlJobLedger(ControlRows, JobRows, BuildRows, OrderRows, ResourceRows, KeptRows):
    """`jobs.ports.JobLedger` and `pilot.ports.Builds` on either database.

    Args:
        database: Connections.
    """

    def __init__(self, database: Database) -> None:
        ControlRows.__init__(self, database)
        JobRows.__init__(self, database)
        BuildRows.__init__(self, database)
        OrderRows.__init__(self, database)
        ResourceRows.__init__(self, database)
