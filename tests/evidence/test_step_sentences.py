"""What a step's finding says stands by its numbers."""

import re

from rollout.evidence.budget_proof import Event, Stake, step_finding
from rollout.evidence.counts import Counts
from rollout.evidence.verdict import Verdict


def test_what_is_not_shown_never_reads_like_its_budget() -> None:
    """Over steps on the edge: an unproven one is said to allow more than the budget."""
    unproven = 0
    for concurrent in range(60, 900, 5):
        stake = Stake(12, 700, 0.9, -2.35)
        counts = Counts(concurrent, round(0.01 * concurrent), 700, 7)
        finding = step_finding(Event.FAILED, counts, stake)
        shown = re.search(r"at most ([\d.,]+) extra", finding.sentence)
        assert shown is not None
        if finding.verdict is not Verdict.PASS:
            unproven += 1
            assert float(shown[1]) > 12, finding.sentence
        else:
            assert float(shown[1]) <= 12, finding.sentence
    assert unproven > 10


def test_at_a_few_jobs_a_day_the_sentence_is_in_points() -> None:
    """A budget of 12 a week is more than all of 5 jobs: what is missing is told in points."""
    stake = Stake(12, 21, 0.25, -2.35)
    unproven = 0
    for days in range(1, 60):
        counts = Counts(round(2.6 / 7 * days), 0, round(18.4 / 7 * days), 0)
        finding = step_finding(Event.FAILED, counts, stake)
        if finding.verdict is Verdict.PASS or finding.detectable is None:
            continue
        unproven += 1
        shown = re.search(r"at most ([\d.,]+) points more failed jobs at 25 %", finding.sentence)
        assert shown is not None, finding.sentence
        assert float(shown[1]) >= 25, finding.sentence
    assert unproven > 10
