"""A kill through page or API: the halves at once, and no wait for a long queue."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.control.access import Caller
from rollout.control.kill_report import Heard, KillReport
from rollout.routing.ports import TransitionRecord
from rollout.web.site import Site

MOVES_S = 0.5
"""The answer does not wait longer for jobs to be moved; the controller moves the rest."""

NO_REASON = "(no reason given yet)"
"""At three in the morning nobody types; the page asks for the reason afterwards."""


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


def reason_of(kills: Sequence[TransitionRecord]) -> str | None:
    """Why it was killed: what was said first, at the kill or when it was asked for afterwards."""
    return next((one.reason for one in kills if one.reason != NO_REASON), None)
