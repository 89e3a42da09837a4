"""Reading the journals of drills: whose lease it is, whether a runner died, a drill by its id."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rollout.drills.drill import Exercise
from rollout.drills.errors import BadDrill
from rollout.drills.plans import LEASE_S
from rollout.drills.ports import DrillEvent, Journals

_DRILLS_BESIDE = 20
"""Drills among which the other half of a pair is looked for."""
_DRILLS_BACK = 10_000
"""Drills among which an abbreviated id is looked up."""


def owned_by(ledger: Journals, drill_id: str) -> str:
    """Name the drill that holds a lease; of a pair, the half that runs now.

    Args:
        drill_id: The owner of the lease: the drill, or the first half of a pair.
    """
    begun = ledger.drill_events(drill_id)
    if not begun:
        return "a drill that is about to begin"
    first, events = begun[0], ledger.drills(begun[0].name, _DRILLS_BESIDE)
    ended, pair_id = {one.drill_id for one in events if one.what == "ended"}, first.facts["pair_id"]
    halves = [one for one in events if pair_id and one.facts.get("pair_id") == pair_id]
    now = next((one for one in halves if one.drill_id not in ended), first)
    facts = now.facts
    by = f" by {facts['actor']}" if facts.get("actor") else ""
    return f"drill {now.drill_id[:12]} ({facts['fault']} on {facts['path']}{by})"


def runner_died(events: Sequence[DrillEvent], now: datetime) -> bool:
    """Whether a drill that has not ended is over: its runner wrote nothing for too long.

    A runner writes a line each window; it may wait for the ledger under a lock, and the kill
    switch is watched without windows, so that only its deadline tells.

    Args:
        events: Its journal, oldest first.
    """
    declared, last = events[0], max(event.at for event in events)
    if any(event.what == "ended" for event in events):
        return False
    facts = declared.facts
    deadline_s = float(facts.get("deadline_s") or 0.0)
    if now > declared.at + timedelta(seconds=deadline_s + LEASE_S):
        return True
    if facts.get("window_s") is None or facts.get("fault") == str(Exercise.KILL_SWITCH):
        return False
    quiet_s = 2 * float(facts["window_s"]) + float(facts.get("fault_s") or 0.0) + LEASE_S
    return now > last + timedelta(seconds=quiet_s)


def journal_of(ledger: Journals, drill_id: str) -> list[DrillEvent]:
    """Read a drill's journal by its id, or by as much of the id's beginning as names one drill.

    Raises:
        BadDrill: There is no such drill, or the beginning names several.
    """
    events = ledger.drill_events(drill_id)
    if events:
        return events
    found = {event.drill_id for event in ledger.drills(None, _DRILLS_BACK)}
    close = [one for one in found if drill_id and one.startswith(drill_id)]
    if len(close) != 1:
        newest = next((one.drill_id for one in ledger.drills(None, 1)), None)
        known = "there is none yet" if newest is None else f"the newest one is {newest[:12]}"
        many = f", {len(close)} begin so" if close else ""
        problem = f"no drill with id {drill_id!r}{many}"
        raise BadDrill(problem, f"{known}; `rollout drill list` shows them")
    return ledger.drill_events(close[0])
