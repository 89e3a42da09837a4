"""Collects what a preflight judges: the task and how it is set up, its jobs, a trial of some."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.adapters.clock import SystemClock
from rollout.policies import read_policies
from rollout.policy.ladder import first_bp
from rollout.preflight.facts import JobFact, Pool, Room, Source, TaskFacts, Trial
from rollout.preflight.findings import Preflight
from rollout.preflight.preflight import preflight
from rollout.routing.effects import Effects
from rollout.settings import Settings
from rollout.sources import read_logged_jobs, read_recorded_inputs
from rollout.up.source_scan import scan
from rollout.up.subject import Subject, subject_of
from rollout.up.trial import Effort, try_jobs
from rollout.wiring import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOLDBACK_BP = 500
"""What a declaration keeps on legacy unless it says otherwise."""
CONSUMER_TIMEOUT_S = 1_800.0
"""RabbitMQ's own default; no client can ask for the one in force.

Source: https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout.
"""
_REDIS = ("redis", "rediss", "sentinel", "valkey")
_RABBITMQ = ("amqp", "pyamqp")
LEDGER_CONNECTIONS = 2
"""A process that has one job at a time uses one for its statements and one for a commit hook."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for.

    Attributes:
        logs: Logs with run times.
        inputs: Files that tell what jobs were given.
        ledger: Whether the ledger is asked for jobs.
        days: How far back.
        jobs_max: Most jobs of the ledger.
        runs: Jobs that are tried; 0 for none.
        hooks: Whether their commit hooks are tried, too.
        processes: Processes of the concurrent path that are planned; None for the setting.
        key: The argument to route by, of a task that declares none.
        effects: What a task that is no sub-pipeline does to the world; "" when nobody says.
        allowed: What contains one of these texts may be written in a trial.
    """

    logs: Sequence[Path]
    inputs: Sequence[Path]
    ledger: bool
    days: float
    jobs_max: int
    runs: int
    hooks: bool
    processes: int | None
    key: str
    effects: str
    allowed: Sequence[str]


def look(module: str, name: str, asked: Asked, runtime: Runtime) -> Preflight:
    """Collect and judge.

    Args:
        module: Module of the Celery app.
        name: The sub-pipeline, or a task of the app.
        asked: What was asked for.
        runtime: The services, for the ledger.

    Raises:
        WrongSettings: The module cannot be imported.
        UnknownSubPipeline: Neither app nor ledger knows the name.
        LedgerUnreachable: The ledger was asked and does not answer.
        BadAudit: A file cannot be read.
    """
    subject = subject_of(module, name)
    sources, jobs = _jobs(subject, asked, runtime)
    task = _facts(subject, asked, runtime)
    return preflight(
        task,
        sources,
        jobs,
        _trial(subject, task, module, jobs, asked, runtime.settings),
        subject.comparison,
        subject.weigh,
        lambda args, kwargs: subject.key_of(asked.key, args, kwargs),
    )


def _jobs(subject: Subject, asked: Asked, runtime: Runtime) -> tuple[list[Source], list[JobFact]]:
    sources: list[Source] = []
    jobs: list[JobFact] = []
    if asked.ledger and subject.pipeline is not None:
        since = SystemClock().now() - timedelta(days=asked.days)
        recorded = runtime.recorded_jobs(subject.name, since, asked.jobs_max)
        sources.append(Source(f"the ledger, {asked.days:g} days", len(recorded)))
        jobs += recorded
    for read, files in ((read_recorded_inputs, asked.inputs), (read_logged_jobs, asked.logs)):
        more_sources, more_jobs = read(files, subject.name, subject.task.name)
        sources += more_sources
        jobs += more_jobs
    return sources, jobs


def _facts(subject: Subject, asked: Asked, runtime: Runtime) -> TaskFacts:
    task, conf, pipeline = subject.task, subject.app.conf, subject.pipeline
    policy = read_policies().of(subject.name)
    holdback_bp = HOLDBACK_BP if pipeline is None else pipeline.holdback_bp
    pools, rooms, unasked = _databases(subject, asked, runtime)
    return TaskFacts(
        name=subject.name,
        declared=pipeline is not None,
        effects=asked.effects if pipeline is None else str(pipeline.effects),
        key=asked.key if pipeline is None else pipeline.key_text,
        time_limit_s=_first(task.time_limit, conf.task_time_limit),
        soft_limit_s=_first(task.soft_time_limit, conf.task_soft_time_limit),
        redelivered_after_s=_redelivered_after_s(subject.app),
        ends_worker=_is_on(subject.app, *_RABBITMQ),
        payload_bytes_max=runtime.settings.payload_bytes_max,
        serializer=str(task.serializer or conf.task_serializer or ""),
        processes=asked.processes or runtime.settings.concurrent_concurrency,
        first_step_bp=first_bp(policy, holdback_bp) or 0,
        source=scan(subject.functions),
        pools=pools,
        rooms=rooms,
        unasked=unasked,
    )


def _first(*limits: float | None) -> float | None:
    return next((float(one) for one in limits if one is not None), None)


def _is_on(app: Any, *schemes: str) -> bool:
    url = app.conf.broker_url or ""
    first = url[0] if isinstance(url, list | tuple) else str(url)
    return first.startswith(schemes)


def _redelivered_after_s(app: Any) -> float | None:
    """When a job that still runs is delivered again; None for a broker that never does that."""
    if _is_on(app, *_REDIS):
        # kombu's own default: an hour.
        return float((app.conf.broker_transport_options or {}).get("visibility_timeout", 3600))
    return CONSUMER_TIMEOUT_S if _is_on(app, *_RABBITMQ) else None


def _databases(
    subject: Subject, asked: Asked, runtime: Runtime
) -> tuple[list[Pool], list[Room], dict[str, str]]:
    """What each process may open, and what the databases let in."""
    from sqlalchemy import Engine

    from rollout.adapters.sql.room import database_name

    engines: dict[str, Engine] = {}
    pools: list[Pool] = []
    # Importing the app has made its engines; nothing else lists them. Those that nobody holds any
    # more go first.
    gc.collect()
    for one in [one for one in gc.get_objects() if isinstance(one, Engine)]:
        if one.dialect.name != "sqlite":
            engines[database_name(one)] = one
            pools.append(Pool(database_name(one), _size_of(one)))
    if asked.ledger and subject.pipeline is not None and runtime.database.is_postgresql:
        ledger = runtime.database.engine
        pools = [one for one in pools if one.database != database_name(ledger)]
        engines[database_name(ledger)] = ledger
        pools.append(Pool(database_name(ledger), LEDGER_CONNECTIONS))
    rooms, unasked = _ask(engines)
    return pools, rooms, unasked


def _size_of(engine: Engine) -> int:
    """Connections that a pool keeps; one where nothing is kept."""
    size = getattr(engine.pool, "size", None)
    return int(size()) if callable(size) else 1


def _ask(engines: Mapping[str, Engine]) -> tuple[list[Room], dict[str, str]]:
    from sqlalchemy.exc import SQLAlchemyError

    from rollout.adapters.sql.room import room_of

    rooms, unasked = [], {}
    for database, engine in engines.items():
        if engine.dialect.name != "postgresql":
            unasked[database] = "only PostgreSQL is asked"
            continue
        try:
            rooms.append(room_of(engine))
        except SQLAlchemyError as error:
            unasked[database] = f"it does not answer ({type(error).__name__})"
    return rooms, unasked


def _trial(
    subject: Subject,
    task: TaskFacts,
    module: str,
    jobs: Sequence[JobFact],
    asked: Asked,
    settings: Settings,
) -> Trial:
    """Run jobs if that was asked for and may be done; else say why not."""
    if not asked.runs:
        return Trial((), "no job was run", "--run 5 runs five, in processes that refuse writes")
    if not task.effects:
        return Trial(
            (), "nobody has said what the task does to the world",
            "--effects none or commit, or declare the sub-pipeline",
        )  # fmt: skip
    if not Effects(task.effects).shadowable:
        return Trial(
            (), f"paths with effects {task.effects!r} touch the world and are not run",
            "try them where it does not matter",
        )  # fmt: skip
    known = [one for one in jobs if one.arguments is not None][: asked.runs]
    if not known:
        return Trial(
            (), "no source tells what jobs were given, so none could be run", "--inputs FILE"
        )
    effort = Effort(
        module, max(2, min(task.processes, asked.runs)), settings.shadow_limit_s,
        asked.hooks and task.effects == Effects.COMMIT, asked.allowed,
    )  # fmt: skip
    return try_jobs(subject, known, effort)
