"""A broken split is an ERROR, a fitting one is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from rollout.evidence.errors import BadCounts, BadRate
from rollout.evidence.sample_ratio import LIMIT, e_value, finding
from rollout.evidence.verdict import Verdict
from tests.evidence.vectors import VECTORS


def test_vectors() -> None:
    """The e-value of every vector to 1e-9."""
    for vector in VECTORS["srm"]:
        found = e_value(vector["n_n"], vector["n_o"], vector["rho"])
        assert found == pytest.approx(vector["e"], rel=1e-9)


@settings(max_examples=30)
@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_e_value_is_one_on_average(jobs: int, share: float) -> None:
    """Summed over every split of a correct router the e-value is exactly 1: it is fair."""
    mean = sum(
        float(binom.pmf(n, jobs, share)) * e_value(n, jobs - n, share) for n in range(jobs + 1)
    )
    assert mean == pytest.approx(1.0, rel=1e-6)


def test_broken_split_is_an_error() -> None:
    """1.2 % where 1 % was intended, over 100,000 jobs, is ERROR; 1.1 % is not yet."""
    broken = finding(1200, 98_800, 0.01)
    assert broken.verdict is Verdict.ERROR
    assert broken.value is not None
    assert broken.value >= LIMIT
    assert "1.20% of 100000 jobs" in broken.sentence
    assert finding(1100, 98_900, 0.01).verdict is Verdict.PASS


def test_no_jobs_is_insufficient() -> None:
    """An empty step has no split to confirm."""
    assert finding(0, 0, 0.01).verdict is Verdict.INSUFFICIENT


def test_what_cannot_be_is_refused() -> None:
    """Negative jobs, and a share at which there is no split, raise."""
    with pytest.raises(BadCounts):
        e_value(-1, 5, 0.5)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(BadRate):
            e_value(5, 5, share)
