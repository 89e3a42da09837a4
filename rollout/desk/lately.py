"""What both paths did in the last minutes, since when one of them fails, and by what."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import at_text, span_text
from rollout.jobs.claims import JobRecord
from rollout.jobs.recent import Came, JobKind, RecentCount, RecentJobs
from rollout.routing.decision import JobPath, Reason

LATELY = timedelta(minutes=5)
"""Short enough that what was mended shows, long enough for a path with few jobs."""

_BACK = timedelta(days=1)
_PACED = 500
"""Newest jobs of both paths of which a median is taken."""
_ERRORS_BACK = 200
_GAP = timedelta(minutes=10)
"""Failures that lie further apart are not the same trouble."""

_STILL = timedelta(seconds=30)
"""A path whose newest failing job came longer ago is not said to fail now."""


@dataclass(frozen=True, slots=True)
class PathLately:
    """Jobs that routing sent to one path; `hurt` fell back or failed. Drilled ones are left out."""

    jobs: int = 0
    finished: int = 0
    hurt: int = 0

    @property
    def sentence(self) -> str:
        """How many failed of how many."""
        if not self.jobs:
            return "no job"
        if not self.finished:
            return f"{self.jobs} jobs, none finished yet"
        share = 100 * self.hurt / self.finished
        return f"{self.hurt} of {self.finished} finished jobs failed on it ({share:.3g} %)"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures of one path in the last minutes.

    Attributes:
        path: Which.
        since: Admission of the first job of an unbroken row; failures ten minutes apart break it.
        newest: The newest job that it failed.
        fine_since: Whether the path committed a job that came after that one.
    """

    path: JobPath
    since: datetime
    newest: JobRecord
    fine_since: bool = False

    def lasts(self, now: datetime) -> bool:
        """Whether it fails now, as far as anybody can tell."""
        return now - self.newest.accepted_at <= _STILL

    @property
    def error(self) -> str:
        """The newest error in one line."""
        return error_line(self.newest)


@dataclass(frozen=True, slots=True)
class Lately:
    """What happened in the last minutes.

    Attributes:
        since: Jobs admitted from then on are counted.
        paths: By the path that routing chose.
        drilled: Jobs that a drill hurt; they count for no path.
        troubles: Paths that failed jobs, each with the newest one.
        medians: How long the newest jobs of a path took; one that is not finished counts with its
            age, so that a path that hangs is not left out.
    """

    since: datetime
    paths: dict[JobPath, PathLately]
    drilled: int = 0
    troubles: tuple[Trouble, ...] = ()
    medians: Mapping[JobPath, timedelta] = field(default_factory=dict)

    def of(self, path: JobPath) -> PathLately:
        """What one path did."""
        return self.paths.get(path, PathLately())

    def sentence(self, path: JobPath) -> str:
        """What one path did, and how long it took."""
        half = self.medians.get(path)
        took = "" if half is None else f", median {_seconds(half)}"
        return f"{self.of(path).sentence}{took}"

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "since": self.since.isoformat(),
            "paths": {str(path): plain_json(self.of(path)) for path in JobPath},
            "drilled": self.drilled,
            "medians_s": {str(path): one.total_seconds() for path, one in self.medians.items()},
            "troubles": [
                {
                    "path": str(one.path),
                    "since": one.since.isoformat(),
                    "until": one.newest.accepted_at.isoformat(),
                    "fine_since": one.fine_since,
                    "job_id": one.newest.job_id,
                    "error": one.error,
                }
                for one in self.troubles
            ],
        }


