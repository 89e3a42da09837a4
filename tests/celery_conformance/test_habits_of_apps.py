"""What people do with an app and its worker, on bare Celery and behind rollout: the same."""

import copy
import time
from functools import partial
from typing import Any

import pytest
from celery import Celery, bootsteps, chord, current_app, current_task
from celery.app.amqp import AMQP
from celery.loaders.app import AppLoader
from kombu import Exchange, Queue

from rollout.jobs.claims import JobState
from tests.celery_conformance.in_process import MODES, PATIENCE_S, URL, Habit, Shop, observe
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

HABITS: dict[str, Habit] = {}


def of_request(*args: Any, **kwargs: Any) -> Any:
    """A body that says how it came."""
    request, task = current_task.request, current_task
    return [request.ignore_result, request.timelimit, request.expires is None, task.rate_limit,
            request.delivery_info.get("priority"), request.headers and request.headers.get("who"),
            request.argsrepr]  # fmt: skip


def in_format(shop: Shop, serializer: str) -> Any:
    """A job in a format that its caller chooses."""
    return shop.bill.apply_async((1,), serializer=serializer)


for _format in ("yaml", "msgpack"):
    HABITS[f"messages and results in {_format}"] = Habit(
        settings={
            "task_serializer": _format,
            "result_serializer": _format,
            "accept_content": ["json", _format],
        },
    )
    HABITS[f"a caller chooses {_format}"] = Habit(
        settings={"accept_content": ["json", _format]},
        send=partial(in_format, serializer=_format),
    )
HABITS["limits and rates of the app"] = Habit(
    settings={
        "task_default_rate_limit": "100/s", "worker_disable_rate_limits": True,
        "task_soft_time_limit": 50, "task_time_limit": 60, "result_expires": 5,
        "task_inherit_parent_priority": True, "task_default_priority": 4,
        "worker_max_memory_per_child": 500_000, "result_chord_join_timeout": 9.0,
        "broker_connection_retry_on_startup": False,
    },
    body=of_request,
)  # fmt: skip


def errbacks_of_a_chord(shop: Shop) -> Any:
    """A header with one that fails, and an errback on the body."""

    def note(request: Any, exc: Any, traceback: Any) -> None:
        shop.notes.append(["told", type(exc).__name__])

    def total(parts: Any) -> Any:
        return parts

    told = shop.app.task(note, name="shop.told", shared=False)
    body = shop.app.task(total, name="shop.sum", shared=False)
    header = [shop.bill.si(1), shop.bill.si(fail=True)]
    return chord(header, body.s().on_error(told.s())).apply_async()


def last_error(shop: Shop, sent: Any) -> Any:
    """The error that stays: Celery stores that of the part for the body first, then the chord's."""

    def stored() -> Any:
        return shop.outcome(shop.app.AsyncResult(sent.id))[0]

    wait_until(lambda: stored() == "ChordError", "the chord's own error is stored")
    return stored()


HABITS["an errback on each part of a chord"] = Habit(
    settings={"task_allow_error_cb_on_chord_header": True},
    send=errbacks_of_a_chord,
    look=last_error,
)


def a_context_of_old(shop: Shop) -> None:
    """Flask's older recipe: `celery.Task = ContextTask`."""

    class ContextTask(shop.app.Task):  # type: ignore[misc, name-defined]  # Celery has no types
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            shop.notes.append("inside")
            return self.run(*args, **kwargs)

    shop.app.Task = ContextTask


HABITS["a class that is set on the app"] = Habit(
    before=a_context_of_old, look=lambda shop, sent: [shop.outcome(sent), "inside" in _taken(shop)]
)


def _taken(shop: Shop) -> list[Any]:
    """What was noted; a fallback has called the class on both paths."""
    notes, shop.notes = shop.notes, []
    return notes


class Loader(AppLoader):  # type: ignore[misc]  # Celery has no types
    """A loader with hooks around each job, as projects wrote them before signals."""

    notes: list[str] = []  # noqa: RUF012  # the loader is made by Celery, from its class

    def on_task_init(self, task_id: str, task: Any) -> None:
        """Note it."""
        self.notes.append(f"init {task.name}")


class Stamping(AMQP):  # type: ignore[misc]  # Celery has no types
    """An app's own way to put a header on every message."""

    def as_task_v2(self, *args: Any, **kwargs: Any) -> Any:
        """Put it there."""
        message = super().as_task_v2(*args, **kwargs)
        message.headers["who"] = "the project"
        return message


class Shouting(Celery):  # type: ignore[misc]  # Celery has no types
    """An app of a class of the project's own."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """With a header of the project."""
        options["headers"] = {**(options.get("headers") or {}), "who": "the app"}
        return super().send_task(name, *args, **options)


class Fixup:
    """What is called with each app, as Celery's own for Django is."""

    def __init__(self, app: Any) -> None:
        app.fixed_up = True


