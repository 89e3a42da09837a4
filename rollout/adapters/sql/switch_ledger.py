"""The ledger as far as `rollout kill` needs it: its control rows, and the jobs that it moves.

The whole ledger loads the tests, drills and shadows whose rows it keeps, a quarter of a second
that the fence would come later.
"""

from rollout.adapters.sql.control_rows import ControlRows
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.sweep_rows import SweepRows


class SwitchLedger(ControlRows, SweepRows):
    """What `control.change.Changes.kill` asks of `ports.Ledger`, on either database.

    Args:
        database: Connections.
    """

    def __init__(self, database: Database) -> None:
        ControlRows.__init__(self, database)
        SweepRows.__init__(self, database)
