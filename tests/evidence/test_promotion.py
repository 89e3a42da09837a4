"""The weekly score proves, and does not merely fail to refute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.betting import Margin
from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadRate
from rollout.evidence.promotion import Z_LIMIT, detectable, finding, overdispersion, score
from rollout.evidence.verdict import Verdict
from tests.evidence.strategies import counts
from tests.evidence.vectors import VECTORS

FIRST = Margin(1.5, 0.0025)
"""What a step up to 4 % could be worse by in the last release."""


def test_vectors() -> None:
    """z of every vector to 1e-9, and the limit of alpha .05 over four looks."""
    for vector in VECTORS["z_ni"]:
        totals = Counts(vector["n_n"], vector["k_n"], vector["n_o"], vector["k_o"])
        found = score(totals, Margin(vector["r"], vector["delta"]))
        assert found == pytest.approx(vector["z"], rel=1e-9)
    assert pytest.approx(-2.2414, abs=1e-4) == Z_LIMIT


def test_a_week_of_equal_paths_passes() -> None:
    """7,000 concurrent jobs at .5 % prove the first step's margin."""
    found = finding("error_rate", Counts(7000, 35, 693_000, 3465), FIRST)
    assert found.verdict is Verdict.PASS
    assert found.value == pytest.approx(-4.18, abs=0.01)
    assert found.detectable is not None
    assert 0.01 < found.detectable < 0.02


def test_overdispersed_jobs_prove_less() -> None:
    """The same totals do not pass when jobs came in clumps: phi 4 halves the score."""
    totals = Counts(7000, 35, 693_000, 3465)
    alone, clumped = score(totals, FIRST), score(totals, FIRST, 4.0)
    assert alone is not None
    assert clumped == pytest.approx(alone / 2)
    assert finding("error_rate", totals, FIRST, 4.0).verdict is Verdict.INSUFFICIENT


def test_phi_grows_with_clumps_and_is_never_under_one() -> None:
    """Hours in which all failures come at once have phi over 1; perfectly even hours have 1."""
    even = [Counts(1000, 5, 1000, 5)] * 48
    clumped = [Counts(1000, 60, 1000, 5), *[Counts(1000, 0, 1000, 5)] * 11] * 4
    assert overdispersion(even) == 1.0
    assert overdispersion(clumped) > 10
    assert overdispersion(clumped[:23]) == 1.0
    assert overdispersion([Counts(0, 0, 5, 5)] * 48) == 1.0
    assert overdispersion([Counts(5, 0, 5, 0)] * 48) == 1.0


def test_sparse_hours_are_put_together() -> None:
    """Independent jobs at 700 a week do not look clumped because an hour has four of them."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(100):
        n, m = rng.poisson(700 / 168 / 2, (2, 336))
        k, j = rng.binomial(n, 0.05), rng.binomial(m, 0.05)
        columns = zip(n.tolist(), k.tolist(), m.tolist(), j.tolist(), strict=True)
        found.append(overdispersion([Counts(*column) for column in columns]))
    assert np.mean(found) < 1.02
    assert np.quantile(found, 0.9) < 1.05


def test_a_common_bad_hour_is_no_clump() -> None:
    """What hits both paths alike leaves their difference alone."""
    outage = [Counts(100, 50, 10_000, 5000), *[Counts(100, 1, 10_000, 100)] * 11] * 4
    apart = [Counts(100, 50, 10_000, 100), *[Counts(100, 1, 10_000, 100)] * 11] * 4
    assert overdispersion(outage) < overdispersion(apart) / 5


@given(
    counts(200), st.sampled_from([FIRST, Margin(1.1, 0.0005), Margin(1.0, 0.02)]), st.floats(1, 50)
)
def test_pass_only_beside_jobs_on_both_paths(totals: Counts, margin: Margin, phi: float) -> None:
    """A PASS has jobs on both paths and a rate under the margin; anything else holds."""
    found = finding("error_rate", totals, margin, phi)
    assert found.verdict in (Verdict.PASS, Verdict.INSUFFICIENT)
    if found.verdict is Verdict.PASS:
        assert totals.both_paths
        rate_legacy = totals.k_legacy / totals.n_legacy
        assert totals.k_concurrent / totals.n_concurrent < margin.limit(rate_legacy)


@pytest.mark.parametrize(
    "totals",
    [NO_COUNTS, Counts(0, 0, 7000, 35), Counts(7000, 0, 0, 0), Counts(7, 7, 7, 7)],
    ids=["nothing", "no concurrent jobs", "no legacy jobs", "all fail on both"],
)
def test_nothing_to_compare_is_insufficient(totals: Counts) -> None:
    """No jobs on a path, or failures everywhere: INSUFFICIENT with no score."""
    found = finding("error_rate", totals, FIRST)
    assert (found.verdict, found.value) == (Verdict.INSUFFICIENT, None)


def test_detectable_falls_with_jobs_and_is_none_without() -> None:
    """A hundred times the jobs show a smaller regression."""
    few = detectable(Counts(700, 4, 69_300, 346), FIRST)
    many = detectable(Counts(70_000, 350, 6_930_000, 34_650), FIRST)
    assert few is not None
    assert many is not None
    assert 0.01 < many < few
    assert detectable(NO_COUNTS, FIRST) is None
    assert detectable(Counts(1, 0, 1, 0), FIRST) is None


@pytest.mark.parametrize("phi", [0.5, float("nan"), float("inf")])
def test_phi_under_one_is_refused(phi: float) -> None:
    """Nobody may prove more by claiming that jobs vary less than chance."""
    with pytest.raises(BadRate):
        score(Counts(10, 0, 10, 0), FIRST, phi)
