"""`rollout preflight --run`: jobs in processes of their own that refuse what they would write."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from rollout.cli.app import app
from rollout.cli.exit_codes import ExitCode
from tests.conftest import Postgresql

ROOT = Path(__file__).parents[2]
SHOP = "tests.preflight.shop"


@pytest.fixture
def folder(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; the app's processes find it, and the project."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SHOP_FOLDER", str(no_settings))
    monkeypatch.setenv("ROLLOUT_SHADOW_LIMIT_S", "20")
    (no_settings / "there.db").touch()
    return no_settings


def inputs(folder: Path, jobs: Sequence[Sequence[object]]) -> str:
    """A file of recorded inputs."""
    file = folder / "inputs.jsonl"
    file.write_text("".join(json.dumps({"args": list(job)}) + "\n" for job in jobs))
    return str(file)


def looked(*words: str, code: int | None = None) -> Any:
    """What the program says, as JSON."""
    done = CliRunner().invoke(app, ["preflight", *words, "-A", SHOP, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert code is None or done.exit_code == code, done.output
    return json.loads(done.stdout)


def found(page: Any, check: str) -> list[str]:
    """All examples of a check's findings."""
    return [
        example for one in page["findings"] if one["check"] == check for example in one["examples"]
    ]


def test_writes_are_seen_refused_and_not_made(folder: Path) -> None:
    """Each kind in a job of its own; what reads or uses scratch is no finding."""
    kinds = ["file", "moved", "program", "sqlite", "new sqlite", "sqlalchemy", "scratch"]
    file = inputs(folder, [(number, kind) for number, kind in enumerate(kinds)])
    before = {one.name for one in folder.iterdir()}
    page = looked("invoices", "--inputs", file, "--run", "7", code=ExitCode.FOUND)
    effects = "\n".join(found(page, "effects"))
    for line, what in enumerate(
        ["open ", "rename ", "touch", "SQLite: a change", "make ", "CREATE TABLE written"], 1
    ):
        assert f"inputs.jsonl line {line}: {what}" in effects, effects
    assert "line 7" not in effects
    assert found(page, "runs") == []
    assert {one.name for one in folder.iterdir()} == before
    assert (folder / "there.db").read_bytes() == b""


def test_a_path_that_submits_and_waits_is_found_by_source_and_run(folder: Path) -> None:
    """The job that it would have submitted was not sent."""
    page = looked("waiting", "--inputs", inputs(folder, [(1,)]), "--run", "1")
    place, run = found(page, "waits")
    assert place.startswith("shop.py:")
    assert place.endswith("result.get() waits for another task")
    assert run == "inputs.jsonl line 1: it waited for the result of another task"
    assert found(page, "effects") == ["inputs.jsonl line 1: shop.other"]


def test_what_is_let_through_by_name_happens(folder: Path) -> None:
    """`--allow` is for what a path may write all the same."""
    file = inputs(folder, [(1, "file"), (2, "")])
    page = looked("invoices", "--inputs", file, "--run", "2", "--allow", "out.txt", code=0)
    (passed,) = [one for one in page["passed"] if one["check"] == "effects"]
    assert passed["sentence"].endswith(f"but for what was let through: open {folder}/out.txt")
    assert (folder / "out.txt").exists()


