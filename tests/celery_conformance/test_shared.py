"""A declaration on `celery.current_app`, as modules make it that an application factory imports."""

import weakref

import pytest
from celery import Celery, _state, current_app, signals

from rollout import SubPipeline
from rollout.adapters.celery.install import pipelines_of
from rollout.errors import DeclarationError


@pytest.fixture(autouse=True)
def _apps_of_this_test_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No app of another test is current, and what is declared here is no later app's."""
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet())
    monkeypatch.setattr(_state, "_on_app_finalizers", set())
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state, "_tls", _state._TLS())
    monkeypatch.setattr(signals.import_modules, "receivers", [])


def declare() -> SubPipeline:
    """What a module with tasks does at its import."""
    bill = SubPipeline(
        "invoices", app=current_app, effects="none", task_name="shop.bill", time_limit=60
    )
    bill.legacy(lambda n: 2 * n)
    bill.concurrent(lambda n: n + n)
    return bill


def factory(name: str = "shop") -> Celery:
    """What an application factory does."""
    app = Celery(name, broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    app.set_default()
    return app


def test_an_app_that_a_factory_makes_later_has_task_door_and_queues() -> None:
    """Nothing is declared on the app that Celery makes up where there is none."""
    bill = declare()
    assert _state.default_app is None
    app = factory()
    assert bill.delay(3).get() == 6
    assert bill.task.app is app
    assert list(pipelines_of(app)) == ["shop.bill"]
    assert app.amqp.queues["invoices.concurrent"].name == "invoices.concurrent"
    assert app.amqp.router.route({}, "shop.bill")["queue"].name == "invoices.legacy"


def test_each_app_of_a_process_has_it() -> None:
    """As tests have that call the factory each time: the current app is the one that is asked."""
    bill = declare()
    first, second = factory("first"), factory("second")
    assert bill.delay(1).get() == 2
    assert bill.task.app is second
    assert bill.runtime is not None
    first.set_current()
    assert bill.delay(2).get() == 4
    assert bill.task.app is first
    assert first.tasks["shop.bill"].rollout is second.tasks["shop.bill"].rollout


def test_an_app_that_was_there_before_has_it_at_once() -> None:
    """Its door is open before anything of it is used: a name that is sent is routed, too."""
    app = factory()
    declare()
    assert list(pipelines_of(app)) == ["shop.bill"]
    assert app.amqp.router.route({}, "shop.bill")["queue"].name == "invoices.legacy"


def test_a_worker_has_it_before_it_chooses_its_queues() -> None:
    """A worker imports its modules first, and is finalized after it knows its queues."""
    declare()
    app = factory()
    assert not pipelines_of(app)
    app.loader.import_default_modules()
    assert list(pipelines_of(app)) == ["shop.bill"]
    assert not app.finalized


def test_a_path_that_is_declared_after_its_apps_were_finalized() -> None:
    """As for any other declaration: the task is made with the legacy path."""
    app = factory()
    app.finalize()
    declare()
    assert "shop.bill" in app.tasks


def test_the_brokers_services_are_one_for_apps_of_one_broker() -> None:
    """Apps that come and go open no ledger of their own; another broker has its own services."""
    bill = declare()
    runtimes = []
    for broker in ("redis://localhost:1/0", "redis://localhost:1/0", "redis://localhost:1/1"):
        app = Celery("shop", broker=broker)
        app.set_default()
        runtimes.append(bill.runtime)
    assert runtimes[0] is runtimes[1] is not runtimes[2]
    assert runtimes[2].settings.broker("redis://localhost:1/1") == "redis://localhost:1/1"


def test_options_without_an_app_name_the_way_of_a_factory() -> None:
    """The error says what to write where there is no app yet."""
    with pytest.raises(DeclarationError, match=r"app=celery\.current_app"):
        SubPipeline("invoices", effects="none", task_name="shop.bill")