def read_lately(jobs: RecentJobs, names: Sequence[str], now: datetime) -> dict[str, Lately]:
    """Read the last minutes of some sub-pipelines; errors are asked for only where jobs failed.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    since = now - LATELY
    counted: defaultdict[str, list[RecentCount]] = defaultdict(list)
    for one in jobs.recent_counts(since, names[0] if len(names) == 1 else None):
        counted[one.name].append(one)
    return {name: _of(jobs, name, counted[name], since) for name in names}


def with_medians(jobs: RecentJobs, name: str, lately: Lately, now: datetime) -> Lately:
    """Add how long the newest jobs of both paths took.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    ages: defaultdict[JobPath, list[float]] = defaultdict(list)
    for one in jobs.paced_jobs(name, lately.since, _PACED):
        age = (now - one.accepted_at).total_seconds()
        ages[one.path].append(age if one.cycle_s is None else one.cycle_s)
    medians = {path: timedelta(seconds=median(found)) for path, found in ages.items()}
    return replace(lately, medians=medians)


def _seconds(span: timedelta) -> str:
    """A short time with two digits, a long one as people say it."""
    seconds = span.total_seconds()
    return f"{seconds:.2g} s" if seconds < 10 else span_text(span)


def _of(jobs: RecentJobs, name: str, counts: Sequence[RecentCount], since: datetime) -> Lately:
    paths = {path: _path(counts, path) for path in JobPath}
    drilled = sum(one.jobs for one in counts if one.drilled)
    hurt = [path for path, one in paths.items() if one.hurt]
    troubles: list[Trouble] = []
    if hurt:
        found = jobs.recent_jobs(name, JobKind.HURT, since + LATELY - _BACK, _ERRORS_BACK)
        troubles = [one for path in hurt if (one := _trouble(path, found, counts)) is not None]
    return Lately(since, paths, drilled, tuple(troubles))


def _path(counts: Sequence[RecentCount], path: JobPath) -> PathLately:
    mine = [one for one in counts if one.path is path and not one.drilled]
    return PathLately(
        sum(one.jobs for one in mine),
        sum(one.jobs for one in mine if one.came is not Came.OPEN),
        sum(one.jobs for one in mine if one.came in (Came.FELL_BACK, Came.FAILED)),
    )


def _trouble(
    path: JobPath, hurt: Sequence[JobRecord], counts: Sequence[RecentCount]
) -> Trouble | None:
    """The unbroken row of failures up to now; jobs come newest first."""
    mine = [one for one in hurt if one.assigned_path is path and one.drill is None]
    if not mine:
        return None
    first = mine[0]
    for one in mine[1:]:
        if first.accepted_at - one.accepted_at > _GAP:
            break
        first = one
    newest = mine[0]
    fine = (one for one in counts if one.path is path and one.came is Came.COMMITTED)
    fine_since = any(one.last_at > newest.accepted_at for one in fine)
    return Trouble(path, first.accepted_at, newest, fine_since)


def trouble_sentence(one: Trouble, lately: Lately, now: datetime) -> str:
    """What fails, since when, and by what; what is over is said to be over."""
    if one.lasts(now):
        when = f"it fails since {at_text(one.since)} ({span_text(now - one.since)})"
    else:
        until = one.newest.accepted_at
        when = f"it failed jobs that came from {at_text(one.since)} to {at_text(until)}"
        after = "later jobs were fine" if one.fine_since else "no job finished on it since"
        when += f" ({span_text(now - until)} ago), {after}"
    return (
        f"{one.path}: {lately.of(one.path).sentence} in the last 5 min; {when}; newest error "
        f"of job {one.newest.job_id}: {one.error}"
    )


def error_line(record: JobRecord) -> str:
    """The error of a job in one line: its class and the first line of what it says.

    Of pydantic and SQLAlchemy the last line is a link to a page, the same for all errors; only of a
    traceback it is what was raised.
    """
    lines = [line.strip() for line in (record.error or "").splitlines() if line.strip()]
    if not lines:
        return _WITHOUT_AN_ERROR.get(record.fallback_reason, "no error was recorded")
    if lines[0].startswith("Traceback"):
        return lines[-1]
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


_WITHOUT_AN_ERROR: Mapping[Reason | None, str] = {
    Reason.WORKER_LOST: "no error was recorded: its worker died",
    Reason.TIME_LIMIT: "no error was recorded: it ran past its time limit",
}
