"""A Chaos Toolkit experiment as the fault of a drill, run by `chaostoolkit-lib` in a child process.

A process of its own, because the library takes over signals and runs activities that may hang. It
ends by SIGTERM (which makes the library run the rollbacks), by its own alarm at the deadline, and
with its parent; what does not end then is killed.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from rollout.drills.drill import Drill, Exercise, read_drill
from rollout.drills.errors import BadDrill
from rollout.drills.experiments import runs_for
from rollout.errors import RolloutError
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath

EXTENSION = "rollout"
GRACE_S = 10.0
"""Time for rollbacks after the end, before the process is killed."""
AGAIN_S = 1.0
"""Until an experiment whose rollbacks have not begun is told again to end."""


class ChaosToolkitMissing(RolloutError):
    """The package that runs experiments is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "a Chaos Toolkit experiment needs the package chaostoolkit-lib, it is not installed",
            "pip install 'celery-rollout[chaos]'",
        )

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


def read_experiment(experiment: Mapping[str, Any], where: str) -> Drill:
    """Read a drill out of an experiment: its fault is the experiment, the rest is in `extensions`.

    Raises:
        BadDrill: The experiment is not valid, or has no (right) block for us; nothing was run.
        ChaosToolkitMissing: The package is not installed.
    """
    validate(experiment, where)
    blocks = [one for one in experiment.get("extensions", []) if one.get("name") == EXTENSION]
    if len(blocks) != 1:
        raise BadDrill(
            f"{where} must have one extension named {EXTENSION!r}, got {len(blocks)}",
            '"extensions": [{"name": "rollout", "sub_pipeline": ..., "duration_s": ...}]',
        )
    values = {key: value for key, value in blocks[0].items() if key != "name"}
    values = {"name": experiment["title"], "fault": str(Exercise.CHAOS), **values}
    return read_drill(values, where, experiment=dict(experiment))


def validate(experiment: Mapping[str, Any], where: str) -> None:
    """Let the library check the experiment. Raises BadDrill, ChaosToolkitMissing."""
    try:
        from chaoslib.exceptions import ChaosException
        from chaoslib.experiment import ensure_experiment_is_valid
    except ImportError as error:
        raise ChaosToolkitMissing from error
    try:
        ensure_experiment_is_valid(deepcopy(dict(experiment)))
    except (ChaosException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadDrill(
            f"{where} is no valid experiment: {type(error).__name__}: {error}",
            "`chaos validate` says the same; correct it",
        ) from error


class Experiment:
    """An experiment as an injector of a drill; jobs that it hurts are marked by the runner."""

    external = True

    def __init__(self, drill: Drill, clock: Clock) -> None:
        assert drill.experiment is not None, "a chaos drill carries its experiment"
        self._experiment = drill.experiment
        self._clock = clock
        self._folder: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def on(self, drill_id: str, path: JobPath, until: datetime) -> None:
        """Start the experiment; it ends itself at `until`."""
        self._folder = TemporaryDirectory(prefix="rollout-chaos-")
        file = Path(self._folder.name) / "experiment.json"
        file.write_text(json.dumps(self._experiment), encoding="utf-8")
        seconds = max(0.1, (until - self._clock.now()).total_seconds())
        command = [sys.executable, "-m", __name__, str(file), f"{seconds:.3f}", drill_id]
        with (Path(self._folder.name) / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def off(self) -> Mapping[str, Any]:
        """End it, with its rollbacks; gives its status and whether its steady state deviated."""
        if self._process is None or self._folder is None:
            return {}
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGALRM)
            try:
                self._process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        found = self._result(Path(self._folder.name))
        self._folder.cleanup()
        self._process = self._folder = None
        return found

    def _result(self, folder: Path) -> dict[str, Any]:
        journal = folder / "journal.json"
        if not journal.is_file():
            said = (folder / "output.log").read_text(errors="replace")[-300:]
            return {"experiment": "died", "said": said}
        values = json.loads(journal.read_text(encoding="utf-8"))
        return {"experiment": values.get("status"), "deviated": values.get("deviated")}

    def gone(self) -> bool:
        """Nobody else ends it."""
        return False

    def finished(self) -> bool:
        """Whether the experiment is over by itself."""
        return self._process is not None and self._process.poll() is not None


def main(file: Path, seconds: float, drill_id: str | None = None) -> None:
    """Run one experiment in this process, for a drill, and write its journal beside it."""
    from chaoslib.experiment import run_experiment
    from chaoslib.run import RunEventHandler

    class Rollbacks(RunEventHandler):  # type: ignore[misc]  # the library has no types
        """Whether they have begun: from then on nothing may interrupt."""

        begun = False

        def start_rollbacks(self, experiment: object) -> None:
            self.begun = True

    rollbacks = Rollbacks()

    def on_alarm(number: int, frame: FrameType | None) -> None:
        # Its own time and the runner may end it at once; a second SIGTERM would end its rollbacks.
        # The first may be lost: the library's own code swallows an exception at some places.
        if not rollbacks.begun:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _end_with_parent()
    if drill_id is not None:
        runs_for(drill_id)
    experiment = json.loads(file.read_text(encoding="utf-8"))
    settings = {"runtime": {"rollbacks": {"strategy": "always"}}}
    journal = run_experiment(experiment, settings=settings, event_handlers=[rollbacks])
    unfinished = file.with_name("journal.json.unfinished")
    unfinished.write_text(json.dumps(journal, default=str), encoding="utf-8")
    unfinished.replace(file.with_name("journal.json"))


def _end_with_parent() -> None:
    """Ask Linux for a SIGTERM when the runner dies, so that no fault outlives it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:4])
