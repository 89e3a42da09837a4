"""Tests that share a plant are one unit for each pool; others go wherever there is room."""

import pytest

from tests.beside import unit_of

REAL = "tests/acceptance/test_real_workers.py"


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_plant_of_each_pool_is_a_unit(pool: str) -> None:
    """Whatever other parameters a test has."""
    unit = unit_of(f"{REAL}::test_one[{pool}]")
    assert unit == unit_of(f"{REAL}::test_another[{pool}-fails]")
    assert unit != unit_of(f"{REAL}::test_one[something else]")


def test_where_nothing_is_shared_each_test_is_a_unit() -> None:
    """Those of the short crash run take as long as all others."""
    module = "tests/crash/test_short_run.py"
    assert unit_of(f"{module}::test_a[sqlite]") != unit_of(f"{module}::test_a[postgresql]")
