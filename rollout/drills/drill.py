"""A drill as it is declared, and whether it may be run as declared.

name = "lost children"
sub_pipeline = "invoices"
path = "concurrent"
fault = "kill_child"
target = { jobs = 5 }
duration_s = 10
blast_radius_jobs = 20
deadline_s = 120
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite
from typing import Any

from rollout.drills.errors import BadDrill
from rollout.drills.fault import SHARE_ALL, Fault
from rollout.routing.decision import JobPath

MEMORY_MB_MAX = 4096
SECONDS_MAX = 86_400.0
WINDOWS_MAX = 1000


class Exercise(StrEnum):
    """Drills that are more than one fault in the workers; `breaks` as a fault's."""

    breaks: str

    def __new__(cls, word: str, breaks: str = "") -> "Exercise":
        """Make a member of a word and what it does."""
        one = str.__new__(cls, word)
        one._value_ = word
        one.breaks = breaks
        return one

    KILL_SWITCH = "kill_switch", "the kill switch is thrown"
    """The real kill switch is thrown, timed, and lifted again."""
    CHAOS = "chaos", "a Chaos Toolkit experiment is run"
    """A Chaos Toolkit experiment is the fault."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which jobs may be hurt: a share of them, a number of them, or those of one worker.

    Attributes:
        share: Share of the path's jobs, 0..1.
        jobs: Number of jobs.
        worker: A worker's node name, or "one" for the first that comes by.
    """

    share: float | None = None
    jobs: int | None = None
    worker: str | None = None

    @property
    def share_bp(self) -> int:
        """The share in basis points, at least one."""
        return SHARE_ALL if self.share is None else max(1, round(self.share * SHARE_ALL))


@dataclass(frozen=True, slots=True)
class Abort:
    """When a drill is broken off. None is off.

    Attributes:
        failed_share_max: Share of failed jobs of the drilled path in one window.
        waiting_jobs_max: Unfinished jobs of the sub-pipeline.
        other_path_windows: Windows in a row in which the other path may be outside its band.
    """

    failed_share_max: float | None = None
    waiting_jobs_max: int | None = None
    other_path_windows: int | None = 3


