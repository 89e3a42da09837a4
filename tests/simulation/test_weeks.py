"""Three thousand weeks, of which every promise survives each one; `make simulation` runs more."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.many import run_many, save
from tests.simulation.run import run
from tests.simulation.test_guards import SEEDS_MAX
from tests.simulation.unguarded import without

SEEDS = range(1, SEEDS_MAX + 1)
"""As many as `test_guards` gives a missing guard to show itself."""
WEEKS = 50
REPORT = Path(__file__).parents[2] / "reports" / "simulation.json"


@pytest.mark.long
@pytest.mark.timeout(900)  # a quarter of a minute on two free cores
def test_three_thousand_weeks_break_no_promise() -> None:
    """60 systems for 50 weeks each; a failing seed is named with the command that replays it."""
    summaries, found = run_many(SEEDS, WEEKS)
    save(found, REPORT)
    broken = [one.replay for one in summaries if one.broken]
    assert broken == [], "\n\n".join(broken)
    assert found["weeks"] == 3_000
    # What is never exercised proves nothing.
    counts = found["by_event"]
    assert isinstance(counts, dict)
    for what in (
        "fault", "kill acknowledged", "fenced", "handed", "dropped", "retried", "reopened", "wiped",
        "message lost", "delayed", "refused", "decided", "effect", "observed",
        "took", "rests",
    ):  # fmt: skip
        assert counts[what] > 15, f"only {counts[what]} times {what!r}"


def test_a_seed_gives_the_same_run_every_time() -> None:
    """To the last event; only the ids of kills, which the program draws, are its own."""
    first, second = (
        [(event.at_s, event.who, event.what) for event in run(7, 15, keep=True).history]
        for _ in range(2)
    )
    assert first == second
    assert len(first) > 500


def test_a_failing_seed_prints_its_history_and_ends_with_what_broke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`python -m tests.simulation --seed N` is how a person sees what happened."""
    arguments = ["simulation", "--seed", "1", "--weeks", "40", "--without", "outbox"]
    monkeypatch.setattr("sys.argv", arguments)
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main() == 1
    lines = printed.getvalue().splitlines()
    assert lines[0].startswith("week    0")
    assert any(line.startswith("BROKEN stuck: ") for line in lines)
    with without("outbox"):
        weeks = run(1, 40).weeks
    assert lines[-1].startswith(f"seed 1: {weeks} weeks, ")
