"""The ledger on one database: control rows, jobs and the controller's view of them."""

from rollout.adapters.sql.ahead_rows import AheadRows
from rollout.adapters.sql.control_rows import ControlRows
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.job_rows import JobRows
from rollout.adapters.sql.sweep_rows import SweepRows


class SqlLedger(ControlRows, JobRows, SweepRows, AheadRows):
    """`ports.Ledger` on SQLite or PostgreSQL.

    Args:
        database: Connections; shared with nobody else.
    """

    def __init__(self, database: Database) -> None:
        ControlRows.__init__(self, database)
        JobRows.__init__(self, database)
        SweepRows.__init__(self, database)
        AheadRows.__init__(self, database)
        self.database = database

    def close(self) -> None:
        """Close all connections of this process."""
        self.database.close()
