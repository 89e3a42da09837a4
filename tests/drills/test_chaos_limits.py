"""A fault of a Chaos Toolkit experiment keeps to the limits of a declared drill."""

from typing import Any

import pytest

from rollout.chaos import plant_fault
from rollout.drills.errors import BadDrill


@pytest.mark.parametrize(
    "values",
    [
        {"duration_s": 1e9}, {"duration_s": float("nan")}, {"duration_s": -1.0}, {"jobs_max": 0},
        {"jobs_max": 10**9}, {"fault": "memory", "memory_mb": 10**6},
        {"fault": "delay", "fault_s": float("inf")},
    ],
)  # fmt: skip
def test_what_no_drill_could_declare_is_not_planted(values: dict[str, Any]) -> None:
    """Refused before a server is asked: it would go on for years, or take all memory."""
    given = {"fault": "raise", "duration_s": 10.0, "jobs_max": 5, **values}
    with pytest.raises(BadDrill):
        plant_fault("invoices", "concurrent", **given)
