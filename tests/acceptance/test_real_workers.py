"""Promises 1 to 4 with real Celery workers on real Valkey: each way a job can go."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from celery import chain, chord, group
from kombu import Connection, Producer

from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import Event
from tests.acceptance.conftest import Plant, shop_settings
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(240)]

GET_S = 30


@pytest.fixture(scope="module", params=["prefork", "threads"])
def plant(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The machine on SQLite, once with processes and once with threads in the concurrent worker."""
    folder = tmp_path_factory.mktemp(f"plant-{request.param}")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        concurrent_pool=request.param,
        legacy_concurrency=2,
    )
    made = Plant(settings, folder / "state", control)
    try:
        made.start()
        yield made
    finally:
        made.machine.stop()
        made.shop.app.close()
        control.stop()


def bill(plant: Plant, what: str = "ok", seconds: float = 0, **options: Any) -> Any:
    """Submit an invoice whose key is in scope."""
    kwargs = {"customer_id": plant.customer(), "what": what, "seconds": seconds}
    return plant.shop.invoices.apply_async(kwargs=kwargs, **options)


def test_normal_job_commits_once_on_the_concurrent_path(plant: Plant) -> None:
    """A job in scope runs concurrently, its result comes back, its effect is there once."""
    plant.open_scope()
    result = bill(plant)
    assert result.get(timeout=GET_S) == "concurrent"
    assert plant.job(result).state is JobState.COMMITTED
    assert plant.effects(result) == 1


def test_job_outside_the_scope_runs_on_legacy(plant: Plant) -> None:
    """After a revert every job runs on legacy."""
    plant.open_scope()
    plant.runtime.changes.change("invoices", Event.REVERT, "test", "test")
    result = bill(plant)
    assert result.get(timeout=GET_S) == "legacy"


def test_send_task_by_name_is_routed(plant: Plant) -> None:
    """A producer that sends by name changes nothing and is routed all the same."""
    plant.open_scope()
    result = plant.shop.app.send_task(
        "shop.tasks.bill", kwargs={"customer_id": plant.customer(), "what": "ok"}
    )
    assert result.get(timeout=GET_S) == "concurrent"


@pytest.mark.parametrize("what", ["fails", "exits"])
def test_concurrent_failure_falls_back_before_any_failure_state(plant: Plant, what: str) -> None:
    """An exception or SystemExit on the concurrent path ends in legacy's success."""
    plant.open_scope()
    result = bill(plant, what)
    assert result.get(timeout=GET_S) == "legacy"
    record = plant.job(result)
    assert record.fallback_reason is Reason.FAILED
    assert record.assigned_path is JobPath.CONCURRENT
    assert plant.effects(result) == 1


def test_the_workers_log_has_the_paths_exception_with_its_traceback(plant: Plant) -> None:
    """Legacy took the job over, so Celery logs no failure: rollout says where the path broke."""
    plant.open_scope()
    result = bill(plant, "fails")
    assert result.get(timeout=GET_S) == "legacy"

    def told() -> str:
        text = (plant.logs / "concurrent.log").read_text()
        return text.partition("the path failed")[2] if result.id in text else ""

    wait_until(lambda: "Traceback" in told(), "the traceback in the worker's log", 10)
    assert "ValueError: the concurrent path is broken" in told()
    assert "tests/acceptance/shop.py" in told()


def test_job_that_fails_on_both_paths_is_kept_with_both_errors(plant: Plant) -> None:
    """The caller sees legacy's error, a person finds both."""
    plant.open_scope()
    result = bill(plant, "fails on both")
    with pytest.raises(ValueError, match="broken on legacy"):
        result.get(timeout=GET_S)
    record = plant.wait_for(result, JobState.FAILED)
    assert "broken on concurrent" in (record.error or "")
    assert "broken on legacy" in (record.error or "")
    assert result.id in [kept.job_id for kept in plant.runtime.ledger.failed("invoices", 50)]


