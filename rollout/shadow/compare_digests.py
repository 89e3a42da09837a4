"""Two results of which only digests are at hand: equal, or what differs in the sample."""

from typing import Any

from rollout.shadow.canonical import Digest, rank
from rollout.shadow.compare import Compared, Comparison, Uncomparable, Walk
from rollout.shadow.field_paths import WHOLE

BEYOND = "(beyond the sample)"
"""The field of a difference that the hash shows and the sample does not."""


def compare_digests(
    comparison: Comparison, legacy: Digest, concurrent: Digest
) -> Compared | Uncomparable:
    """Compare two digests made with this same comparison.

    Returns:
        Equal when the hashes are and, with tolerances, the numbers of the sample are close. Else
        what differs in the sample, or that something beyond it does.
    """
    if comparison.function is not None:
        return Uncomparable("too_large", "a large result cannot be given to a compare function")
    same = legacy.hash == concurrent.hash
    if same and not comparison.tolerant:
        return Compared()
    walk = Walk(comparison)
    for place in _in_both_samples(legacy, concurrent):
        at, one = legacy.parts.get(place, ("", None))
        other_at, other = concurrent.parts.get(place, ("", None))
        if place not in concurrent.parts:
            walk.add(place, at, "missing", legacy=one)
        elif place not in legacy.parts:
            walk.add(place, other_at, "added", other=other)
        else:
            walk.visit(place, at, one, other)
    difference = walk.result()
    if not same and difference.equal:
        walk.name(BEYOND)
        return walk.result()
    return difference


def _in_both_samples(legacy: Digest, concurrent: Digest) -> list[str]:
    """Places that each side would have chosen if it had them, in order."""
    limit: Any = min(
        (max(map(rank, one.parts)) for one in (legacy, concurrent) if not one.complete),
        default=float("inf"),
    )
    places = {*legacy.parts, *concurrent.parts}
    return sorted(place for place in places if rank(place) <= limit or place == WHOLE)
