"""Every pool runs both paths, and a fallback between them."""

from pathlib import Path
from typing import Any

import pytest

from tests.celery_conformance.modes import Observed, observe

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

CASES = (
    "plain_returns",
    "plain_fails",
    "object_nobody_wants",
    "retries",
    "replaced",
    "called_returns",
)
POOLS = ("-P threads -c 3", "-P solo", "-P gevent -c 5")


def said(seen: dict[str, Observed]) -> dict[str, Any]:
    """What the callers got."""
    return {name: one.said for name, one in seen.items()}


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_runs_both_paths(tmp_path: Path, pool: str) -> None:
    """A job that falls back has its outcome from legacy, whatever runs it."""
    seen = observe("fallback", tmp_path, CASES, pool=pool)
    assert said(seen) == {
        "plain_returns": ["value", [1, "two"]],
        "plain_fails": ["raised", "ValueError", "no", "FAILURE"],
        "object_nobody_wants": ["ignored", "PENDING"],
        "retries": ["value", ["retried", 2]],
        "replaced": ["value", [7]],
        "called_returns": ["value", [1, "two"]],
    }
    assert {"fell"} < {line[0] for line in seen["plain_returns"].notes}
