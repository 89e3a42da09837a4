"""Each plant through the twelve acts: the quick diagonal, and the whole table by `make plants`."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.crash.checker import check
from tests.crash.faults import KINDS as DECK
from tests.crash.plant import Plant
from tests.crash.run import Order, run
from tests.plants.table import ACTS, DIAGONAL, KINDS, Parts, every

pytestmark = pytest.mark.plants

JOBS = 400


def pruned(plant: Plant) -> None:
    """The last act: what was committed long ago goes, whatever else there is stays."""
    later = plant.runtime.clock.now() + timedelta(hours=1)
    count = text("SELECT count(*) FROM job WHERE state <> 'committed'")
    with plant.runtime.database.read() as connection:
        others = connection.execute(count).scalar_one()
    while plant.runtime.ledger.fold(2_000):
        pass
    while plant.runtime.ledger.prune(later, 1_000):
        pass
    with plant.runtime.database.read() as connection:
        left = text("SELECT count(*), count(*) FILTER (WHERE state = 'committed') FROM job")
        every_one, committed = connection.execute(left).one()
    called_off = text("SELECT count(*) FROM job WHERE state IN ('cancelled', 'expired')")
    with plant.runtime.database.read() as connection:
        assert connection.execute(called_off).scalar_one() == 0
    assert committed == 0
    assert every_one <= others


def through_the_acts(parts: Parts, seed: int, folder: Path) -> None:
    """Run one plant; what went wrong names the seed and the folder that was kept."""
    plant = Plant(
        0, folder / "looked at", parts.ledger, "legacy", broker=parts.broker,
        pooled=parts.pool == "pgbouncer", store=parts.store,
    )  # fmt: skip
    kinds = {kind.name for kind in DECK if kind.targets(plant)} & KINDS
    plant.close()
    order = Order(
        seed, JOBS, len(kinds), parts.ledger, deadline_s=280, only=frozenset(kinds),
        broker=parts.broker, pooled=parts.pool == "pgbouncer", store=parts.store,
    )  # fmt: skip
    kept = Path(tempfile.mkdtemp(prefix=f"plant-{parts.name}-"))
    result = run(order, kept, last=pruned)
    found = [f"{one.kind}: {one.job} {one.said}" for one in check(result.evidence)]
    assert found == [], f"seed {seed}, kept: {kept}"
    events = result.evidence.events
    begun = {event["kind"] for event in events if event["what"] == "fault begun"}
    assert begun == kinds, f"seed {seed}, kept: {kept}"
    submitted = sum(len(event["jobs"]) for event in events if event["what"] == "submitted")
    assert submitted >= JOBS, f"seed {seed}, kept: {kept}"
    assert any(event["what"] == "fenced" for event in events), "operators have killed"
    shutil.rmtree(kept, ignore_errors=True)


def test_every_act_is_of_the_deck() -> None:
    """The faults that the acts name are those that the crash deck knows."""
    assert len(ACTS) == 12
    assert {kind.name for kind in DECK} >= KINDS


@pytest.mark.timeout(320)
@pytest.mark.parametrize("parts", DIAGONAL, ids=lambda parts: parts.name)
def test_the_diagonal(parts: Parts, tmp_path: Path) -> None:
    """The plants that platform teams have and the everyday suites do not."""
    through_the_acts(parts, 1, tmp_path)


@pytest.mark.whole
@pytest.mark.timeout(320)
@pytest.mark.parametrize(
    "parts", [one for one in every() if one not in DIAGONAL], ids=lambda parts: parts.name
)
def test_the_whole_table(parts: Parts, tmp_path: Path) -> None:
    """Every other combination."""
    through_the_acts(parts, 2, tmp_path)
