"""Every `--json` has the recorded keys and types: scripts read them, and a refactoring keeps them.

`docs/cli.md` has a table of them: `python -m tests.docs.tables` writes it from what is recorded.

A command that is missing in `json_shapes.json` is recorded by its test, which then fails once: look
at what was written before it is committed. To let a shape grow, take the command out of the file.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.drills.ports import DrillEvent
from rollout.drills.score import Result, Score
from rollout.jobs.resources import Need
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.scaling.scale import judge
from rollout.scaling.slices import Measured, Slice, WorkerUse
from tests.shells.conftest import House
from tests.shells.json_shapes import keep, recorded, shape_of
from tests.shells.test_cli_shadow import APP, shadowed

Look = Callable[[House], Iterator[Any]]

POLICY = """[policy]
day_s = 3600.0
holdback_bp = 400
[[policy.freezes]]
begin = 2020-01-01T00:00:00
end = 2020-01-02T00:00:00
why = "stocktaking"
[fleet]
splits_max = 2
[cohort.bills]
members = ["invoices", "payments"]
"""


def _started(house: House) -> None:
    """On trial, judged once, with a job in each state."""
    house.run("start", "invoices", "--reason", "pilot begins")
    house.commit(house.submit())
    house.begin(house.submit())
    house.submit()
    house.fail(house.submit())
    with house.services() as runtime:
        runtime.ledger.announce("invoices", JobPath.CONCURRENT, "42")
    house.tick()


def status(house: House) -> Iterator[Any]:
    """Before and after the first judgement, killed, and with a policy that cannot be read."""
    yield house.json("status")
    _started(house)
    yield house.json("status")
    house.run("kill", "invoices", "--reason", "x")
    yield house.json("status", "invoices")
    Path("rollout.toml").write_text("[policy]\nnonsense = 1\n")
    yield house.json("status")


def why(house: House) -> Iterator[Any]:
    """Before and after the first judgement, and reverted."""
    yield house.json("why", "invoices")
    _started(house)
    yield house.json("why", "invoices")
    house.run("revert", "invoices", "--reason", "x")
    house.tick()
    yield house.json("why", "invoices")


def decision(house: House) -> Iterator[Any]:
    """One that was made just now."""
    _started(house)
    yield house.json("decision", "1")


def replay(house: House) -> Iterator[Any]:
    """One that agrees."""
    _started(house)
    yield house.json("replay", "1")


def history(house: House) -> Iterator[Any]:
    """Changes by people, a kill, a decision."""
    _started(house)
    house.run("kill", "invoices", "--reason", "x")
    yield house.json("history", "invoices")


def changes(house: House) -> Iterator[Any]:
    """Every change of the control state, also where the store lags."""
    house.declare("payments")
    yield house.json("shadow", "invoices")
    yield house.json("start", "invoices")
    yield house.json("scope", "invoices", "200")
    yield house.json("double", "invoices")
    yield house.json("freeze", "invoices")
    yield house.json("unfreeze", "invoices")
    house.run("scope", "invoices", "9500")
    yield house.json("graduate", "invoices")
    yield house.json("revert", "invoices", "--reason", "x")
    house.lose_store()
    yield house.json("start", "invoices")


def rearm(house: House) -> Iterator[Any]:
    """One, and all of them."""
    house.run("kill", "invoices", "--reason", "x")
    yield house.json("rearm", "invoices", "--reason", "y")
    house.run("kill", "--all", "--reason", "x")
    yield house.json("rearm", "--all", "--reason", "y")


def kill(house: House) -> Iterator[Any]:
    """Both halves, all, and each half alone."""
    _started(house)
    yield house.json("kill", "invoices", "--reason", "x")
    yield house.json("kill", "--all", "--reason", "x")
    house.lose_broker()
    house.lose_store()
    yield house.json("kill", "invoices", "--reason", "x")


def report(house: House) -> Iterator[Any]:
    """With a kill, a decision, a build and a failed job."""
    _started(house)
    house.run("kill", "invoices", "--reason", "x")
    yield house.json("report", "invoices", "--since", "10min")


def job(house: House) -> Iterator[Any]:
    """Waiting, committed and failed."""
    _started(house)
    for job_id in house.ids:
        yield house.json("job", job_id)


def resources(house: House) -> Iterator[Any]:
    """One that is held and waited for; a job says what it waits for."""
    Path("rollout.toml").write_text("[resource.warehouse]\ncapacity = 1\n")
    needs, now = (Need("warehouse", 1, 1),), datetime.now(UTC)
    first, second = house.submit(), house.submit()
    with house.services() as runtime:
        for job_id in (first, second):
            runtime.ledger.claim(
                "invoices", job_id, JobPath.CONCURRENT, Effects.COMMIT, "w1", now,
                timedelta(minutes=5), needs,
            )  # fmt: skip
    yield house.json("resources", "warehouse")
    assert "waits_for" in house.json("job", second)


def jobs(house: House) -> Iterator[Any]:
    """The kept failures."""
    _started(house)
    yield house.json("jobs", "--failed")


def retry(house: House) -> Iterator[Any]:
    """Sent, and not sent."""
    _started(house)
    yield house.json("retry", house.ids[-1])
    house.fail(house.submit())
    house.lose_broker()
    yield house.json("retry", house.ids[-1])


def messages(house: House) -> Iterator[Any]:
    """One refused message."""
    with house.services() as runtime:
        runtime.ledger.keep_message("q.legacy", "not JSON", "{}", "body", datetime.now(UTC))
    yield house.json("messages")


def prune(house: House) -> Iterator[Any]:
    """Nothing to delete."""
    yield house.json("prune")


def shadow_report(house: House) -> Iterator[Any]:
    """With causes, and without a broker."""
    shadowed(house)
    yield house.json("shadow-report", "invoices")
    house.lose_broker()
    yield house.json("shadow-report", "invoices")


def determinism(house: House) -> Iterator[Any]:
    """With fields that vary."""
    name = f"shop_{abs(hash(house.folder))}"
    Path(f"{name}.py").write_text(APP)
    house.setenv("ROLLOUT_APP", name)
    house.setenv("PYTHONPATH", str(house.folder))
    given = ("--kwargs", json.dumps({"lines": [2], "what": "varies"}))
    yield house.json("determinism", "invoices", *given, "--runs", "2", "--processes", "2")


def policy_show(house: House) -> Iterator[Any]:
    """The defaults, and a sub-pipeline in a cohort."""
    yield house.json("policy", "show")
    Path("rollout.toml").write_text(POLICY)
    yield house.json("policy", "show", "invoices")


def policy_check(house: House) -> Iterator[Any]:
    """Nothing, a wrong line, advice on real traffic, and a ledger that is away."""
    yield house.json("policy", "check", "--jobs-per-week", "1e6", "--error-rate", "0.01")
    _started(house)
    yield house.json("policy", "check")
    Path("rollout.toml").write_text("[policy]\nnonsense = 1\n")
    yield house.json("policy", "check")
    Path("rollout.toml").unlink()
    house.lose_ledger()
    yield house.json("policy", "check")


def doctor(house: House) -> Iterator[Any]:
    """Healthy, and with wrong settings."""
    house.tick()
    yield house.json("doctor")
    house.setenv("ROLLOUT_TICK_S", "60")
    yield house.json("doctor")


def migrate(house: House) -> Iterator[Any]:
    """A ledger without tables, and one at the newest."""
    house.setenv("ROLLOUT_LEDGER_URL", "sqlite:///fresh.db")
    yield house.json("migrate")
    yield house.json("migrate")


def _drilled(house: House) -> None:
    """A drill that has ended, and one of a runner that died."""
    at = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    facts = {"path": "concurrent", "fault": "raise"}
    ended = at + timedelta(seconds=2)
    score = Score(
        "d1", JobPath.CONCURRENT, Result.HEALED, "Healed.", at, ended, ended, 2.0, 2.0, 5, 0, 0
    )
    lines = [
        DrillEvent("d1", "invoices", at, "declared", facts),
        DrillEvent("d1", "invoices", ended, "ended", score.facts()),
        DrillEvent("e1", "invoices", at, "declared", facts),
    ]
    with house.services() as runtime:
        runtime.ledger.append_drill(lines)


def drill_list(house: House) -> Iterator[Any]:
    """One that has ended, one that has not."""
    _drilled(house)
    yield house.json("drill", "list")


def drill_show(house: House) -> Iterator[Any]:
    """One that has ended, one that has not."""
    _drilled(house)
    yield house.json("drill", "show", "d1")
    yield house.json("drill", "show", "e1")


def drill_journal(house: House) -> Iterator[Any]:
    """One that has ended, one that has not."""
    _drilled(house)
    yield house.json("drill", "journal", "d1")
    yield house.json("drill", "journal", "e1")


def audit(house: House) -> Iterator[Any]:
    """The ledger's jobs, a queue with half lines, steps with stacks, two captures of a build."""
    _started(house)
    yield house.json("audit", "--ledger", "invoices")
    Path("queue.csv").write_text(_QUEUE)
    yield house.json("audit", "queue.csv")
    Path("steps.csv").write_text(_STEPS)
    Path("stacks.txt").write_text("main;parse 30\nmain;acquire 70\n")
    yield house.json("audit", "steps.csv", "--stacks", "stacks.txt", "--tolerates", "10s")
    Path("few.json").write_text(_build(4, 0.3))
    Path("many.json").write_text(_build(16, 1.1))
    yield house.json("audit", "few.json", "many.json")


