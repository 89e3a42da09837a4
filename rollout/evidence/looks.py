"""When a step is looked at: at bake, then after every half bake, at most fifteen times.

Source: small-pilots method, section 1.
"""

from __future__ import annotations

from rollout.evidence.errors import BadRate

LOOKS_MAX = 15
"""Looks at a step; at a bake of 7 days the last comes on day 56, then a person decides."""


def look_day(look: int, bake_days: float) -> float:
    """Give the day of a step on which a look is due.

    Args:
        look: 1 for the first.
        bake_days: Least days at a step, >= 0.

    Returns:
        Days after the step began: bake, one and a half bakes, two bakes ..

    Raises:
        BadRate: There is no such look.
    """
    if look < 1 or not 0.0 <= bake_days < float("inf"):
        raise BadRate("looks begin at 1 and a bake is not negative", (look, bake_days), "check it")
    return bake_days * (1 + (look - 1) / 2)


def look_at(day: float, bake_days: float) -> int:
    """Give the number of the last look that is due by a day of a step; 0 before the first."""
    if day < bake_days:
        return 0
    return LOOKS_MAX if bake_days == 0 else 1 + int(2 * (day / bake_days - 1) + 1e-9)
