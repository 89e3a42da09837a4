"""What the checker reads: histories, ledger rows, effects, transitions."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from rollout.jobs.way import read_way
from tests.crash.history import Event, label, read_all

if TYPE_CHECKING:
    from tests.crash.plant import Plant


@dataclass(frozen=True, slots=True)
class Row:
    """One job as the ledger ends with it; times are wall-clock nanoseconds."""

    job_id: str
    name: str
    state: str
    path: str
    attempt: int
    fence_revision: int
    finished_at: int | None
    way: tuple[dict[str, Any], ...]
    fallback_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One logged transition of a control row; `before` and `after` are control states."""

    name: str
    event: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a run leaves.

    `effects` counts the hook's rows by job, `effect_attempts` is the attempt of the last of them,
    `tallies` counts outcomes as the controller does; `rest_s` and `silent_s` are limits.
    """

    events: list[Event]
    rows: dict[str, Row]
    effects: dict[str, int]
    changes: list[Change]
    rest_s: float = 30.0
    scopes: dict[str, int] = field(default_factory=dict)
    effect_attempts: dict[str, int] = field(default_factory=dict)
    tallies: dict[tuple[str, str], int] = field(default_factory=dict)
    silent_s: float = 4.0
    with_effect: frozenset[str] = frozenset({"parts"})


def wall_ns(at: str) -> int:
    """A way line's time as wall-clock nanoseconds."""
    return int(datetime.fromisoformat(at).astimezone(UTC).timestamp() * 1e9)


def collect(plant: "Plant") -> Evidence:
    """Read the files and the stores of a plant that has come to rest."""
    from tests.crash.run import REST_S

    with plant.runtime.database.read() as connection:
        found = connection.execute(
            text(
                "SELECT job_id, name, state, path, attempt, fence_revision, finished_at, way,"
                " fallback_reason, error FROM job"
            )
        )
        rows = {
            (job := label(row.name, row.job_id)): Row(
                job, row.name, row.state, row.path, row.attempt, row.fence_revision,
                None if row.finished_at is None else row.finished_at * 1000,
                tuple(read_way(row.way)), row.fallback_reason, row.error,
            )
            for row in found
        }  # fmt: skip
        counted = connection.execute(text("SELECT job_id, count(*) FROM effect GROUP BY job_id"))
        effects = {job_id: count for job_id, count in counted}
        logged = connection.execute(
            text("SELECT name, event, before, after FROM transition ORDER BY id")
        )
        changes = [
            Change(row.name, row.event, json.loads(row.before), json.loads(row.after))
            for row in logged
        ]
        found = connection.execute(text("SELECT name, scope_bp FROM sub_pipeline"))
        scopes = {str(name): int(scope_bp) for name, scope_bp in found}
        found = connection.execute(text("SELECT job_id, attempt FROM effect"))
        attempts = {str(job_id): int(attempt) for job_id, attempt in found}
    tallies: Counter[tuple[str, str]] = Counter()
    for tally in plant.runtime.ledger.tallies()[0]:
        tallies[tally.name, tally.outcome] += tally.jobs
    return Evidence(
        read_all(plant.histories), rows, effects, changes, REST_S, scopes, attempts, dict(tallies),
        plant.settings.silent_after_s,
    )  # fmt: skip
