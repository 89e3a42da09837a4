"""`rollout drill`: bad input says what to write, nothing is started, journals can be read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event as Over
from threading import Thread

import pytest

from rollout.drills.fault import Fault, FaultPlan
from rollout.drills.ports import DrillEvent
from rollout.jobs.claims import Claim
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.wiring import Runtime
from tests.builders import filing
from tests.shells.conftest import House
from tests.waiting import wait_until

GOOD = """
name = "broken"
sub_pipeline = "invoices"
path = "concurrent"
fault = "raise"
target = { jobs = 3 }
duration_s = 5
blast_radius_jobs = 5
deadline_s = 60
"""
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def write(house: House, text: str, name: str = "drill.toml") -> str:
    """A drill's file."""
    (house.folder / name).write_text(text)
    return name


def nothing_started(house: House) -> bool:
    """No journal, no plan."""
    with house.services() as runtime:
        planted = runtime.plans.planted("invoices")
        return runtime.ledger.drills(None, 10) == [] and planted is None


BAD = {
    "no deadline": (("deadline_s = 60\n", ""), "needs 'deadline_s', got none"),
    "no limit": (("blast_radius_jobs = 5\n", ""), "needs 'blast_radius_jobs', got none"),
    "unknown fault": (('"raise"', '"raze"'), "unknown fault 'raze', did you mean 'raise'?"),
    "unknown name": (("duration_s", "duration"), "has no 'duration', did you mean 'duration_s'?"),
    "unknown path": (('"concurrent"', '"fast"'), "'path' of drill drill.toml must be 'legacy'"),
    "unknown sub-pipeline": (('"invoices"', '"invoice"'), "did you mean 'invoices'?"),
    "late deadline": (("deadline_s = 60", "deadline_s = 6"), "must be at least 35"),
    "endless": (("duration_s = 5", "duration_s = inf"), "must lie in 0.1..86400, got inf"),
    "too many jobs": (("jobs = 3 }", "jobs = 9 }"), "must be 1..5 (its blast radius), got 9"),
    "two targets": (("jobs = 3 }", "jobs = 3, share = 1 }"), "must be a share, a number of jobs"),
    "no TOML": (("name =", "name"), "is not TOML"),
    "wrong abort": (
        ("deadline_s = 60", "deadline_s = 60\nabort = { failed_share_max = 7 }"), "0..1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_starts_nothing(house: House, case: str) -> None:
    """Each mistake has its own words, exit code 1 and no trace."""
    change, said = BAD[case]
    done = house.run("drill", "run", write(house, GOOD.replace(*change)))
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert said in done.stderr
    assert nothing_started(house)


@pytest.mark.parametrize("name", ["drill.txt", "absent.toml"])
def test_a_file_that_is_no_drill_is_refused(house: House, name: str) -> None:
    """Another kind of file, or none."""
    (house.folder / "drill.txt").write_text(GOOD)
    done = house.run("drill", "run", name)
    assert done.exit_code == 1
    assert name in done.stderr


def test_yaml_is_read_as_toml_is(house: House) -> None:
    """The same drill in YAML gets as far: here no job runs concurrently."""
    text = GOOD.replace(" = ", ": ").replace("{ jobs: 3 }", "\n  jobs: 3")
    for name, content in (("drill.yaml", text), ("drill.toml", GOOD)):
        done = house.run("drill", "run", write(house, content, name))
        assert "no job runs on the concurrent path" in done.stderr, name
    assert nothing_started(house)


def test_a_killed_sub_pipeline_is_refused(house: House) -> None:
    """With what to do first."""
    with house.services() as runtime:
        runtime.changes.change("invoices", Event.START, "ana", "")
        runtime.changes.kill("invoices", "ana", "fire")
    done = house.run("drill", "run", write(house, GOOD))
    assert done.exit_code == 1
    assert "it is killed" in done.stderr
    assert "rearm 'invoices' first" in done.stderr


def test_stop_takes_a_planted_fault_away(house: House) -> None:
    """Of one sub-pipeline or of all; without one it says so."""
    until = datetime.now(UTC) + timedelta(seconds=30)
    plan = FaultPlan("d1", "invoices", (JobPath.LEGACY,), Fault.DELAY, until, 1)
    for arguments in (["invoices"], []):
        with house.services() as runtime:
            assert runtime.plans.plant(plan, timedelta(seconds=30))
        assert house.run("drill", "stop", *arguments).stdout == "stopped on invoices\n"
        assert nothing_started(house)
    assert house.run("drill", "stop").stdout == "no fault is planted\n"
    assert house.run("drill", "stop", "nobody").exit_code == 1


@pytest.fixture
def told(house: House) -> House:
    """A ledger with one journal."""
    facts = {"path": "concurrent", "fault": "raise"}
    first = DrillEvent("d1234", "invoices", AT, "declared", facts)
    with house.services() as runtime:
        runtime.ledger.append_drill(
            [
                first,
                replace(first, at=AT + timedelta(seconds=1.5), what="fault on"),
                replace(first, what="ended", facts={"result": "healed", "recovery_s": 4.25}),
            ]
        )
    return house


def test_journals_are_listed_and_shown(told: House) -> None:
    """A line per drill, its figures, its whole journal; the beginning of its id is enough."""
    listed = told.run("drill", "list", "invoices").stdout
    assert "d1234" in listed
    assert "healed" in listed
    assert "4.250" in listed
    assert "recovery_s" in told.run("drill", "show", "d12").stdout
    assert "1.500" in told.run("drill", "journal", "d1234").stdout
    found = told.json("drill", "journal", "d1234")
    assert [event["what"] for event in found["events"]] == ["declared", "fault on", "ended"]
    assert told.json("drill", "list")["drills"][0]["drill_id"] == "d1234"
    assert told.run("drill", "show", "d9").exit_code == 1


def test_an_empty_journal_says_how_to_begin(house: House, tmp_path: Path) -> None:
    """Nothing was ever run."""
    assert "`rollout drill run FILE`" in house.run("drill", "list").stdout


def planted_drill(house: House, *, age_s: float, window_s: float = 10.0, pair: bool = False) -> str:
    """A drill that another runner has begun; its lease is held, its journal has not ended."""
    began = datetime.now(UTC) - timedelta(seconds=age_s)
    facts = {
        "path": "legacy", "fault": "raise", "deadline_s": 600, "window_s": window_s,
        "pair_id": "p1" if pair else None, "actor": "bo",
    }  # fmt: skip
    with house.services() as runtime:
        first = DrillEvent("d1111111", "invoices", began, "declared", facts)
        events = [first]
        if pair:
            events.append(replace(first, what="ended", facts={"result": "healed"}))
            second = {**facts, "path": "concurrent"}
            events.append(DrillEvent("d2222222", "invoices", began, "declared", second))
        runtime.ledger.append_drill(events)
        assert runtime.plans.reserve("invoices", "d1111111", timedelta(seconds=30)) is None
    return events[-1].drill_id


@pytest.mark.parametrize("pair", [False, True])
def test_a_refusal_names_a_drill_that_exists_and_when_it_lets_go(house: House, pair: bool) -> None:
    """The id in the error is one that `drill show` knows: of a pair, the half that runs."""
    drill_id = planted_drill(house, age_s=5, pair=pair)
    path = "concurrent" if pair else "legacy"
    done = house.run("drill", "run", write(house, GOOD.replace('"concurrent"', '"legacy"')))
    said = " ".join(done.stderr.split())
    assert done.exit_code == 1
    assert f"drill {drill_id} (raise on {path} by bo) has 'invoices'" in said
    until = re.search(r"if its runner died, it lets go at (\d\d:\d\d:\d\d) UTC", said)
    assert until is not None
    assert house.run("drill", "show", drill_id).exit_code == 0


def test_a_dead_runner_is_called_so(house: House) -> None:
    """In the list, for one drill, in JSON, and in status as long as its fault may be on."""
    drill_id = planted_drill(house, age_s=120, window_s=10)
    assert "runner died" in house.run("drill", "list").stdout
    assert house.json("drill", "list")["results"] == [
        {"drill_id": drill_id, "result": "runner died"}
    ]
    assert "its runner died" in house.run("drill", "show", drill_id).stdout
    assert house.json("drill", "show", drill_id)["result"] == "runner died"
    assert "its runner died" in " ".join(house.run("status").stdout.split())


@pytest.mark.parametrize(("age_s", "window_s"), [(20, 10), (120, 60)])
def test_a_runner_that_wrote_lately_lives(house: House, age_s: float, window_s: float) -> None:
    """A line each window is due, and some patience with the ledger."""
    planted_drill(house, age_s=age_s, window_s=window_s)
    assert "  runs" in house.run("drill", "list").stdout
    assert "its runner died" not in " ".join(house.run("status").stdout.split())


DAY = """
title = "A first day"
pause_s = 0

[defaults]
sub_pipeline = "invoices"
path = "legacy"
fault = "raise"
target = { jobs = 1 }
duration_s = 1
blast_radius_jobs = 1
deadline_s = 8
window_s = 0.5
windows_before = 4
windows_with_jobs_min = 1
windows_inside = 1

[[drill]]
name = "legacy breaks"

[[drill]]
name = "nothing runs there"
path = "concurrent"
"""


@contextmanager
def legacy_jobs(house: House) -> Iterator[None]:
    """Jobs that legacy finishes, ten a second; a planted drill hurts one of them."""
    over = Over()

    def work(runtime: Runtime) -> None:
        hurt: set[str] = set()
        for number in count():
            job_id, now = f"legacy-{number}", datetime.now(UTC)
            runtime.ledger.file([filing(job_id, JobPath.LEGACY, at=now)])
            silent = runtime.settings.silent_after
            claim = runtime.ledger.claim(
                "invoices", job_id, JobPath.LEGACY, Effects.COMMIT, "w1", now, silent
            )
            assert isinstance(claim, Claim)
            plan = runtime.plans.planted("invoices")
            if plan is not None and plan.drill_id not in hurt:
                hurt.add(plan.drill_id)
                runtime.ledger.mark_drilled("invoices", job_id, plan.drill_id, "raise", now)
            runtime.ledger.commit(claim, Effects.COMMIT, lambda connect: "null", now)
            if over.wait(0.1):
                return

    with house.services() as runtime:
        worker = Thread(target=work, args=(runtime,))
        worker.start()
        try:
            wait_until(lambda: sum(t.jobs for t in runtime.ledger.tallies()[0]) > 15, "traffic")
            yield
        finally:
            over.set()
            worker.join()


@pytest.mark.parametrize("verbose", [False, True])
def test_a_game_day_says_what_it_does(house: House, verbose: bool) -> None:
    """Each drill with its number and result, a closing table, lines of jobs only when asked for."""
    write(house, DAY, "day.toml")
    with legacy_jobs(house):
        done = house.run("drill", "run", "day.toml", *(["--verbose"] if verbose else []))
    said = " ".join(done.stdout.split())
    assert done.exit_code == 0, done.stdout
    assert "drill 1 of 2: legacy breaks (raise on legacy of invoices)" in said
    assert re.search(r"drill 1 of 2: legacy: healed in \d+\.\d s, 1 job hurt", said), said
    assert (
        "drill 2 of 2: refused: no drill on 'invoices' now: no job runs on the concurrent" in said
    )
    table = done.stdout.splitlines()[-4:-1]
    assert table[0].split() == ["no", "path", "result", "recovery", "s", "hurt", "drill"]
    assert table[1].split()[:3] == ["1", "legacy", "healed"]
    assert table[2].split()[:3] == ["2", "-", "refused"]
    assert ("job committed" in said) is verbose
    assert ("window" in done.stdout) is verbose
    html = (house.folder / "reports/gameday/gameday.html").read_text()
    for one in (
        "Played by ana.", "invoices: stage legacy, 0 % of jobs on the new path",
        "healed within 8 seconds, no job lost", '<td class="passed" data-is=', "not played",
    ):  # fmt: skip
        assert one in html, one
    assert "recovery_s" not in html
