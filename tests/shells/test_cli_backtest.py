"""`backtest` on the jobs of a real ledger."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rollout.adapters.sql.finished_jobs import read_finished
from rollout.adapters.sql.ledger import SqlLedger
from rollout.rehearsal.job_stream import positions_of
from rollout.rehearsal.stream_draw import Drawing, draw_stream
from rollout.routing.stages import Event
from tests.contract.sql_stream import SqlStream
from tests.shells.conftest import House

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAY_S = 3600.0
POLICY = """[policy]
day_s = 3600.0
drills_min = 0
quiet = []
bake_days = 1
ladder_bp = [2000, 4000, 9500]
"""


@pytest.fixture
def recorded(house: House) -> House:
    """Two compressed days on legacy and three on both paths, in a ledger."""
    (house.folder / "rollout.toml").write_text(POLICY)
    stream = draw_stream("invoices", Drawing(48_000, 0.02, 2.0, 0.5), BEGIN, 5 / 24)
    keys = [f"job-{number}" for number in range(stream.jobs)]
    with house.services() as runtime:
        ledger = runtime.ledger
        assert isinstance(ledger, SqlLedger)
        real = SqlStream(ledger, stream, keys, BEGIN)
        real.admit(BEGIN + timedelta(seconds=2 * DAY_S))
        ledger.change("invoices", Event.START, "ana", "go", BEGIN, scope_bp=5000)
        real.admit(BEGIN + timedelta(seconds=6 * DAY_S))
    return house


def test_policy_and_peers_side_by_side(recorded: House, tmp_path: Path) -> None:
    """What each came to on the jobs as they were, and what a regression would have cost."""
    other = tmp_path / "careful.toml"
    other.write_text(POLICY.replace("bake_days = 1", "bake_days = 30"))
    values = recorded.json(
        "backtest", "invoices", "--policy", str(other), "--inject", "at=day 2 all-fail"
    )
    assert any("drawn from jobs that took it, near in time" in line for line in values["about"])
    rows = {row["who"]: row for row in values["rows"]}
    assert {"policy in force", str(other), "Flagger-style", "CUSUM told the true rate"} < set(rows)
    assert rows["policy in force"]["scope_bp"] >= 2000
    assert rows[str(other)]["scope_bp"] == 2000
    assert "of 30 days at this step" in rows[str(other)]["why"]
    for who in ("policy in force", str(other)):
        assert rows[who]["reverted_at"] is None
        assert 0 < rows[who]["with_regression"]["exposed"]["seen"] < 100


def test_a_timeline_of_the_policy_in_force(recorded: House) -> None:
    """Its decisions instead of the table."""
    done = recorded.run(
        "backtest", "invoices", "--timeline", "--drill-pairs-per-week", "3", "--json"
    )
    values = json.loads(done.stdout)  # and nothing of the judgement's own log
    assert values["timeline"][0]["action"] == "start"
    assert values["reverted_at"] is None
    assert any("3 pairs a week" in line for line in values["about"])


def test_what_the_ledger_knows_of_both_paths(recorded: House) -> None:
    """Jobs on their own path are as they were; fallbacks are known on both."""
    with recorded.services() as runtime:
        found = read_finished(runtime.database, "invoices", "invoices")
    drawn = draw_stream("invoices", Drawing(48_000, 0.02, 2.0, 0.5), BEGIN, 5 / 24)
    stream = found.stream
    assert stream.jobs == drawn.jobs
    assert found.left_out == 0
    keys = (f"job-{number}" for number in range(drawn.jobs))
    assert np.array_equal(stream.position, positions_of("invoices", keys, drawn.jobs))
    early = slice(0, int(drawn.jobs * 0.35))
    assert np.array_equal(stream.legacy_us[early], drawn.legacy_us[early])
    assert np.array_equal(stream.legacy_failed[early], drawn.legacy_failed[early])
    assert found.on_legacy + found.on_concurrent > stream.jobs, "some fell back and ran on both"
    assert found.on_concurrent / (drawn.jobs * 3 / 5) == pytest.approx(0.5, abs=0.05)


def test_nothing_to_test_on(house: House) -> None:
    """No finished job, an unknown name, a ledger that is away, a missing argument."""
    done = house.run("backtest", "invoices")
    assert (done.exit_code, "needs finished jobs" in done.stderr) == (1, True)
    assert house.run("backtest", "invoicse").exit_code == 1
    assert "did you mean 'invoices'" in house.run("backtest", "invoicse").stderr
    assert house.run("backtest").exit_code == 2
    house.lose_ledger()
    assert house.run("backtest", "invoices").exit_code == 4