@dataclass(frozen=True, slots=True)
class Drill:
    """One scripted forced failure.

    Attributes:
        name: What journal and report call it.
        sub_pipeline: Whose jobs it hurts.
        paths: One path, or both: then the fault comes back to back on both.
        fault: What breaks.
        duration_s: Seconds the fault is on.
        blast_radius_jobs: Jobs it may hurt at the most, over all workers.
        deadline_s: Seconds from the fault on after which it is over, healed or not; the cap of
            the recovery time.
        target: Which jobs may be hurt.
        abort: When it is broken off.
        fault_s: Seconds of a delay or a lock, in each job it hits.
        memory_mb: Megabytes of a memory blow-up.
        window_s: Seconds of one window of measurement; long enough that most windows have jobs.
        windows_before: Windows before the drill that say what is normal.
        windows_with_jobs_min: So many of them must have jobs.
        windows_inside: Windows in a row inside the band that mean: steady.
        experiment: The Chaos Toolkit experiment of a chaos drill.
    """

    name: str
    sub_pipeline: str
    paths: tuple[JobPath, ...]
    fault: Fault | Exercise
    duration_s: float
    blast_radius_jobs: int
    deadline_s: float
    target: Target = Target(share=1.0)
    abort: Abort = Abort()
    fault_s: float = 0.0
    memory_mb: int = 256
    window_s: float = 10.0
    windows_before: int = 20
    windows_with_jobs_min: int = 6
    windows_inside: int = 3
    experiment: Mapping[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for check in (_check_times, _check_limits, _check_target, _check_fault):
            check(self)

    @property
    def jobs_max(self) -> int:
        """Jobs that the fault may hurt."""
        return min(self.blast_radius_jobs, self.target.jobs or self.blast_radius_jobs)

    def on(self, path: JobPath) -> "Drill":
        """The same drill on one path."""
        return replace(self, paths=(path,))

    @property
    def sentence(self) -> str:
        """What it does, for who is asked before and who reads the log."""
        paths = " and ".join(f"the {path} path" for path in self.paths)
        return (
            f"drill {self.name!r}: {self.fault} for {self.duration_s:g} s on up to {self.jobs_max} "
            f"jobs of {paths}, over after {self.deadline_s:g} s"
        )

    def facts(self) -> dict[str, Any]:
        """The declaration as plain JSON."""
        return {name: value for name, value in asdict(self).items() if name != "experiment"}


def read_drill(
    values: Mapping[str, Any],
    where: str = "the drill",
    experiment: Mapping[str, Any] | None = None,
) -> Drill:
    """Read a declaration.

    Args:
        values: As TOML or YAML gives it.
        where: What to call it in errors.
        experiment: The Chaos Toolkit experiment that is its fault.

    Raises:
        BadDrill: A value is missing, unknown or cannot be; says which, and what to write.
    """
    _known(values, {*_NAMES, "path"} - {"paths", "experiment"}, where)
    for name in ("name", "sub_pipeline", "fault", "duration_s", "blast_radius_jobs", "deadline_s"):
        if name not in values:
            raise BadDrill(f"{where} needs {name!r}, got none", _WHY[name])
    given = {name: value for name, value in values.items() if name != "path"}
    given["paths"] = _paths(values.get("path", "both"), where)
    given["fault"] = _word(values["fault"], where)
    for name, kind in (("target", Target), ("abort", Abort)):
        if name in values:
            given[name] = _table(values[name], kind, f"{name!r} of {where}")
    for name in ("name", "sub_pipeline"):
        if not isinstance(given[name], str) or not given[name].strip():
            raise BadDrill(f"{name!r} of {where} must be text, got {given[name]!r}", "name it")
    return Drill(**given, experiment=experiment)


_WHY = {
    "name": 'name = "lost children" is what journal and report call it',
    "sub_pipeline": "say which one; `rollout status` lists them",
    "fault": 'for example fault = "raise"; docs/drills.md lists all',
    "duration_s": "say how long the fault is on, in seconds",
    "blast_radius_jobs": "say how many jobs it may hurt at the most",
    "deadline_s": "say after how many seconds it is over in any case",
}
_NAMES = {each.name for each in fields(Drill)}


def _known(values: Mapping[str, Any], names: set[str], where: str) -> None:
    if not isinstance(values, Mapping):
        raise BadDrill(
            f"{where} must be a table of names and values, got {values!r:.80}", "see docs/drills.md"
        )
    for name in values:
        if name not in names:
            close = get_close_matches(str(name), names, n=1)
            guess = f", did you mean {close[0]!r}?" if close else ""
            raise BadDrill(f"{where} has no {name!r}{guess}", "docs/drills.md lists all names")


def _table(values: Any, kind: Any, where: str) -> Any:
    _known(values, {each.name for each in fields(kind)}, where)
    return kind(**values)


def _paths(value: Any, where: str) -> tuple[JobPath, ...]:
    if value == "both":
        return tuple(JobPath)
    if value in tuple(JobPath):
        return (JobPath(value),)
    raise BadDrill(
        f"'path' of {where} must be 'legacy', 'concurrent' or 'both', got {value!r}",
        "both paths one after the other give a pair for the recovery test",
    )


def _word(value: Any, where: str) -> Fault | Exercise:
    words: dict[str, Fault | Exercise] = {
        str(word): word for kind in (Fault, Exercise) for word in kind
    }
    if isinstance(value, str) and value in words:
        return words[value]
    close = get_close_matches(str(value), words, n=1)
    guess = f", did you mean {close[0]!r}?" if close else ""
    raise BadDrill(
        f"{where} has the unknown fault {value!r}{guess}", f"use one of {', '.join(words)}"
    )


def _number(drill: Drill, name: str, least: float, most: float, hint: str) -> None:
    value = getattr(drill, name)
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
    if not right or not least <= value <= most:
        raise BadDrill(
            f"{name!r} of drill {drill.name!r} must lie in {least:g}..{most:g}, got {value!r}", hint
        )


def _whole(drill: Drill, name: str, least: int, most: int, hint: str) -> None:
    _number(drill, name, least, most, hint)
    if not isinstance(getattr(drill, name), int):
        raise BadDrill(
            f"{name!r} of drill {drill.name!r} must be a whole number,"
            f" got {getattr(drill, name)!r}",
            hint,
        )


def _check_times(drill: Drill) -> None:
    _number(drill, "window_s", 0.1, 3600, "a window of measurement, 10 seconds as a rule")
    _number(drill, "duration_s", 0.1, SECONDS_MAX, _WHY["duration_s"])
    _number(drill, "deadline_s", 0.1, SECONDS_MAX, _WHY["deadline_s"])
    _whole(drill, "windows_inside", 1, 100, "three windows in a row mean: steady")
    least = drill.duration_s + drill.windows_inside * drill.window_s
    if drill.deadline_s < least:
        raise BadDrill(
            f"'deadline_s' of drill {drill.name!r} must be at least {least:g} (the fault and"
            f" {drill.windows_inside} windows of {drill.window_s:g} s), got {drill.deadline_s:g}",
            "give the path time to heal, or use shorter windows",
        )


def _check_limits(drill: Drill) -> None:
    _whole(drill, "blast_radius_jobs", 1, 1_000_000, _WHY["blast_radius_jobs"])
    _whole(drill, "windows_before", 1, WINDOWS_MAX, "windows that say what is normal")
    _whole(drill, "windows_with_jobs_min", 1, drill.windows_before, "windows that must have jobs")
    abort = drill.abort
    share, waiting, other = abort.failed_share_max, abort.waiting_jobs_max, abort.other_path_windows
    wrong = (
        (share is not None and not (isinstance(share, (int, float)) and 0 <= share <= 1))
        or (waiting is not None and (type(waiting) is not int or waiting < 0))
        or (other is not None and (type(other) is not int or other < 1))
    )
    if wrong:
        raise BadDrill(
            f"'abort' of drill {drill.name!r} must have a failed_share_max of 0..1, a"
            f" waiting_jobs_max >= 0 and other_path_windows >= 1, got {asdict(abort)}",
            "leave out what shall not break the drill off",
        )


def _check_target(drill: Drill) -> None:
    target = drill.target
    given = [name for name, value in asdict(target).items() if value is not None]
    if len(given) != 1:
        raise BadDrill(
            f"'target' of drill {drill.name!r} must be a share, a number of jobs or one worker,"
            f" got {given or 'nothing'}",
            "for example target = { jobs = 5 }",
        )
    share, jobs, worker = target.share, target.jobs, target.worker
    if share is not None and not (isinstance(share, (int, float)) and 0 < share <= 1):
        raise BadDrill(
            f"the share of drill {drill.name!r} must lie in 0..1, got {share!r}", "0.5 is one half"
        )
    if jobs is not None and (type(jobs) is not int or not 1 <= jobs <= drill.blast_radius_jobs):
        raise BadDrill(
            f"the jobs of drill {drill.name!r} must be 1..{drill.blast_radius_jobs} (its blast"
            f" radius), got {jobs!r}",
            "aim at fewer jobs, or raise blast_radius_jobs",
        )
    if worker is not None and (not isinstance(worker, str) or not worker.strip()):
        raise BadDrill(
            f"the worker of drill {drill.name!r} must be a node's name, got {worker!r}",
            '"one" is the first that comes by',
        )


def _check_fault(drill: Drill) -> None:
    fault = drill.fault
    if isinstance(fault, Fault) and fault.needs_seconds:
        _number(drill, "fault_s", 0.001, drill.duration_s, f"say for how long {fault} lasts")
    _whole(drill, "memory_mb", 1, MEMORY_MB_MAX, "megabytes that a hurt job takes")
    takes_it_away = fault in (Exercise.KILL_SWITCH, Fault.WAY_BACK)
    if takes_it_away and drill.paths != (JobPath.CONCURRENT,):
        raise BadDrill(
            f"drill {drill.name!r} ({fault}) must have path 'concurrent',"
            f" got {' and '.join(drill.paths)}",
            "what it takes away is the concurrent path",
        )
    if (drill.experiment is not None) != (fault is Exercise.CHAOS):
        raise BadDrill(
            f"drill {drill.name!r} must have an experiment exactly when its fault is 'chaos',"
            f" got {str(fault)!r}",
            "`rollout drill run experiment.json` reads one",
        )