def of_app(*args: Any, **kwargs: Any) -> Any:
    """A body that looks at its app."""
    app = current_task.app
    return [type(app).__mro__[-2].__name__, getattr(app, "fixed_up", None), app.main,
            current_app.main, app.conf.get("shop_colour")]  # fmt: skip


def with_loader(shop: Shop, sent: Any) -> Any:
    """The outcome, and what the loader's hook saw of the run that counts."""
    return [shop.outcome(sent), sorted(set(Loader.notes))]


HABITS["a loader of the project"] = Habit(make={"loader": Loader}, look=with_loader)
HABITS["an AMQP class of the project"] = Habit(make={"amqp": Stamping}, body=of_request)
HABITS["an app class of the project"] = Habit(
    of=Shouting,
    send=lambda shop: [shop.bill.delay(1), shop.app.send_task("shop.bill", (2,))],
    look=lambda shop, sent: [shop.outcome(one) for one in sent],
    body=of_request,
)
HABITS["fix-ups"] = Habit(
    make={"fixups": ["tests.celery_conformance.test_habits_of_apps:Fixup"]}, body=of_app
)
HABITS["settings of the project"] = Habit(settings={"shop_colour": "green"}, body=of_app)


def two_apps(shop: Shop) -> Any:
    """Another app of the process has a task of the same name, and becomes the current one."""
    other = Celery("other", broker=URL, backend="cache+memory://", set_as_current=False)
    other.task(lambda *a: "of the other app", name="shop.bill", shared=False)
    before = current_app._get_current_object()
    other.set_current()
    try:
        return [shop.bill.delay(1), shop.bill.s(2).delay(), shop.app.send_task("shop.bill", (3,)),
                shop.bill.signature((4,)).apply_async()]  # fmt: skip
    finally:
        before.set_current()
        other.close()


HABITS["two apps with a task of one name"] = Habit(
    send=two_apps, look=lambda shop, sent: [shop.outcome(one) for one in sent], body=of_app
)
HABITS["a connection and a producer of the caller"] = Habit(
    send=lambda shop: [
        _by_connection(shop),
        _by_producer(shop),
    ],
    look=lambda shop, sent: [shop.outcome(one) for one in sent],
)


def _by_connection(shop: Shop) -> Any:
    with shop.app.connection_for_write() as connection:
        return shop.bill.apply_async((1,), connection=connection)


def _by_producer(shop: Shop) -> Any:
    with shop.app.producer_pool.acquire(block=True) as producer:
        return shop.bill.apply_async((2,), producer=producer)


