"""Drills that run now: whoever sees failures must know that somebody causes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollout.desk.plain import Json
from rollout.desk.text import at_text
from rollout.drills.ports import DrillEvent, Journals
from rollout.drills.recorded import runner_died

_NEWEST = 50
"""Drills among which one that has not ended is looked for."""


@dataclass(frozen=True, slots=True)
class RunningDrill:
    """A drill that was declared and has not ended; its fault is over at `ends_at` in any case.

    `died` says that nobody watches it any more: what it planted goes by itself.
    """

    drill_id: str
    name: str
    fault: str
    path: str
    actor: str
    began_at: datetime
    ends_at: datetime
    died: bool = False

    @property
    def sentence(self) -> str:
        """What runs, by whom and until when."""
        ends = "`rollout drill stop` ends it"
        if self.died:
            ends = f"its runner died; `rollout drill stop {self.name}` takes its fault off now"
        return (
            f"drill {self.drill_id[:12]} ({self.fault} on {self.path}) by {self.actor or 'unknown'}"
            f" since {at_text(self.began_at)}, over by {at_text(self.ends_at)}: jobs that it hurts "
            f"count for no path; {ends}"
        )

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "drill_id": self.drill_id,
            "name": self.name,
            "fault": self.fault,
            "path": self.path,
            "actor": self.actor,
            "began_at": self.began_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
            "runner_died": self.died,
        }


def read_running(ledger: Journals, now: datetime) -> Mapping[str, RunningDrill]:
    """Read the drill that runs on each sub-pipeline now.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    events = ledger.drills(None, _NEWEST)
    ended = {one.drill_id for one in events if one.what == "ended"}
    return {
        one.name: replace(one, died=runner_died(ledger.drill_events(one.drill_id), now))
        for one in _declared(events, ended)
        if one.began_at <= now < one.ends_at
    }


def _declared(events: Sequence[DrillEvent], ended: set[str]) -> list[RunningDrill]:
    rows = []
    for one in events:
        deadline_s = one.facts.get("deadline_s")
        if one.what != "declared" or one.drill_id in ended or deadline_s is None:
            continue
        ends_at = one.at + timedelta(seconds=float(deadline_s))
        fault, path, actor = (str(one.facts.get(key, "")) for key in ("fault", "path", "actor"))
        rows.append(RunningDrill(one.drill_id, one.name, fault, path, actor, one.at, ends_at))
    return rows