def test_retries_decide_again(plant: Plant) -> None:
    """Celery's own retries keep the job's id, and the path is decided at each."""
    plant.open_scope()
    result = bill(plant, "retries")
    assert result.get(timeout=GET_S) == "concurrent"
    assert plant.job(result).attempt == 3
    assert plant.way(result).count("retry concurrent") == 2
    assert plant.effects(result) == 1


def test_retry_after_a_kill_runs_on_legacy(plant: Plant) -> None:
    """A retry that comes due after a kill does not start on the concurrent path."""
    plant.open_scope()
    result = bill(plant, "retries later", 2)
    wait_until(lambda: "retry concurrent" in plant.way(result), "the retry was sent", 20)
    plant.runtime.changes.kill("invoices", "test", "test")
    assert result.get(timeout=GET_S) == "legacy"


def test_chain_group_and_chord_keep_their_shape_over_fallbacks(plant: Plant) -> None:
    """Canvas works as on any task, also when members fall back."""
    plant.open_scope()
    customer = plant.customer()
    invoices = plant.shop.invoices
    chained = chain(invoices.si(customer, "ok"), invoices.si(customer, "fails")).apply_async()
    assert chained.get(timeout=GET_S) == "legacy"
    mixed = [invoices.s(customer, what) for what in ("ok", "fails", "ok", "fails")]
    assert sorted(group(mixed).apply_async().get(timeout=GET_S)) == [
        "concurrent",
        "concurrent",
        "legacy",
        "legacy",
    ]
    body = plant.shop.gather.s().set(queue="invoices.legacy")
    gathered = chord(mixed, body).apply_async()
    assert gathered.get(timeout=GET_S) == ["concurrent", "concurrent", "legacy", "legacy"]


def test_eta_job_caught_by_a_kill_runs_on_legacy(plant: Plant) -> None:
    """A job held back by its time asks again when it comes due."""
    plant.open_scope()
    result = bill(plant, eta=datetime.now(UTC) + timedelta(seconds=3))
    assert plant.job(result).path is JobPath.CONCURRENT
    plant.runtime.changes.kill("invoices", "test", "test")
    assert result.get(timeout=GET_S) == "legacy"
    assert "started concurrent" not in plant.way(result)
    assert plant.effects(result) == 1


def test_queued_jobs_caught_by_a_kill_run_on_legacy(plant: Plant) -> None:
    """Jobs queued behind busy workers start on legacy once the kill has returned."""
    plant.open_scope()
    busy = [bill(plant, "slow", 3) for _ in range(2)]
    wait_until(
        lambda: all("started concurrent" in plant.way(result) for result in busy), "both busy", 20
    )
    queued = [bill(plant) for _ in range(20)]
    report = plant.runtime.changes.kill("invoices", "test", "test")
    assert report.complete
    assert [result.get(timeout=GET_S) for result in queued] == ["legacy"] * 20
    for result in queued:
        assert "started concurrent" not in plant.way(result)
        assert plant.effects(result) == 1
    for result in busy:
        assert result.get(timeout=GET_S) == "legacy"


def test_running_job_is_fenced_by_a_kill(plant: Plant) -> None:
    """A job that runs while the kill comes cannot commit; legacy runs it at once."""
    plant.open_scope()
    result = bill(plant, "slow", 4)
    wait_until(lambda: "started concurrent" in plant.way(result), "it runs", 20)
    report = plant.runtime.changes.kill("invoices", "test", "test")
    assert report.running_abandoned == 1
    assert result.get(timeout=GET_S) == "legacy"
    assert "committed concurrent" not in plant.way(result)
    plant.open_scope()  # rearmed: the attempt that still sleeps must not come back to life
    wait_until(lambda: not _running(plant, result.id), "the old attempt has ended", 20)
    assert plant.effects(result) == 1


