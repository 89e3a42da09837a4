"""The exact chance that one of many looks passes by luck."""

from __future__ import annotations

import numpy as np
import pytest

from ops.evidence.crossing import crossing, limit_for
from rollout.evidence.errors import BadRate
from rollout.evidence.harm_budget import SCORE_LIMIT
from rollout.evidence.looks import LOOKS_MAX
from tests.evidence.vectors import BUDGET_VECTORS


def test_crossing_vectors() -> None:
    """The chance of every vector to 1e-5."""
    for vector in BUDGET_VECTORS["crossing"]:
        found = crossing(vector["limit"], vector["looks"])
        assert found == pytest.approx(vector["chance"], abs=1e-5)


def test_limit_vectors() -> None:
    """The limit of every vector to 5e-5: the vectors' own chances and limits agree to 3e-5."""
    for vector in BUDGET_VECTORS["limit_for"]:
        found = limit_for(vector["alpha"], vector["looks"])
        assert found == pytest.approx(vector["limit"], abs=5e-5)
        assert crossing(-found, vector["looks"]) == pytest.approx(vector["alpha"], abs=1e-7)


def test_the_limit_in_force_is_stricter_than_the_exact_one() -> None:
    """-2.35 leaves the difference to -2.3036 to small counts."""
    assert SCORE_LIMIT < limit_for(0.05, LOOKS_MAX) < SCORE_LIMIT + 0.05


def test_walks_cross_as_often_as_computed() -> None:
    """40,000 drawn walks on the margin pass one of 15 looks as often as the integral says."""
    rng = np.random.default_rng(5)
    steps = rng.normal(size=(40_000, LOOKS_MAX)) * np.sqrt([1.0] + [0.5] * (LOOKS_MAX - 1))
    times = 1 + np.arange(LOOKS_MAX) / 2
    passed = (np.cumsum(steps, axis=1) / np.sqrt(times) >= 2.3036).any(axis=1).mean()
    assert passed == pytest.approx(0.05, abs=0.0035)


@pytest.mark.parametrize(("alpha", "looks"), [(0.0, 4), (0.5, 4), (0.05, 0)])
def test_what_cannot_be_asked(alpha: float, looks: int) -> None:
    """A chance outside (0, .5), and no look, are refused."""
    with pytest.raises(BadRate):
        limit_for(alpha, looks)
