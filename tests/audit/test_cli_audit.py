"""`rollout audit`: through the front door, in each form of its answer."""

import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from rollout.cli.app import app
from tests.audit.systems import System, about, poisson, waves


def run(*words: str, code: int = 0) -> str:
    """Run the program; its output."""
    done = CliRunner().invoke(app, ["audit", *words])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


@pytest.fixture
def queueing(tmp_path: Path) -> Path:
    """A CSV of a system with too few workers."""
    random = Random(1)
    runs = System(2, about(0.5), random=random).run(waves(0.2, 6.0, 600, 3600, random))
    lines = ["run_id,step,queued_at,started_at,ended_at,worker"]
    lines += [
        f"{number},shop.tasks.load,{came},{start},{end},{worker}"
        for number, (came, start, end, _, worker) in enumerate(runs)
    ]
    file = tmp_path / "jobs.csv"
    file.write_text("\n".join(lines))
    return file


def test_the_verdict_comes_first_and_then_the_next_command(queueing: Path) -> None:
    """One sentence with its reason, and a command that is meant to be typed."""
    first, second, *rest = run(str(queueing)).splitlines()
    assert first.startswith("Run more at once: jobs wait in the queue for ")
    assert second.startswith("next: rollout plan load --jobs-per-day ")
    for title in ("Where the time goes", "Ways out, on the jobs of this log", "Side by side"):
        assert title in rest
    assert run(str(queueing), "--brief").splitlines() == [first, second]


def test_the_next_command_works(queueing: Path, no_settings: Path) -> None:
    """`rollout plan` takes it as it is printed."""
    command = run(str(queueing), "--brief").splitlines()[1].removeprefix("next: rollout ")
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output


def test_what_is_tolerated_is_no_bottleneck(queueing: Path) -> None:
    """With an hour of patience nothing has to change."""
    assert "nothing has to change" in run(str(queueing), "--tolerates", "10h", "--brief")
    assert "must be a time such as 10s" in run(str(queueing), "--tolerates", "soon", code=2)


def test_json_has_everything_and_no_nan(queueing: Path) -> None:
    """Verdict, bottlenecks, ways, steps."""
    text = run(str(queueing), "--json")
    values = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert values["bottlenecks"] == ["queueing"]
    assert values["verdict"]["healthy"] is False
    assert values["workers"] == 2
    assert {one["name"] for one in values["ways"]} >= {
        "sequential", "barriers", "micro-batches", "graph", "parallel", "hardware",
    }  # fmt: skip
    assert values["steps"][0]["segments"][0]["part"] == "waiting in the queue"


def test_markdown_keeps_cells_whole(tmp_path: Path) -> None:
    """A name with a bar in it does not break the table."""
    file = tmp_path / "jobs.csv"
    lines = ["step,started_at,ended_at"]
    lines += [f"a|b,{at},{at + 0.5}" for at in poisson(1, 100, Random(1))]
    file.write_text("\n".join(lines))
    text = run(str(file), "--markdown")
    assert text.startswith("# Audit\n")
    assert "| a\\|b |" in text


def test_the_report_is_one_file_that_escapes_what_it_shows(tmp_path: Path) -> None:
    """No script, no address to load, and no name of the log becomes markup."""
    file, page = tmp_path / "jobs.csv", tmp_path / "audit.html"
    lines = ["step,started_at,ended_at"]
    lines += [f"<script>x</script>,{at},{at + 0.5}" for at in poisson(1, 100, Random(1))]
    file.write_text("\n".join(lines))
    assert f"written to {page}" in run(str(file), "--html", str(page)).replace("\n", "")
    html = page.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html
    assert html.count("<svg") >= 2


def test_one_cycle_is_written_for_other_viewers(queueing: Path, tmp_path: Path) -> None:
    """Speedscope's events open and close in turn; the Chrome trace can be audited itself."""
    scope, trace = tmp_path / "s.json", tmp_path / "t.json"
    run(str(queueing), "--speedscope", str(scope), "--trace", str(trace), "--brief")
    for profile in json.loads(scope.read_text())["profiles"]:
        kinds = [one["type"] for one in profile["events"]]
        assert kinds == ["O", "C"] * (len(kinds) // 2)
        times = [one["at"] for one in profile["events"]]
        assert times == sorted(times)
    assert "Where the time goes" in run(str(trace))


def test_stacks_show_the_inside(queueing: Path, tmp_path: Path) -> None:
    """Samples of py-spy beside the log."""
    stacks = tmp_path / "stacks.txt"
    stacks.write_text("main;acquire (threading.py:3) 9\nmain;f (a.py:1) 1\n")
    text = run(str(queueing), "--stacks", str(stacks))
    assert "waits for a lock" in text
    assert "90 %" in text
    stacks.write_text("nothing\n")
    assert "must hold collapsed stacks" in run(str(queueing), "--stacks", str(stacks), code=1)


def test_without_a_file_it_says_what_to_give() -> None:
    """Two lines and an exit code."""
    text = run(code=1)
    assert "error: audit needs a log, got none" in text
    assert "hint: give one: `rollout audit worker.log`" in text


@pytest.mark.parametrize("option", ["--html", "--speedscope", "--trace"])
def test_a_file_that_cannot_be_written_costs_nobody_the_answer(
    queueing: Path, tmp_path: Path, option: str
) -> None:
    """The audit of a large log takes a minute: what it says comes first, then what is wrong."""
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder")
    result = CliRunner().invoke(
        app, ["audit", str(queueing), "--brief", option, str(taken / "out.html")]
    )
    assert result.exit_code == 1
    assert result.stdout.count("next: ") == 1
    assert f"error: {taken} cannot be written" in result.stderr
    made = tmp_path / "new" / "out.html"
    assert CliRunner().invoke(app, ["audit", str(queueing), option, str(made)]).exit_code == 0
    assert made.exists()
