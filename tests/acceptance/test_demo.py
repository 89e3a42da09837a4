"""The demo, whole: it is the README's first command and its report is a promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(700)]


def test_demo_ends_with_everything_accounted_for(tmp_path: Path) -> None:
    """Twice in a row would be minutes more: the folder is emptied at the start, which is shown."""
    left_over = tmp_path / "state" / "ledger.db"
    left_over.parent.mkdir()
    left_over.write_text("not a database")
    run = subprocess.run(
        [sys.executable, "-m", "rollout", "demo", "--folder", "state", "--report", "demo.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=680,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "demo.json").read_text())
    assert report["lost"] == 0
    assert report["committed_twice"] == 0
    assert report["failed_kept"] == 1
    made = report["committed_legacy"] + report["committed_concurrent"] + report["failed_kept"]
    assert made == report["submitted"]
    assert report["kill"]["starts_after"] == 0
    assert report["kill"]["commits_after"] == 0
    assert report["warehouse_rows"] == 336_776
    assert report["warehouse_matches"] is True
    assert report["graduated"]
    actions = [one["action"] for one in report["decisions"]]
    assert actions.count("revert") == 2
    assert set(report["exposed_until_revert"]) == {"slow", "broken"}
    assert report["ladder_bp"][-3:] == [2500, 5000, 8000]
    assert any("rows" in group["what"] for group in report["shadow_groups"])
    for path in ("legacy", "concurrent"):
        assert report["cycle_s"][path]["p95"] >= report["cycle_s"][path]["p50"] > 0
