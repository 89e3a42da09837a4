"""The short run of every test run: fixed seeds, a minute of faults on each ledger.

Each kind comes at most once, in the order of the seed; `make crash` takes all of them.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.crash.checker import check
from tests.crash.faults import KINDS
from tests.crash.plant import Plant
from tests.crash.run import Order, run

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

_SEEDS = {"sqlite": 1, "postgresql": 2}
_JOBS = 1000
_FAULTS_S = 60.0
_KINDS_MIN = 6
"""Kinds that begin within that time even on a slow machine."""


def kinds_of(ledger: str, folder: Path) -> set[str]:
    """The kinds of fault that are possible on a ledger."""
    plant = Plant(0, folder / "plant", ledger, "legacy")
    try:
        return {kind.name for kind in KINDS if kind.targets(plant)}
    finally:
        plant.close()


@pytest.mark.timeout(420)
@pytest.mark.parametrize("ledger", _SEEDS)
def test_promises_hold_while_everything_is_hurt(ledger: str, tmp_path: Path) -> None:
    """No job lost, none committed twice, no start after a kill; a failing seed is kept."""
    kinds = kinds_of(ledger, tmp_path)
    order = Order(_SEEDS[ledger], _JOBS, len(kinds), ledger, deadline_s=360, rest_after_s=_FAULTS_S)
    folder = Path(tempfile.mkdtemp(prefix=f"crash-{order.seed}-"))  # passable for PostgreSQL's user
    result = run(order, folder)
    found = [f"{one.kind}: {one.job} {one.said}" for one in check(result.evidence)]
    again = f"make crash SEED={order.seed} JOBS={order.jobs} FAULTS={order.faults}, kept: {folder}"
    assert found == [], again
    begun = {event["kind"] for event in result.evidence.events if event["what"] == "fault begun"}
    assert begun <= kinds, again
    assert len(begun) >= _KINDS_MIN, again
    kills = sum(event["what"] == "kill acknowledged" for event in result.evidence.events)
    assert kills > 0, again
    submitted = sum(
        len(event["jobs"]) for event in result.evidence.events if event["what"] == "submitted"
    )
    assert submitted >= order.jobs, again
    shutil.rmtree(folder)
