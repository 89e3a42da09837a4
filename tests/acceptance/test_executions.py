"""A graph as the concurrent path, in real workers: result, fallback, kill and time limit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from tests.acceptance.conftest import Plant, shop_settings
from tests.acceptance.graph_shop import GraphShop
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

GET_S = 30
SUM = sum(range(30))


@pytest.fixture(scope="module", params=["prefork", "threads"])
def plant(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A machine whose concurrent path is a graph, once with processes and once with threads."""
    folder = tmp_path_factory.mktemp(f"graphs-{request.param}")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        module="tests.acceptance.graph_shop",
        concurrent_pool=request.param,
        legacy_concurrency=2,
    )
    machine = Plant(settings, folder / "state", control, GraphShop)
    try:
        machine.start()
        yield machine
    finally:
        machine.machine.stop()
        machine.shop.app.close()
        control.stop()


def submit(plant: Plant, **more: Any) -> Any:
    """Submit a job whose key is in scope."""
    plant.open_scope()
    return plant.shop.invoices.apply_async((plant.customer(),), more)


def test_both_paths_give_the_same(plant: Plant) -> None:
    """By the engine in scope, in sequence on legacy, also when a part fails on both."""
    result = submit(plant)
    assert result.get(timeout=GET_S) == SUM
    assert plant.job(result).path is JobPath.CONCURRENT
    broken = submit(plant, broken=3)
    with pytest.raises(ValueError, match="part 3 is broken"):
        broken.get(timeout=GET_S)
    record = plant.wait_for(broken, JobState.FAILED)
    assert record.fallback_reason is Reason.FAILED
    assert (record.error or "").count("part 3 is broken") == 2


def test_no_part_starts_after_a_kill_was_seen(plant: Plant, tmp_path: Path) -> None:
    """What runs may end; the rest stays undone there, and legacy does all of it."""

    def parts_of(process: str) -> int:
        return len(list(tmp_path.glob(f"{process}-*")))

    result = submit(plant, folder=str(tmp_path), step_s=0.2)
    wait_until(lambda: parts_of("*") >= 2, "two parts have started", 20)
    process = next(tmp_path.iterdir()).name.partition("-")[0]
    plant.runtime.changes.kill("invoices", "test", "test")
    started = parts_of(process)
    assert result.get(timeout=GET_S + 15) == SUM
    assert started < 20
    assert parts_of(process) <= started + 2, "two were let go before the kill was looked for"
    assert parts_of("*") == parts_of(process) + 30
    assert plant.job(result).path is JobPath.LEGACY
    assert plant.job(result).attempt == 2
