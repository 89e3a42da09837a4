"""What the checker reads: histories, ledger rows, effects, transitions."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery import Celery
from sqlalchemy import text

from rollout.adapters.celery.message import from_text
from rollout.jobs.way import read_way
from rollout.settings import Settings
from tests.crash.app import answers_in_broker, answers_url
from tests.crash.gone_rows import COLUMNS
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


BROKER_EMPTIED, STORE_EMPTIED = "broker killed, no file", "store killed, no file"
"""Faults after which a server has forgotten everything; results are in one of the two."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a run leaves.

    `effects` counts the hook's rows by job, `effect_attempts` is the attempt of the last of them,
    `tallies` counts outcomes as the controller does; `rest_s`, `silent_s` and `supervision_s` are
    limits; `linked` is the worker behind the proxy. `rows` has pruned rows, too, which are `gone`;
    one that is there all the same `came_back`. `controls` are the control rows, `latches` what the
    store holds of kills, both by name, `answers` what Celery's result backend says by job, and
    `kept` the jobs of which a message was kept instead of run. `capacities` is how much there is of
    each resource. `forgets` are the faults that take a server's memory of what callers wait for.
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
    supervision_s: float = 5.0
    linked: str = ""
    gone: tuple[Row, ...] = ()
    came_back: frozenset[str] = frozenset()
    controls: dict[str, dict[str, Any]] = field(default_factory=dict)
    latches: dict[str, str | None] | None = None
    answers: dict[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    capacities: dict[str, int] = field(default_factory=dict)
    forgets: frozenset[str] = frozenset({BROKER_EMPTIED})


def wall_ns(at: str) -> int:
    """A way line's time as wall-clock nanoseconds."""
    return int(datetime.fromisoformat(at).astimezone(UTC).timestamp() * 1e9)


def collect(plant: "Plant") -> Evidence:
    """Read the files and the stores of a plant that has come to rest."""
    from tests.crash.run import REST_S

    events = read_all(plant.histories)
    # Read whole, worked on afterwards: the ledger ends a transaction that idles for five seconds.
    with plant.runtime.database.read() as connection:

        def read(statement: str) -> Sequence[Any]:
            return connection.execute(text(statement)).all()

        columns = ", ".join(COLUMNS)
        filed, deleted = (read(f"SELECT {columns} FROM {table}") for table in ("job", "gone"))
        written = read("SELECT job_id, attempt FROM effect")
        logged = read("SELECT name, event, before, after FROM transition ORDER BY id")
        messages = read("SELECT queue, body FROM kept_message")
    there = {one.job_id: one for one in _rows(filed)}
    gone = tuple(_rows(deleted))
    effects = dict(Counter(one.job_id for one in written))
    attempts = {str(one.job_id): int(one.attempt) for one in written}
    changes = [
        Change(one.name, one.event, json.loads(one.before), json.loads(one.after)) for one in logged
    ]
    not_run = frozenset(_kept_job(one.queue, one.body) for one in messages)
    tallies: Counter[tuple[str, str]] = Counter()
    for tally in plant.runtime.ledger.tallies()[0]:
        tallies[tally.name, tally.outcome] += tally.jobs
    ledger = plant.runtime.ledger
    controls = {state.name: asdict(state) for state in (*ledger.controls(), ledger.all_latch())}
    return Evidence(
        events=events,
        rows={**{row.job_id: row for row in gone}, **there},
        effects=effects,
        changes=changes,
        rest_s=REST_S,
        scopes={name: int(state["scope_bp"]) for name, state in controls.items()},
        effect_attempts=attempts,
        tallies=dict(tallies),
        silent_s=plant.settings.silent_after_s,
        supervision_s=plant.settings.supervision_s,
        linked=plant.linked,
        gone=gone,
        came_back=frozenset(row.job_id for row in gone if row.job_id in there),
        controls=controls,
        latches={
            latch.name or "*": latch.kill_id for latch in plant.runtime.control.latches()
        },
        answers=_answers(plant, events),
        kept=not_run,
        capacities=dict(plant.runtime.capacities),
        forgets=_forgets(plant.settings),
    )  # fmt: skip


def _forgets(settings: Settings) -> frozenset[str]:
    both = frozenset({BROKER_EMPTIED, STORE_EMPTIED})
    return both - {STORE_EMPTIED} if answers_in_broker(settings) else both


def _rows(found: Sequence[Any]) -> Iterator[Row]:
    for row in found:
        yield Row(
            label(row.name, row.job_id), row.name, row.state, row.path, row.attempt,
            row.fence_revision, None if row.finished_at is None else row.finished_at * 1000,
            tuple(read_way(row.way)), row.fallback_reason, row.error,
        )  # fmt: skip


def _kept_job(queue: str, body: str) -> str:
    """The job of a message that was kept; none when it is not one of ours."""
    try:
        return label(queue.partition(".")[0], str(from_text(body).headers["id"]))
    except (ValueError, KeyError, TypeError):
        return ""


def _answers(plant: "Plant", events: list[Event]) -> dict[str, str]:
    """What the result backend says of the jobs whose callers wait."""
    backend = Celery("answers", backend=answers_url(plant.settings), set_as_current=False)
    jobs = [
        job
        for event in events
        if event["what"] == "submitted" and "awaited" in event
        for job in event["jobs"]
    ]
    return {job: str(backend.AsyncResult(job).state) for job in jobs}
