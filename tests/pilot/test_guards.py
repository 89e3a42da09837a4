"""Each guard of a promotion by itself: with it the step holds, without it the step is promoted.

The second half is what makes the first worth something: nothing else would have held this step.
Whoever takes a guard out of the code sees the test of its name fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from typing import Any
from unittest.mock import patch

import pytest

from rollout.evidence import budget_proof, promote
from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot import drills_asked, judge, not_yet, proofs, rule
from rollout.pilot.judgement import Action
from rollout.pilot.situation import Shadowed, Situation
from rollout.policy.policy import Policy
from rollout.routing.stages import Stage
from tests.builders import split
from tests.pilot.test_judge import RAISED, TUESDAY, evidence, ready


def _anything(*given: object) -> Margin:
    """A quarter of the jobs may be worse, whatever the budget is."""
    return Margin(1.0, 0.25)


def _no_proof(*given: object) -> None:
    """Stage shadow has nothing to show."""


def _not_asked(*given: object) -> bool:
    """No drill is asked for."""
    return False


def _fits(*given: object) -> Finding:
    """The split is always what it should be."""
    return Finding("sample_ratio", Verdict.PASS, 1.0, 1000.0, 1, 1, None, "Fine.")


def _long_enough(*given: object) -> float:
    """Every step has lasted a thousand days."""
    return 1000.0


@dataclass(frozen=True)
class Guard:
    """A situation that only this guard holds, and what takes its place."""

    situation: Callable[[], Situation]
    owners: tuple[tuple[Any, str], ...]
    stand_in: Any


def _over_the_budget() -> Situation:
    seen = ready()
    return replace(seen, totals=replace(seen.totals, failures=Counts(20_000, 100, 60_000, 150)))


def _raising_shadow() -> Situation:
    state = split(0, stage=Stage.SHADOW)
    raised = Counts(RAISED.n_concurrent, 200, RAISED.n_legacy, RAISED.k_legacy)
    return ready(state=state, shadowed=Shadowed(pairs=20, raised=raised))


GUARDS = {
    "budget": Guard(_over_the_budget, ((budget_proof, "margin"),), _anything),
    "shadow step": Guard(_raising_shadow, ((rule, "_shadow"),), _no_proof),
    "drill": Guard(
        lambda: ready(pairs=(), step_pairs=0),
        ((proofs, "drilled"), (drills_asked, "drilled")),
        _not_asked,
    ),
    "split check": Guard(
        lambda: ready(evidence=evidence(new=5_000, old=5_000)),
        ((judge, "split_finding"),),
        _fits,
    ),
    "harm guard": Guard(lambda: ready(evidence=evidence(failed=5)), ((promote, "HARM_MAX"),), inf),
    "bake": Guard(
        lambda: ready(began_at=TUESDAY - timedelta(days=6.9)),
        ((not_yet, "days_in_step"), (judge, "days_in_step")),
        _long_enough,
    ),
}


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """Take one guard out for a while."""
    with ExitStack() as stack:
        for owner, name in guard.owners:
            stack.enter_context(patch.object(owner, name, guard.stand_in))
        yield


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_holds_what_nothing_else_would(name: str) -> None:
    """Budget, shadow step, drill, split check, harm guard, bake."""
    guard = GUARDS[name]
    seen = guard.situation()
    assert judge.judge(Policy(), seen).action is Action.HOLD, name
    with without(guard):
        assert judge.judge(Policy(), seen).action is Action.ADVANCE, f"not only {name} held it"
