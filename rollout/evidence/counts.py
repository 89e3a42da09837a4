"""The counts of both paths over the same span of admissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.evidence.errors import BadCounts
from rollout.evidence.stored import Count, Json, StoredRow

JOBS_MAX = 10**12
"""More jobs than any ledger holds; a larger number is a mistake upstream."""


def check_count(name: str, value: object, largest: int = JOBS_MAX) -> int:
    """Give `value` back when it is a whole number in 0..largest, else raise BadCounts."""
    if type(value) is int and 0 <= value <= largest:  # nearly always, and a tick asks often
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise BadCounts(
            f"{name} must be a whole number in 0..{largest}",
            value,
            "count the jobs of this window again from the ledger",
        )
    return value


@dataclass(frozen=True, slots=True)
class Counts(StoredRow):
    """Jobs admitted, and those of them that hit (failed, or were slow), on both paths.

    A job belongs to the path it was assigned to, and to the window it was admitted in.

    Raises:
        BadCounts: A number is negative, no `int`, absurd, or there are more hits than jobs.
    """

    n_concurrent: Count
    k_concurrent: Count
    n_legacy: Count
    k_legacy: Count

    def __post_init__(self) -> None:
        n, k, m, j = self.n_concurrent, self.k_concurrent, self.n_legacy, self.k_legacy
        if (
            type(n) is type(k) is type(m) is type(j) is int
            and 0 <= k <= n <= JOBS_MAX
            and 0 <= j <= m <= JOBS_MAX
        ):
            return  # nearly always, and a tick makes hundreds of them
        check_count("n_concurrent", self.n_concurrent)
        check_count("k_concurrent", self.k_concurrent, self.n_concurrent)
        check_count("n_legacy", self.n_legacy)
        check_count("k_legacy", self.k_legacy, self.n_legacy)

    def __add__(self, other: Counts) -> Counts:
        """Merge two windows."""
        return Counts(
            self.n_concurrent + other.n_concurrent,
            self.k_concurrent + other.k_concurrent,
            self.n_legacy + other.n_legacy,
            self.k_legacy + other.k_legacy,
        )

    @property
    def both_paths(self) -> bool:
        """Whether each path admitted at least one job, so that they can be compared."""
        return self.n_concurrent > 0 and self.n_legacy > 0

    def to_json(self) -> Json:
        """Give the four numbers; by hand, for speed: see `stored`."""
        return [self.n_concurrent, self.k_concurrent, self.n_legacy, self.k_legacy]


def merged(counts: Sequence[Counts]) -> Counts:
    """Merge many windows at once."""
    return Counts(
        sum([one.n_concurrent for one in counts]),
        sum([one.k_concurrent for one in counts]),
        sum([one.n_legacy for one in counts]),
        sum([one.k_legacy for one in counts]),
    )


NO_COUNTS = Counts(0, 0, 0, 0)
"""A window in which nothing was admitted."""
