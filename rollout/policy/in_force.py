"""The policies that the leading controller judges by, beside those of today's `rollout.toml`.

A controller reads its policies once, at its start. Whoever looks later may read another file, or
another machine's: what they are told is judged by the leader's, and the difference is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from rollout.policy.policy import Policies, Policy


@dataclass(frozen=True, slots=True)
class PoliciesInForce:
    """What the leader judges by, who it is and since when; `text` is what `text_of` gave."""

    owner: str
    at: datetime
    text: str

    @property
    def policies(self) -> Policies | None:
        """The policies; None when another release has written what this one cannot read."""
        try:
            return Policies.model_validate_json(self.text)
        except ValidationError:
            return None


def text_of(policies: Policies) -> str:
    """Everything that was said, as JSON; defaults are left to the reader's release."""
    return policies.model_dump_json(exclude_unset=True)


def differences(in_force: Policies, today: Policies, names: Iterable[str]) -> list[str]:
    """Say which values differ: "bake_days of invoices is 7.0 in force and 2.0 in the file".

    Args:
        in_force: What the leader judges by.
        today: What the file says.
        names: Sub-pipelines to compare beside the default.
    """
    found = _between("", in_force.default, today.default)
    told = {field for field, _ in found}
    for name in names:
        between = _between(f" of {name}", in_force.of(name), today.of(name))
        found += [one for one in between if one[0] not in told]
    said = [sentence for _, sentence in found]
    if in_force.fleet != today.fleet:
        said.append("[fleet] differs")
    if in_force.cohorts != today.cohorts:
        said.append("the cohorts differ")
    return said


def _between(whose: str, in_force: Policy, today: Policy) -> list[tuple[str, str]]:
    rows = []
    for field in Policy.model_fields:
        old, new = getattr(in_force, field), getattr(today, field)
        if old != new:
            shown = isinstance(old, bool | int | float | str | None) and isinstance(
                new, bool | int | float | str | None
            )
            values = f" is {old} in force and {new} in the file" if shown else " differs"
            rows.append((field, f"{field}{whose}{values}"))
    return rows
