"""A site with a day of history behind it: what the browser is shown, and what docs show of it.

The day is played by hand through the real services and the real controller's turns; then the clock
runs on by itself, so that pages grow older as they do.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from rollout.adapters.envelope import seal
from rollout.adapters.sql.ledger import SqlLedger
from rollout.drills.ports import DrillEvent
from rollout.jobs.claims import Claim
from rollout.jobs.ports import ConnectionSource, Filing
from rollout.policy.policy import Policies, Policy
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.web.app import create_app
from rollout.web.serve import address_of, listen
from rollout.wiring import Runtime, build
from tests.waiting import wait_until
from tests.world import FakeQueues

BEGIN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
STEP = timedelta(minutes=15)
SILENT = timedelta(seconds=30)
L, C = JobPath.LEGACY, JobPath.CONCURRENT


@dataclass
class StageClock:
    """Moved by hand while the day is played, then running by itself."""

    at: datetime = BEGIN
    began_s: float | None = None

    def now(self) -> datetime:
        """Aware UTC time."""
        ran = 0.0 if self.began_s is None else time.monotonic() - self.began_s
        return self.at + timedelta(seconds=ran)

    def monotonic(self) -> float:
        """Seconds, moved by hand and then running: readings grow old."""
        return (self.now() - BEGIN).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def run(self) -> None:
        """Let it run by itself from now on."""
        self.began_s = time.monotonic()


@dataclass
class Stage:
    """The services, the played day, and a server in a thread."""

    runtime: Runtime
    clock: StageClock
    queues: FakeQueues
    draw: random.Random = field(default_factory=lambda: random.Random(7))
    count: int = 0
    address: str = ""
    server: uvicorn.Server | None = None
    thread: threading.Thread | None = None
    turning: threading.Thread | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def ledger(self) -> SqlLedger:
        """The truth."""
        return self.runtime.database_ledger

    # The day -----------------------------------------------------------------------------

    def job(
        self,
        name: str,
        path: JobPath,
        took_s: float | None,
        *,
        error: str = "",
        kept: bool = False,
        job_id: str = "",
        key: str = "",
    ) -> str:
        """One job admitted now; without a time it still waits."""
        self.count += 1
        job_id = job_id or f"{self.draw.getrandbits(64):016x}-{self.count:04d}"
        reason = Reason.IN_SCOPE if path is C else Reason.OUT_OF_SCOPE
        arguments = {
            "customer_id": self.count,
            "month": "2026-10",
            "iban": "DE02120300000000202051",
        }
        envelope = seal(name, {"headers": {"id": job_id}, "body": [[], arguments, {}]}, 10_000)
        now = self.clock.now()
        key = key or f"customer-{self.count % 40}"
        self.ledger.file([Filing(job_id, name, key, path, reason, 3, envelope, now)])
        if took_s is None:
            return job_id
        claim = self._claim(name, job_id, path, now + timedelta(seconds=0.1))
        end = now + timedelta(seconds=took_s)
        if error and kept:
            self.ledger.fail(name, job_id, claim.attempt, None, error, end, nonce=claim.nonce)
            return job_id
        if error:
            self.ledger.hand_over(
                name, job_id, claim.attempt, Reason.FAILED, error, end, nonce=claim.nonce
            )
            claim = self._claim(name, job_id, L, end)
            end += timedelta(seconds=1.4)
        self.ledger.commit(claim, Effects.COMMIT, _result, end)
        return job_id

    def _claim(self, name: str, job_id: str, path: JobPath, at: datetime) -> Claim:
        claim = self.ledger.claim(name, job_id, path, Effects.COMMIT, f"{path}@host-1", at, SILENT)
        assert isinstance(claim, Claim)
        return claim

    def started(self, name: str) -> str:
        """A job that runs on the concurrent path now."""
        job_id = self.job(name, C, None)
        self._claim(name, job_id, C, self.clock.now())
        return job_id

    def hour_of(self, names: Mapping[str, float], each: int) -> None:
        """A quarter of an hour of jobs, and the controller's turn after it."""
        for _ in range(each):
            for name, share in names.items():
                new = self.draw.random() < share
                took = self.draw.lognormvariate(0.1 if new else 0.35, 0.35)
                fails = self.draw.random() < 0.01
                self.job(
                    name, C if new else L, took, error="TimeoutError: pricing" if fails else ""
                )
            self.clock.at += STEP / each
        self.turn()

    def turn(self) -> None:
        """The controller's turn, and its heartbeat for a day."""
        self.runtime.tick.turn()
        self.runtime.control.beat("stage", timedelta(days=1))

    def change(self, name: str, event: Event, reason: str, scope_bp: int | None = None) -> None:
        """A person's change."""
        self.runtime.changes.change(name, event, "bo", reason, scope_bp=scope_bp)

    def declare(self, name: str, effects: Effects = Effects.COMMIT) -> None:
        """A control row."""
        self.ledger.ensure(name, effects, 500, self.clock.now())

    def play(self, quarters: int = 28, each: int = 8) -> None:
        """A day of a shop: one sick, one killed, one in shadow, one frozen, some quiet."""
        for name in ("invoices", "payments", "emails", "exports", "reports", "stock-sync"):
            self.declare(name)
        for name in ("refunds", "webhooks", "thumbnails"):
            self.declare(name)
        self.turn()
        everything = dict.fromkeys(("invoices", "payments", "reports", "stock-sync", "emails"), 0.0)
        for _ in range(quarters // 4):
            self.hour_of(everything, each // 2)
        self.change("exports", Event.SHADOW, "compare before anything counts")
        for name, scope_bp in (("invoices", 1250), ("payments", 5000), ("reports", 2500)):
            self.change(name, Event.START, "the pilot begins")
            self.change(name, Event.SCOPE, "proved on staging", scope_bp)
        self.change("stock-sync", Event.START, "the pilot begins")
        self.change("stock-sync", Event.FREEZE, "stocktaking until Monday")
        shares = {"invoices": 0.125, "payments": 0.5, "reports": 0.25, "stock-sync": 0.03}
        for quarter in range(quarters):
            self.hour_of({**shares, "emails": 0.0}, each)
            if quarter == quarters // 2:
                self.drill("payments", "raise", C, 4.2)
                self.drill("payments", "raise", L, 6.1)
        self.runtime.changes.kill("reports", "cara", "totals differ from the ledger of October")
        for number in range(24):
            self.job("invoices", C, 0.4, error="KeyError: 'discount'")
            self.job("invoices", L, 1.3, job_id=f"inv-{number:04d}", key="customer-7")
        for number in range(11):
            self.job("invoices", C, 0.4, error=f"ValueError: no address of {number}", kept=True)
        for _ in range(3):
            self.job("payments", L, 0.6, error="IntegrityError: duplicate entry 17", kept=True)
        self.clock.at += timedelta(seconds=5)
        for _ in range(34):
            self.job("invoices", C, None)
        for _ in range(2):
            self.started("invoices")
        self.turn()
        self.runtime.control.beat("stage", timedelta(days=1))

    def drill(self, name: str, fault: str, path: JobPath, healed_s: float) -> None:
        """The first and last line of a drill."""
        now = self.clock.now()
        drill_id = f"{fault}-{path}-{self.count}"
        said: dict[str, Any] = {
            "fault": fault,
            "path": str(path),
            "actor": "bo",
            "deadline_s": 30.0,
        }
        ended = {"result": "healed", "recovery_s": healed_s}
        after = now + timedelta(seconds=healed_s)
        self.ledger.append_drill(
            [
                DrillEvent(drill_id, name, now, "declared", said),
                DrillEvent(drill_id, name, after, "ended", ended),
            ]
        )

    def lead(self) -> None:
        """Let a controller lead from now on, in a thread."""

        def turn() -> None:
            while not self.over.wait(0.5):
                self.turn()

        self.turning = threading.Thread(target=turn, daemon=True)
        self.turning.start()

    # The server --------------------------------------------------------------------------

    def serve(self, **settings: Any) -> str:
        """Serve in a thread; the address."""
        self.runtime.settings = self.runtime.settings.model_copy(update=settings)
        listener = listen("127.0.0.1", 0)
        app = create_app(self.runtime, "ana")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        self.server = server
        self.thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        self.thread.start()
        wait_until(lambda: server.started, "the site listens")
        self.address = address_of("127.0.0.1", listener, self.runtime.settings.web_base_path)
        return self.address

    def close(self) -> None:
        """Stop the server and close the services."""
        self.over.set()
        if self.turning is not None:
            self.turning.join(10)
        if self.server is not None and self.thread is not None:
            self.server.should_exit = True
            self.thread.join(10)
        with suppress(Exception):
            self.runtime.close()


def _result(connection: ConnectionSource) -> str:
    return '{"total": "1207.50"}'


def open_stage(folder: Path, migrated_file: bytes, play: Callable[[Stage], None]) -> Stage:
    """A stage on an SQLite file of its own, its day played."""
    (folder / "ledger.db").write_bytes(migrated_file)
    runtime = build(
        ledger_url=f"sqlite:///{folder}/ledger.db",
        control_url="memory:",
        lost_after_s=1e6,
        silent_after_s=1e6,
    )  # what waits goes on waiting, to be looked at
    clock, queues = StageClock(), FakeQueues()
    runtime.clock = clock
    runtime.ledger = SqlLedger(runtime.database, own_clock=False)
    runtime.queues = queues
    runtime.__dict__["workers"] = None
    runtime.__dict__["policies"] = Policies(default=Policy(drills_min=1, bake_days=0.2))
    stage = Stage(runtime, clock, queues)
    play(stage)
    clock.run()
    return stage
