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
