"""Who may start a job, and whose commit counts: the fence as two pure functions.

The ledger calls them inside its own transaction with the rows it has locked, so the answer is
true at the moment of the commit. Every ledger adapter uses these same functions.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rollout.errors import IllegalTransition
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState

DEATHS_MAX = 2
"""Starts that may end in a dead worker before the job is kept for a person (a poison job)."""

UNCLAIMED = 0
"""Attempt of a job that legacy runs while the ledger is away: claims are numbered from one."""


class JobState(StrEnum):
    """Where a job stands; all but the first two are its one outcome."""

    ACCEPTED = "accepted"
    STARTED = "started"
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """A person or a program revoked it."""
    EXPIRED = "expired"
    """It was not started before the time that its caller gave it."""

    @property
    def finished(self) -> bool:
        """Whether the job has its outcome."""
        return self not in (JobState.ACCEPTED, JobState.STARTED)

    @property
    def called_off(self) -> bool:
        """Whether it was ended by its owner: it says nothing about a path."""
        return self in (JobState.CANCELLED, JobState.EXPIRED)


JobRef = tuple[str, str]
"""Sub-pipeline and job id: two sub-pipelines may have jobs of one id."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as the ledger holds it; times are aware UTC.

    `assigned_path` is where routing sent the job and never changes; `path` is where it stands
    now. `attempt` counts claims, `deaths` the claims that ended without a word. `drill` names the
    drill that hurt the job. `renewed_at` is by the ledger's own clock (`Ledger.renew`). `nonce` is
    drawn at each claim: attempt numbers begin anew in a row that a failover has lost.
    """

    job_id: str
    name: str
    key: str
    state: JobState
    assigned_path: JobPath
    path: JobPath
    reason: Reason
    revision: int
    attempt: int
    fence_revision: int
    deaths: int
    accepted_at: datetime
    sent_at: datetime
    started_at: datetime | None
    renewed_at: datetime | None
    finished_at: datetime | None
    not_before: datetime | None
    fallback_reason: Reason | None
    moved_reason: Reason | None
    error: str | None
    result: str | None
    worker: str | None
    drill: str | None = None
    nonce: str | None = None
    way: str = ""
    envelope: str = ""

    @property
    def ref(self) -> "JobRef":
        """What this job is found by."""
        return self.name, self.job_id


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to commit one job, once: worth something only while the ledger agrees."""

    job_id: str
    name: str
    path: JobPath
    attempt: int
    fence_revision: int
    fell_back: bool
    nonce: str | None = None


class Refusal(StrEnum):
    """Why a start or a commit was refused; the sentence says what happens to the job."""

    UNFILED = "unfiled"
    """The ledger does not hold the job yet; the worker files it and claims again."""
    FINISHED = "finished"
    """The job has its outcome; this delivery is a duplicate."""
    KILLED = "killed"
    """A kill is latched or has passed the fence; the job goes to legacy."""
    MOVED = "moved"
    """The job has been handed to legacy; this delivery is a leftover."""
    WORKER_LOST = "worker_lost"
    """An earlier concurrent start ended without a word; the job goes to legacy."""
    BUSY = "busy"
    """Another worker has the job and was heard of lately; this delivery is a duplicate."""
    UNSAFE_REPEAT = "unsafe_repeat"
    """An unsafe job was started before; it is kept for a person."""
    POISON = "poison"
    """Too many starts ended in a dead worker; the job is kept for a person."""
    TIME_LIMIT = "time_limit"
    """Legacy itself ran past its time limit; the job is kept for a person."""
    EARLY = "early"
    """A job of the same key is in front; it sends this one when it has its outcome."""
    TAKEN = "taken"
    """A resource it needs is taken; whoever gives it back sends this one."""
    FORGOTTEN = "forgotten"
    """The message is older than what is pruned and its job is not there; kept, never run."""
    STALE = "stale"
    """A newer attempt holds the job; this one's work is dropped."""


def judge_claim(
    record: JobRecord,
    delivered: JobPath,
    control: ControlState,
    effects: Effects,
    now: datetime,
    silent_after: timedelta,
) -> Refusal | None:
    """Say whether a delivery may start the job now; None grants the claim.

    A delivery on legacy may take any job that nobody works on; one on the concurrent path only a
    job that still waits for it. So whatever was lost, duplicated or late, the job moves towards
    legacy. Time only decides how soon a silent worker is given up, never whose commit counts.
    """
    if record.state.finished:
        return Refusal.FINISHED
    if delivered is JobPath.CONCURRENT:
        if record.path is JobPath.LEGACY:
            return Refusal.MOVED
        if control.killed and record.state is JobState.ACCEPTED:
            return Refusal.KILLED
    if record.state is JobState.ACCEPTED:
        return None
    if not is_silent(record, now, silent_after):
        return Refusal.BUSY
    if not effects.repeatable:
        return Refusal.UNSAFE_REPEAT
    if delivered is JobPath.CONCURRENT:
        return Refusal.WORKER_LOST
    return Refusal.POISON if record.deaths + 1 >= DEATHS_MAX else None


def is_silent(record: JobRecord, now: datetime, silent_after: timedelta) -> bool:
    """Say whether a started job's worker has not been heard of for `silent_after`."""
    heard = record.renewed_at or record.started_at
    return heard is None or now - heard >= silent_after


def is_held_by(record: JobRecord, claim: Claim) -> bool:
    """Say whether a claim is the newest of its job; rows of older releases have no nonce."""
    return record.attempt == claim.attempt and record.nonce in (None, claim.nonce)


def check_reopen(job_id: str, state: JobState) -> None:
    """Refuse to send a job again that is not kept as failed. Raises IllegalTransition."""
    if state is not JobState.FAILED:
        raise IllegalTransition(
            job_id, "retry", f"while it is {state}", "only a failed job can be retried"
        )


def judge_commit(
    record: JobRecord, claim: Claim, control: ControlState, effects: Effects
) -> Refusal | None:
    """Say whether this attempt's commit counts; None lets it.

    FINISHED means that this very attempt has committed before (the answer to its COMMIT was
    lost), so the caller may report success. A kill lets unsafe jobs finish, because half of an
    unsafe effect cannot be taken back.
    """
    mine = is_held_by(record, claim)
    if record.state is JobState.COMMITTED and mine:
        return Refusal.FINISHED
    if record.state is not JobState.STARTED or not mine:
        return Refusal.STALE
    fenced = control.killed or control.fence_revision != claim.fence_revision
    if claim.path is JobPath.CONCURRENT and fenced and effects.repeatable:
        return Refusal.KILLED
    return None
