"""Single jobs: one job's way, the failures that are kept, the messages that were refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import at_text
from rollout.jobs.claims import JobRecord
from rollout.jobs.way import read_way
from rollout.routing.stages import ControlState


class Jobs(Protocol):
    """The ledger, as far as single jobs are looked at. All raise LedgerUnreachable."""

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        ...

    def jobs_of(self, job_id: str) -> list[JobRecord]:
        """Read the jobs of one id in all sub-pipelines. Raises UnknownJob for none."""
        ...

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """Read kept failures, newest first."""
        ...

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """Read refused messages, newest first."""
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
    """One job."""

    record: JobRecord

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
        if record.not_before is not None:
            rows.append(("not before", at_text(record.not_before)))
        if record.finished_at is not None:
            rows.append(("cycle time", f"{_ms(record.accepted_at, record.finished_at)} ms"))
        if record.fallback_reason is not None:
            rows.append(("fell back", str(record.fallback_reason)))
        return rows

    @property
    def steps(self) -> list[WayStep]:
        """Its way, oldest first."""
        found = []
        for line in read_way(self.record.way):
            at = datetime.fromisoformat(line["at"])
            told = [line.get(fact) for fact in ("path", "reason", "worker")]
            found.append(WayStep(at, _ms(self.record.accepted_at, at), line["what"], *told))
        return found

    def to_json(self) -> Json:
        """What scripts read; the message is left out."""
        return {**job_json(self.record), "way": read_way(self.record.way)}


@dataclass(frozen=True, slots=True)
class JobPages:
    """The jobs of one id, by sub-pipeline: almost always one."""

    pages: tuple[JobPage, ...]

    def to_json(self) -> Json:
        """The one job, or `jobs` of several."""
        found = [page.to_json() for page in self.pages]
        return found[0] if len(found) == 1 else {"jobs": found}


@dataclass(frozen=True, slots=True)
class FailedJobs:
    """Failures that are kept for a person, newest first; `more` says that there may be others."""

    jobs: tuple[JobRecord, ...]
    limit: int

    @property
    def more(self) -> bool:
        """Whether older ones may have been left out."""
        return len(self.jobs) == self.limit

    def to_json(self) -> Json:
        """What scripts read."""
        return {"jobs": [job_json(record) for record in self.jobs]}


@dataclass(frozen=True, slots=True)
class Messages:
    """Refused messages that are kept, newest first."""

    messages: tuple[Mapping[str, Any], ...]

    def to_json(self) -> Json:
        """What scripts read."""
        return {"messages": [plain_json(one) for one in self.messages]}


def read_job(ledger: Jobs, job_id: str) -> JobPages:
    """Read the jobs of one id.

    Raises:
        UnknownJob, LedgerUnreachable: None can be read.
    """
    return JobPages(tuple(JobPage(record) for record in ledger.jobs_of(job_id)))


def read_failed(ledger: Jobs, name: str | None, limit: int) -> FailedJobs:
    """Read the kept failures of one sub-pipeline, or of all.

    Raises:
        UnknownSubPipeline: A misspelt name is not an empty list.
        LedgerUnreachable: The ledger does not answer.
    """
    if name is not None:
        ledger.control(name)
    return FailedJobs(tuple(ledger.failed(name, limit)), limit)


def read_messages(ledger: Jobs, limit: int) -> Messages:
    """Read the refused messages.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    return Messages(tuple(ledger.kept_messages(limit)))


def job_json(record: JobRecord) -> Json:
    """What scripts read about a job; message, way and the nonce of its claim are left out."""
    values: Json = plain_json(record)
    del values["envelope"], values["way"], values["nonce"]
    return values


def _ms(since: datetime, at: datetime) -> int:
    # A step is kept in whole milliseconds, a submission in microseconds.
    return max(0, round((at - since).total_seconds() * 1000))
