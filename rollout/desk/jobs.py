"""Single jobs: one job's way, lists by where they stand, the messages that were refused."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rollout.desk.job_search import jobs_of
from rollout.desk.lately import error_line
from rollout.desk.mask import MASKED, Mask, result_through
from rollout.desk.plain import Json, plain_json
from rollout.desk.resources import Used, waits_for
from rollout.desk.text import at_text
from rollout.errors import RolloutError
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.order import NEVER, InFront
from rollout.jobs.recent import JobKind
from rollout.jobs.way import read_way
from rollout.routing.stages import ControlState


class Jobs(Used, Protocol):
    """The ledger, as far as single jobs are looked at. All raise LedgerUnreachable."""

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        ...

    def jobs_of(self, job_id: str) -> list[JobRecord]:
        """Read the jobs of one id in all sub-pipelines. Raises UnknownJob for none."""
        ...

    def in_front_of(self, name: str, job_id: str) -> InFront | None:
        """Who is the first of a waiting job's key; None for one that stands behind nobody."""
        ...

    def ids_like(self, beginning: str, limit: int, name: str | None = None) -> list[str]:
        """Ids of jobs that begin so, of one sub-pipeline or all, in order."""
        ...

    def jobs_with_key(self, name: str, key: str, limit: int) -> list[JobRecord]:
        """Read jobs with this routing key among the newest, newest first, without messages."""
        ...

    def recent_jobs(
        self,
        name: str | None,
        kind: JobKind,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, str] | None = None,
    ) -> list[JobRecord]:
        """Read jobs of one kind, newest admission first, without their messages."""
        ...

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """Read refused messages, newest first."""
        ...


