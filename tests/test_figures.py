"""Numbers in sentences."""

import pytest

from rollout.figures import figures_text


@pytest.mark.parametrize(
    ("value", "figures", "said"),
    [
        (7216.4, 3, "7,220"), (3600.0, 3, "3,600"), (100.0, 2, "100"), (99.96, 2, "100"),
        (0.5234, 2, "0.52"), (44.27, 3, "44.3"), (0.00012, 3, "0.00012"), (0.0, 3, "0"),
        (-1234.0, 3, "-1,230"), (1.5e7, 3, "15,000,000"),
    ],
)  # fmt: skip
def test_no_number_is_a_power_of_ten(value: float, figures: int, said: str) -> None:
    """A rate of 7,220 jobs a second, and a rate of 100 %, are written as people write them."""
    assert figures_text(value, figures) == said
