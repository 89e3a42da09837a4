"""The Celery app under test: tiny jobs that tell the history what they do.

Read by workers, controllers, producers and operators alike. `CRASH_*` variables say who the
process is and which faults it may be asked to suffer.
"""

import os
import signal
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from celery import Celery, signals
from sqlalchemy import event, text
from sqlalchemy.pool import Pool

from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.settings import Settings, read_settings
from tests.crash import unguarded
from tests.crash.history import History, label
from tests.crash.watched import BENCH, watched_runtime

EFFECT_TABLE = (
    # No unique key on purpose: an effect applied twice has to be visible, not prevented.
    "CREATE TABLE effect (job_id VARCHAR(191), attempt INTEGER, path VARCHAR(12))"
)
KEYED_TABLE = "CREATE TABLE keyed (job_id VARCHAR(191) PRIMARY KEY)"
"""What a third of the hooks write, too: a hook that runs again after its commit meets its row."""
GIVEN = cast(Job, None)
"""rollout passes the job; callers never do."""
EFFECTS = {
    "parts": "commit", "notes": "none", "wires": "unsafe", "asks": "none", "turns": "none",
    "shares": "none",
}  # fmt: skip
NAMES = tuple(EFFECTS)
HEARD_QUEUE = "heard"
"""Where the tasks wait that links, chains and chords of `asks` end in."""
_LEGACY_WIRE_S = 8.0
_HANGS_S, _HANGS_LEGACY_S = 30.0, 4.0
"""A hung child outlives everything that is done about its job; legacy can be killed under it."""
HOOK_ERROR = "the commit hook is broken"

_role = os.environ.get("CRASH_ROLE", "unnamed")
_flags = Path(os.environ.get("CRASH_FLAGS", "."))
history = History(Path(os.environ.get("CRASH_HISTORY", ".")), _role)
settings = read_settings()
runtime = watched_runtime(settings, history, _flags, _role)


def answers_in_broker(settings: Settings) -> bool:
    """Whether results are kept in the broker, which is a Redis; else they are in the store."""
    return settings.broker().startswith("redis://")


def answers_url(settings: Settings) -> str:
    """Where results are kept."""
    broker = settings.broker()
    url = broker if answers_in_broker(settings) else settings.control(broker)
    return url.removesuffix("/0") + "/1"


app = Celery("crash", broker=settings.broker(), backend=answers_url(settings))
app.conf.update(
    # Outages here last seconds; what a backend did not take then comes with the next delivery.
    result_backend_transport_options={"retry_policy": {"timeout": 4.0}},
    redis_socket_timeout=4,
    redis_socket_connect_timeout=2,
    task_routes={"crash.heard": {"queue": HEARD_QUEUE}},
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    broker_transport_options={}
    if settings.broker().startswith("amqp")
    else {
        # Far shorter than in production, so that what a dead worker held comes back in seconds.
        "visibility_timeout": 6,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        # kombu's lock around this; left behind by a killed process it stops all of it so long.
        "unacked_mutex_expire": 8,
        "socket_timeout": 4,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 3,
    },
)
parts = SubPipeline(
    "parts", app=app, effects="commit", key="part", task_name="crash.make", runtime=runtime,
    ignore_result=True,
)  # fmt: skip
notes = SubPipeline(
    "notes", app=app, effects="none", key="part", task_name="crash.note", runtime=runtime,
    ignore_result=True,
)  # fmt: skip
wires = SubPipeline(
    "wires", app=app, effects="unsafe", key="part", task_name="crash.wire", runtime=runtime,
    ignore_result=True,
)  # fmt: skip


asks = SubPipeline(
    "asks", app=app, effects="none", key="part", task_name="crash.ask", runtime=runtime
)
turns = SubPipeline(
    "turns", app=app, effects="none", key="part", task_name="crash.turn", runtime=runtime,
    ignore_result=True, order="key", resources={BENCH: 1},
)  # fmt: skip
shares = SubPipeline(
    "shares", app=app, effects="none", key="part", task_name="crash.share", runtime=runtime,
    ignore_result=True, resources={BENCH: 2},
)  # fmt: skip


@parts.legacy
def make_one_by_one(part: int, what: str = "ok", seconds: float = 0, job: Job = GIVEN) -> str:
    """The legacy path."""
    return _make(JobPath.LEGACY, what, seconds, job)


def make_overlapped(part: int, what: str = "ok", seconds: float = 0, job: Job = GIVEN) -> str:
    """The concurrent path."""
    return _make(JobPath.CONCURRENT, what, seconds, job)


parts.concurrent(version=os.environ.get("CRASH_RELEASE", "1"))(make_overlapped)
notes.legacy(make_one_by_one)
notes.concurrent(make_overlapped)
asks.legacy(make_one_by_one)
asks.concurrent(make_overlapped)
for shared in (turns, shares):
    shared.legacy(make_one_by_one)
    shared.concurrent(make_overlapped)


