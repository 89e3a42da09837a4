"""Where a message goes: what a caller and the app's routes say, and what RabbitMQ's delays do."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from kombu import Exchange, Queue
from kombu.common import Broadcast
from kombu.transport.native_delayed_delivery import calculate_routing_key

from rollout.adapters.celery.destination import DELAYS, aimed_at, asked_for
from rollout.adapters.celery.marks import path_of
from rollout.adapters.celery.message import from_text
from rollout.errors import DeclarationError
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from tests.celery_conformance.in_memory import app_in_memory, take

MINE = Queue("invoices.concurrent", Exchange("invoices.concurrent", "topic"), "invoices.concurrent")


@pytest.fixture
def app() -> Iterator[Any]:
    """An app with one sub-pipeline, all in memory."""
    with app_in_memory() as made:
        yield made


def reason_of(app: Any, result: Any) -> Reason:
    """Why the ledger says that a job took its path."""
    reason: Reason = app.bills.ledger.job("invoices", result.id).reason
    return reason


ROUTES: list[Any] = [
    {"shop.*": {"queue": "billing", "priority": 7}},
    ([("shop.bill", {"exchange": "billing", "routing_key": "billing", "priority": 7})],),
    lambda name, *args, **kwargs: {"queue": "billing", "priority": 7},
]


@pytest.mark.parametrize("routes", ROUTES, ids=["pattern", "list", "function"])
def test_a_route_says_how_and_rollout_says_where(app: Any, routes: Any) -> None:
    """The queue of `task_routes` has no say, its priority has."""
    app.conf.task_routes = routes
    sent = app.bills.delay(1)
    assert take().properties["priority"] == 7
    assert reason_of(app, sent) is Reason.UNKNOWN  # nobody has started it: legacy by the rule


@pytest.mark.parametrize("task_id", [UUID(int=5), 5])
def test_an_id_that_is_no_text_is_a_job_as_any(app: Any, task_id: Any) -> None:
    """The message keeps it as it is; the ledger, which keeps texts, has its text."""
    sent = app.bills.apply_async((1,), task_id=task_id)
    assert sent.id == take().headers["id"] == task_id
    record = app.bills.ledger.job("invoices", str(task_id))
    assert record.state is JobState.ACCEPTED
    assert from_text(record.envelope).headers["id"] == task_id


def test_a_route_by_name_of_a_queue(app: Any) -> None:
    """The short form has nothing but a queue."""
    app.conf.task_routes = {"shop.bill": "billing"}
    app.bills.delay(1)
    assert take().headers["task"] == "shop.bill"


@pytest.mark.parametrize(
    "options", [{"queue": "billing"}, {"exchange": "billing", "routing_key": "billing"}]
)
def test_a_caller_that_says_where_opts_out(app: Any, options: dict[str, str]) -> None:
    """By a queue, or by exchange and routing key, as Celery takes them."""
    app.amqp.queues.add(Queue("billing", Exchange("billing"), "billing"))
    sent = app.bills.apply_async((1,), **options)
    assert reason_of(app, sent) is Reason.OPTED_OUT


@pytest.mark.parametrize("how", ["by name", "by queue", "by exchange", "by type"])
def test_a_message_for_every_worker_is_refused(app: Any, how: str) -> None:
    """A job runs once: all workers but one would drop it, and nobody would know."""
    everybody = Broadcast("everybody")
    app.amqp.queues.add(everybody)
    options: dict[str, Any] = {
        "by name": {"queue": "everybody"},
        "by queue": {"queue": everybody},
        "by exchange": {"exchange": everybody.exchange, "routing_key": "all"},
        "by type": {"exchange": "everybody", "routing_key": "all", "exchange_type": "fanout"},
    }
    with pytest.raises(DeclarationError, match="every worker"):
        app.bills.apply_async((1,), **options[how])


def test_an_exchange_alone_is_no_destination(app: Any) -> None:
    """Celery sends such a message to the queue."""
    app.bills.apply_async((1,), exchange="billing")
    assert take().headers["task"] == "shop.bill"


@pytest.mark.parametrize("seconds", [1, 3600, 2**28 - 1])
def test_a_delayed_message_is_asked_for_its_queue(seconds: int) -> None:
    """And is aimed at the other path with its delay; a delivery tells the path of its key."""
    legacy = calculate_routing_key(seconds, "invoices.legacy")
    options = {"exchange": Exchange(DELAYS, "topic"), "routing_key": legacy}
    assert asked_for(options) == "invoices.legacy"
    aimed = aimed_at(MINE, options)
    assert aimed == {
        "routing_key": calculate_routing_key(seconds, "invoices.concurrent"),
        "declare": [MINE],
    }
    assert path_of("invoices", aimed["routing_key"]) is JobPath.CONCURRENT


def test_a_key_that_was_delayed_once_is_not_delayed_again() -> None:
    """A retry at once brings the key of its delivery: it goes to its queue."""
    key = calculate_routing_key(5, "invoices.concurrent")
    options = {"exchange": "celery_delayed_delivery", "routing_key": key}
    assert aimed_at(MINE, options) == {
        "exchange": "", "routing_key": "invoices.concurrent", "declare": [MINE],
    }  # fmt: skip


def test_a_queue_with_a_key_of_its_own_is_sent_to_by_its_name() -> None:
    """Its delayed messages would come under a key that tells no path."""
    other = Queue("invoices.concurrent", Exchange("tasks", "topic"), "tasks.concurrent")
    key = calculate_routing_key(5, "invoices.legacy")
    options = {"exchange": Exchange(DELAYS, "topic"), "routing_key": key}
    assert aimed_at(other, options)["routing_key"] == "invoices.concurrent"