_QUEUE = "run_id,step,queued_at,started_at,ended_at,worker\nx,y\n" + "".join(
    f"r{number},load,{1_780_272_000 + number},{at},{at + 1.5},w1\n"
    for number, at in enumerate(1_780_272_000 + 1.5 * number for number in range(400))
)
_STEPS = "run_id,step,started_at,ended_at,parents,worker\n" + "".join(
    f"r{number},{step},{at + number * 600},{at + number * 600 + 5 + number % 3},{parents},{step}\n"
    for number in range(4032)
    for step, at, parents in (("a", 1_780_272_000, ""), ("b", 1_780_272_100, "a"))
)


def _build(workers: int, seconds: float) -> str:
    """A Chrome trace of 200 actions on so many workers."""
    actions = [
        {"ph": "X", "cat": "action", "name": f"step {number}", "pid": 1, "tid": number % workers,
         "ts": number // workers * seconds * 1e6, "dur": seconds * 1e6}
        for number in range(200)
    ]  # fmt: skip
    return json.dumps(actions)


def preflight(house: House) -> Iterator[Any]:
    """The ledger's jobs that were not run; recorded inputs, of which some break."""
    name = f"shop_{abs(hash(house.folder))}"
    Path(f"{name}.py").write_text(APP)
    house.setenv("ROLLOUT_APP", name)
    house.setenv("PYTHONPATH", str(house.folder))
    _started(house)
    yield house.json("preflight", "invoices")
    Path("inputs.jsonl").write_text('{"kwargs": {"lines": [2], "what": "raises"}}\n{"args": []}\n')
    yield house.json("preflight", "invoices", "--inputs", "inputs.jsonl", "--run", "1")


def scale_test(house: House) -> Iterator[Any]:
    """As it is printed, of figures that do not depend on the machine: see tests/scaling."""
    use = WorkerUse(7.5, 0, 1.0, 0.04, 0.0, 50_000_000, 0, 0.1)
    slices = [Slice(workers, number, [use] * workers) for number in range(3) for workers in (1, 4)]
    for given in (slices, slices[:2], []):
        measured = Measured("invoices", given, 4.0, 1, "f", 9.0, 3.0, 200_000_000, "", 4)
        yield judge(measured).to_json()
    idle = [Slice(4, number, [replace(use, jobs=2.0)] * 4) for number in range(3)]
    many = Measured("invoices", [*slices[::2], *idle], 4.0, 1, "f", 9.0, 3.0, 200_000_000, "", 4)
    yield judge(many).to_json()


def simulate(house: House) -> Iterator[Any]:
    """A timeline with a regression."""
    quick = ("--days", "3", "--jobs-per-day", "5000")
    yield house.json("simulate", *quick, "--inject", "at=day 1.5 all-fail")
    yield house.json("simulate", *quick)


COMMANDS: dict[str, Look] = {
    one.__name__: one
    for one in (
        status, why, decision, replay, history, report, changes,
        rearm, kill, job, resources, jobs, retry, messages,
        prune, shadow_report, determinism, policy_show, policy_check, doctor, migrate,
        drill_list, drill_show, drill_journal, simulate, audit, preflight, scale_test,
    )
}  # fmt: skip


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_json_has_the_recorded_shape(command: str, house: House) -> None:
    """Key for key and type for type."""
    house.declare("payments", effects=Effects.COMMIT)
    found = shape_of(*COMMANDS[command](house))
    if command not in recorded():
        keep(command, found)
        pytest.fail(f"the shape of {command} was not recorded before; look at it and run again")
    assert found == recorded()[command]


def test_no_shape_is_of_a_command_that_is_gone() -> None:
    """What is recorded is tested."""
    assert set(recorded()) == set(COMMANDS)
