"""The object of a declaration is its task: to signals, to `==`, to a schedule, to its own class."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Task, signals

from rollout.errors import DeclarationError
from rollout.pipeline import SubPipeline
from rollout.routing.stages import Event
from rollout.wiring import build_in_memory
from tests.celery_conformance.test_declaring import adopted, new_app


def test_a_signal_that_names_it_is_heard() -> None:
    """`connect(sender=bill)` at the next line, with the configuration still to come."""
    app = new_app()
    made, other = adopted(app), adopted(app, "orders")
    heard: list[Any] = []

    def note(sender: Any, **_: Any) -> None:
        heard.append(sender)

    signals.task_success.connect(note, sender=made)
    assert not app.configured
    assert not app.finalized
    signals.task_success.send(sender=other.task, result=None)
    signals.task_success.send(sender=made.task, result=None)
    assert heard == [made.task]
    assert signals.task_success.disconnect(note, sender=made.task)


def test_it_equals_its_task() -> None:
    """`sender == bill` in a handler, and a dict of tasks; another app's task is another."""
    app = new_app()
    made, other = adopted(app), adopted(app, "orders")
    assert made == made.task
    assert made.task == made
    assert {made: "known"}[made.task] == "known"
    assert {made.task: "known"}[made] == "known"
    assert made not in (other, other.task, adopted(new_app()), "shop.invoices", None)


def test_two_of_which_none_has_a_path_are_compared() -> None:
    """No task is needed for that."""
    app = new_app()
    unfinished = [SubPipeline(name, app=app, effects="none") for name in ("a", "b")]
    assert unfinished[0] != unfinished[1]


def test_a_schedule_takes_it() -> None:
    """`add_periodic_task` when the app is configured, as Celery's manual has it."""
    app = new_app()
    made = adopted(app)

    def schedule(sender: Any, **_: Any) -> None:
        sender.add_periodic_task(10.0, made.s(1, y=2), name="often", expires=5)
        sender.add_periodic_task(20.0, made, args=(3,))

    app.on_after_configure.connect(schedule, weak=False)
    entries = app.conf.beat_schedule
    app.finalize()
    assert entries["often"]["task"] == "shop.invoices"
    assert (entries["often"]["args"], entries["often"]["kwargs"]) == ((1,), {"y": 2})
    assert [entry["task"] for entry in entries.values()] == ["shop.invoices"] * 2


class Predicting(Task):  # type: ignore[misc]  # Celery has no types
    """A base with names that an engine may like to have for itself."""

    abstract = True
    pipeline = "a model"

    def run_body(self) -> str:
        """A helper."""
        return "helped"

    job_of = worker_of = carry_out = run_directly = run_body


def test_its_class_keeps_its_names() -> None:
    """What a base class calls its helpers is its own business."""
    made = adopted(new_app(), base=Predicting)
    assert made.pipeline == "a model"
    for name in ("run_body", "job_of", "worker_of", "carry_out", "run_directly"):
        assert getattr(made.task, name)() == "helped"


class Rolled(Task):  # type: ignore[misc]  # Celery has no types
    """A base with the one name that is taken."""

    abstract = True
    rollout = "mine"


def test_the_one_name_that_is_taken_is_said() -> None:
    """It is not hidden without a word."""
    with pytest.raises(DeclarationError, match="attribute `rollout`"):
        adopted(new_app(), base=Rolled).delay(1)


def test_what_a_concurrent_path_has_changed_is_not_legacys() -> None:
    """A direct call falls back with the arguments that it was given."""
    runtime = build_in_memory()
    made = SubPipeline("rows", app=new_app(), effects="none", holdback_bp=0, runtime=runtime)
    made.legacy(lambda rows, lock=None: sorted(rows))

    @made.concurrent
    def broken(rows: list[int], lock: Any = None) -> None:
        rows.clear()
        raise ValueError("broken")

    runtime.control.beat("test", timedelta(minutes=1))
    runtime.submit.ensure("rows", made.declared.effects, 0)
    runtime.changes.change("rows", Event.START, "test", "")
    runtime.changes.change("rows", Event.SCOPE, "test", "", scope_bp=10_000)
    assert made([2, 1]) == [1, 2]
    assert made.run([2, 1]) == [1, 2]
