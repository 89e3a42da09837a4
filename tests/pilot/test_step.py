"""A revert metric is added in one place, and everything that asks the tests then asks it, too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadState
from rollout.evidence.fast_path import FastPath
from rollout.evidence.revert_test import Spanned, Window
from rollout.evidence.stored import Json, read_count, read_object
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot import step
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action
from rollout.pilot.ports import DecisionRecord
from rollout.pilot.replay import replay
from rollout.pilot.situation import Situation
from rollout.pilot.step import RevertKind, StepEvidence, guard_of
from rollout.pilot.trial import trial_from
from rollout.policy.policy import Policy
from tests.builders import NAME, NOW, split
from tests.pilot.test_recorded import DECISIONS, TRIALS

POLICY = Policy()
GUARD = guard_of(POLICY)
BAD_INPUT = Window(Counts(9, 0, 9, 0), None, None, 9, 9, both_failed=3)


@dataclass(frozen=True, slots=True)
class BothFailed:
    """A made-up metric: more than five jobs of a step that failed on both paths."""

    METRIC: ClassVar[str] = "both_failed"

    jobs: int = 0

    @property
    def latched(self) -> bool:
        """Whether there were more than five."""
        return self.jobs > 5

    @property
    def statistic(self) -> float:
        """How many there were."""
        return float(self.jobs)

    def change_scope(self, prior: float = 1.0) -> BothFailed:
        """Begin to count."""
        return BothFailed()

    def take_in(
        self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float
    ) -> BothFailed:
        """Count on."""
        return BothFailed(self.jobs + sum(window.both_failed for window, _ in windows))

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say how many."""
        verdict = Verdict.REGRESS if self.latched else Verdict.PASS
        said = f"{self.jobs} jobs failed on both paths."
        return Finding(self.METRIC, verdict, self.statistic, 5.0, self.jobs, 0, None, said)

    def to_json(self) -> Json:
        """Give the count."""
        return {"jobs": self.jobs}


def _read(stored: Json, guard: step.Guard) -> BothFailed:
    return BothFailed(read_count(read_object(stored, ["jobs"])["jobs"]))


@pytest.fixture
def added() -> Iterator[None]:
    """The one entry that a new revert metric is."""
    with pytest.MonkeyPatch.context() as patch:
        kind = RevertKind("both", lambda guard: BothFailed(), _read, added=True)
        patch.setattr(step, "REVERT_TESTS", (*step.REVERT_TESTS, kind))
        yield


def situation(evidence: StepEvidence) -> Situation:
    """A step with this evidence."""
    return Situation(NOW, split(3200), 2, NOW, 0, 7.0, evidence)


def test_an_added_metric_is_asked_for_everything(added: None) -> None:
    """Its finding, its leaning towards harm, its place in what is stored, and its revert."""
    evidence = StepEvidence.fresh(GUARD).observe(BAD_INPUT, 10.0, None, 1.0)
    assert evidence.harm["both_failed"] == 3.0
    assert not evidence.latched
    assert judge(POLICY, situation(evidence)).action is Action.HOLD
    evidence = evidence.observe(BAD_INPUT, 10.0, None, 1.0)
    stored = json.loads(json.dumps(evidence.to_json()))
    assert StepEvidence.from_json(stored, GUARD) == evidence
    made = judge(POLICY, situation(evidence))
    assert (made.action, made.sentence) == (
        Action.REVERT,
        "back to legacy: 6 jobs failed on both paths.",
    )
    assert not evidence.begin_step().latched, "each step counts for itself"


def test_what_was_stored_before_it_is_still_judged_as_it_was(added: None) -> None:
    """A decision of that time had no such test; a trial that goes on begins it."""
    for line in DECISIONS:
        texts = json.dumps(line["inputs"]), json.dumps(line["answer"])
        record = DecisionRecord(
            1, NAME, NOW, line["window"], line["action"], line["sentence"], 1, *texts
        )
        assert replay(record).agrees
    columns: dict[str, Any] = dict.fromkeys(("began_at", "scored_to"), NOW)
    columns |= {"name": NAME, "version": 1, "step": 1, "step_revision": 1}
    trial = trial_from(columns, TRIALS[0], POLICY)
    assert trial.evidence.of(BothFailed) == BothFailed()
    assert [key for key, _ in trial.evidence.tests] == [kind.key for kind in step.REVERT_TESTS]


def test_a_test_that_was_always_there_may_not_be_missing() -> None:
    """Evidence without it is damaged, and is not taken for one in which nothing was seen."""
    stored = dict(StepEvidence.fresh(GUARD).to_json())  # type: ignore[arg-type]  # it is an object
    del stored["fast"]
    with pytest.raises(BadState, match="errors"):
        StepEvidence.from_json(stored, GUARD)


def test_each_test_latches_the_step_alone() -> None:
    """Whichever it is."""
    fresh = StepEvidence.fresh(GUARD)
    assert not fresh.latched
    for key, one in fresh.tests:
        worse = replace(one, latched=True)  # type: ignore[type-var]  # all four are dataclasses
        tests = tuple((name, worse if name == key else other) for name, other in fresh.tests)
        assert StepEvidence(tests).latched, key
    assert fresh.of(FastPath) == FastPath.fresh().change_scope()
