"""`order="key"` in real workers: eight children, fallbacks, deaths and a kill in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from rollout.jobs.claims import JobRecord, JobState
from tests.acceptance.conftest import Plant, shop_settings
from tests.acceptance.order_shop import EFFECT_TABLE, OrderShop
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

CUSTOMERS, JOBS = 6, 20


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A machine with eight processes on each path."""
    folder = tmp_path_factory.mktemp("order")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        module="tests.acceptance.order_shop",
        concurrent_concurrency=8,
        legacy_concurrency=4,
    )
    machine = Plant(settings, folder / "state", control, OrderShop)
    try:
        machine.start()
        with machine.runtime.database.write() as connection:
            connection.execute(text("DROP TABLE effect"))
            connection.execute(text(EFFECT_TABLE))
        yield machine
    finally:
        machine.machine.stop()
        machine.shop.app.close()
        control.stop()


def written(plant: Plant, customer_id: int) -> list[int]:
    """Numbers of a customer's jobs in the order of their commits."""
    query = text("SELECT number FROM effect WHERE customer = :customer ORDER BY id")
    with plant.runtime.database.read() as connection:
        return list(connection.execute(query, {"customer": customer_id}).scalars())


def submit(plant: Plant, customers: range, what: dict[int, str], file: str = "") -> None:
    """Submit twenty jobs of each customer, one customer after the other in turn."""
    for number in range(JOBS):
        for customer_id in customers:
            plant.shop.invoices.delay(customer_id, number, what.get(number, "ok"), file)


def test_jobs_of_a_customer_commit_in_the_order_of_their_submission(
    plant: Plant, tmp_path: Path
) -> None:
    """Over fallbacks, a process that dies and a kill half-way."""
    plant.open_scope()
    customers = range(100, 100 + CUSTOMERS)
    submit(plant, customers, {1: "dies once", 3: "fails", 12: "fails"}, str(tmp_path / "died"))
    wait_until(lambda: sum(len(written(plant, one)) for one in customers) > 30, "a third", 60)
    plant.runtime.changes.kill("invoices", "test", "half-way")
    wait_until(
        lambda: all(len(written(plant, one)) == JOBS for one in customers),
        f"all jobs: { {one: len(written(plant, one)) for one in customers} }",
        90,
    )
    for one in customers:
        assert written(plant, one) == list(range(JOBS)), one
    assert (tmp_path / "died").exists()


def test_a_failure_holds_its_customer_and_nobody_else(plant: Plant) -> None:
    """Until a person lets it go."""
    plant.open_scope()
    customers = range(200, 203)
    for number in range(5):
        for customer_id in customers:
            broken = (customer_id, number) == (201, 2)
            plant.shop.invoices.delay(customer_id, number, "fails on both" if broken else "ok")
    wait_until(lambda: all(len(written(plant, one)) == 5 for one in (200, 202)), "the others", 60)
    wait_until(lambda: written(plant, 201) == [0, 1], "the two before it", 30)

    def failed() -> list[JobRecord]:
        return [one for one in plant.runtime.ledger.failed("invoices", 10) if one.key == "201"]

    wait_until(lambda: len(failed()) == 1, "the failure is kept", 30)
    assert failed()[0].state is JobState.FAILED
    assert written(plant, 201) == [0, 1]
    plant.runtime.changes.skip(failed()[0].job_id, None, "test", "cannot be mended")
    wait_until(lambda: written(plant, 201) == [0, 1, 3, 4], "those behind it", 60)