def test_unsafe_job_may_finish_through_a_kill(plant: Plant) -> None:
    """Half of an unsafe effect cannot be taken back, so a kill lets it finish."""
    plant.open_scope("payments")
    customer = plant.customer("payments")
    result = plant.shop.payments.delay(customer_id=customer, what="slow", seconds=2)
    wait_until(lambda: "started concurrent" in plant.way(result), "it runs", 20)
    report = plant.runtime.changes.kill("payments", "test", "test")
    assert report.unsafe_finishing == 1
    assert result.get(timeout=GET_S)[2] == "concurrent"


def test_unsafe_failure_is_kept_and_never_repeated(plant: Plant) -> None:
    """An unsafe job that fails on the concurrent path is left for a person."""
    plant.open_scope("payments")
    result = plant.shop.payments.delay(customer_id=plant.customer("payments"), what="fails")
    with pytest.raises(ValueError, match="concurrent path is broken"):
        result.get(timeout=GET_S)
    assert plant.wait_for(result, JobState.FAILED).attempt == 1


def test_killed_child_is_noticed_and_legacy_takes_over(plant: Plant) -> None:
    """A worker process that is killed in mid-job costs the job nothing but time.

    With threads it is the whole worker that dies, and `up` starts it again.
    """
    plant.open_scope()
    result = bill(plant, "dies")
    wait_until(lambda: _revived(plant, result), "legacy took it over", 60)
    assert result.get(timeout=GET_S) == "legacy"
    assert plant.job(result).fallback_reason is Reason.WORKER_LOST
    assert plant.effects(result) == 1
    _wait_for_workers(plant)


def _revived(plant: Plant, result: Any) -> bool:
    plant.machine.processes.look_after()
    return plant.job(result).state.finished


def _wait_for_workers(plant: Plant) -> None:
    def both() -> bool:
        plant.machine.processes.look_after()
        return len(plant.shop.app.control.ping(timeout=0.5)) == 2

    wait_until(both, "two workers", 60)


def test_poison_job_is_kept_after_two_deaths(plant: Plant) -> None:
    """A job that kills every worker goes to legacy after one death and is kept after two."""
    plant.open_scope()
    result = bill(plant, "kills all")
    wait_until(lambda: _revived(plant, result), "it is kept", 60)
    record = plant.job(result)
    assert record.state is JobState.FAILED
    assert "died" in (record.error or "")
    assert record.attempt == 2
    _wait_for_workers(plant)


def test_killed_worker_loses_nothing(plant: Plant) -> None:
    """SIGKILL of the whole concurrent worker: its job is found silent and runs on legacy."""
    plant.open_scope()
    result = bill(plant, "slow", 3)
    wait_until(lambda: "started concurrent" in plant.way(result), "it runs", 20)
    _kill_tree(plant.machine.processes.pid("concurrent"))
    wait_until(lambda: _revived(plant, result), "the sweeper sent it", 60)
    assert result.get(timeout=GET_S) == "legacy"
    assert plant.effects(result) == 1
    _wait_for_workers(plant)


def test_stopping_worker_hands_back_what_it_cannot_finish(plant: Plant) -> None:
    """SIGTERM: a short job finishes, a long one is sent to legacy before the worker is gone."""
    plant.open_scope()
    short, long = bill(plant, "slow", 1), bill(plant, "slow", 20)
    wait_until(
        lambda: all("started concurrent" in plant.way(one) for one in (short, long)), "both run", 20
    )
    os.kill(plant.machine.processes.pid("concurrent"), signal.SIGTERM)
    assert short.get(timeout=GET_S) == "concurrent"
    assert long.get(timeout=GET_S) == "legacy"
    assert plant.job(long).fallback_reason is None
    assert "reason" in plant.job(long).way
    assert '"stopped"' in plant.job(long).way
    _kill_tree(plant.machine.processes.pid("concurrent"))
    _wait_for_workers(plant)
    assert plant.effects(long) == 1


