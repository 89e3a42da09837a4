"""The fence on a PostgreSQL that somebody has configured otherwise."""

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import Refusal
from rollout.jobs.ports import ConnectionSource
from rollout.routing.effects import Effects
from tests.builders import NOW, kill_of
from tests.conftest import Postgresql
from tests.contract.ledger_acts import declared, make_written, started, write_line, written


def test_the_fence_holds_where_the_database_defaults_to_snapshots(postgresql: Postgresql) -> None:
    """A database whose default isolation is REPEATABLE READ must not hide a kill from a commit."""
    name = postgresql.shared
    postgresql.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'"
    )
    ledger = SqlLedger(Database(postgresql.url(name)))
    try:
        declared(ledger)
        make_written(ledger)
        held = started(ledger)

        def write(connect: ConnectionSource) -> str:
            write_line(connect, "hook")  # the snapshot, if there is one, is taken here
            ledger.kill(kill_of())
            return "1"

        assert ledger.commit(held, Effects.COMMIT, write, NOW) is Refusal.KILLED
        assert written(ledger) == []
    finally:
        ledger.close()
        postgresql.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
        postgresql.empty()