def test_a_path_that_raises_dies_or_hangs_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the jobs after it run all the same."""
    monkeypatch.setenv("ROLLOUT_SHADOW_LIMIT_S", "1")
    file = inputs(folder, [(1, "raise"), (2, "die"), (3, "hang"), (4, "")])
    page = looked("invoices", "--inputs", file, "--run", "4")
    assert found(page, "runs") == [
        "inputs.jsonl line 1: ValueError: boom",
        "inputs.jsonl line 2: the path killed its process",
        "inputs.jsonl line 3: no result in 1 s",
    ]


def test_a_result_that_depends_on_the_jobs_before_is_found(folder: Path) -> None:
    """A count in a global; the time of day varies by itself and is named as such."""
    page = looked(
        "invoices", "--inputs", inputs(folder, [(n, "count") for n in range(4)]), "--run", "4"
    )
    (finding,) = [one for one in page["findings"] if one["check"] == "order"]
    assert finding["sentence"].endswith("depends on which jobs ran before")
    assert all(one.endswith(": served") for one in finding["examples"])
    steady = looked("invoices", "--inputs", inputs(folder, [(1,), (2,)]), "--run", "2", code=0)
    (passed,) = [one for one in steady["passed"] if one["check"] == "order"]
    assert passed["sentence"].endswith("by themselves vary at")


def test_without_run_and_for_unsafe_paths_nothing_runs(folder: Path) -> None:
    """The checks that need it say so; with --strict that is an exit code."""
    file = inputs(folder, [(1,)])
    page = looked("payments", "--inputs", file, "--run", "1", code=0)
    because = {one["check"]: one["because"] for one in page["not_checked"]}
    assert "touch the world and are not run" in because["effects"]
    assert {"runs", "effects", "order"} <= set(because)
    looked("payments", "--inputs", file, "--strict", code=ExitCode.FOUND)


def test_a_plain_task_can_be_looked_at_before_it_is_declared(folder: Path) -> None:
    """By its task's name, with a key and effects that somebody thinks of."""
    file = inputs(folder, [(number % 3,) for number in range(60)])
    words = ("shop.other", "--inputs", file, "--key", "number")
    page = looked(*words, "--effects", "none", "--run", "2")
    assert [one["check"] for one in page["findings"]] == ["keys"]
    page = looked(*words, "--run", "2")
    assert any("nobody has said" in one["because"] for one in page["not_checked"])
    looked_at = CliRunner().invoke(app, ["preflight", "shop.othr", "-A", SHOP])
    assert looked_at.exit_code == ExitCode.REFUSED
    assert "did you mean 'shop.other'" in looked_at.stderr


class _Orders(BaseHTTPRequestHandler):
    posted: list[str] = []  # noqa: RUF012  # one server a test

    def do_GET(self) -> None:
        """Tell."""
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        """Take."""
        self.posted.append(self.path)
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service."""
    server = HTTPServer(("127.0.0.1", 0), _Orders)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("SHOP_URL", url)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_that_changes_something_is_refused(folder: Path, orders: str) -> None:
    """One that reads is let through, and the connection is told as not seen into."""
    page = looked("invoices", "--inputs", inputs(folder, [(1, "post"), (2, "get")]), "--run", "2")
    assert found(page, "effects") == ["inputs.jsonl line 1: POST 127.0.0.1/orders"]
    assert _Orders.posted == []
    assert any(orders[7:] in one["because"] for one in page["not_checked"])


@pytest.fixture
def database(
    folder: Path, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A PostgreSQL ledger, and the app's own database beside it."""
    name = postgresql.create()
    url = postgresql.url(name)
    with closing(Database(url)) as opened:
        migrate(opened)
    monkeypatch.setenv("ROLLOUT_LEDGER_URL", url)
    monkeypatch.setenv("SHOP_DATABASE", url)
    yield url
    postgresql.drop(name)


def tables(url: str) -> set[str]:
    """Tables that a hook or a path may have made."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables")).scalars().all()
    engine.dispose()
    return {"written"} & set(names)


def test_the_server_refuses_what_a_driver_writes(folder: Path, database: str) -> None:
    """No event tells of it; the session is read-only."""
    page = looked("invoices", "--inputs", inputs(folder, [(1, "driver"), (2, "")]), "--run", "2")
    (example,) = found(page, "effects")
    assert "read-only transaction" in example
    assert tables(database) == set()


def test_a_commit_hook_is_tried_and_taken_back(folder: Path, database: str) -> None:
    """What it writes through the ledger is gone, and what it writes beside it refused."""
    file = inputs(folder, [(1,), (-1,), (0,)])
    page = looked("written", "--inputs", file, "--run", "3", "--hook")
    negative, beside = found(page, "hook")
    assert negative == "inputs.jsonl line 2: ValueError: a negative number"
    assert "rollout preflight makes no writes: open " in beside
    assert found(page, "effects") == [f"inputs.jsonl line 3: open {folder}/out.txt"]
    assert tables(database) == set()
    assert not (folder / "out.txt").exists()


def test_connections_are_asked_of_the_server(folder: Path, database: str) -> None:
    """The app's engine keeps 40 a process, and the server allows a hundred."""
    engine = create_engine(database, pool_size=40)  # as a module of the app holds one
    words = ("invoices", "--inputs", inputs(folder, [(1,)]), "--processes")
    page = looked(*words, "4", code=ExitCode.FOUND)
    (finding,) = [one for one in page["findings"] if one["check"] == "connections"]
    assert "4 processes may open 160" in finding["sentence"]
    page = looked(*words, "2", code=0)
    assert any("may open 80" in one["sentence"] for one in page["passed"])
    engine.dispose()
