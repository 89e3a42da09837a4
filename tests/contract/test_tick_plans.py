"""No statement of a turn, nor of a kill, reads the history of jobs: asked of the planner itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.ports import Lost
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.wiring import Runtime, build
from tests.builders import NAME, filing
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import started
from tests.hand_clock import HandClock
from tests.world import FakeQueues

HISTORY = 500_000
NAMES = (NAME, "bills", "letters")

_MAKE = """
INSERT INTO job (job_id, name, key, state, assigned_path, path, reason, revision, attempt,
                 fence_revision, deaths, accepted_at, sent_at, started_at, finished_at, folded,
                 way, envelope)
WITH RECURSIVE counted(i) AS (
    SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM counted WHERE i < :jobs
)
SELECT 'old-' || i, :name, 'k' || i,
       CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'committed' END,
       CASE WHEN i % 2 = 0 THEN 'legacy' ELSE 'concurrent' END,
       CASE WHEN i % 2 = 0 THEN 'legacy' ELSE 'concurrent' END, 'in_scope', 3, 1, 0, 0,
       :until - i * 5000000, :until - i * 5000000, :until - i * 5000000,
       :until - i * 5000000 + 200000, {folded}, '', '{{}}'
FROM counted
"""


@contextmanager
def listening(ledger: SqlLedger) -> Iterator[dict[str, Any]]:
    """Collect the statements that are executed, each with one set of values."""
    said: dict[str, Any] = {}

    def heard(
        connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool
    ) -> None:
        said.setdefault(statement, values[0] if many and isinstance(values, list) else values)

    event.listen(ledger.database.engine, "before_cursor_execute", heard)
    yield said
    event.remove(ledger.database.engine, "before_cursor_execute", heard)


def plan_of(ledger: SqlLedger, statement: str, values: Any) -> list[str]:
    """The planner's lines that read the table of jobs."""
    if not re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)", statement) or "job" not in statement:
        return []
    how = "EXPLAIN" if ledger.database.is_postgresql else "EXPLAIN QUERY PLAN"
    with ledger.database.read() as connection:
        rows = connection.exec_driver_sql(f"{how} {statement}", values).all()
    if not ledger.database.is_postgresql:
        return [str(row[-1]) for row in rows if re.search(r"(SCAN|SEARCH) job\b", row[-1])]
    lines = [str(row[0]) for row in rows]
    return [
        f"{line.strip()} {' '.join(after.strip() for after in lines[at + 1 : at + 3])}"
        for at, line in enumerate(lines)
        if re.search(r"(Seq|Index|Index Only|Bitmap Index) Scan.* on (job|job_\w+)\b", line)
    ]


def reads_history(statement: str, line: str) -> bool:
    """Whether a plan's line reads more than what is open, new or asked for by its id.

    The partial indexes hold what is open, unfolded, failed or fallen back. `job_committed` and
    `job_admitted` hold history: of the first only the first rows or a range may be read, of the
    second a range or the newest few.
    """
    if re.search(r"job_(open|unfolded|drilled|failed(_at)?|fell_back(_at)?|committed)\b", line):
        return False
    if re.search(r"job_admitted\b", line):
        newest = re.search(r"ORDER BY job.accepted_at DESC\s+LIMIT", statement)
        return not (newest or re.search(r"accepted_at *[<>]", line))
    return not re.search(r"(sqlite_autoindex_job_1|job_pkey)\b.*\bjob_id\)?(::text)? *=", line)


def goes_through_what_is_open(statement: str, line: str) -> bool:
    """Whether a write of chosen rows looks for them among all that is open, a million perhaps."""
    chosen = re.search(r"UPDATE job SET .* WHERE job\.job_id IN \(", statement, re.DOTALL)
    return bool(chosen) and "job_open" in line


def world_of(case: LedgerCase, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """The controller's services on this ledger, with its history."""
    monkeypatch.chdir(folder)
    url = case.sql.database.engine.url.render_as_string(hide_password=False)
    runtime = build(ledger_url=url, control_url="memory:")
    runtime.clock = HandClock()
    runtime.ledger = case.sql
    runtime.queues = FakeQueues()
    now = runtime.clock.now()
    for name in NAMES:
        case.sql.ensure(name, Effects.COMMIT, 500, now)
        case.sql.change(name, Event.START, "ada", "go", now)
    folded = "true" if case.is_postgresql else "1"
    values = {"jobs": HISTORY, "name": NAME, "until": int(now.timestamp() * 1e6) - 10_000_000}
    with case.sql.database.write() as connection:
        connection.execute(text(_MAKE.format(folded=folded)), values)
    if case.is_postgresql:
        with case.sql.database.write() as connection:
            connection.execute(text("ANALYZE job"))  # as autovacuum does after so many rows
    return runtime


@on_databases
@pytest.mark.timeout(300)
def test_no_statement_of_a_turn_reads_the_history(
    ledger_case: LedgerCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_settings: Path
) -> None:
    """Half a million finished jobs of one sub-pipeline, and little that is open."""
    runtime = world_of(ledger_case, tmp_path, monkeypatch)
    ledger, clock = ledger_case.sql, runtime.clock
    assert isinstance(clock, HandClock)
    started(ledger, "running")
    ledger.file(
        [filing("waiting", at=clock.now()), filing("ahead", at=clock.now().replace(year=2027))]
    )
    with listening(ledger) as said:
        for _ in range(3):
            assert runtime.tick.turn().errors == []
            clock.advance(45)
        runtime.changes.change("bills", Event.REVERT, "ada", "slow")
        runtime.changes.kill(NAME, "ada", "errors")
        runtime.changes.kill(None, "ada", "errors")
        assert runtime.tick.turn().errors == []
        runtime.changes.rearm(None, "ada", "over")
        for path in JobPath:
            ledger.resend_lost(Lost(NAME, path, clock.now(), frozenset({"x"})), clock.now(), 10)
        ledger.recall(NAME, running=True, reason=Reason.KILLED, now=clock.now(), limit=10)
        ledger.resend_silent(NAME, timedelta(seconds=30), clock.now(), 10)
        ledger.tallies()
        ledger.kept_counts()
    looked = [(one, plan_of(ledger, one, values)) for one, values in said.items()]
    assert sum(bool(lines) for _, lines in looked) > 15

    def wrong(one: str, line: str) -> bool:
        return reads_history(one, line) or goes_through_what_is_open(one, line)

    bad = [(one, line) for one, lines in looked for line in lines if wrong(one, line)]
    runtime.close()
    assert bad == [], "\n".join(f"{line}\n{one}" for one, line in bad)
