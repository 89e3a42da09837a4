"""The same steps in threads, processes, on Dask and on Celery, with real workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rollout.execution import (
    Caps,
    Chain,
    ChainEngine,
    DeadLetter,
    Graph,
    GraphEngine,
    Mapped,
    Stage,
    Step,
)
from rollout.execution.errors import (
    NotRemote,
    RemoteStepFailed,
    StepTimedOut,
    Stopped,
    WorkerDied,
)
from rollout.execution.running import seed_of
from tests.execution.test_dead_letter import letters
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def worker(valkey_url: str) -> Iterator[Any]:
    """A real Celery worker of two processes; gives the module with its app."""
    os.environ["EXECUTION_TEST_REDIS"] = valkey_url
    from tests.execution import remote_app

    command = [sys.executable, "-m", "celery", "-A", "tests.execution.remote_app", "worker"]
    command += ["-Q", "steps", "-c", "2", "-P", "prefork", "-l", "WARNING", "-n", "steps@test"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        control = remote_app.app.control
        wait_until(lambda: bool(control.ping(timeout=0.5)), "the worker answers", 60)
        yield remote_app
    finally:
        process.terminate()
        process.wait(30)
        remote_app.app.backend.client.connection_pool.disconnect()
        remote_app.app.close()


@pytest.fixture(scope="module")
def celery_steps(worker: Any) -> Iterator[Executor]:
    """Our executor on that worker."""
    from rollout.execution.celery_executor import CeleryExecutor

    with CeleryExecutor(worker.remote) as executor:
        yield executor


@pytest.fixture(scope="module")
def dask_steps() -> Iterator[Executor]:
    """Dask's executor on a real local cluster of two processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",  # without one it takes port 8787, which another run may have
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


