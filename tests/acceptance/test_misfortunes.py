"""What goes wrong inside an execution, in real workers: whose turn it is then, and what is said."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from tests.acceptance.conftest import Plant, shop_settings
from tests.acceptance.misfortune_shop import BATCHES, MANY, UNLUCKY, MisfortuneShop
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

GET_S = 60
WHOLE = list(range(BATCHES))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A machine whose workers are processes: only those can die and be killed at a limit."""
    folder = tmp_path_factory.mktemp("misfortunes")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        module="tests.acceptance.misfortune_shop",
        concurrent_pool="prefork",
        legacy_concurrency=2,
    )
    machine = Plant(settings, folder / "state", control, MisfortuneShop)
    try:
        machine.start()
        yield machine
    finally:
        machine.machine.stop()
        machine.shop.app.close()
        control.stop()


def submit(plant: Plant, what: str, folder: Path, **more: Any) -> Any:
    """Submit a job whose key is in scope."""
    plant.open_scope()
    given = {"what": what, "folder": str(folder), **more}
    return plant.shop.invoices.apply_async((plant.customer(),), given)


def came(folder: Path) -> Counter[str]:
    """How many processes came to each step or batch."""
    return Counter(path.name.partition("-")[2] for path in folder.glob("*-*"))


def test_a_barrier_whose_check_fails_on_both_paths(plant: Plant, tmp_path: Path) -> None:
    """The job is kept with the barrier's words of both, and nothing came past it on either."""
    result = submit(plant, "gate", tmp_path)
    with pytest.raises(Exception, match="check of barrier 'complete' must give True, got False"):
        result.get(timeout=GET_S)
    record = plant.wait_for(result, JobState.FAILED)
    assert (record.fallback_reason, record.path) == (Reason.FAILED, JobPath.LEGACY)
    assert (record.error or "").count("barrier 'complete'") == 2, record.error
    assert came(tmp_path) == {"load": 2}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raises", Reason.FAILED),
        ("dies", Reason.WORKER_LOST),
        ("hangs", Reason.TIME_LIMIT),
    ],
)
def test_the_third_batch_goes_wrong_once(
    plant: Plant, tmp_path: Path, what: str, reason: Reason
) -> None:
    """Legacy does the whole job: each batch once there, and none behind the third before."""
    result = submit(plant, what, tmp_path)
    assert result.get(timeout=GET_S) == WHOLE
    record = plant.job(result)
    assert (record.state, record.path) == (JobState.COMMITTED, JobPath.LEGACY)
    assert record.fallback_reason is reason, record.way
    assert plant.way(result).count("committed legacy") == 1
    done = came(tmp_path)
    assert done[str(UNLUCKY)] == 2
    assert set(done.values()) <= {1, 2}


@pytest.mark.parametrize(
    ("what", "told", "kept"),
    [
        ("raises", "item 2 is broken", "item 2 is broken"),
        ("dies", "Worker exited prematurely", "2 workers died under this job"),
        ("hangs", "TimeLimitExceeded", "the legacy path ran past its time limit"),
    ],
)
def test_the_third_batch_goes_wrong_on_both_paths(
    plant: Plant, tmp_path: Path, what: str, told: str, kept: str
) -> None:
    """The caller hears what Celery says without rollout; the job is kept, says what happened, and
    ran once on each path.
    """
    result = submit(plant, what, tmp_path, on_both=True)
    with pytest.raises(Exception, match=told):
        result.get(timeout=GET_S)
    record = plant.wait_for(result, JobState.FAILED)
    assert kept in (record.error or ""), record.error
    assert came(tmp_path)[str(UNLUCKY)] == 2
    assert record.attempt == 2


def test_a_graph_that_could_never_run(plant: Plant, tmp_path: Path) -> None:
    """It is found when the job builds it, on both paths; the job is kept and names the cycle."""
    result = submit(plant, "ring", tmp_path)
    with pytest.raises(Exception, match="got the cycle"):
        result.get(timeout=GET_S)
    record = plant.wait_for(result, JobState.FAILED)
    assert (record.error or "").count("take one of these needs away") == 2, record.error


def test_a_graph_of_ten_thousand_steps(plant: Plant, tmp_path: Path) -> None:
    """Each counted once, on the concurrent path."""
    result = submit(plant, "many", tmp_path)
    assert result.get(timeout=GET_S) == MANY
    assert plant.job(result).path is JobPath.CONCURRENT, plant.job(result).way


def test_killed_in_the_middle_of_a_batch(plant: Plant, tmp_path: Path) -> None:
    """The batch that runs may end and the next does not start; legacy does the whole job once."""
    result = submit(plant, "is slow", tmp_path)
    wait_until(lambda: came(tmp_path)[str(UNLUCKY)] == 1, "the third batch has begun", 30)
    plant.runtime.changes.kill("invoices", "test", "test")
    assert result.get(timeout=GET_S) == WHOLE
    record = plant.job(result)
    assert (record.path, record.attempt) == (JobPath.LEGACY, 2), record.way
    assert plant.way(result).count("committed legacy") == 1
    assert "committed concurrent" not in plant.way(result)
    last = str(BATCHES - 1)
    wait_until(lambda: came(tmp_path)[last] == 1, "legacy alone came to the last batch", 5)


def test_called_off_in_the_middle(plant: Plant, tmp_path: Path) -> None:
    """A job that is revoked while its third batch hangs is cancelled, and nobody takes it up."""
    result = submit(plant, "hangs", tmp_path, on_both=True)
    wait_until(lambda: came(tmp_path)[str(UNLUCKY)] == 1, "the third batch has begun", 30)
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=GET_S)
    record = plant.wait_for(result, JobState.CANCELLED)
    assert record.attempt == 1
    assert came(tmp_path)[str(UNLUCKY)] == 1
