"""Drills on real workers: children die, runners die, experiments run; nothing is lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from rollout.adapters.chaos_toolkit import read_experiment
from rollout.drills.drill import Abort, Drill, Exercise, Target
from rollout.drills.drills import DrillReport
from rollout.drills.errors import BadDrill, DrillRefused
from rollout.drills.fault import Fault, FaultPlan
from rollout.drills.plans import LEASE_S
from rollout.drills.score import Result
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event as Change
from rollout.settings import as_variables, environment
from tests.acceptance.conftest import Plant, shop_settings
from tests.conftest import start_valkey
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(300)]

NAME = "invoices"
PAUSE_S = 0.15


class Field(Plant):
    """A plant with jobs that keep coming, half of them on each path."""

    ids: list[str]

    def flow(self, stop: Event) -> None:
        """Submit until told to stop."""
        self.ids = []
        customer = 0
        while not stop.wait(PAUSE_S):
            customer += 1
            result = self.shop.invoices.apply_async((customer,), time_limit=4)
            self.ids.append(result.id)

    def drill(self, **values: Any) -> DrillReport:
        """Run a drill with these values."""
        return self.run(a_drill(**values))

    def run(self, made: Drill) -> DrillReport:
        """Run a drill; a machine that others use may have to come to rest first."""
        refusals: list[str] = []
        for _ in range(8):
            try:
                return self.runtime.drills(None).run(made, JobPath.CONCURRENT, "test")
            except DrillRefused as error:
                refusals.append(str(error))
                Event().wait(2)
        raise AssertionError(refusals)


def a_drill(**values: Any) -> Drill:
    """A short drill with short windows."""
    given: dict[str, Any] = {
        "name": "acceptance",
        "sub_pipeline": NAME,
        "paths": tuple(JobPath),
        "fault": Fault.RAISE,
        "duration_s": 3.0,
        "blast_radius_jobs": 5,
        "deadline_s": 60.0,
        "window_s": 1.0,
        "windows_before": 10,
        "windows_with_jobs_min": 5,
        "windows_inside": 2,
        "abort": Abort(other_path_windows=20),
        **values,
    }
    return Drill(**given)


@pytest.fixture(name="field", scope="module")
def field_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The shop on real workers and servers, with jobs coming in."""
    folder = tmp_path_factory.mktemp("field")
    control = start_valkey()
    settings = shop_settings(
        f"sqlite:///{folder}/ledger.db",
        f"redis://127.0.0.1:{control.port}/0",
        legacy_concurrency=2,
    )
    made = Field(settings, folder / "state", control)
    stop = Event()
    stream = Thread(target=made.flow, args=(stop,))
    try:
        made.start()
        changes = made.runtime.changes
        changes.change(NAME, Change.START, "test", "")
        changes.change(NAME, Change.SCOPE, "test", "", scope_bp=5_000)
        stream.start()
        Event().wait(12)
        yield made
    finally:
        stop.set()
        if stream.ident is not None:
            stream.join()
        made.machine.stop()
        made.shop.app.close()
        control.stop()


def ends_well(field: Field, drill_id: str) -> None:
    """Every hurt job is committed, once, with its one effect."""
    jobs = field.runtime.ledger.drilled_jobs(drill_id)
    assert jobs
    assert {job.state for job in jobs} == {JobState.COMMITTED}
    with field.runtime.database.read() as connection:
        for job in jobs:
            query = text("SELECT count(*) FROM effect WHERE job_id = :id")
            assert connection.execute(query, {"id": job.job_id}).scalar_one() == 1


def test_children_die_on_both_paths_and_nothing_is_lost(field: Field) -> None:
    """SIGKILL in mid-job: legacy takes over, on legacy it runs again; a pair is kept."""
    report = field.drill(fault=Fault.KILL_CHILD, target=Target(jobs=2))
    assert [score.result for score in report.scores] == [Result.HEALED, Result.HEALED]
    assert all(score.jobs_hurt == 2 for score in report.scores)
    assert report.clean
    for score in report.scores:
        ends_well(field, score.drill_id)
    kept = field.runtime.ledger.recoveries(NAME, datetime.fromisoformat("2000-01-01T00:00+00:00"))
    assert {one.path for one in kept if one.pair_id == report.pair_id} == set(JobPath)


def test_a_hang_runs_into_the_limit_on_both_paths(field: Field) -> None:
    """The hard limit kills the child; the job ends well on legacy."""
    report = field.drill(fault=Fault.HANG, duration_s=6.0, target=Target(jobs=1))
    for score in report.scores:
        assert score.result is Result.HEALED
        ends_well(field, score.drill_id)


def test_a_killed_runner_leaves_no_fault(field: Field, tmp_path: Path) -> None:
    """kill -9 in the middle: the fault expires by itself, and the span ends with its deadline."""
    file = tmp_path / "drill.toml"
    file.write_text(
        f'name = "x"\nsub_pipeline = "{NAME}"\npath = "concurrent"\nfault = "raise"\n'
        "target = { share = 0.5 }\nduration_s = 6\nblast_radius_jobs = 4\ndeadline_s = 30\n"
        "window_s = 1\nwindows_before = 10\nwindows_with_jobs_min = 5\n"
    )
    plans = field.runtime.plans
    planted, runner = begun(field, file)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert plans.planted(NAME) == planted
    wait_until(lambda: plans.planted(NAME) is None, "the fault is gone", 7)
    ledger = field.runtime.ledger
    wait_until(
        lambda: all(job.state.finished for job in ledger.drilled_jobs(planted.drill_id)),
        "every hurt job has its outcome",
        30,
    )
    # The dead runner's lease runs out, and the next drill may begin.
    wait_until(
        lambda: plans.reserve(NAME, "test", timedelta(seconds=1)) is None, "it is free", LEASE_S + 5
    )


