"""`resources={...}` in real workers: eight children and one warehouse, with deaths in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.acceptance.conftest import Plant, shop_settings
from tests.acceptance.sharing_shop import CAPACITY, SharingShop
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

JOBS = 20


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A machine with eight processes on the concurrent path."""
    folder = tmp_path_factory.mktemp("sharing")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        module="tests.acceptance.sharing_shop",
        concurrent_concurrency=8,
        legacy_concurrency=4,
    )
    machine = Plant(settings, folder / "state", control, SharingShop)
    try:
        machine.start()
        yield machine
    finally:
        machine.machine.stop()
        machine.shop.app.close()
        control.stop()


def most_at_once(file: Path) -> int:
    """How many runs were in the warehouse at one moment, of those that left it."""
    steps = []
    for line in file.read_text().splitlines():
        began, ended = (float(word) for word in line.split())
        steps += [(began, 1), (ended, -1)]
    inside = most = 0
    for _, step in sorted(steps):
        inside += step
        most = max(most, inside)
    return most


def test_no_more_jobs_are_in_the_warehouse_than_there_is_room_for(
    plant: Plant, tmp_path: Path
) -> None:
    """Over two sub-pipelines, fallbacks and processes that die; and everybody gets in."""
    runtime = plant.runtime
    runtime.ledger.ensure("bills", Effects.NONE, 500, runtime.clock.now())
    runtime.changes.change("bills", Event.START, "test", "begin")
    runtime.changes.change("bills", Event.SCOPE, "test", "most", scope_bp=9_500)
    plant.open_scope()
    file, what = tmp_path / "runs", {3: "fails", 7: "dies", 11: "fails"}
    file.touch()
    results = [
        pipeline.delay(number, str(file), what.get(number, "ok"))
        for number in range(JOBS)
        for pipeline in (plant.shop.invoices, plant.shop.bills)
    ]

    def committed() -> int:
        return sum(
            runtime.ledger.job(name, result.id).state == "committed"
            for number, result in enumerate(results)
            for name in (("invoices", "bills")[number % 2],)
        )

    wait_until(lambda: committed() == 2 * JOBS, f"{2 * JOBS} jobs are committed", 120)
    assert most_at_once(file) == CAPACITY
    wait_until(lambda: runtime.ledger.resource_uses(None, 10) == [], "all was given back", 10)
    waited = [runtime.ledger.jobs_of(result.id)[0].way.count('"waits"') for result in results]
    assert sum(waited) > JOBS, "most had to wait"