def steps(shop: Shop) -> None:
    """A step of the worker, one of its consumer, and one that consumes a queue of its own."""

    class OfWorker(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            shop.notes.append("worker's step")

    class OwnQueue(bootsteps.ConsumerStep):  # type: ignore[misc]  # Celery has no types
        def get_consumers(self, channel: Any) -> Any:
            queue = Queue("letters", Exchange("letters"), "letters")
            return [
                shop.app.amqp.Consumer(channel, [queue], callbacks=[self.take], accept=["json"])
            ]

        def take(self, body: Any, message: Any) -> None:
            shop.notes.append(["a letter", body])
            message.ack()

    shop.app.steps["worker"].add(OfWorker)
    shop.app.steps["consumer"].add(OwnQueue)


def with_letter(shop: Shop, sent: Any) -> Any:
    """Something else than a job is sent to the worker."""
    with shop.app.producer_or_acquire() as producer:
        queue = Queue("letters", Exchange("letters"), "letters")
        producer.publish({"dear": "worker"}, exchange=queue.exchange, routing_key="letters",
                         declare=[queue], serializer="json")  # fmt: skip
    said = shop.outcome(sent)
    deadline = time.monotonic() + 30
    while not any("letter" in str(one) for one in shop.notes) and time.monotonic() < deadline:
        time.sleep(0.02)
    return said


HABITS["steps of the project in the worker"] = Habit(before=steps, look=with_letter)


def swapped(shop: Shop) -> Any:
    """Requests that a test pushes, and a task that is taken off the app."""
    task = shop.app.tasks["shop.bill"]
    task.push_request(id="pushed", args=(1,), kwargs={})
    said = [task.request.id, shop.bill.request.id, task.request.called_directly]
    task.pop_request()
    gone = shop.app.tasks.pop("shop.bill")
    said += ["shop.bill" in shop.app.tasks, gone.name]
    shop.app.tasks["shop.bill"] = gone
    return [said, shop.bill.delay(1)]


HABITS["what tests do with a task"] = Habit(
    send=swapped, look=lambda shop, sent: [sent[0], shop.outcome(sent[1])]
)
RAN: list[Any] = []
"""What bodies wrote that have no shop at hand."""


def replaced(n: int) -> Any:
    """A body that hands its job to another task."""
    RAN.append(["ran", n])
    raise current_task.replace(current_task.app.tasks["shop.other"].s(n))


def of_no_use(n: int) -> Any:
    """A body whose result JSON cannot carry, and nobody wants."""
    RAN.append(["ran", n])
    return object()


def other_task(shop: Shop) -> None:
    """Another task of the app."""

    def other(n: int) -> Any:
        return ["other", n]

    shop.app.task(other, name="shop.other", shared=False)


def told(request: Any, exc: Any, traceback: Any) -> None:
    """An adopted errback, of the form that Celery calls in place."""
    RAN.append(["told", type(request).__name__, type(exc).__name__])


def told_by_id(task_id: str) -> None:
    """Another one, of the form that Celery sends as a job."""
    RAN.append(["told by id", type(task_id).__name__])


def once_told(shop: Shop, sent: Any) -> Any:
    """The outcome, and what the errback was given."""
    said, deadline = shop.outcome(sent), time.monotonic() + PATIENCE_S
    while not RAN and time.monotonic() < deadline:
        time.sleep(0.02)
    return [said, RAN]


def fails_and_tells(shop: Shop) -> Any:
    """A job of another task fails, and its errback is the adopted one."""

    def broken() -> float:
        return 1 / 0

    made = shop.app.task(broken, name="shop.broken", shared=False)
    return made.apply_async(link_error=shop.bill.s())


def runs_of(shop: Shop, sent: Any) -> Any:
    """The outcome, and how often bodies ran."""
    if sent.ignored:
        sent = shop.app.send_task("shop.other", (0,))  # the job before it is over by then
    return [shop.outcome(sent), RAN]


HABITS["a body that is replaced"] = Habit(
    before=other_task, send=lambda shop: shop.bill.delay(1), look=runs_of, body=replaced
)
HABITS["a result that nobody wants"] = Habit(
    before=other_task,
    send=lambda shop: shop.bill.delay(1),
    look=runs_of,
    body=of_no_use,
    options={"ignore_result": True},
)
HABITS["an errback of three arguments"] = Habit(send=fails_and_tells, look=once_told, body=told)
HABITS["an errback of one argument"] = Habit(send=fails_and_tells, look=once_told, body=told_by_id)


def at_its_third(n: int) -> Any:
    """A body that Celery has to try three times."""
    retries = current_task.request.retries
    RAN.append(["ran", retries])
    if retries < 2:
        raise KeyError("transient")
    return [n, retries]


HABITS["retries when the other path has used its own"] = Habit(
    send=lambda shop: shop.bill.delay(1),
    look=lambda shop, sent: [shop.outcome(sent), RAN],
    body=at_its_third,
    breaks_with=KeyError,
    options={
        "autoretry_for": (KeyError,), "max_retries": 2, "default_retry_delay": 0,
        "retry_kwargs": {"countdown": 0},
    },
)  # fmt: skip


def called_off(shop: Shop, sent: Any) -> Any:
    """What the caller gets of a job that is revoked before its time, and what the ledger has."""
    sent.revoke()
    said = shop.outcome(sent)
    if shop.runtime is not None:
        ledger = shop.runtime.ledger
        # Celery tells the caller first, and rollout after that.
        wait_until(
            lambda: ledger.job("bill", sent.id).state is JobState.CANCELLED, "it is called off", 10
        )
    return said


HABITS["a job that is called off"] = Habit(
    send=lambda shop: shop.bill.apply_async((1,), countdown=2, task_id="called off"),
    look=called_off,
    begins=False,
)
HABITS["eager, with what it stores"] = Habit(
    settings={"task_always_eager": True, "task_store_eager_result": True},
    send=lambda shop: [shop.bill.delay(1), shop.bill.delay(fail=True)],
    look=lambda shop, sent: [[one.state, repr(one.result), type(one).__name__,
                              shop.app.AsyncResult(one.id).state] for one in sent],
)  # fmt: skip
HABITS["eager, and errors come out"] = Habit(
    settings={"task_always_eager": True, "task_eager_propagates": True},
    send=lambda shop: shop.bill.delay(1),
    look=lambda shop, sent: [sent.get(), _raised(lambda: shop.bill.delay(fail=True))],
)


def _raised(call: Any) -> Any:
    try:
        call()
    except Exception as error:
        return repr(error)
    return None


@pytest.mark.parametrize("habit", HABITS)
def test_it_is_the_same(habit: str) -> None:
    """Callers, hooks and handlers see what they see on bare Celery, in each mode."""
    seen = {}
    for mode in MODES:
        Loader.notes.clear()
        RAN.clear()
        seen[mode] = copy.deepcopy(observe(HABITS[habit], mode))
    assert seen == dict.fromkeys(MODES, seen["bare"])
