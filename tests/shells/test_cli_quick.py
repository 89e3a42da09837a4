"""The quick commands: what they load, for imports are what a kill switch waits for.

Guarded by names of modules and not by seconds, which a busy machine stretches; `make bench` has
the seconds.
"""

import json
import sqlite3
import subprocess
import sys

from rollout.cli.exit_codes import ExitCode
from rollout.cli.loading import HOMES, Commands, registered
from tests.shells.conftest import House

NEVER = ("numpy", "scipy", "redis", "celery", "kombu", "structlog", "alembic", "apprise", "yaml")
"""What no quick command loads: redis-py alone takes as long as a kill may."""

PROGRAM = """
import json, sys
from rollout.adapters.redis.store import RedisControlStore

seen = {{}}
latch = RedisControlStore.latch

def watched(self, kill):
    seen["latch"] = sorted(sys.modules)
    latch(self, kill)

RedisControlStore.latch = watched
sys.argv = ["rollout", *{words!r}]
try:
    from rollout.cli import main
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
seen["end"] = sorted(sys.modules)
print(json.dumps(seen))
"""


def modules_of(*words: str) -> dict[str, list[str]]:
    """Modules that a command has loaded, at the latch of a kill and at the end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(words=words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def loaded(modules: list[str], unwanted: tuple[str, ...]) -> list[str]:
    """Those of the unwanted packages that are among the modules."""
    tops = {name for one in modules for name in (one, ".".join(one.split(".")[:2]))}
    return [name for name in unwanted if name in tops]


def test_the_latch_waits_for_no_library_of_the_ledger(house: House) -> None:
    """Until starts are blocked only the settings and a socket are loaded; then the ledger alone."""
    found = modules_of("kill", "invoices", "--reason", "totals are wrong")
    first = (*NEVER, "sqlalchemy", "rich", "rollout.pilot", "rollout.evidence")
    assert loaded(found["latch"], ("rollout.routing", *first)) == ["rollout.routing"]
    second = (*NEVER, "rich", "rollout.shadow", "rollout.rehearsal", "rollout.policies")
    assert loaded(found["end"], ("sqlalchemy", *second)) == ["sqlalchemy"]


def test_status_loads_no_numbers_and_no_clients(house: House) -> None:
    """A look costs the ledger and what draws it."""
    found = modules_of("status", "invoices")
    assert loaded(found["end"], ("rich", *NEVER)) == ["rich"]


def test_the_first_half_is_said_while_the_second_waits(house: House) -> None:
    """A ledger whose writer is held does not keep back that starts are blocked."""
    held = sqlite3.connect(house.folder / "ledger.db")
    held.execute("BEGIN IMMEDIATE")
    with subprocess.Popen(
        [sys.executable, "-m", "rollout", "kill", "invoices", "--reason", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None, "it was opened with one"
        assert "starts blocked  yes, in " in process.stdout.readline()
        held.rollback()
        held.close()
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.FINE
    assert "commits fenced  yes" in rest


def test_a_wrong_ledger_does_not_keep_back_the_first_half(house: House) -> None:
    """Who kills does the half that can be done, and is told which one is missing."""
    house.setenv("ROLLOUT_LEDGER_URL", "mysql://db/ledger")
    result = house.run("kill", "invoices", "--reason", "x")
    assert result.exit_code == ExitCode.PARTLY
    assert "starts blocked  yes" in result.stdout
    assert "commits fenced  NOT" in result.stdout
    with house.services() as runtime:
        assert runtime.control.read("invoices").killed


def test_a_name_that_nobody_has_takes_its_latch_back(house: House) -> None:
    """What was said too early is taken back in the same place."""
    result = house.run("kill", "invoice", "--reason", "x")
    assert result.exit_code == ExitCode.REFUSED
    assert result.stdout.splitlines()[-1].startswith("  starts blocked  no more")
    with house.services() as runtime:
        assert not runtime.control.read("invoice").killed


def test_each_command_stands_where_it_is_looked_for() -> None:
    """The table of `cli/loading.py` is what the modules register, in their order."""
    for module, names in HOMES.items():
        assert tuple(registered(module)) == names
    assert list(Commands()) == [name for names in HOMES.values() for name in names]
