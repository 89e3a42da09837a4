"""A job's arguments are its customers': no line of our log has them, however it is rendered."""

import ast
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

import rollout
from rollout.adapters.celery.steps import keep
from rollout.errors import LedgerUnreachable
from rollout.log import Log, tell_utc
from rollout.pipeline import SubPipeline
from tests.builders import NAME
from tests.world import GONE, World

SECRET = "DE89 3704 0044"
_PACKAGE = Path(rollout.__file__).parent
_METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
_TRACES = {"exc_info", "stack_info"}
"""What makes a renderer print the frames; structlog's default one prints their locals, too."""
_THEIRS = {"args", "kwargs", "body", "envelope", "headers", "payload", "value", "result"}
"""Names under which arguments and results of jobs are held all over the package."""


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the package, with where it stands."""
    for file in sorted(_PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            on = node.func.value
            if node.func.attr in _METHODS and isinstance(on, ast.Name) and "log" in on.id:
                yield f"{file.relative_to(_PACKAGE)}:{node.lineno}", node


def test_no_line_is_logged_with_its_frames() -> None:
    """A traceback is put in as text, or not at all."""
    calls = dict(log_calls())
    assert len(calls) > 40, "the loggers of the package have another name by now"
    wrong = [
        where
        for where, call in calls.items()
        if isinstance(call.func, ast.Attribute)
        and (call.func.attr == "exception" or _TRACES & {word.arg for word in call.keywords})
    ]
    assert wrong == []


def test_no_line_is_logged_with_what_a_job_holds() -> None:
    """Neither its arguments nor its result nor its message, whole or in part."""
    wrong = [
        f"{where}: {ast.unparse(word.value)}"
        for where, call in log_calls()
        for word in call.keywords
        if isinstance(word.value, ast.Name | ast.Attribute | ast.Subscript | ast.JoinedStr)
        and _THEIRS
        & {
            part.id if isinstance(part, ast.Name) else part.attr
            for part in ast.walk(word.value)
            if isinstance(part, ast.Name | ast.Attribute)
        }
    ]
    assert wrong == []


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What structlog prints of itself, when nobody has set it up: with rich tracebacks."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield capsys
    structlog.configure(**before)


def test_a_failing_path_prints_no_argument(
    world: World, console: pytest.CaptureFixture[str]
) -> None:
    """Its traceback is in the log, the values of its frames are not."""

    def path(iban: str) -> str:
        owner = iban[::-1]
        raise ValueError(f"the account of {len(owner)} characters is closed")

    made = SubPipeline(NAME, effects="none", runtime=world.runtime)
    made.legacy(path)
    made.concurrent(path)
    with pytest.raises(ValueError, match="is closed"):
        made.run(SECRET)
    printed = "".join(console.readouterr())
    assert "the path failed" in printed
    assert "in path" in printed
    assert SECRET not in printed
    assert SECRET[::-1] not in printed


def test_a_message_that_is_not_kept_is_not_printed(console: pytest.CaptureFixture[str]) -> None:
    """With the ledger away a refused message is told of by its length."""
    pipeline = Mock()
    pipeline.name = NAME
    pipeline.ledger.keep_message.side_effect = LedgerUnreachable("sqlite:///x", GONE)
    message = Mock(
        delivery_info={"routing_key": f"{NAME}.legacy"},
        headers={"argsrepr": SECRET},
        body=f'[["{SECRET}"], {{}}, {{}}]',
    )
    keep({"task": pipeline}, message, "not a task message")
    printed = "".join(console.readouterr())
    assert "refused message not kept" in printed
    assert SECRET not in printed


def test_an_error_of_a_hooks_statement_names_no_value(world: World) -> None:
    """SQLAlchemy would put the statement's values into it, and it ends in log and ledger."""
    with world.runtime.database.write() as connection:
        connection.execute(text("CREATE TABLE account (iban TEXT PRIMARY KEY)"))
        insert = text("INSERT INTO account VALUES (:iban)")
        connection.execute(insert, {"iban": SECRET})
        with pytest.raises(IntegrityError) as met:
            connection.execute(insert, {"iban": SECRET})
    assert "account" in str(met.value)
    assert SECRET not in str(met.value)


def test_a_process_of_ours_tells_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log stands beside pages and commands that do; what the application set up stays."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    tell_utc()
    out = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(out))
    Log("rollout.test").info("hello")
    monkeypatch.undo()
    time.tzset()
    told = datetime.strptime(out.getvalue()[:20], "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=1)
    theirs = structlog.get_config()["processors"]
    tell_utc()
    assert structlog.get_config()["processors"] is theirs
