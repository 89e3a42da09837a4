"""Does a path give the same result for the same input each time, alone and under load?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from rollout.routing.decision import JobPath
from rollout.shadow.compare import Compared, Comparison, compare

ALONE, LOAD = "alone", "under load"
CONDITIONS = (ALONE, LOAD)


@dataclass(frozen=True, slots=True)
class InputRun:
    """One run: its result after JSON, or its error; and seconds."""

    value: Any = None
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PathDeterminism:
    """What the runs of one path under one condition showed.

    Attributes:
        path: Which.
        condition: Alone, or under load.
        runs: How many there were.
        fields: Fields that were not the same as in the path's first result, and in how many runs.
        errors: Errors, and how often each came.
        median_s: Median time; None when no run gave a result.
        example: The first difference, readable.
    """

    path: JobPath
    condition: str
    runs: int
    fields: Mapping[str, int]
    errors: Mapping[str, int]
    median_s: float | None
    example: str

    @property
    def steady(self) -> bool:
        """Whether every run gave the same result."""
        return not self.fields and not self.errors

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "path": str(self.path),
            "condition": self.condition,
            "runs": self.runs,
            "median_s": self.median_s,
            "fields": dict(self.fields),
            "errors": dict(self.errors),
            "example": self.example,
        }


@dataclass(frozen=True, slots=True)
class Determinism:
    """What both paths showed; `between` names fields in which they differ and each is steady."""

    name: str
    paths: Sequence[PathDeterminism]
    between: Sequence[str]
    between_example: str

    @property
    def steady(self) -> bool:
        """Whether both paths are deterministic on this input and agree."""
        return all(one.steady for one in self.paths) and not self.between

    @property
    def _failing(self) -> set[JobPath]:
        """Paths whose every run raised one and the same error: they do not vary, they fail."""
        by_path: dict[JobPath, list[PathDeterminism]] = {}
        for one in self.paths:
            by_path.setdefault(one.path, []).append(one)
        return {
            path
            for path, told in by_path.items()
            if len({error for one in told for error in one.errors}) == 1
            and all(sum(one.errors.values()) == one.runs for one in told)
        }

    @property
    def verdict(self) -> str:
        """It in a few words."""
        if self.steady:
            return "both paths give the same result each time, and agree"
        failing = self._failing
        if self.paths and failing == {one.path for one in self.paths}:
            return "every run raised an error, so nothing was compared; is the input right?"
        others = [one for one in self.paths if one.path not in failing]
        if failing and all(one.steady for one in others):
            return f"every run of the {failing.pop()} path raised the same error"
        if any(not one.steady for one in others):
            return "results vary on one and the same input"
        return "each path is steady, and they differ from each other"

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "name": self.name,
            "steady": self.steady,
            "paths": [one.to_json() for one in self.paths],
            "between": list(self.between),
            "between_example": self.between_example,
        }


Runs = Mapping[tuple[JobPath, str], Sequence[InputRun]]


def judge_runs(name: str, comparison: Comparison, runs: Runs) -> Determinism:
    """Compare each run with the first result of its path, and the paths with each other.

    Args:
        name: The sub-pipeline.
        comparison: As declared; a compare function is left out, because it names no fields.
        runs: By path and condition.
    """
    how = replace(comparison, function=None)
    first: dict[JobPath, InputRun] = {}
    for (path, _), given in runs.items():
        for run in given:
            if run.error is None:
                first.setdefault(path, run)
    paths = [
        _of_path(how, path, condition, given, first.get(path))
        for (path, condition), given in runs.items()
    ]
    between = Compared()
    if len(first) == len(JobPath):
        difference = compare(how, first[JobPath.LEGACY].value, first[JobPath.CONCURRENT].value)
        between = difference if isinstance(difference, Compared) else between
    varying = {field for one in paths for field in one.fields}
    differing = sorted(between.names - varying)
    shown = [one.line() for one in between.differences if one.field in differing]
    return Determinism(name, paths, differing, "\n".join(shown))


def _of_path(
    how: Comparison,
    path: JobPath,
    condition: str,
    runs: Sequence[InputRun],
    first: InputRun | None,
) -> PathDeterminism:
    fields: dict[str, int] = {}
    errors: dict[str, int] = {}
    example = ""
    for run in runs:
        if run.error is not None:
            errors[run.error] = errors.get(run.error, 0) + 1
        elif first is not None:
            difference = compare(how, first.value, run.value)
            if not isinstance(difference, Compared):
                errors[difference.why] = errors.get(difference.why, 0) + 1
                continue
            for name in difference.names:
                fields[name] = fields.get(name, 0) + 1
            example = example or difference.diff()
    seconds = [run.seconds for run in runs if run.error is None]
    return PathDeterminism(
        path,
        condition,
        len(runs),
        dict(sorted(fields.items())),
        dict(sorted(errors.items())),
        median(seconds) if seconds else None,
        example,
    )
