"""What hypothesis draws: counts of a window that could have happened."""

from __future__ import annotations

from hypothesis import strategies as st

from rollout.evidence.counts import Counts


def hits(jobs_max: int, jobs_min: int = 0) -> st.SearchStrategy[tuple[int, int]]:
    """Draw jobs and hits of one path."""
    return st.integers(jobs_min, jobs_max).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n))
    )


def counts(jobs_max: int = 50, jobs_min: int = 0) -> st.SearchStrategy[Counts]:
    """Draw the counts of one tick."""
    return st.builds(
        lambda new, old: Counts(*new, *old), hits(jobs_max, jobs_min), hits(jobs_max, jobs_min)
    )


NO_COUNT = st.one_of(
    st.integers(max_value=-1),
    st.floats(),
    st.booleans(),
    st.just("6"),
    st.none(),
    st.integers(min_value=10**13),
)
"""Anything that is no number of jobs."""

NO_TICK_S = st.sampled_from([float("nan"), float("inf"), -1.0, -1e-9, 29 * 86_400.0])
"""Anything that is no length of a tick."""
