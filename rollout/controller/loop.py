"""Tick, export, wait; until told to stop."""

import signal
from threading import Event
from types import FrameType

import structlog

from rollout.adapters.prometheus import Exporter
from rollout.controller.tick import TickReport
from rollout.errors import LedgerUnreachable
from rollout.wiring import Runtime

log = structlog.get_logger("rollout.controller")


def run(runtime: Runtime) -> None:
    """Run the controller until SIGTERM or ctrl-C.

    Two controllers at once do no harm: each step of a tick is safe to repeat.
    """
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    settings = runtime.settings
    exporter = Exporter()
    port = exporter.serve(settings.metrics_host, settings.metrics_port)
    log.info("controller started", metrics=f"http://{settings.metrics_host}:{port}/metrics")
    said: list[str] = []
    while not stop.is_set():
        report = turn(runtime, exporter)
        if report.errors != said:
            for error in report.errors:
                log.error("tick incomplete", why=error)
            if not report.errors:
                log.info("tick complete again")
            said = report.errors
        stop.wait(settings.tick_s)
    exporter.close()
    runtime.close()
    log.info("controller stopped")


def turn(runtime: Runtime, exporter: Exporter) -> TickReport:
    """One tick, and its figures for `/metrics`."""
    report = runtime.tick.turn()
    if report.resent_lost or report.resent_silent or report.recalled:
        log.warning(
            "jobs sent to legacy",
            lost=report.resent_lost,
            silent=report.resent_silent,
            recalled=report.recalled,
        )
    try:
        outcomes, cycles = runtime.ledger.tallies()
    except LedgerUnreachable:
        exporter.tick(report)
    else:
        exporter.tick(report, outcomes, cycles)
    return report
