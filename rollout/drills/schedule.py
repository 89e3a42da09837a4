"""Runs overdue drills by itself, when the calendars allow it, with jitter.

Jitter, because a drill that always comes at the same minute meets the same traffic, and because
many schedulers must not drill one database at once. A drill that is refused is tried again later,
with new jitter; nothing here insists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rollout.drills.drill import Drill
from rollout.drills.drills import DrillReport, Drills
from rollout.drills.errors import DrillRefused
from rollout.pilot.drills_asked import drill_wanted
from rollout.pilot.ports import Builds, Recoveries, Trials
from rollout.pilot.situations import pairs_of, step_pairs
from rollout.policy.policy import Policy, blocked_by
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath

log = structlog.get_logger("rollout.drill")


class ScheduleLedger(Recoveries, Builds, Trials, Protocol):
    """The ledger, as far as the schedule needs it."""


def drills_due(ledger: ScheduleLedger, name: str, policy: Policy, now: datetime) -> str | None:
    """Say that a drill is overdue and why; None when there are pairs enough, as `judge` asks."""
    since = now - timedelta(seconds=policy.drills_max_age_days * policy.day_s)
    build = ledger.builds().get(name, (None, None))[1]
    drills = [
        one
        for one in ledger.recoveries(name, since)
        if one.by_drill and one.version in (None, build)
    ]
    row = next((one for one in ledger.trial_rows([name]) if one.columns["name"] == name), None)
    began_at = since if row is None else row.columns["began_at"]
    scope_bp = 0 if row is None else int(row.payload["identity"][1])
    overdue = drill_wanted(policy, pairs_of(drills), step_pairs(drills, began_at), scope_bp)
    if overdue is None:
        return None
    return f"Drill overdue: {name!r} has {overdue} in the last {policy.drills_max_age_days:g} days."


@dataclass
class Schedule:
    """Looks now and then, and runs at most one drill at a look.

    Args:
        declared: Drills to choose from; those of one sub-pipeline take turns.
        policy_of: The policy of a sub-pipeline.
        draw: Gives a number in 0..1; chance is the caller's.
        coin: Draws the path that a pair begins with.
        jitter_s: Longest time that is waited at random before a drill that may run.
        blocked: Says why the calendars of a policy let nothing run now.
    """

    declared: Sequence[Drill]
    drills: Drills
    ledger: ScheduleLedger
    clock: Clock
    policy_of: Callable[[str], Policy]
    draw: Callable[[], float]
    coin: Callable[[], JobPath]
    jitter_s: float = 600.0
    blocked: Callable[[Policy, datetime], str | None] = blocked_by
    _not_before: dict[str, datetime] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)

    def look(self) -> DrillReport | str:
        """Run one overdue drill if there is one and it may run; else say why none was run."""
        sentence = "no drill is overdue"
        for name in dict.fromkeys(drill.sub_pipeline for drill in self.declared):
            found = self._one(name)
            if isinstance(found, DrillReport):
                return found
            sentence = found or sentence
        return sentence

    def _one(self, name: str) -> DrillReport | str | None:
        now, policy = self.clock.now(), self.policy_of(name)
        due = drills_due(self.ledger, name, policy, now)
        if due is None:
            self._not_before.pop(name, None)
            return None
        held = self.blocked(policy, now)
        if held is not None:
            self._not_before.pop(name, None)
            return f"{due} It waits: {held}."
        begins = self._not_before.setdefault(name, self._later(now))
        if now < begins:
            return f"{due} It begins at {begins:%Y-%m-%d %H:%M:%S} UTC."
        del self._not_before[name]
        mine = [drill for drill in self.declared if drill.sub_pipeline == name]
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        try:
            return self.drills.run(mine[turn % len(mine)], self.coin(), "drill schedule")
        except DrillRefused as error:
            log.warning("drill refused, tried again later", name=name, why=error.problem)
            return f"{due} Refused: {error.problem}."

    def _later(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.draw() * self.jitter_s)
