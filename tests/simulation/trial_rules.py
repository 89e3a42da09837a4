"""What the controller may decide by itself, held against what the weeks really were like.

The weather of each week is known here and to nobody else, so "proven" is not what the controller
says of itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout.evidence.verdict import Verdict
from rollout.pilot.proofs import DRILLED_BP, PROOFS, RECOVERY
from rollout.policy.ladder import steps_bp
from rollout.policy.policy import Policies
from rollout.routing.stages import BP_ALL, ControlState, Stage
from tests.simulation.bulk import Bulk, Weather
from tests.simulation.history import Happening
from tests.simulation.limits import WEEK_S

_DAY_S = 86_400.0
_CLOCKS_S = 900.0
"""Clocks of controllers may be off by some minutes."""
_LEAST = 10
"""Concurrent jobs without which nothing is proven: the largest margin is .25, the score -2.35."""

Say = Callable[[Happening, str, str, str], None]
"""Reports a violation: event, kind, subject, what was seen."""


@dataclass
class _Step:
    """When the present scope began, and when the sub-pipeline left legacy for its trial."""

    began_s: float
    left_legacy_s: float


class TrialRules:
    """Rules of the automatic policy."""

    def __init__(self, policies: Policies, bulk: Bulk, say: Say) -> None:
        self._policies = policies
        self._bulk = bulk
        self._say = say
        self._decided: set[tuple[str, str]] = set()
        self._steps: dict[str, _Step] = {}

    def on_changed(self, event: Happening, before: ControlState, after: ControlState) -> None:
        """Remember when a step began."""
        held = self._steps.get(after.name, _Step(0.0, 0.0))
        if before.stage in (Stage.LEGACY, Stage.SHADOW) and after.stage is Stage.SPLIT:
            held = _Step(held.began_s, event.at_s)
        if _identity(before) != _identity(after):
            held = _Step(event.at_s, held.left_legacy_s)
        self._steps[after.name] = held

    def on_decided(self, event: Happening, states: Mapping[str, ControlState]) -> None:
        """One decision a window; an advance is due, proven and one step; a revert has its cause.

        The line of the decision comes before that of the change, so `states` are those before it.
        """
        facts = event.facts
        name, key = facts["name"], (facts["name"], facts["window"])
        if key in self._decided:
            self._say(event, "decided twice", name, f"window {facts['window']}")
        self._decided.add(key)
        state = states.get(name)
        if state is None or facts["event"] is None:
            return
        if facts["action"] == "revert":
            seen = self._weathers(name, self._steps[name].left_legacy_s, event.at_s, least_s=0.0)
            if Weather.BAD not in seen:
                self._say(event, "reverted for nothing", name, f"weeks were {seen}")
        else:
            self._on_advance(event, state)

    def _on_advance(self, event: Happening, state: ControlState) -> None:
        name, policy = state.name, self._policies.of(state.name)
        began_s = self._steps[name].began_s
        if event.at_s - began_s < policy.bake_days * policy.day_s - _CLOCKS_S:
            days = (event.at_s - began_s) / _DAY_S
            self._say(event, "advanced too soon", name, f"{days:.2f} days at the step")
        answer = json.loads(event.facts["answer"])
        steps = steps_bp(policy, state.holdback_bp)
        due = next((step for step in steps if step > state.scope_bp), None)
        if answer["to_bp"] != due:
            self._say(event, "step skipped", name, f"{state.scope_bp} to {answer['to_bp']}")
        seen = self._weathers(name, began_s, event.at_s, least_s=_DAY_S)
        if Weather.BAD in seen:
            self._say(event, "advanced unproven", name, f"weeks were {seen}")
        proofs = [one for one in answer["findings"] if one["metric"] in _PROOFS]
        drilled = policy.drills_min > 0 and (due is None or due > DRILLED_BP)
        wanted = _PROOFS if drilled else _PROOFS - {RECOVERY}
        passed = {one["metric"] for one in proofs if one["verdict"] == Verdict.PASS.value}
        if passed != wanted:
            self._say(event, "advanced unproven", name, f"{sorted(passed)} passed")
        few = [one for one in proofs if one["metric"] != RECOVERY and one["n_concurrent"] < _LEAST]
        if few and due is not None:
            self._say(event, "advanced unproven", name, f"proofs of hardly any job: {few}")

    def on_rest(self, event: Happening, state: ControlState) -> None:
        """With everything up, a scope that was bad for a whole week has been taken back.

        Where legacy runs no job at all (no holdback, and a person gave all of them to the
        concurrent path) there is nothing to compare with, and the revert tests say so.
        """
        step, week = self._steps.get(state.name), int(event.at_s // WEEK_S)
        if step is None or not self._policies.of(state.name).automatic or week == 0:
            return
        on_trial = state.stage in (Stage.SPLIT, Stage.GRADUATED) and 0 < state.scope_bp < BP_ALL
        whole = step.began_s < (week - 1) * WEEK_S + _DAY_S
        bad = self._bulk.weather(state.name, week - 1) is Weather.BAD
        if on_trial and whole and bad and not state.killed:
            self._say(event, "not reverted", state.name, f"{state} after a bad week")

    def _weathers(
        self, name: str, begin_s: float, end_s: float, *, least_s: float
    ) -> list[Weather]:
        """What the weeks between two times were like, of which more than `least_s` was seen."""
        found = []
        for week in range(int(begin_s // WEEK_S), int(end_s // WEEK_S) + 1):
            overlap_s = min(end_s, (week + 1) * WEEK_S) - max(begin_s, week * WEEK_S)
            if overlap_s > least_s:
                found.append(self._bulk.weather(name, week))
        return found


_PROOFS = frozenset(one.metric for one in PROOFS)


def _identity(state: ControlState) -> tuple[Stage, int, int]:
    return state.stage, state.scope_bp, state.fence_revision
