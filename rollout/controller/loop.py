"""Tick, export, wait; until told to stop."""

from collections.abc import Callable, Sequence
from typing import Protocol

from rollout.controller.tick import Tick, TickReport
from rollout.errors import LedgerUnreachable
from rollout.jobs.ports import CycleTally, Ledger, Tally
from rollout.log import Log

log = Log("rollout.controller")


class Stop(Protocol):
    """Says when to stop, and waits for it; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop now."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait at most so many seconds for it."""
        ...


class Figures(Protocol):
    """Where the figures of a tick go; see `adapters.prometheus`."""

    def tick(
        self,
        report: TickReport,
        outcomes: Sequence[Tally] | None = None,
        cycles: Sequence[CycleTally] | None = None,
    ) -> None:
        """Take a tick's report, and the ledger's counts unless it is away."""
        ...


def run(
    tick: Tick,
    ledger: Ledger,
    figures: Figures,
    tick_s: float,
    stop: Stop,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Run the controller until told to stop; `after` is called after each tick.

    Two controllers at once do no harm: each step of a tick is safe to repeat.
    """
    logged: list[str] = []
    while not stop.is_set():
        report = turn(tick, ledger, figures)
        if report.errors != logged:
            for error in report.errors:
                log.error("tick incomplete", why=error)
            if not report.errors:
                log.info("tick complete again")
            logged = report.errors
        after()
        tick.rest(stop.wait, tick_s)


def turn(tick: Tick, ledger: Ledger, figures: Figures) -> TickReport:
    """One tick, and its figures for `/metrics`."""
    report = tick.turn()
    if report.resent_lost or report.resent_silent or report.recalled:
        log.warning(
            "jobs sent to legacy",
            lost=report.resent_lost,
            silent=report.resent_silent,
            recalled=report.recalled,
        )
    try:
        outcomes, cycles = ledger.tallies()
    except LedgerUnreachable:
        figures.tick(report)
    else:
        figures.tick(report, outcomes, cycles)
    return report
