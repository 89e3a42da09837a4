"""The fence on a PostgreSQL that somebody has configured otherwise."""

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import Refusal
from rollout.jobs.ports import ConnectionSource
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing, kill_of
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
        # The lane's own sessions have set themselves right; another's functions grant nothing.
        ledger.file([filing("job-2", JobPath.LEGACY)])
        assert ledger._lane.claim(NAME, "job-2", JobPath.LEGACY, "w", NOW) is not None
        ledger.file([filing("job-3", JobPath.LEGACY)])
        session = ledger.database.lane.take()
        assert session is not None
        session.cursor.execute("SET default_transaction_isolation = 'repeatable read'")
        ledger.database.lane.give_back(session)
        assert ledger._lane.claim(NAME, "job-3", JobPath.LEGACY, "w", NOW) is None
    finally:
        ledger.close()
        postgresql.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
        postgresql.empty()
