"""Declaring touches nothing but its own name; the task is made when its app is."""

import asyncio
import inspect
import pickle
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from celery import Celery, Task, chain, group
from celery.exceptions import ImproperlyConfigured
from kombu import Queue

from rollout.errors import ArgumentsUnusable, DeclarationError
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline


def add(x: int, y: int = 0) -> int:
    """Add them."""
    return x + y


def new_app(**options: Any) -> Any:
    """An app that connects to nothing."""
    return Celery("shop", broker="memory://", set_as_current=False, **options)


def adopted(app: Any, name: str = "invoices", **options: Any) -> SubPipeline:
    """A declared sub-pipeline."""
    made = SubPipeline(name, app=app, effects="none", task_name=f"shop.{name}", **options)
    made.legacy(add)
    made.concurrent(lambda x, y=0: x + y)
    return made


def test_declaring_leaves_the_app_as_it_was() -> None:
    """No configuration is read, nothing is finalized, no backend is set, no other task is made."""
    app = new_app()
    other = app.task(add, name="shop.other", shared=False)
    adopted(app)
    assert not app.configured
    assert not app.finalized
    assert "shop.other" not in app._tasks
    app.conf.update(task_acks_late=True, task_ignore_result=True, task_default_rate_limit="7/m")
    assert (other.acks_late, other.ignore_result, other.rate_limit) == (True, True, "7/m")
    assert app.conf.result_backend is None


def test_an_app_that_finalizes_by_hand_does() -> None:
    """`autofinalize=False` keeps its meaning."""
    app = new_app(autofinalize=False)
    made = adopted(app)
    with pytest.raises(RuntimeError, match="not finalized"):
        made.s(1)
    app.finalize()
    assert made.s(1).task == "shop.invoices"


def test_settings_may_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of settings that cannot be imported yet is not asked for."""
    app = new_app()
    app.config_from_object("settings_of_later")
    made = adopted(app)
    with pytest.raises((ImportError, ImproperlyConfigured)):
        app.conf.result_backend  # noqa: B018  # read it
    later = SimpleNamespace(result_backend="cache+memory://", task_time_limit=9)
    monkeypatch.setitem(sys.modules, "settings_of_later", later)
    assert app.conf.result_backend == "cache+memory://"
    assert made.time_limit == 9


def test_a_task_declared_after_its_app_was_finalized_is_made() -> None:
    """At its legacy path, whose signature and name it has."""
    app = new_app()
    app.finalize()
    adopted(app)
    assert "shop.invoices" in app.tasks


def test_an_app_finalized_in_the_middle_is_no_error() -> None:
    """Something looked at `app.tasks` between the declaration and its paths."""
    app = new_app()
    made = SubPipeline("invoices", app=app, effects="none", task_name="shop.invoices")
    assert "shop.invoices" not in app.tasks
    made.legacy(add)
    assert "shop.invoices" in app.tasks


def test_an_app_can_be_pickled() -> None:
    """As it could before."""
    app = Celery("shop", broker="memory://")
    adopted(app)
    assert pickle.loads(pickle.dumps(app)).main == "shop"


async def awaits(x: int) -> int:
    """A path that nobody awaits."""
    await asyncio.sleep(0)
    return x


def job_first(job: dict[str, Any]) -> None:
    """A task with an argument of its own named job."""


def job_of_theirs(x: int, job: str = "") -> None:
    """Another one."""


def with_self(self: Any, x: int) -> None:
    """A bound path of a task that is not."""


def two(app: Any, *, adopted_first: bool, shared: bool = False) -> None:
    """Another task of the same name."""

    def other() -> None:
        app.task(add, name="shop.invoices", shared=shared)

    if not adopted_first:
        other()
    adopted(app)
    if adopted_first:
        other()
    app.finalize()


class Routes(Task):  # type: ignore[misc]  # Celery has no types
    """A base that sends its jobs to a queue."""

    abstract = True
    queue = "billing"


class Batches(Task):  # type: ignore[misc]  # Celery has no types
    """A base that takes messages together, as celery-batches does."""

    abstract = True

    def Strategy(self, task: Any, app: Any, consumer: Any) -> None:
        """Take them."""


def used(app: Any, conf: dict[str, Any], **options: Any) -> None:
    """A declared task is used, with the configuration that holds then."""
    adopted_task = adopted(app, **options)
    app.conf.update(conf)
    adopted_task.delay(1)


def annotated(**values: Any) -> dict[str, Any]:
    """The setting that changes every task's attributes."""
    return {"task_annotations": {"*": values}}


