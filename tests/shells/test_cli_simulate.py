"""`simulate` through its front door: drawn and recorded jobs, tables, wrong arguments, ctrl-C."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rollout.cli.app import app
from rollout.rehearsal.stream_ledger import StreamLedger

QUICK = ("--days", "3", "--jobs-per-day", "5000")


def run(*arguments: str) -> Result:
    """Run `rollout simulate` as typed."""
    return CliRunner().invoke(app, ["simulate", *arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def _folder(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder and a terminal wide enough for a table."""
    monkeypatch.setenv("COLUMNS", "120")


def test_a_timeline_with_an_injected_failure() -> None:
    """What was drawn and injected, the decisions in order, and what the regression cost."""
    done = run("invoices", *QUICK, "--inject", "at=day 1.5 all-fail")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("3 days of 5,000 jobs, drawn with seed 1")
    assert lines[1] == "policy of 'invoices': the defaults"
    assert lines[2] == "injected: from day 1.5 on every concurrent job fails"
    assert "synthetic, 6 pairs a week" in lines[3]
    what = [line.split()[3] for line in lines if line[:1].isdigit() and ":" in line[:20]]
    assert what == ["start", "hold", "injected", "revert", "confirm"]
    assert "stage legacy, scope 0 %" in done.stdout
    assert "concurrent jobs were exposed" in lines[-1]
    assert "[info" not in done.stdout + done.stderr


def test_a_revert_to_the_step_below_is_only_the_first(tmp_path: Path) -> None:
    """Jobs go on being exposed there: what is counted is said to be until then."""
    file = tmp_path / "steps.toml"
    file.write_text('[policy]\nrevert_to = "previous_step"\nladder_bp = [1000, 3000]\n')
    worse = "at=day 9 errors=0.2"
    done = run("--policy", str(file), "--days", "12", "--jobs-per-day", "2000", "--inject", worse)
    assert done.exit_code == 0, done.stderr
    assert "after the regression began, to 10 %; until then " in done.stdout.splitlines()[-1]


def test_json_says_the_same_and_nothing_else() -> None:
    """Numbers with units in their names."""
    done = run(*QUICK, "--inject", "at=day 1.5 all-fail", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["stage"] == "legacy"
    assert found["scope_bp_top"] == 310
    assert found["exposed"]["seen"] == found["exposed"]["failed"] <= 12
    assert 0 < found["detection_s"] < 86_400
    assert not found["false_revert"]
    assert [row["action"] for row in found["timeline"]][-2:] == ["revert", "confirm"]


def test_a_policy_file_is_followed(tmp_path: Path) -> None:
    """Another ladder, in days of an hour; its own table counts for the name."""
    file = tmp_path / "other.toml"
    file.write_text(
        "[policy]\nday_s = 3600.0\n[policy.sub_pipeline.invoices]\nladder_bp = [2000, 4000]\n"
    )
    done = run("invoices", "--policy", str(file), "--days", "2", "--jobs-per-day", "2000")
    assert done.exit_code == 0
    assert f"[policy] and [policy.sub_pipeline.invoices] of {file}" in done.stdout
    assert "2 days of 3600 s each" in done.stdout
    assert "stage split, scope 20 %" in done.stdout


def test_a_table_that_seems_meant_for_the_name_is_said(no_settings: Path) -> None:
    """A rehearsal on the defaults does not pass for one of what is written."""
    (no_settings / "rollout.toml").write_text(
        "[policy.sub_pipeline.invocies]\nladder_bp = [5000]\n"
    )
    done = run("invoices", "--days", "1", "--jobs-per-day", "100")
    assert "the defaults; a table for 'invocies' is there, and holds nothing here" in done.stdout


def test_recorded_jobs_and_peers_beside(tmp_path: Path) -> None:
    """A CSV file, a regression, and one table with policy and peers."""
    file = tmp_path / "jobs.csv"
    rows = [f"{1_767_600_000 + 20 * n},{1 + n % 7},{int(n % 150 == 0)}" for n in range(9000)]
    file.write_text("arrival,cycle_s,failed\n" + "\n".join(rows))
    done = run("--stream", str(file), "--compare", "--inject", "at=day 1 all-fail")
    assert done.exit_code == 0
    assert f"9,000 recorded jobs of {file}" in done.stdout
    table = [line for line in done.stdout.splitlines() if line.startswith(("policy ", "Flagger"))]
    assert len(table) == 3
    assert "exposed" in done.stdout


def test_many_pilots_in_one_table() -> None:
    """A line for each rule and case, a column for each scope."""
    done = run("--compare", "--pilots", "1", "--days", "1", "--jobs-per-day", "2000", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert {"rollout, failures", "Flagger-style", "Argo-style"} < {row["who"] for row in rows}
    assert all(list(row["observed"]) == ["1 %", "8 %", "50 %"] for row in rows)
    assert run("--compare", "--pilots", "1", "--days", "1").stdout.count("Flagger-style") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--inject", "all-fail"), 1, "needs the day it begins"),
        (("--compare", "--inject", "at=day 1 slow=2"), 1, "draws failures only"),
        (("--jobs-per-day", "1e9"), 1, "must have 1..50000000 jobs"),
        (("--stream", "nowhere.csv"), 1, "nowhere.csv cannot be read: no such file or directory"),
        (("--policy", "nowhere.toml"), 1, "nowhere.toml cannot be read: no such file"),
        (("--error-rate", "2"), 2, "less than or equal to 1"),
        (("--days", "-1"), 2, "greater than or equal to 0.1"),
        (("--pilots", "0"), 2, "greater than or equal to 1"),
        (("--drills", "1"), 2, "No such option"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], code: int, said: str) -> None:
    """Two lines and an exit code, never a traceback."""
    done = run(*arguments)
    assert done.exit_code == code
    assert said in done.stderr
    if code == 1:
        assert "hint: " in done.stderr


def test_a_wrong_policy_file_is_named(tmp_path: Path) -> None:
    """The file that was given, the table, the key, and what was meant."""
    file = tmp_path / "typo.toml"
    file.write_text("[policy]\nbake_dais = 7\n")
    done = run("--policy", str(file))
    assert done.exit_code == 1
    assert (
        f"error: {file} [policy] has no key 'bake_dais', did you mean 'bake_days'?" in done.stderr
    )


def test_ctrl_c_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code of what is half done, and no traceback."""
    calls = iter(range(50))

    def fold(self: StreamLedger, limit: int) -> int:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(StreamLedger, "fold", fold)
    done = run(*QUICK)
    assert done.exit_code == 3
    assert "warning: interrupted at 20" in done.stderr
    assert done.stdout == ""


def test_the_command_line_loads_no_numbers_before_it_needs_them() -> None:
    """`rollout status` does not wait for numpy because `rollout simulate` needs it."""
    code = "import sys, rollout.cli.app; print([m for m in ('numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
