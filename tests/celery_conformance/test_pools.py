"""Every pool, and every family of result backends: the same as on bare Celery with it."""

from pathlib import Path
from typing import Any

import pytest

from tests.celery_conformance.differences import without_fallbacks
from tests.celery_conformance.modes import Seen, observe

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(170)]

CASES = (
    "plain_returns",
    "plain_fails",
    "object_nobody_wants",
    "retries",
    "replaced",
    "called_returns",
)
POOLS = ("-P threads -c 3", "-P solo", "-P gevent -c 5")
BACKENDS = ("db+sqlite:///{folder}/results.db", "rpc://", "disabled://")


def said(seen: dict[str, Seen]) -> dict[str, Any]:
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_says_what_it_said(tmp_path: Path, backend: str) -> None:
    """Where results are disabled, a result that JSON cannot carry is none, too."""
    as_noted = ["object_as_the_worker_sees_it", "object_nobody_wants"]
    cases = as_noted if backend == "disabled://" else [*CASES, *as_noted]
    bare, behind = (
        observe(mode, tmp_path / mode, cases, backend=backend.format(folder=tmp_path / mode))
        for mode in ("bare", "fallback")
    )
    assert said(behind) == said(bare)
    assert [one.backend for one in behind.values()] == [one.backend for one in bare.values()]
    for name in as_noted:
        assert without_fallbacks(behind[name].notes) == bare[name].notes
