"""A kill through page or API: the halves at once, and no wait for a long queue."""

from __future__ import annotations

from rollout.control.access import Caller
from rollout.control.kill_log import NO_REASON
from rollout.control.kill_report import Heard, KillReport
from rollout.web.site import Site

MOVES_S = 0.5
"""The answer does not wait longer for jobs to be moved; the controller moves the rest."""


def kill(site: Site, caller: Caller, name: str | None, reason: str) -> KillReport:
    """Kill, and keep what was answered.

    Raises:
        NotPermittedHere, UnknownSubPipeline: Nothing was changed.
    """
    clock = site.runtime.clock
    deadline: list[float] = []

    def holds(report: KillReport) -> None:
        deadline.append(clock.monotonic() + MOVES_S)

    heard = Heard(holds=holds, stopped=lambda: bool(deadline) and clock.monotonic() > deadline[0])
    try:
        report = site.door.kill(caller, name, reason.strip() or NO_REASON, heard=heard)
    finally:
        site.shared.forget()
    site.keep(report)
    return report
