"""What cannot be a window is refused before it can spoil a watch."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from rollout.evidence.errors import BadCounts, BadDuration, EvidenceError
from rollout.evidence.sample import BadTime, PathSample
from tests.builders import NOW

USUAL = PathSample(NOW, jobs=20, failed=0, p95_s=2.0, oldest_s=1.0)
EMPTY = PathSample.idle(NOW)
NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"jobs": -1}, BadCounts),
        ({"jobs": 2.0}, BadCounts),
        ({"jobs": True}, BadCounts),
        ({"jobs": 10**15}, BadCounts),
        ({"failed": -1}, BadCounts),
        ({"failed": 21}, BadCounts),
        ({"p95_s": NAN}, BadDuration),
        ({"p95_s": INFINITY}, BadDuration),
        ({"p95_s": -0.001}, BadDuration),
        ({"p95_s": 31 * 86_400.0}, BadDuration),
        ({"p95_s": None}, BadDuration),
        ({"oldest_s": NAN}, BadDuration),
        ({"oldest_s": INFINITY}, BadDuration),
        ({"oldest_s": -1.0}, BadDuration),
        ({"oldest_s": 20 * 365 * 86_400.0}, BadDuration),
        ({"at": datetime(2026, 1, 1)}, BadTime),  # noqa: DTZ001 (a naive time is the point)
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], error: type[EvidenceError]) -> None:
    """NaN, negative and absurd values say what was expected, what came and what to do."""
    with pytest.raises(error, match=r"must .*, got .*; "):
        replace(USUAL, **values)


def test_a_window_without_jobs_has_no_cycle_time() -> None:
    """A cycle time that no job had is a mistake upstream."""
    with pytest.raises(BadDuration, match="None when none did"):
        replace(EMPTY, p95_s=1.0)
