"""The judge catches each kind of violation when one is planted, and nothing in a good history."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.jobs.claims import JobState
from rollout.policy.policy import Policies, Policy
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import TransitionRecord
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState, Event, Stage, apply
from tests.hand_clock import START
from tests.simulation.bulk import Bulk, Weather
from tests.simulation.history import Happening
from tests.simulation.judge import KINDS, Judge, Outcome
from tests.simulation.limits import WEEK_S
from tests.simulation.producer import Kind

NAME = "parts"
FIRST = ControlState(NAME, salt=NAME, revision=1)
SPLIT = apply(FIRST, Event.START)
KILLED = apply(SPLIT, Event.KILL, kill_id="k")
REVERTED = apply(SPLIT, Event.REVERT)
GOOD = Outcome(JobState.COMMITTED, commits=1, failures=0, reopened=0, moves=0)
C, L = JobPath.CONCURRENT, JobPath.LEGACY


class Story:
    """A history that a test writes."""

    def __init__(self, effects: Effects = Effects.COMMIT, seed: int = 1) -> None:
        self.at_s = 0.0
        self.policies = Policies(default=Policy(drills_min=0, ladder_bp=(100, 200, 400, 9_500)))
        self.bulk = Bulk(seed)
        self._judge = Judge([Kind(NAME, effects)], self.policies, self.bulk)

    def tell(self, what: str, who: str = "w:1", **facts: Any) -> "Story":
        """Add an event."""
        self._judge.see([Happening(self.at_s, who, what, {"name": NAME, "job": "job-1", **facts})])
        return self

    def changed(self, before: ControlState, after: ControlState, event: Event) -> "Story":
        """Add a change of the control state."""
        at = START + timedelta(seconds=self.at_s)
        return self.tell(
            "changed", record=TransitionRecord(NAME, at, event, "ada", "why", before, after)
        )

    def later(self, seconds: float) -> "Story":
        """Let time pass."""
        self.at_s += seconds
        return self

    def claimed(self, attempt: int = 1, path: JobPath = C) -> "Story":
        """Add a start that the store has allowed."""
        return self.tell("read", state=SPLIT, closed=None).tell(
            "claimed", attempt=attempt, path=path
        )

    def committed(self, attempt: int = 1, path: JobPath = C) -> "Story":
        """Add a commit and its effect."""
        self.tell("effect", attempt=attempt)
        return self.tell("committed", attempt=attempt, path=path, unsafe=False)

    def told(self, outcome: str = "Done") -> "Story":
        """Add what the caller hears."""
        return self.tell("told", outcome=outcome)

    def settled(self, outcome: Outcome | None = GOOD, **facts: Any) -> "Story":
        """Add the rest at the end of a week."""
        given: dict[str, Any] = {
            "open": [], "queues": {"waiting": []}, "outcomes": {"job-1": outcome},
            "readings": {}, "states": {}, "all_killed": False, **facts,
        }  # fmt: skip
        return self.tell("settled", **given)

    def found(self) -> set[str]:
        """The kinds of what the judge has found."""
        return {one.kind for one in self._judge.found}


def started() -> Story:
    """A sub-pipeline that has been started, and a job of it."""
    story = Story().changed(FIRST, SPLIT, Event.START)
    return story.tell("submitted", path=L, key="k", revision=2)


def decided(
    story: Story, action: str, event: Event, to_bp: int, week: int, *, few: bool = False
) -> Story:
    """The controller decides in a later week, by findings that all pass."""
    metrics = ("error_rate_step", "cycle_median", "cycle_tail")
    jobs = 0 if few else 100
    findings = ", ".join(
        f'{{"metric": "{one}", "verdict": "pass", "n_concurrent": {jobs}}}' for one in metrics
    )
    story.at_s = week * WEEK_S + 600
    answer = f'{{"to_bp": {to_bp}, "findings": [{findings}]}}'
    return story.tell("decided", window="2/look/1", action=action, event=event, answer=answer)


def seed_with(*weathers: Weather) -> int:
    """A seed whose first weeks are like that."""
    for seed in range(10_000):
        if [Bulk(seed).weather(NAME, week) for week in range(len(weathers))] == [*weathers]:
            return seed
    raise AssertionError("no seed has such weeks")


def on_trial(*weathers: Weather) -> Story:
    """A sub-pipeline that began its trial in a first week of that kind."""
    return Story(seed=seed_with(*weathers)).changed(FIRST, SPLIT, Event.START)


def _planted() -> dict[str, Callable[[], Story]]:
    wrong = replace(SPLIT, scope_bp=9_000)
    reading = Reading(SPLIT, supervised=True)
    return {
        "lost": lambda: started().settled(None),
        "two outcomes": lambda: started().claimed().committed().settled(replace(GOOD, failures=1)),
        "out of order": lambda: (
            started()
            .tell("placed", key="k", job="job-1")
            .tell("placed", key="k", job="job-2")
            .tell("committed", job="job-2", attempt=1, path=L, unsafe=False)
            .committed(path=L)
        ),
        "capacity exceeded": lambda: started().claimed().tell(
            "took", resource="warehouse", used=3, capacity=2
        ),
        "left waiting": lambda: (
            started()
            .tell("forgotten", jobs=["job-1"])
            .later(1_300)
            .tell("forgotten", jobs=["job-1"])
        ),
        "committed twice": lambda: started().claimed().committed().committed(2, L),
        "effect missing": lambda: started().settled(),
        "unsafe repeated": lambda: Story(Effects.UNSAFE).tell("ran").tell("ran"),
        "start after kill": lambda: started().changed(SPLIT, KILLED, Event.KILL).claimed(),
        "start without store": lambda: started().tell("claimed", attempt=1, path=C),
        "commit after fence": lambda: (
            started().claimed().changed(SPLIT, KILLED, Event.KILL).committed()
        ),
        "kill not fenced": lambda: Story().tell("kill acknowledged", kill="k", complete=True),
        "sent twice": lambda: (
            started().claimed().committed().tell("handed", recorded=True).settled()
        ),
        "not told": lambda: started().claimed().committed().settled(),
        "told wrong": lambda: started().claimed().committed().told("Done").told("Failed").settled(),
        "died for nothing": lambda: started().claimed().tell("fault", fault="clock off").tell(
            "silenced"
        ),
        "not by the table": lambda: Story().changed(FIRST, wrong, Event.FREEZE),
        "grew while held": lambda: (
            Story().changed(KILLED, replace(KILLED, scope_bp=900, revision=4), Event.SCOPE)
        ),
        "scope grew": lambda: started().tell("read", state=wrong, closed=None),
        "store went back": lambda: (
            started()
            .changed(SPLIT, REVERTED, Event.REVERT)
            .tell("read", state=REVERTED, closed="stage")
            .tell("read", state=SPLIT, closed=None)
        ),
        "stuck": lambda: started().settled(open=["job-1"]),
        "not converged": lambda: (
            started().changed(SPLIT, REVERTED, Event.REVERT).later(300.0).settled(
                states={NAME: REVERTED}, readings={NAME: reading}, outcomes={}
            )
        ),
        "decided twice": lambda: decided(
            decided(on_trial(Weather.GOOD), "hold", None, 0, 1), "hold", None, 0, 1  # type: ignore[arg-type]  # a hold has no event
        ),
        "advanced too soon": lambda: decided(
            on_trial(Weather.GOOD), "advance", Event.DOUBLE, 200, 0
        ),
        "step skipped": lambda: decided(on_trial(Weather.GOOD), "advance", Event.SCOPE, 400, 1),
        "advanced unproven": lambda: decided(
            on_trial(Weather.NONE), "advance", Event.DOUBLE, 200, 1, few=True
        ),
        "reverted for nothing": lambda: decided(
            on_trial(Weather.GOOD, Weather.GOOD), "revert", Event.REVERT, 0, 1
        ),
        "not reverted": _never_reverted,
    }  # fmt: skip


def _never_reverted() -> Story:
    story = on_trial(Weather.BAD)
    story.at_s = WEEK_S + 7_200
    reading = Reading(SPLIT, supervised=True)
    return story.settled(states={NAME: SPLIT}, readings={NAME: reading}, outcomes={})


def test_every_kind_is_planted() -> None:
    """A kind that nobody has ever seen caught is worth nothing."""
    assert _planted().keys() == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_violation_is_caught(kind: str) -> None:
    """And it is called by its name."""
    assert kind in _planted()[kind]().found()


def test_a_good_story_is_good() -> None:
    """Started, run, killed, rearmed, advanced in its time: nothing is said."""
    story = started().claimed().committed().told().settled()
    assert story.found() == set()
    hushed = started().claimed().committed().tell("fault", fault="child killed").settled()
    assert hushed.found() == set()
    silent = started().claimed().tell("fault", fault="paused").tell("silenced")
    assert silent.found() == set()
    again = started().claimed().tell("row lost").tell("claimed", attempt=1, path=C)
    assert again.committed().told().settled().found() == set()
    shared = started().claimed().tell("took", resource="warehouse", used=2, capacity=2)
    shared.tell("forgotten", jobs=["job-2"]).later(600).tell("forgotten", jobs=["job-2"])
    shared.later(600).tell("forgotten", jobs=[]).later(600).tell("forgotten", jobs=["job-2"])
    assert shared.found() == set()
    good = decided(on_trial(Weather.GOOD), "advance", Event.DOUBLE, 200, 1)
    doubled = apply(SPLIT, Event.DOUBLE)
    assert good.changed(SPLIT, doubled, Event.DOUBLE).found() == set()
    assert doubled.stage is Stage.SPLIT


def test_a_second_answer_to_one_commit_is_no_second_commit() -> None:
    """The answer to a COMMIT was lost, the worker asked again, and a kill came in between."""
    story = started().claimed().committed().changed(SPLIT, KILLED, Event.KILL)
    story.tell("committed", attempt=1, path=C, unsafe=False)
    assert story.found() == set()
