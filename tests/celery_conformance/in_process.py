"""One habit of an app on bare Celery and behind rollout: producer and worker in this process.

What needs an app of its own (settings, a loader, steps of the worker) is no case of the shared app
of `shop.py`; here each habit has an app for each mode, on kombu's memory transport.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event as Stopped
from threading import Thread
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection

from rollout.pipeline import SubPipeline
from rollout.routing.ports import Kill
from rollout.routing.stages import Event
from rollout.wiring import Runtime, build_in_memory

MODES = ("bare", "legacy", "concurrent", "fallback", "kill")
URL = "memory://"
QUEUES = ("celery", "bill.legacy", "bill.concurrent")
PATIENCE_S = 30


@dataclass
class Shop:
    """An app with one task, `shop.bill`, and what was noted on the way.

    Attributes:
        mode: One of `MODES`.
        app: The Celery app.
        bill: The task, or the sub-pipeline that stands for it.
        notes: What bodies, hooks and handlers wrote.
        begun: How often the concurrent path began.
    """

    mode: str
    app: Any
    bill: Any = None
    notes: list[Any] = field(default_factory=list)
    runtime: Runtime | None = None
    begun: int = 0

    def outcome(self, sent: Any) -> Any:
        """What the caller gets."""
        try:
            return sent.get(timeout=PATIENCE_S, disable_sync_subtasks=False)
        except Exception as error:
            return [type(error).__name__, str(error)]


def gives_back(*args: Any, **kwargs: Any) -> Any:
    """A body: its arguments, or the error that it is told to raise."""
    if kwargs.get("fail"):
        raise ValueError("told to")
    return [*args, *sorted(kwargs)]


@dataclass(frozen=True)
class Habit:
    """What people do with an app.

    Attributes:
        send: Sends; its answer is handed to `look`.
        look: What callers get, once a worker runs.
        settings: The app's.
        of: Class of the app.
        make: Its keyword arguments.
        before: Called with the app before anything is declared.
        options: Of the task.
        body: What the task does, on each path.
        breaks_with: Error of the concurrent path in a fallback.
        begins: Whether its job runs at all.
        worker: Arguments of the worker.
    """

    send: Callable[[Shop], Any] = lambda shop: shop.bill.delay(1, x=2)
    look: Callable[[Shop, Any], Any] = lambda shop, sent: shop.outcome(sent)
    settings: Mapping[str, Any] = field(default_factory=dict)
    of: type = Celery
    make: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[Shop], None] = lambda shop: None
    options: Mapping[str, Any] = field(default_factory=dict)
    body: Callable[..., Any] = gives_back
    breaks_with: type[Exception] = RuntimeError
    begins: bool = True
    worker: Mapping[str, Any] = field(default_factory=dict)


def observe(habit: Habit, mode: str) -> tuple[Any, list[Any]]:
    """Run a habit in one mode.

    Returns:
        What its callers got, and what was noted, in an order that chance has no part in.
    """
    with _shop(habit, mode) as shop:
        sent = habit.send(shop)
        if mode == "kill":
            assert shop.runtime is not None
            # The latch alone: what waits is taken back by the gate, at its start.
            kill = Kill(uuid4().hex, None, "test", "what waits goes to legacy", datetime.now(UTC))
            shop.runtime.control.latch(kill)
        how = {"perform_ping_check": False, "queues": QUEUES, "shutdown_timeout": PATIENCE_S}
        with start_worker(shop.app, **{**how, **habit.worker}):
            said = habit.look(shop, sent)
            stopped = Stopped()
            Thread(target=_wake, args=(shop.app, stopped), daemon=True).start()
        stopped.set()
        # A job that runs eagerly is over before a kill comes.
        begins = {"concurrent", "fallback", "kill" if shop.app.conf.task_always_eager else ""}
        assert bool(shop.begun) is (habit.begins and mode in begins), (mode, shop.begun)
        return said, sorted(shop.notes, key=repr)


def _wake(app: Any, stopped: Stopped) -> None:
    """Let a worker look whether it is to stop: without messages it does so each two seconds."""
    while not stopped.wait(0.05):
        app.control.broadcast("heartbeat")


@contextmanager
def _shop(habit: Habit, mode: str) -> Iterator[Shop]:
    _purge()
    where = {"broker": URL, "backend": "cache+memory://", "set_as_current": False}
    shop = Shop(mode, habit.of("shop", **{**where, **habit.make}))
    shop.app.conf.update({"broker_transport_options": {"polling_interval": 0.02}, **habit.settings})
    habit.before(shop)
    if mode == "bare":
        name = {"name": "shop.bill", "shared": False}
        shop.bill = shop.app.task(habit.body, **name, **habit.options)
    else:
        _adopt(shop, habit)
    try:
        yield shop
    finally:
        shop.app.close()


def _adopt(shop: Shop, habit: Habit) -> None:
    shop.runtime = build_in_memory()
    shop.bill = SubPipeline(
        "bill", app=shop.app, effects="none", holdback_bp=0, task_name="shop.bill",
        runtime=shop.runtime, **habit.options,
    )  # fmt: skip
    shop.bill.legacy(habit.body)
    shop.bill.concurrent(_concurrent(shop, habit))
    shop.runtime.control.beat("test", timedelta(minutes=10))
    shop.bill.submit.ensure("bill", shop.bill.effects, 0)
    if shop.mode != "legacy":
        shop.runtime.changes.change("bill", Event.START, "test", "")
        shop.runtime.changes.change("bill", Event.SCOPE, "test", "", scope_bp=10_000)


def _concurrent(shop: Shop, habit: Habit) -> Callable[..., Any]:
    """The concurrent path: does what legacy does, or is broken."""

    def concurrent(*args: Any, **kwargs: Any) -> Any:
        shop.begun += 1
        if shop.mode == "fallback":
            raise habit.breaks_with("the new path is broken")
        return habit.body(*args, **kwargs)

    concurrent.__signature__ = inspect.signature(habit.body)  # type: ignore[attr-defined]
    return concurrent


def _purge() -> None:
    """Empty the queues: kombu keeps what other tests have left."""
    with Connection(URL) as connection:
        for queue in QUEUES:
            connection.default_channel.queue_declare(queue)
            connection.default_channel.queue_purge(queue)
