"""Operators of the crash harness know every sub-pipeline of its app."""

from tests.crash.app import NAMES
from tests.crash.operator import WEIGHTS


def test_every_sub_pipeline_is_meddled_with() -> None:
    """A missing weight ends an operator at its first act, and a run proves nothing about kills."""
    assert len(WEIGHTS) == len(NAMES)
    assert all(WEIGHTS.values())