class OneJob(Protocol):
    """The ledger, as far as one job is read with its message."""

    def job(self, name: str, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob, LedgerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class WayStep:
    """One step of a job's way; `after_ms` is counted from its submission."""

    at: datetime
    after_ms: int
    what: str
    path: str | None
    reason: str | None
    worker: str | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """One job: who is in front of it where jobs of a key start in order, what it has no room at.

    `given` are its arguments and `gave` is its result, as far as the declaration allows.
    """

    record: JobRecord
    in_front: InFront | None = None
    waits_for: str | None = None
    given: Json | None = None
    gave: str | Json | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is to be known: a word and a sentence each."""
        record = self.record
        assigned = f"{record.assigned_path} ({record.reason}, revision {record.revision})"
        rows = [
            ("key", record.key),
            ("assigned to", assigned),
            ("submitted", at_text(record.accepted_at)),
        ]
        if self.in_front is not None:
            rows.append(("waits", _waits(self.in_front)))
        if self.waits_for is not None:
            rows.append(("waits", self.waits_for))
        if record.not_before is not None and record.not_before != NEVER:
            rows.append(("not before", at_text(record.not_before)))
        if record.finished_at is not None:
            rows.append(("cycle time", f"{_ms(record.accepted_at, record.finished_at)} ms"))
        if record.fallback_reason is not None:
            rows.append(("fell back", str(record.fallback_reason)))
        if self.given is not None:
            rows.append(("given", _fields(self.given)))
        if isinstance(self.gave, dict):
            rows.append(("gave", _fields(self.gave)))
        return rows

    @property
    def steps(self) -> list[WayStep]:
        """Its way, oldest first."""
        rows = []
        for line in read_way(self.record.way):
            at = datetime.fromisoformat(line["at"])
            told = [line.get(fact) for fact in ("path", "reason", "worker")]
            rows.append(WayStep(at, _ms(self.record.accepted_at, at), line["what"], *told))
        return rows

    def to_json(self) -> Json:
        """What scripts read; the message is left out."""
        behind = None if self.in_front is None else self.in_front.job_id
        way = read_way(self.record.way)
        waits = {"behind": behind, "waits_for": self.waits_for}
        seen = {"arguments": self.given, "result": self.gave}
        return {**job_json(self.record), **seen, **waits, "way": way}


@dataclass(frozen=True, slots=True)
class JobPages:
    """The jobs of one id, by sub-pipeline: almost always one."""

    pages: tuple[JobPage, ...]

    def to_json(self) -> Json:
        """The one job, or `jobs` of several."""
        found = [page.to_json() for page in self.pages]
        return found[0] if len(found) == 1 else {"jobs": found}


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Jobs of one sub-pipeline that say the same, newest first; `error` is None where none does."""

    name: str
    error: str | None
    jobs: tuple[JobRecord, ...]


@dataclass(frozen=True, slots=True)
class JobList:
    """Jobs of one kind, newest admission first."""

    kind: JobKind
    jobs: tuple[JobRecord, ...]
    limit: int

    @property
    def more(self) -> bool:
        """Whether older ones may have been left out."""
        return len(self.jobs) == self.limit

    @property
    def groups(self) -> list[ErrorGroup]:
        """The jobs by sub-pipeline and error, the largest group first."""
        found: dict[tuple[str, str | None], list[JobRecord]] = {}
        for one in self.jobs:
            open_kind = self.kind in (JobKind.RUNNING, JobKind.WAITING) and not one.error
            error = None if open_kind else _alike(error_line(one))
            found.setdefault((one.name, error), []).append(one)
        groups = [ErrorGroup(name, error, tuple(jobs)) for (name, error), jobs in found.items()]
        return sorted(groups, key=lambda one: -len(one.jobs))

    def to_json(self) -> Json:
        """What scripts read."""
        return {"jobs": [job_json(record) for record in self.jobs]}

    def preview_json(self) -> Json:
        """What scripts read before they do something with all of these."""
        groups = [
            {"sub_pipeline": one.name, "error": one.error, "jobs": len(one.jobs)}
            for one in self.groups
        ]
        return {"jobs": len(self.jobs), "groups": groups}


def read_job(
    ledger: Jobs, job_id: str, mask: Mask, only: Collection[str] | None = None
) -> JobPages:
    """Read the jobs of one id; see `job_search.jobs_of`.

    Raises:
        UnknownJob, NoWholeId, LedgerUnreachable: None can be read.
    """
    return JobPages(
        tuple(
            JobPage(
                record,
                ledger.in_front_of(*record.ref),
                waits_for(ledger, *record.ref),
                mask.given(record),
                mask.gave(record),
            )
            for record in jobs_of(ledger, job_id, only)
        )
    )


def _waits(first: InFront) -> str:
    """Behind whom, and what a person can do about it."""
    places = "" if first.places == 1 else f", {first.places} places"
    if first.state is JobState.FAILED:
        return (
            f"behind job {first.job_id} of its key{places}, which failed and is kept: "
            f"`rollout retry {first.job_id}`, or `rollout skip {first.job_id} --reason '…'`"
        )
    return f"behind job {first.job_id} of its key{places}"


class NoInputKept(RolloutError):
    """A job whose arguments nobody has kept."""

    def __init__(self, name: str, job_id: str) -> None:
        self.name = name
        self.job_id = job_id
        super().__init__(
            f"job {job_id!r} of {name!r} ran in process, and no input of it is kept",
            "take a job that went through a queue, or give --args and --kwargs",
        )


def read_input(ledger: OneJob, name: str, job_id: str) -> str:
    """Read the message of a job, which holds its arguments.

    Raises:
        NoInputKept: It ran in process.
        UnknownJob, LedgerUnreachable: It cannot be read.
    """
    envelope = ledger.job(name, job_id).envelope
    if not envelope:
        raise NoInputKept(name, job_id)
    return envelope


def read_jobs(
    ledger: Jobs,
    name: str | None,
    kind: JobKind,
    since: datetime | None,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> JobList:
    """Read the jobs of one kind, of one sub-pipeline or of all.

    Raises:
        UnknownSubPipeline: A misspelt name is not an empty list.
        LedgerUnreachable: The ledger does not answer.
    """
    if name is not None:
        ledger.control(name)
    return JobList(kind, tuple(ledger.recent_jobs(name, kind, since, limit, before)), limit)


def job_json(record: JobRecord) -> Json:
    """What scripts read about a job; message, way and the nonce of its claim are left out."""
    values: Json = plain_json(record)
    del values["envelope"], values["way"], values["nonce"]
    values["result"] = result_through(record.result, frozenset())
    return values


def _fields(values: Json) -> str:
    """What may be seen, field by field, and how many are masked."""
    seen = [f"{name}={value!r}" for name, value in values.items() if value != MASKED]
    hidden = len(values) - len(seen)
    return ", ".join(seen) + (f"; {hidden} more masked" if hidden else "")


_IDS = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{20,}|0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+", re.ASCII
)


def _alike(error: str) -> str:
    """An error without the numbers and ids in which jobs with one cause differ."""
    return _IDS.sub("#", error)


def _ms(since: datetime, at: datetime) -> int:
    # A step is kept in whole milliseconds, a submission in microseconds.
    return max(0, round((at - since).total_seconds() * 1000))
