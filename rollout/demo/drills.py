"""`make drills`: every fault on the demo's pipeline, on real workers, both paths, one table.

    python -m rollout.demo.drills [--fault NAME ...] [--report FILE]
    python -m rollout.demo.drills --gameday FILE [--report FOLDER]

Half of the jobs are routed to each path. A steady stream of real jobs flows; each fault is
injected back to back on both paths. Every drilled job has to end in one outcome, and the
warehouse has to hold each record once.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import choice
from threading import Event, Thread
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import func, select

from rollout.demo.app import NAME, declare
from rollout.demo.preparation import jobs, prepare
from rollout.demo.screen import screen
from rollout.demo.warehouse import create, warehouse_flight
from rollout.drills.drill import Abort, Drill, Exercise, Target
from rollout.drills.errors import BadDrill, DrillRefused
from rollout.drills.fault import Fault
from rollout.drills.gameday import GameDay
from rollout.drills.gamedays import play
from rollout.drills.score import Score
from rollout.errors import RolloutError
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event as Change
from rollout.settings import Settings, read_settings
from rollout.sources import read_drill_file
from rollout.up.free_ports import free_port
from rollout.up.machine import Machine
from rollout.wiring import Runtime

SCOPE_BP = 5000
PAUSE_S = 0.17
"""Between two submissions: six jobs a second leave room on two busy cores."""
LIMIT_S = 3
"""Hard time limit of each job, so that a hanging one is killed."""
WARM_S = 14.0
TRIES = 6
DEADLINE_S = 600.0


def the_drills() -> list[Drill]:
    """One drill per fault; short, because the machine has others to do."""
    more: dict[Fault | Exercise, dict[str, Any]] = {
        Fault.DELAY: {"fault_s": 2.0},
        Fault.HANG: {"duration_s": 5.0, "target": Target(jobs=2)},
        Fault.KILL_CHILD: {"target": Target(jobs=2)},
        Fault.MEMORY: {"memory_mb": 200, "target": Target(jobs=2)},
        Fault.STORE_CUT: {"target": Target(worker="one")},
        Fault.LEDGER_CUT: {"target": Target(worker="one")},
        Fault.LOCK: {"fault_s": 2.0, "target": Target(jobs=1)},
        Fault.WAY_BACK: {"paths": (JobPath.CONCURRENT,)},
        Exercise.KILL_SWITCH: {"paths": (JobPath.CONCURRENT,), "blast_radius_jobs": 20},
    }
    return [
        Drill(
            **{
                "name": f"demo {fault}",
                "sub_pipeline": NAME,
                "paths": tuple(JobPath),
                "fault": fault,
                "duration_s": 3.0,
                "blast_radius_jobs": 6,
                "deadline_s": 40.0,
                "window_s": 1.0,
                "windows_before": 12,
                "windows_with_jobs_min": 6,
                "windows_inside": 2,
                "abort": Abort(other_path_windows=10),
                **more.get(fault, {}),
            }
        )
        for fault in (*Fault, Exercise.KILL_SWITCH)
    ]


@dataclass(slots=True)
class Stream:
    """Submits real jobs one after the other in a thread, until it is told to rest.

    Each job is loaded once: a second load of the same rows would be a double commit.
    """

    flights: SubPipeline
    folder: Path
    todo: Iterator[tuple[str, str, int]]
    submitted: int = 0
    records: int = 0
    stop: Event | None = None
    thread: Thread | None = None

    def start(self) -> None:
        """Begin, or go on."""
        self.stop = Event()
        self.thread = Thread(target=self._run, args=(self.stop,), name="stream")
        self.thread.start()

    def rest(self) -> None:
        """Submit no more."""
        if self.stop is not None and self.thread is not None:
            self.stop.set()
            self.thread.join()
            self.stop = self.thread = None

    def _run(self, stop: Event) -> None:
        for day, origin, records in self.todo:
            kwargs = {"folder": str(self.folder), "day": day, "origin": origin}
            self.flights.apply_async(kwargs=kwargs, time_limit=LIMIT_S)
            self.submitted += 1
            self.records += records
            if stop.wait(PAUSE_S):
                return


class Ground:
    """The machine, its stream of jobs, and what is counted at the end of each round."""

    def __init__(self, machine: Machine, flights: SubPipeline, data: Path) -> None:
        self.machine = machine
        self.runtime: Runtime = machine.runtime
        self._flights = flights
        self._data = data
        self._all = jobs(data)
        self._before = 0
        self.missing_rows = 0
        self.stream = self._new_stream()

    def _new_stream(self) -> Stream:
        return Stream(self._flights, self._data, iter(self._all))

    def begin(self) -> None:
        """Let jobs flow on both paths until there is a steady state to speak of."""
        with self.runtime.database.write() as connection:
            create(connection)
        self._wait(lambda: self.runtime.control.read(NAME).supervised, "the controller's tick")
        change = self.runtime.changes.change
        change(NAME, Change.START, "drills", "the drills")
        change(NAME, Change.SCOPE, "drills", "half on each path", scope_bp=SCOPE_BP)
        self.stream.start()
        self._look_after(WARM_S)

    def room_for_another(self) -> None:
        """Start a new round of the same days when this one is about to run out of them."""
        if len(self._all) - self.stream.submitted < 250:
            self.end()
            self.stream = self._new_stream()
            self.stream.start()
            self._look_after(WARM_S)

    def end(self) -> None:
        """Let all jobs finish, count the rows that are missing or double, empty the warehouse."""
        self.stream.rest()
        expected = self._before + self.stream.submitted
        self._wait(lambda: self._finished() >= expected, "an outcome of every job")
        self._before = expected
        with self.runtime.database.write() as connection:
            rows = connection.execute(select(func.count()).select_from(warehouse_flight))
            self.missing_rows += abs(self.stream.records - rows.scalar_one())
            connection.execute(warehouse_flight.delete())

    def _finished(self) -> int:
        return sum(tally.jobs for tally in self.runtime.ledger.tallies()[0])

    def _wait(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            self._look_after(0.2)
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited 90 s in vain for {what}")

    def _look_after(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.machine.processes.look_after()
            time.sleep(min(0.2, seconds))


def main(arguments: Sequence[str] = ()) -> int:
    """Run the drills. Returns the exit code: 0 when no job was lost and none done twice."""
    parser = argparse.ArgumentParser(prog="drills")
    words = [str(fault) for fault in (*Fault, Exercise.KILL_SWITCH)]
    parser.add_argument("--fault", action="append", choices=words)
    parser.add_argument("--gameday", type=Path, help="play this game day instead")
    parser.add_argument("--report", type=Path, default=Path("reports/drills.json"))
    parser.add_argument("--folder", type=Path, default=Path(".rollout/drills"))
    given = parser.parse_args(arguments)
    console = screen()
    began = time.monotonic()
    drills = [one for one in the_drills() if not given.fault or one.fault in given.fault]
    try:
        if given.gameday is not None:
            return _play(given.gameday, given.folder.absolute(), given.report, console)
        rows, missing = _run(drills, given.folder.absolute(), console)
    except (RolloutError, RuntimeError) as error:
        console.print(f"error: {error}", style="bold red", soft_wrap=True)
        return 1
    report = _report(rows, missing, time.monotonic() - began)
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(_table(rows))
    console.print(f"report      {given.report}")
    console.print("ok" if report["ok"] else "FAILED", style="bold")
    return 0 if report["ok"] else 1


Row = tuple[str, Score | None, str]
"""Fault, score (None: not measured), a sentence."""


@contextmanager
def _ground(folder: Path, console: Console) -> Iterator[Ground]:
    """A machine with jobs flowing; nothing of it is left running."""
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "data"
    data.mkdir(parents=True)
    prepare(data)
    settings = settings_for(folder)
    app, flights = declare(settings)
    machine = Machine("rollout.demo.app", settings, folder, console.print, app=app)
    machine.start()
    ground = Ground(machine, flights, data)
    try:
        ground.begin()
        yield ground
    finally:
        ground.stream.rest()
        machine.stop()


def _run(drills: list[Drill], folder: Path, console: Console) -> tuple[list[Row], int]:
    with _ground(folder, console) as ground:
        rows: list[Row] = []
        for drill in drills:
            ground.room_for_another()
            rows += _one(ground, drill, console)
        ground.end()
        return rows, ground.missing_rows


def _play(file: Path, folder: Path, report: Path, console: Console) -> int:
    """Play a game day on the same ground and write its report."""
    day = read_drill_file(file)
    if not isinstance(day, GameDay):
        raise BadDrill(f"{file} must be a game day, got one drill", "give it a [[drill]] for each")
    with _ground(folder, console) as ground:
        runtime = ground.runtime
        results = play(
            day,
            runtime.drills(None),
            runtime.database_ledger,
            runtime.clock,
            lambda: choice(tuple(JobPath)),
            "the demo",
            lambda text: console.print(text, markup=False),
        )
        ground.end()
        missing = ground.missing_rows
    report.mkdir(parents=True, exist_ok=True)
    for name, content in results.files.items():
        (report / name).write_text(content, encoding="utf-8")
    console.print(f"report      {report}, rows missing or double: {missing}")
    return 0 if results.clean and not missing else 1


def _one(ground: Ground, drill: Drill, console: Console) -> list[Row]:
    """Run one pair; a refusal because of an unsteady machine is tried again."""
    sentence = ""
    for _ in range(TRIES):
        ground.machine.processes.look_after()
        try:
            report = ground.runtime.drills(None).run(drill, choice(tuple(JobPath)), "make drills")
        except DrillRefused as error:
            sentence = error.problem
            time.sleep(2.0)
            continue
        for score in report.scores:
            console.print(f"{drill.fault!s:<12}{score.path!s:<12}{score.sentence}")
        return [(str(drill.fault), score, score.sentence) for score in report.scores]
    console.print(f"{drill.fault!s:<12}refused: {sentence}", style="bold red")
    return [(str(drill.fault), None, sentence)]


def settings_for(folder: Path) -> Settings:
    """A machine of its own, which notices lost workers within seconds."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    return read_settings(
        app="rollout.demo.app",
        broker_url=url,
        control_url=url,
        ledger_url=f"sqlite:///{folder}/ledger.db",
        tick_s=0.5,
        supervision_s=5,
        snapshot_s=0.1,
        silent_after_s=5,
        lost_after_s=5,
        metrics_port=0,
        read_timeout_ms=500,
        connect_timeout_ms=500,
        legacy_concurrency=2,
    )


def _report(rows: list[Row], missing: int, seconds: float) -> dict[str, Any]:
    lost = sum(score.jobs_lost for _, score, _ in rows if score is not None)
    twice = sum(score.effects_twice for _, score, _ in rows if score is not None)
    return {
        "ok": lost == twice == missing == 0 and all(score is not None for _, score, _ in rows),
        "seconds": round(seconds),
        "jobs_lost": lost,
        "effects_twice": twice,
        "warehouse_rows_missing_or_double": missing,
        "drills": [
            {"fault": fault, **(score.facts() if score is not None else {"sentence": said})}
            for fault, score, said in rows
        ],
    }


def _table(rows: list[Row]) -> Table:
    table = Table(
        Column("fault", min_width=11),
        "path",
        "result",
        "detection s",
        "recovery s",
        "hurt",
        "lost",
        "twice",
        box=None,
    )
    for fault, score, said in rows:
        if score is None:
            table.add_row(fault, "", said)
            continue
        table.add_row(
            fault,
            str(score.path),
            str(score.result),
            _number(score.detection_s),
            _number(score.recovery_s),
            str(score.jobs_hurt),
            str(score.jobs_lost),
            str(score.effects_twice),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