def test_control_store_gone_means_legacy(plant: Plant) -> None:
    """Without the control store jobs run on legacy, queued concurrent ones included."""
    plant.open_scope()
    queued = bill(plant, eta=datetime.now(UTC) + timedelta(seconds=2))
    assert plant.job(queued).path is JobPath.CONCURRENT
    port = plant.control.port
    plant.control.stop()
    try:
        assert queued.get(timeout=GET_S) == "legacy"
        result = bill(plant)
        assert result.get(timeout=GET_S) == "legacy"
        assert plant.job(result).reason is Reason.UNREACHABLE
    finally:
        plant.control._desired_port = port
        plant.control.start()
    wait_until(plant.supervised, "the controller wrote the state again", 20)
    assert bill(plant).get(timeout=GET_S) == "concurrent"


def test_foreign_and_malformed_messages_are_kept_and_harm_nobody(plant: Plant) -> None:
    """What does not belong on our queues is refused, kept for a look, and the worker lives."""
    plant.open_scope()
    queue = "invoices.concurrent"
    with Connection(plant.settings.broker()) as connection:
        producer = Producer(connection.default_channel)
        producer.publish("not json{", exchange="", routing_key=queue, content_type="text/plain")
        unknown = {"task": "shop.tasks.none", "id": "foreign-1", "lang": "py"}
        producer.publish([[], {}, {}], exchange="", routing_key=queue, headers=unknown)
        mangled = {"task": "shop.tasks.bill", "id": "foreign-2", "lang": "py", "eta": 17}
        producer.publish([[], {}, {}], exchange="", routing_key=queue, headers=mangled)
        wrong = {"task": "shop.tasks.bill", "id": "foreign-3", "lang": "py", "rollout": [1]}
        body = json.dumps([[], {"customer_id": plant.customer(), "what": "ok"}, {}])
        producer.publish(
            body, exchange="", routing_key=queue, headers=wrong,
            content_type="application/json", content_encoding="utf-8",
        )  # fmt: skip
    wait_until(lambda: len(plant.runtime.ledger.kept_messages(10)) >= 3, "they are kept", 20)
    assert bill(plant).get(timeout=GET_S) == "concurrent"
    queues = {kept["queue"] for kept in plant.runtime.ledger.kept_messages(10)}
    assert queues == {queue}


def test_explicit_queue_is_an_opt_out(plant: Plant) -> None:
    """A caller that names a queue of its own bypasses routing, and is counted."""
    plant.open_scope()
    result = bill(plant, queue="invoices.elsewhere")
    record = plant.job(result)
    assert record.reason is Reason.OPTED_OUT
    assert record.path is JobPath.LEGACY
    ledger, now = plant.runtime.ledger, datetime.now(UTC)
    assert ledger.fail(record.name, record.job_id, None, None, "test", now)


def test_expired_and_revoked_jobs_have_their_outcome(plant: Plant) -> None:
    """What its owner called off ends as that, is no failure, and is not sent again."""
    plant.open_scope()
    expired = bill(plant, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert "its time was over" in (plant.wait_for(expired, JobState.EXPIRED).error or "")
    waiting = bill(plant, eta=datetime.now(UTC) + timedelta(seconds=3))
    plant.shop.app.control.revoke(waiting.id)
    assert "revoked" in (plant.wait_for(waiting, JobState.CANCELLED).error or "")


def test_submit_many_routes_and_files_each(plant: Plant) -> None:
    """Bulk submission ends like single submission, job by job."""
    plant.open_scope()
    customer = plant.customer()
    what = ["ok", "fails", "ok"]
    results = plant.shop.invoices.submit_many(
        [{"customer_id": customer, "what": one} for one in what]
    )
    assert [result.get(timeout=GET_S) for result in results] == [
        "concurrent",
        "legacy",
        "concurrent",
    ]


def _running(plant: Plant, job_id: str) -> bool:
    active = plant.shop.app.control.inspect(timeout=1).active() or {}
    return any(task["id"] == job_id for tasks in active.values() for task in tasks)


def _kill_tree(pid: int) -> None:
    for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
        os.kill(process.pid, signal.SIGKILL)