PLACES = ["threads", "processes", "pool", "dask", "celery"]


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each place in turn."""
    if request.param == "pool":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    elif request.param in ("dask", "celery"):
        yield request.getfixturevalue(f"{request.param}_steps")
    else:
        yield request.param


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_graph_gives_the_same_everywhere(place: Any, worker: Any) -> None:
    """Results, seeds and the failure of a step, with its dependents blocked."""
    graph = Graph(
        "g",
        [
            Mapped("add", worker.add, [1, 2, 3], limit=1),
            Step("sum", worker.add, ["add[0]"], (40,)),
            Step("about", worker.about),
            Step("fail", worker.fail, args=("on purpose",)),
            Step("blocked", worker.add, ["fail"]),
        ],
    )
    engine = GraphEngine(graph, workers=2, executor=place, deterministic=True)
    report = engine.run(check=False)
    assert [report.results[f"add[{n}]"] for n in range(3)] == [2, 3, 4]
    assert report.results["sum"] == 42
    about = report.results["about"]
    assert (about["name"], about["seed"]) == ("about", seed_of("about"))
    elsewhere = place == "processes" or not isinstance(place, str | ThreadPoolExecutor)
    assert (about["pid"] != os.getpid()) is elsewhere
    assert report.states["blocked"] == "blocked"
    error = report.failures["fail"].error
    assert isinstance(error, ValueError | RemoteStepFailed)
    assert "on purpose" in str(error)


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_chain_gives_the_same_everywhere(place: Any, worker: Any, tmp_path: Path) -> None:
    """Batches in order, and corrupt records in the dead letter with their position."""
    records = [str(record) for record in range(30)]
    records[7] = "seven"
    chain = Chain(
        "c",
        [
            Stage("parse", worker.parse, 2, each=True, corrupt=worker.Corrupt),
            Stage("double", worker.double),
        ],
        size=4,
    )
    letter = DeadLetter(tmp_path / "dead", Caps(None, None, None))
    report = ChainEngine(chain, records, executor=place, dead_letter=letter).run()
    assert report.output == [record * 2 for record in range(30) if record not in (7, 13)]
    assert [(one["position"], one["payload"]) for one in letters(tmp_path / "dead")] == [
        (7, "seven"),
        (13, 13),
    ]


def test_a_process_that_dies_gives_its_slot_back(worker: Any) -> None:
    """The step has failed, or runs again with a retry; the others are not lost with it."""
    graph = Graph(
        "g",
        [
            Step("dies", worker.die),
            Step("again", worker.die, retries=2, after=["dies"], policy="always"),
            Step("other", worker.add, args=(1,), retries=1, after=["again"]),
        ],
    )
    report = GraphEngine(graph, workers=2, executor="processes").run(check=False)
    assert report.states == {"dies": "failed", "again": "succeeded", "other": "succeeded"}
    assert isinstance(report.failures["dies"].error, WorkerDied)


def test_a_stage_may_have_an_executor_of_its_own(worker: Any) -> None:
    """Processes for the work that computes, threads for the rest."""
    chain = Chain(
        "c",
        [Stage("parse", worker.parse, each=True, executor="processes"), Stage("b", worker.double)],
        size=3,
    )
    assert ChainEngine(chain, ["1", "2", "3", "4"]).run().output == [2, 4, 6, 8]


class CallsOff(ThreadPoolExecutor):
    """Calls off the first call that it is given."""

    called_off = False

    def submit(self, *call: Any, **named: Any) -> Future[Any]:
        """Give a future that somebody cancelled, once."""
        if self.called_off:
            return super().submit(*call, **named)
        self.called_off = True
        cancelled: Future[Any] = Future()
        cancelled.cancel()
        cancelled.set_running_or_notify_cancel()
        return cancelled


@pytest.mark.parametrize("retries", [0, 1])
def test_a_step_that_the_executor_calls_off(retries: int) -> None:
    """The run has not been stopped and does not say so; a retry gives the step out again."""
    graph = Graph("one", [Step("add", sum, args=[[1, 2]], retries=retries)])
    with CallsOff(1) as executor:
        report = GraphEngine(graph, workers=1, executor=executor).run(check=False)
    if retries:
        assert report.results["add"] == 3
    else:
        assert "'add' was called off in its executor before it ran" in str(report.failures["add"])
        assert report.failures["add"].state == "failed"


def test_what_is_not_registered_does_not_reach_celery(celery_steps: Executor, worker: Any) -> None:
    """Refused at declaration for a function, at the step for arguments that are no JSON."""
    with pytest.raises(NotRemote, match="not among the registered steps"):
        GraphEngine(Graph("g", [Step("a", time.sleep)]), executor=celery_steps)
    for wrong in ({1: 2}, {"rollout.step": "x"}, {1, 2}, object()):
        graph = Graph("g", [Step("a", worker.add, args=(wrong,))])
        report = GraphEngine(graph, executor=celery_steps).run(check=False)
        assert isinstance(report.failures["a"].error, NotRemote)
    with pytest.raises(NotRemote, match="takes no keywords"):
        celery_steps.submit(worker.add, left=1)


def test_a_worker_runs_only_what_is_registered(worker: Any) -> None:
    """A message that names another function is refused there, whoever sent it."""
    with pytest.raises(NotRemote, match="has no step 'os:system'"):
        worker.remote.decode({"rollout.step": "os:system"})
    with pytest.raises(NotRemote, match="has no step 'builtins:eval'"):
        worker.remote.decode({"rollout.step": "builtins:eval"})
    assert worker.remote.decode({"rollout.step": "builtins:ValueError"}) is ValueError


def test_a_step_over_its_limit_is_stopped_on_celery(celery_steps: Executor, worker: Any) -> None:
    """Its process is killed, so its slot comes back, and the worker goes on with others."""
    graph = Graph(
        "g",
        [
            Step("hangs", worker.hang, args=(60,), timeout_s=0.5),
            Step("next", worker.add, args=(1,), after=["hangs"], policy="always"),
        ],
    )
    began = time.monotonic()
    report = GraphEngine(graph, workers=1, executor=celery_steps).run(check=False)
    assert report.states == {"hangs": "failed", "next": "succeeded"}
    assert isinstance(report.failures["hangs"].error, StepTimedOut)
    assert time.monotonic() - began < 40


def test_ctrl_c_takes_back_what_no_worker_has_begun(valkey_url: str) -> None:
    """With no worker at all the run ends, and says why."""
    os.environ["EXECUTION_TEST_REDIS"] = valkey_url
    from celery import Celery

    from rollout.execution.celery_executor import CeleryExecutor, RemoteSteps
    from tests.execution.remote_app import add

    app = Celery("nobody", broker=valkey_url, backend=valkey_url)
    main = threading.main_thread().ident
    assert main is not None
    with CeleryExecutor(RemoteSteps(app, [add], queue="nobody", task="nobody.step")) as executor:
        engine = GraphEngine(Graph("g", [Step("a", add, args=(1,))]), executor=executor)
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.run()
    assert engine.report().states == {"a": "cancelled"}
    with pytest.raises(RuntimeError, match="was shut down"):
        executor.submit(add, 1)
    with pytest.raises(Stopped, match="interrupted"):
        engine.wait()
    app.backend.client.connection_pool.disconnect()
    app.close()