REFUSED: list[tuple[str, Callable[[Any], Any], str]] = [
    ("name", lambda app: SubPipeline("a", app=app, effects="none", name="x"), "task_name="),
    ("no effects", lambda app: SubPipeline("a", app=app), "effects of 'a' must be one of"),
    ("task name", lambda app: SubPipeline("shop.bill", app=app, effects="none"),
     "task_name='shop.bill'"),
    ("queue", lambda app: adopted(app, queue="billing"), "rollout chooses the queue"),
    ("acks", lambda app: adopted(app, acks_late=False), "acknowledged when its job has its"),
    ("pickle", lambda app: adopted(app, serializer="pickle"), "reads nothing that is code"),
    ("base", lambda app: adopted(app, base=object), "must be a Celery Task class"),
    ("shared", lambda app: adopted(app, shared=True), "copied into every app"),
    ("async", lambda app: SubPipeline("a", app=app, effects="none").legacy(awaits), "async def"),
    ("job", lambda app: SubPipeline("a", app=app, effects="none").legacy(job_first), "`job`"),
    ("job 2", lambda app: SubPipeline("a", app=app, effects="none").legacy(job_of_theirs), "`job`"),
    ("self", lambda app: SubPipeline("a", app=app, effects="none").legacy(with_self), "bind=True"),
    ("same name", lambda app: two(app, adopted_first=False), "already has a task named"),
    ("base with a queue", lambda app: used(app, {}, base=Routes), "queue='billing'"),
    ("queue by setting", lambda app: used(app, annotated(queue="b")), "rollout chooses the queue"),
    ("acks by setting", lambda app: used(app, annotated(acks_late=False)), "acks_late=False"),
    ("pickle by setting", lambda app: used(app, annotated(serializer="pickle")), "as JSON"),
    ("no JSON", lambda app: used(app, {"accept_content": ["pickle"]}), "leaves JSON out"),
    ("signed", lambda app: used(app, {"task_serializer": "auth", "accept_content": ["auth"]}),
     "without a signature"),
    ("batches", lambda app: used(app, {}, base=Batches), "one job per message"),
    ("same name later", lambda app: two(app, adopted_first=True), "already has a task named"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("declare", "says"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_cannot_work_is_refused(declare: Callable[[Any], Any], says: str) -> None:
    """With what to write instead."""
    with pytest.raises(DeclarationError) as caught:
        declare(new_app())
    assert says in str(caught.value)
    assert caught.value.hint


def test_a_job_argument_is_rollouts_where_it_is_asked_for() -> None:
    """By its annotation, or last without one."""

    def annotated(x: int, job: Job) -> None: ...

    def last(x, job): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    for path in (annotated, last):
        SubPipeline("a", effects="none").legacy(path)


def test_a_message_that_is_code_is_refused() -> None:
    """Also when one call asks for it."""
    app = new_app()
    made = adopted(app)
    with pytest.raises(ArgumentsUnusable, match="serializer='pickle'"):
        made.apply_async((1,), serializer="pickle")


class Helped(Task):  # type: ignore[misc]  # Celery has no types
    """A base with a helper."""

    abstract = True

    def helper(self) -> str:
        """Help."""
        return "help"


def test_it_stands_for_the_task() -> None:
    """For canvas, for helpers of its class, for `inspect` and for `help`."""
    made = adopted(new_app(), base=Helped)
    assert made.name == "shop.invoices"
    assert made.helper() == "help"
    assert isinstance(made.task, Helped)
    assert inspect.signature(made) == inspect.signature(add)
    assert (made.__doc__, made.__name__) == (add.__doc__, "add")
    assert made.max_retries == 3
    assert made.map([1]).task == "celery.map"
    assert made.subtask((1,)).args == (1,)
    assert [step.task for step in chain(made.s(1), made).tasks] == ["shop.invoices"] * 2
    assert [one.task for one in group(made.s(1), made.s(2)).tasks] == ["shop.invoices"] * 2
    assert made.apply((1, 2)).get() == 3
    with pytest.raises(AttributeError, match="nonsense"):
        made.nonsense  # noqa: B018  # look for it


def test_a_class_of_the_app_is_the_tasks_own() -> None:
    """`Celery(task_cls=...)`, as Flask's recipe and Django's fix-up give it."""
    made = adopted(new_app(task_cls=Helped))
    assert made.helper() == "help"


def test_what_is_set_on_it_is_set_on_the_task() -> None:
    """`bill.max_retries = 0` in a project's start or in a test means the task, as before."""
    app = new_app()
    made = adopted(app)
    made.max_retries = 0
    made.of_their_own = 3
    assert (app.tasks["shop.invoices"].max_retries, made.max_retries) == (0, 0)
    assert app.tasks["shop.invoices"].of_their_own == 3


@pytest.mark.parametrize("name", ["apply_async", "delay", "run"])
def test_a_test_may_patch_it(name: str) -> None:
    """What calls the task by another way meets the patch, and finds it gone afterwards."""
    made = adopted(new_app(), autoretry_for=(KeyError,))
    before = getattr(made.task, name)
    with patch.object(made, name, return_value="patched"):
        assert getattr(made.task, name)(1) == getattr(made, name)(1) == "patched"
        if name != "run":
            assert made.delay(1) == "patched"
        if name == "apply_async":
            assert made.s(1).apply_async() == "patched"
            assert made.s(1).delay() == "patched"
        if name == "run":
            assert made.apply((1,)).get() == "patched"
    assert getattr(made.task, name) == before


def test_an_app_that_creates_no_queues_knows_ours() -> None:
    """`task_create_missing_queues=False` refuses what is misspelt, and nothing that is declared."""
    app = new_app()
    app.conf.update(task_create_missing_queues=False, task_queues=[Queue("celery")])
    made = adopted(app)
    made.delay(1)
    app.amqp.queues.select(["celery", "invoices.legacy", "invoices.concurrent", "invoices.shadow"])
    assert "invoices.legacy" in app.amqp.queues.consume_from
    with pytest.raises(KeyError):
        app.amqp.queues.select(["invoice.legacy"])


def test_a_console_shows_what_it_is() -> None:
    """Names of both are completed, and it says whose task it stands for."""
    made = adopted(new_app())
    assert {"legacy", "apply_async", "max_retries"} <= set(dir(made))
    assert repr(made) == "<SubPipeline 'invoices': shop.invoices>"
