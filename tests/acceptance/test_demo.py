"""The demo, whole: it is the README's second command and its report is a promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


def test_demo_ends_with_everything_accounted_for(tmp_path: Path) -> None:
    """Twice in a row would be a minute more: the folder is emptied at the start, which is shown."""
    left_over = tmp_path / "state" / "ledger.db"
    left_over.parent.mkdir()
    left_over.write_text("not a database")
    run = subprocess.run(
        [sys.executable, "-m", "rollout", "demo", "--folder", "state", "--report", "demo.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "demo.json").read_text())
    assert report["submitted"] == 1096
    assert report["lost"] == 0
    assert report["committed_twice"] == 0
    assert report["failed_kept"] == 1
    assert report["fallbacks"] >= 9
    made = report["committed_legacy"] + report["committed_concurrent"] + report["failed_kept"]
    assert made == report["submitted"]
    assert report["kill"]["starts_after"] == 0
    assert report["kill"]["commits_after"] == 0
    assert report["warehouse_rows"] == 336_776
    assert report["warehouse_matches"] is True
    assert report["ladder_bp"] == [100, 200, 400, 800, 1600, 3200, 6400, 9500]
    for path in ("legacy", "concurrent"):
        assert report["cycle_s"][path]["p95"] >= report["cycle_s"][path]["p50"] > 0