@app.task(  # type: ignore[untyped-decorator]  # Celery has no types
    name="crash.heard",
    shared=False,
    acks_late=True,
    reject_on_worker_lost=True,
    ignore_result=True,
    typing=False,
)
def heard(tag: str) -> None:
    """What a link, a chain or a chord calls when the jobs before it have their outcome."""
    history.write("heard", tag=tag)


@wires.legacy
def wire_one_by_one(part: int, seconds: float, job: Job = GIVEN) -> str:
    """The legacy path of what nobody may repeat; it says when the world has changed."""
    return _wire(JobPath.LEGACY, seconds, job)


@wires.concurrent
def wire_overlapped(part: int, seconds: float, job: Job = GIVEN) -> str:
    """The concurrent path of it."""
    return _wire(JobPath.CONCURRENT, seconds, job)


def _wire(path: JobPath, seconds: float, job: Job) -> str:
    name = label(job.name, job.job_id)
    history.write("started", job=name, path=path, attempt=job.attempt, unsafe=True)
    # Two processes of legacy serve everybody: what is to outlive a stop does so elsewhere.
    time.sleep(seconds if path is JobPath.CONCURRENT else min(seconds, _LEGACY_WIRE_S))
    history.write("did", job=name, path=path, attempt=job.attempt)
    return str(path)


@parts.commit
def write(value: str, job: Job) -> str:
    """The commit hook: one row per application, through the ledger's own transaction."""
    name = label(job.name, job.job_id)
    history.write("applied", job=name, attempt=job.attempt)
    job.connection.execute(
        text("INSERT INTO effect VALUES (:job_id, :attempt, :path)"),
        {"job_id": name, "attempt": job.attempt, "path": str(job.path)},
    )
    if job.kwargs["part"] % 3 == 0:
        job.connection.execute(text("INSERT INTO keyed VALUES (:job_id)"), {"job_id": name})
    _break(job, name)
    return value


def _break(job: Job, name: str) -> None:
    """Break the hook after its writes, as the producer asks: they must not be there for it."""
    match job.kwargs["what"]:
        case "hook fails" if job.path is JobPath.CONCURRENT:
            history.write("hook broke", job=name, attempt=job.attempt)
            raise ValueError(f"{HOOK_ERROR} on the concurrent path")
        case "hook fails on both":
            history.write("hook broke", job=name, attempt=job.attempt)
            raise ValueError(f"{HOOK_ERROR} on {job.path}")
        case "hook swallows":
            # Where an error spoils the transaction, the words of it have to come out.
            with suppress(Exception):
                job.connection.execute(text(f"SELECT no_such_column_{HOOK_ERROR.split()[-1]}"))
            history.write("hook broke", job=name, attempt=job.attempt, swallowed=True)


def _make(path: JobPath, what: str, seconds: float, job: Job) -> str:
    name = label(job.name, job.job_id)
    history.write("started", job=name, path=path, attempt=job.attempt)
    concurrent = path is JobPath.CONCURRENT
    if seconds:
        # Legacy does not wait: it is the narrow place of a plant that sends everything there.
        time.sleep(seconds if concurrent else min(seconds, 0.005))
    match what:
        case "fails" if concurrent:
            raise ValueError("the concurrent path is broken")
        case "fails on both":
            raise ValueError(f"the input is broken on {path}")
        case "hangs":
            history.write("hangs", job=name, path=path)
            time.sleep(_HANGS_S if concurrent else _HANGS_LEGACY_S)
        case "poison":
            _end_this_process(name)
        case "dies" if concurrent:
            _end_this_process(name)
    if job.attempt == 0:  # the ledger is away and cannot say that it ran
        history.write("ran unclaimed", job=name, path=path)
    return str(path)


def _end_this_process(name: str) -> None:
    """As the kernel would; told first, since its producer may have died before it could tell."""
    history.write("ends itself", job=name)
    os.kill(os.getpid(), signal.SIGKILL)


def _ready(**kwargs: Any) -> None:
    history.write("worker ready")


def _told(sender: Any = None, result: Any = None, **kwargs: Any) -> None:
    """Celery has a job's result in hand: from here on its caller and its links are Celery's."""
    if sender.app.main == app.main:  # a process of tests has other apps, too
        history.write("told", job=label(sender.rollout.name, sender.request.id))


signals.worker_ready.connect(_ready, weak=False)
signals.task_success.connect(_told, weak=False)


_PAGES_MAX = 4_294_967_294


@event.listens_for(Pool, "checkout")
def _fill_the_disk(connection: Any, record: Any, proxy: object) -> None:
    """While the flag file exists SQLite may not grow: every new page is 'disk is full'.

    At each checkout, so that it reaches whatever writes, by SQLAlchemy or beside it.
    """
    if not isinstance(connection, sqlite3.Connection):
        return
    full = (_flags / "ledger_full").exists()
    if full or record.info.get("crash_full"):
        record.info["crash_full"] = True  # a time limit's signal may come before the next line
        pages = 1 if full else _PAGES_MAX  # SQLite takes 1 as: no more than there are
        connection.execute(f"PRAGMA max_page_count={pages}").close()
        record.info["crash_full"] = full


unguarded.take_out(os.environ.get("CRASH_WITHOUT"))
