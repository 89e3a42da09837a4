"""Every condition of a promotion holds it alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rollout.evidence import sample_ratio
from rollout.evidence.looks import LOOKS_MAX
from rollout.evidence.promote import Answer, decide
from rollout.evidence.verdict import Finding, Verdict

PROOFS = ("error_rate", "cycle_median", "cycle_tail", "recovery")
SPLIT = sample_ratio.finding(7000, 693_000, 0.01)
HARM = {"error_rate": 0.1, "fast_path": 0.0, "cycle_time": 19.9}


def found(metric: str, verdict: Verdict = Verdict.PASS) -> Finding:
    """Give a finding of one metric."""
    return Finding(metric, verdict, -3.0, -2.24, 7000, 693_000, 0.01, f"a sentence on {metric}.")


FINE = {metric: found(metric) for metric in PROOFS}


def ask(
    full_days: int = 7,
    looks: int = 1,
    proofs: Mapping[str, Finding] = FINE,
    harm: Mapping[str, float] = HARM,
    split: Finding = SPLIT,
) -> Answer:
    """Ask with everything fine but for what is given."""
    return decide(full_days, looks, proofs, harm, split, needed=PROOFS)


def test_everything_fine_promotes() -> None:
    """With every condition met there is no reason left."""
    assert ask() == Answer(True, False, ())
    assert ask(looks=4).promote


@pytest.mark.parametrize("metric", PROOFS)
@pytest.mark.parametrize("verdict", [Verdict.INSUFFICIENT, Verdict.REGRESS, Verdict.ERROR, None])
def test_each_metric_must_pass(metric: str, verdict: Verdict | None) -> None:
    """A metric that is missing or anything but PASS holds, and is named."""
    proofs = {name: finding for name, finding in FINE.items() if name != metric}
    if verdict is not None:
        proofs[metric] = found(metric, verdict)
    answer = ask(proofs=proofs)
    assert not answer.promote
    assert len(answer.reasons) == 1
    assert metric in answer.reasons[0]


def test_six_days_hold() -> None:
    """A step needs seven full days."""
    assert ask(full_days=6).reasons == ("6 full days in this step, 7 are needed.",)


def test_after_the_last_look_a_person_decides() -> None:
    """One look more promotes nothing: it would raise the chance of a false promotion."""
    assert ask(looks=LOOKS_MAX).promote
    answer = ask(looks=LOOKS_MAX + 1)
    assert answer.person
    assert not answer.promote


@pytest.mark.parametrize("harm", [{}, {"error_rate": 20.0}, {"cycle_time": float("nan")}])
def test_leaning_towards_harm_holds(harm: Mapping[str, float]) -> None:
    """A statistic of 20 or more, one that is no number, and no revert test at all hold."""
    assert not ask(harm=harm).promote


def test_without_a_proof_nothing_is_proven() -> None:
    """A list of proofs that came out empty must not wave every path through."""
    assert not decide(7, 1, FINE, HARM, SPLIT, needed=()).promote


def test_broken_or_unknown_split_holds() -> None:
    """ERROR and INSUFFICIENT of the sample ratio both hold."""
    assert not ask(split=sample_ratio.finding(9000, 691_000, 0.01)).promote
    assert not ask(split=sample_ratio.finding(0, 0, 0.01)).promote