def begun(field: Field, file: Path) -> tuple[FaultPlan, "subprocess.Popen[bytes]"]:
    """Start the program until its fault is planted; a busy machine is not steady each time."""
    plans = field.runtime.plans
    for _ in range(8):
        runner = subprocess.Popen(
            [sys.executable, "-m", "rollout", "drill", "run", str(file)],
            env=environment(**as_variables(field.settings)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while runner.poll() is None:
            planted = plans.planted(NAME)
            if planted is not None:
                return planted, runner
            Event().wait(0.05)
        Event().wait(2)
    raise AssertionError("the machine never came to rest")


def test_the_real_switch_is_thrown_and_lifted(field: Field) -> None:
    """No concurrent start between acknowledgement and rearm; jobs run there again after it."""
    report = field.drill(
        fault=Exercise.KILL_SWITCH, paths=(JobPath.CONCURRENT,), blast_radius_jobs=30
    )
    (score,) = report.scores
    assert score.result is Result.DONE, score
    assert score.more["starts_after_the_kill"] == 0
    assert not field.runtime.ledger.control(NAME).killed


EXPERIMENT: dict[str, Any] = {
    "title": "invoices survive a broken path",
    "description": "Half of the concurrent jobs raise.",
    "contributions": {},
    "steady-state-hypothesis": {
        "title": "nothing is killed",
        "probes": [
            {
                "type": "probe",
                "name": "not killed",
                "tolerance": False,
                "provider": {
                    "type": "python",
                    "module": "rollout.chaos",
                    "func": "is_killed",
                    "arguments": {"name": NAME},
                },
            }
        ],
    },
    "method": [
        {
            "type": "action",
            "name": "break the path",
            "provider": {
                "type": "python",
                "module": "rollout.chaos",
                "func": "plant_fault",
                "arguments": {
                    "name": NAME,
                    "path": "concurrent",
                    "fault": "raise",
                    "duration_s": 20,
                    "jobs_max": 3,
                },
            },
            "pauses": {"after": 3},
        }
    ],
    "rollbacks": [
        {
            "type": "action",
            "name": "mend it",
            "provider": {
                "type": "python",
                "module": "rollout.chaos",
                "func": "unplant_fault",
                "arguments": {"name": NAME},
            },
        }
    ],
    "extensions": [
        {
            "name": "rollout",
            "sub_pipeline": NAME,
            "path": "concurrent",
            "duration_s": 60,
            "blast_radius_jobs": 8,
            "deadline_s": 120,
            "window_s": 1,
            "windows_before": 10,
            "windows_with_jobs_min": 5,
            "windows_inside": 2,
            "abort": {"other_path_windows": 20},
        }
    ],
}


def test_an_experiment_is_the_fault_of_a_drill(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its actions break, its rollbacks mend, and the drill times the healing."""
    for name, value in as_variables(field.settings).items():
        monkeypatch.setenv(name, value)
    drill = read_experiment(EXPERIMENT, "experiment")
    (score,) = field.run(drill).scores
    journal = field.runtime.ledger.drill_events(score.drill_id)
    off = next(event for event in journal if event.what == "fault off")
    assert off.facts["experiment"] == "completed", json.dumps(dict(off.facts))
    assert off.facts["deviated"] is False
    assert off.facts["why"] == "it is over by itself"
    assert score.result is Result.HEALED
    assert 1 <= score.jobs_hurt <= 3, "what the experiment planted is marked as the drill's"
    assert field.runtime.plans.planted(NAME) is None


def test_an_experiment_ends_with_its_duration_and_rolls_back(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that would go on is ended, and its rollbacks are run."""
    for name, value in as_variables(field.settings).items():
        monkeypatch.setenv(name, value)
    method = [{**EXPERIMENT["method"][0], "pauses": {"after": 300}}]
    extensions = [{**EXPERIMENT["extensions"][0], "duration_s": 20}]
    drill = read_experiment(
        {**EXPERIMENT, "method": method, "extensions": extensions}, "experiment"
    )
    (score,) = field.run(drill).scores
    journal = field.runtime.ledger.drill_events(score.drill_id)
    off = next(event for event in journal if event.what == "fault off")
    assert off.facts["experiment"] == "interrupted", json.dumps(dict(off.facts))
    assert field.runtime.plans.planted(NAME) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": ""}, "is no valid experiment"),
        ({"method": [{"type": "action"}]}, "is no valid experiment"),
        ({"extensions": []}, "must have one extension named 'rollout', got 0"),
        ({"extensions": [{"name": "rollout", "sub_pipeline": NAME}]}, "needs 'duration_s'"),
    ],
)
def test_a_wrong_experiment_starts_nothing(change: dict[str, Any], said: str) -> None:
    """The library says what is wrong with it, or we do."""
    with pytest.raises(BadDrill) as caught:
        read_experiment({**EXPERIMENT, **change}, "experiment")
    assert said in caught.value.problem
