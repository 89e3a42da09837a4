"""The size that is sought: the smallest at which handing on costs under 5 %."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.execution.sizing import OVERHEAD_SHARE, Auto, Sizer, weigh


def settled(bounds: Auto, handing_s: float, record_s: float) -> int:
    """Where the search ends when a hand-off and a record cost so much."""
    sizer = Sizer(bounds)
    for _ in range(300):
        sizer.observe(sizer.size, handing_s, record_s * sizer.size)
    return sizer.size


@given(st.floats(1e-6, 1e-3), st.floats(1e-7, 1e-3))
def test_it_is_the_smallest_that_is_good_enough(handing_s: float, record_s: float) -> None:
    """Within a fifth of the one that the costs ask for."""
    exact = handing_s * (1 / OVERHEAD_SHARE - 1) / record_s
    found = settled(Auto(1, 10**9), handing_s, record_s)
    assert found <= exact * 1.2 + 1
    share = handing_s / (handing_s + record_s * found)
    assert share <= OVERHEAD_SHARE * 1.26


def test_it_stays_within_its_bounds() -> None:
    """Work that costs nothing goes to the largest, work that costs much to the smallest."""
    assert settled(Auto(10, 200), 1.0, 0.0) == 200
    assert settled(Auto(10, 200), 1e-9, 1.0) == 10


def test_it_comes_back_when_the_work_gets_dearer() -> None:
    """A size that was right for cheap records is too large for dear ones."""
    sizer = Sizer(Auto(1, 10_000))
    for _ in range(100):
        sizer.observe(sizer.size, 1e-4, 1e-6 * sizer.size)
    cheap = sizer.size
    for _ in range(100):
        sizer.observe(sizer.size, 1e-4, 1e-4 * sizer.size)
    assert cheap == pytest.approx(1_900, rel=0.21)
    assert sizer.size == pytest.approx(19, rel=0.21)


def test_batches_of_another_size_say_nothing() -> None:
    """Those that were cut before the size changed do not count."""
    sizer = Sizer(Auto(4, 100))
    for _ in range(20):
        sizer.observe(3, 1.0, 0.0)
    assert sizer.size == 4


@pytest.mark.parametrize(
    ("record", "size"), [(b"abc", 3), ("é", 2), ({"a": 1}, 8), ([1, 2], 6), (object, None)]
)
def test_the_weight_of_a_record(record: object, size: int | None) -> None:
    """Bytes as they are, else those of the text or the JSON."""
    assert weigh(record) == size or (size is None and weigh(record) > 0)
