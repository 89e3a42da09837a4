"""A number beside its limit is said in words that a person on call can use."""

from __future__ import annotations

import pytest

from rollout.desk.measured import measured
from rollout.evidence.verdict import Finding, Verdict


def finding(metric: str, verdict: Verdict, value: float | None, limit: float) -> Finding:
    """A finding on 1,234 concurrent and 987 legacy jobs."""
    return Finding(metric, verdict, value, limit, 1_234, 987, 0.155, "Something was seen.")


CASES = (
    # value 10 of 1000 on the logarithmic scale of evidence: a third of the way
    (finding("error_rate", Verdict.PASS, 10.0, 1_000.0), "33% of the way to a revert"),
    (finding("error_rate", Verdict.PASS, 0.00119, 100.0), "no step on the way to a revert"),
    (finding("sample_ratio", Verdict.PASS, 10.0, 1_000.0), "33% of the way to an alarm"),
    (finding("cycle_time", Verdict.REGRESS, 400.0, 333.0), "enough for a revert"),
    # a score grows with the root of the jobs: (1.175 / 2.35) squared is a quarter
    (finding("error_rate_step", Verdict.INSUFFICIENT, -1.175, -2.35), "25% of the proof"),
    (finding("error_rate_step", Verdict.PASS, -2.4, -2.35), "proven"),
)


@pytest.mark.parametrize(("one", "words"), CASES)
def test_how_far_a_test_is_stands_beside_its_sample(one: Finding, words: str) -> None:
    """The statistic and its limit themselves are in the table only."""
    line = measured(one)
    assert f"(1,234 concurrent and 987 legacy jobs; {words}" in line
    assert f"{one.limit:g}" not in line
    assert "Something was seen (" in line


def test_a_proof_says_what_is_ruled_out_in_points_of_the_rate() -> None:
    """Its sentence speaks of jobs a week; the least difference that is ruled out is beside it."""
    line = measured(finding("error_rate_step", Verdict.INSUFFICIENT, -1.0, -2.35))
    assert line.startswith("Failures: ")
    assert "a rate that is 16 points higher is ruled out" in line


def test_nothing_computed_is_no_share() -> None:
    """Recoveries are counted as such."""
    line = measured(finding("recovery", Verdict.INSUFFICIENT, None, 20.0))
    assert line == "Recovery: Something was seen (1,234 recoveries)."
