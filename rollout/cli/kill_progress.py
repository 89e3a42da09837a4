"""What `kill` says while it is under way: each half when it holds, then the jobs that are moved."""

import shutil
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from rollout.cli.kill_view import commits, headline, lifting, starts
from rollout.cli.output import complain, fact, say_now
from rollout.control.kill_report import Heard
from rollout.errors import LedgerUnreachable, UnknownSubPipeline

if TYPE_CHECKING:
    from rich.progress import Progress

    from rollout.control.kill_report import KillReport
    from rollout.wiring import Runtime

JSON_MOVES_S = 0.5
"""A script's answer does not wait longer for jobs to be moved; the controller moves the rest."""
_SAY_EACH_S = 10.0
_MANY = 2_000
"""So many jobs are moved within about two seconds; a bar would only flicker."""


class JsonProgress:
    """For scripts: nothing but the answer, soon; a wait is said on stderr."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._deadline: float | None = None

    def interrupted(self) -> str:
        """What is known to hold when ctrl-C came in between."""
        return "whether all of it holds is NOT known"

    @contextmanager
    def watching(self) -> Iterator[Heard]:
        """Listen to one kill."""
        yield Heard(blocked=self._blocks, waiting=_waits, holds=self._holds, stopped=self._late)

    def _blocks(self, report: "KillReport") -> None:
        _load_ledger(self._runtime)

    def _holds(self, report: "KillReport") -> None:
        self._deadline = time.monotonic() + JSON_MOVES_S

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline


class KillProgress:
    """For people: what is true at once, a bar for a long queue, and ctrl-C that loses nothing."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._bar: Progress | None = None
        self._task: Any = None
        self._stopped = False
        self._said_blocked = False
        self._held = False
        self._said_at = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[Heard]:
        """Listen to one kill; once it holds, ctrl-C ends the moving between two slices."""
        before: Any = None
        try:
            if threading.current_thread() is threading.main_thread():
                before = signal.getsignal(signal.SIGINT)
            yield Heard(
                blocked=self._blocks,
                waiting=_waits,
                holds=self._holds,
                moved=self._moved,
                stopped=lambda: self._stopped,
            )
        except UnknownSubPipeline:
            if self._said_blocked:
                say_fact("starts blocked", "no more: nothing has this name, the latch is lifted")
            raise
        finally:
            if self._bar is not None:
                self._bar.stop()
            if before is not None:
                signal.signal(signal.SIGINT, before)

    def interrupted(self) -> str:
        """What is known to hold when ctrl-C came in between."""
        if self._held:
            return "what is said above holds; the controller moves the jobs that are left"
        if self._said_blocked:
            return "starts are blocked; whether commits are fenced is NOT known"
        return "whether anything is killed is NOT known"

    def _blocks(self, report: "KillReport") -> None:
        """Say it before the ledger's libraries are loaded; what a failure means, they tell."""
        if report.store_error is None:
            self._said_blocked = True
            say_fact("starts blocked", starts(report, self._runtime.control.url))
        _load_ledger(self._runtime)

    def _holds(self, report: "KillReport") -> None:
        if not self._said_blocked:
            say_fact("starts blocked", starts(report, self._runtime.control.url))
        say_fact("commits fenced", commits(report, self._runtime))
        say_now(headline(report), bold=True)
        for name, value in lifting(report):
            say_fact(name, value)
        self._held = True
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second one ends it at once

    def _moved(self, done: int, total: int) -> None:
        if total < _MANY:
            return
        if self._bar is None:
            self._bar = self._open(total)
        if self._bar.console.is_terminal:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._said_at > _SAY_EACH_S:
            self._said_at = time.monotonic()
            complain("moving", f"{done} of {total} jobs sent back to legacy")

    def _open(self, total: int) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        sentence = "  queued jobs back to legacy (ctrl-C leaves the rest to the controller)"
        bar = Progress(
            TextColumn(sentence), BarColumn(), MofNCompleteColumn(), Left(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = bar.add_task(sentence, total=total)
        if bar.console.is_terminal:
            bar.start()
        else:
            complain("moving", f"{total} jobs back to legacy; ctrl-C leaves the rest")
        return bar


def _load_ledger(runtime: "Runtime") -> None:
    """Load what the ledger needs, so that the fence's milliseconds are its own."""
    with suppress(LedgerUnreachable):  # the fence tells it
        _ = runtime.switch_ledger


def say_fact(name: str, value: str) -> None:
    """Print a line of the answer at once; a terminal gets it broken between words, indented."""
    width = len("starts blocked")
    if sys.stdout.isatty():
        room = max(shutil.get_terminal_size().columns - width - 5, 20)
        value = "\n".join(
            textwrap.fill(line, room, break_long_words=False, break_on_hyphens=False)
            for line in value.splitlines()
        )
    say_now(fact(name, value, width))


def _waits(report: "KillReport", who: str) -> None:
    """Say what holds already, and what the fence waits for."""
    if report.store_error is None:
        holds = f"starts are blocked since {report.starts_blocked_ms:.1f} ms; "
    else:
        holds = "starts are NOT blocked by the store; "
    complain("waiting", f"{holds}the fence in the ledger waits for {who}", "bold yellow")
