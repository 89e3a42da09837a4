"""What the way of a job needs from outside, as small as it can be.

What the control state needs is in `rollout/routing/ports.py`; judgement, shadows and drills need
more, each in the `ports.py` of its room. An adapter can be written from these files alone;
`tests/contract` runs one suite over all of them.
Two errors cross these ports: `ControlStoreUnreachable` and `LedgerUnreachable` (and
`BrokerUnreachable` for `Queues`). Any other exception from an adapter is a defect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from rollout.jobs.claims import Claim, JobRecord, JobRef, JobState, Refusal
from rollout.jobs.order import JobOrder
from rollout.jobs.resources import Need, Resources
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import ControlLedger

LOST_MAX = 10_000
"""Lost jobs are counted so far: a turn need not read a million to say that there are many."""
OLDEST_AMONG = 1_000
"""Reading a job's row costs a hundred times as much as its entry in the index of what is open."""


@dataclass(frozen=True, slots=True)
class Filing:
    """A job on its way into the ledger. `envelope` is the JSON message that can send it again.

    `at` is when it was submitted, also for one that only its worker files.
    """

    job_id: str
    name: str
    key: str
    path: JobPath
    reason: Reason
    revision: int
    envelope: str
    at: datetime
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit that counted; `result` is JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A claim that was refused; `record` is None only for an unfiled job."""

    refusal: Refusal
    record: JobRecord | None


@dataclass(frozen=True, slots=True)
class Running:
    """A start that its worker vouches for: whose process has which job, taken on which path.

    That is what a worker's main process knows of an attempt without asking anybody.
    """

    name: str
    job_id: str
    worker: str
    path: JobPath


@dataclass(frozen=True, slots=True)
class Handed:
    """A job that has to be sent: moved to legacy, or called on the path it stands on."""

    job_id: str
    name: str
    envelope: str
    reason: Reason
    path: JobPath = JobPath.LEGACY


@dataclass(frozen=True, slots=True)
class OpenCount:
    """Unfinished jobs of one sub-pipeline in one state on one path."""

    name: str
    path: JobPath
    state: str
    jobs: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """Finished jobs, counted once each by the fold."""

    name: str
    assigned_path: JobPath
    path: JobPath
    outcome: str
    reason: Reason
    jobs: int


@dataclass(frozen=True, slots=True)
class CycleTally:
    """Cycle times of committed jobs: `jobs` between the bucket before and `le_s` seconds."""

    name: str
    assigned_path: JobPath
    le_s: float
    jobs: int
    sum_s: float


ConnectionSource = Callable[[], Any]
"""Gives the ledger transaction's connection to a commit hook, or raises NoConnection."""


class JobLedger(ControlLedger, JobOrder, Resources, Protocol):
    """The truth, as far as producers and workers need it: one job's way, and control rows."""

    def file(self, filings: Sequence[Filing]) -> frozenset[JobRef]:
        """Record accepted jobs in one transaction; a job already there is left as it is.

        A job is known by its sub-pipeline and its id. Gives those that had their outcome already.
        """
        ...

    def claim(
        self,
        name: str,
        job_id: str,
        delivered: JobPath,
        effects: Effects,
        worker: str,
        now: datetime,
        silent_after: timedelta,
        needs: Sequence[Need] = (),
    ) -> Claim | Refused:
        """Claim a delivered job, or say why not (`jobs.claims.judge_claim`).

        Linearizable with `kill`: no claim of the concurrent path succeeds after it returned.
        Whether a worker is silent is judged by the ledger's own clock where it has one.

        With `needs` the claim takes them, all in the same transaction, or the job is put to rest
        (TAKEN): it has a place in the line of each resource, and `call_next` gives it out. An
        attempt that takes over from a silent one takes over what that holds.
        """
        ...

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Run the hook's writes and the fence check in one transaction.

        `write` gets the transaction's connection and returns the result as JSON text. A refusal
        or an exception of `write` rolls everything back; the exception is passed on. A hook that
        ends the transaction, or leaves it unfit to commit, is wrong: CommitHookError. UNFILED when
        the row has gone.
        """
        ...

    def hand_over(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it and must send it.

        False when somebody else has moved, finished or taken it; None when it is not filed.

        `attempt` None moves a job that waits on the concurrent path; a number moves the job only
        while that attempt (with a `nonce`: that very claim) holds it. A lost worker counts as one
        death.
        """
        ...

    def release(self, filing: Filing, attempt: int) -> bool | None:
        """Put a started job back to accepted for a retry, on the filing's path.

        False when another attempt holds the job by now; None when it is not filed. An attempt that
        is UNCLAIMED has left its job accepted: it may be retried while it is.
        """
        ...

    def fail(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason | None,
        error: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job.

        False when it has its outcome or another attempt; None when it is not filed.
        """
        ...

    def call_off(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        state: JobState,
        sentence: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool:
        """Record that the job's owner ended it (`JobState.called_off`), counted in the tallies.

        False when it has its outcome, or with `attempt` when that attempt does not hold it.
        """
        ...

    def renew(self, running: Sequence[Running], now: datetime) -> None:
        """Say that the workers of these started jobs live, for those that still have their job.

        Never backwards, and by the ledger's own clock where it has one: the clocks of two
        machines need not agree. A ledger without a clock goes by `now`.
        """
        ...

    def note_fetched(self, name: str, path: JobPath, job_ids: Sequence[str], now: datetime) -> None:
        """Take a live worker's receipt: it has these messages of waiting jobs in its hands.

        By the ledger's own clock, as `renew`. Jobs that no longer wait on this path are passed
        over. Not every broker can say what its consumers hold; this can, for all of them.
        """
        ...

    # The controller's view ---------------------------------------------------------------

    def job(self, name: str, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        ...

    def pruned_before(self) -> datetime | None:
        """The newest `finished_before` that deleted a job; None when none ever was."""
        ...

    def keep_message(self, queue: str, why: str, headers: str, body: str, now: datetime) -> None:
        """Keep a message that was refused on one of our queues."""
        ...


class Ledger(JobLedger, Protocol):
    """The truth: what every job passes, and what the controller and people ask of it."""

    def recall(
        self, name: str, *, running: bool, reason: Reason, now: datetime, limit: int
    ) -> list[Handed]:
        """Move waiting (and with `running`, repeatable started) concurrent jobs to legacy."""
        ...

    def unsafe_running(self, names: Sequence[str]) -> int:
        """Count started concurrent jobs of those among these names whose effects are unsafe."""
        ...

    def resend_lost(self, lost: "Lost", now: datetime, limit: int) -> list[Handed]:
        """Move accepted jobs that no queue holds to legacy, oldest first."""
        ...

    def resend_silent(
        self, name: str, silent_after: timedelta, now: datetime, limit: int
    ) -> list[Handed]:
        """Move started jobs of silent workers to legacy; unsafe and poison ones are failed.

        Silent by the ledger's own clock where it has one, else by `now`.
        """
        ...

    def silent_names(
        self, names: Sequence[str], silent_after: timedelta, now: datetime
    ) -> list[str]:
        """Those of these sub-pipelines that have started jobs of silent workers, in order."""
        ...

    def redate(
        self, names: Sequence[str], sent_ahead: timedelta, heard_ahead: timedelta, now: datetime
    ) -> int:
        """Date accepted jobs sent, and started ones heard of, so far ahead of now as of now.

        A clock that was ahead wrote such times; how many there were.
        """
        ...

    def count_lost(self, lost: "Lost", limit: int = LOST_MAX) -> int:
        """Count accepted jobs that no queue holds, up to the limit."""
        ...

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs.

        Of more than OLDEST_AMONG jobs, `oldest` is found among those of a group sent longest ago.
        """
        ...

    def kept_counts(self) -> Mapping[str, int]:
        """Count the failures that are kept now, by sub-pipeline."""
        ...

    def fold(self, limit: int) -> int:
        """Count newly finished jobs, each once; how many were folded.

        They go into the tallies, the totals of their trial's step and legacy's profile.
        """
        ...

    def tallies(self) -> tuple[list[Tally], list[CycleTally]]:
        """Read the tallies."""
        ...

    def newest_commit(self) -> datetime | None:
        """When the newest committed job finished, by its worker's clock; None without one."""
        ...

    def prune(self, finished_before: datetime, limit: int) -> int:
        """Delete old committed jobs that were folded; how many. Failed ones are kept."""
        ...

    def reopen(self, name: str, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy. Raises UnknownJob, IllegalTransition."""
        ...

    def jobs_of(self, job_id: str) -> list[JobRecord]:
        """Read the jobs of this id in all sub-pipelines, by name. Raises UnknownJob for none."""
        ...

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        ...

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """List refused messages, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What the broker has of one sub-pipeline.

    `by_workers` are the job ids that workers hold, None where the broker does not say; `next_up` is
    the job id at the consuming end of each queue (None: the queue is empty), `waiting` the messages
    of each queue. A broker that cannot be looked into gives `waiting` only. `next_sent` is when the
    message that is next up was sent, as it says itself: its job may have been sent again since.
    """

    by_workers: frozenset[str] | None
    next_up: Mapping[JobPath, str | None]
    waiting: Mapping[JobPath, int]
    next_sent: Mapping[JobPath, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """Which accepted jobs count as lost: on `path`, sent before, due, and in nobody's hands.

    `spared` are in a worker's hands, as the broker says. With `now` given the receipts of workers
    (`Ledger.note_fetched`) say it as well: one younger than `receipt_for` spares its job, and one
    that is older is a worker's that has died, whatever the broker still believes.
    """

    name: str
    path: JobPath
    sent_before: datetime
    spared: frozenset[str] = frozenset()
    now: datetime | None = None
    receipt_for: timedelta = timedelta()


class Queues(Protocol):
    """The broker, as far as the controller needs it: it sends a stored envelope again."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    def send_jobs(self, jobs: Sequence[Handed]) -> None:
        """Publish stored envelopes to the queues of their paths. Raises BrokerUnreachable."""
        ...

    def held(self, name: str) -> "Held":
        """Say what the queues and the workers hold. Raises BrokerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What a commit hook (or a path that asks for it) sees of its job."""

    job_id: str
    name: str
    key: str
    path: JobPath
    attempt: int
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    _connect: ConnectionSource | None = None
    _goes_on: Callable[[], bool] | None = None

    def goes_on(self) -> bool:
        """Whether it is worth going on: False once a kill of this sub-pipeline was seen.

        A long concurrent path may ask now and then and return early; nothing that it returns after
        a kill is committed, and legacy runs the job. It may be asked as often as one likes.
        """
        return self._goes_on is None or self._goes_on()

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this job: give it to outside services."""
        return f"{self.name}/{self.job_id}"

    @property
    def connection(self) -> Any:
        """SQLAlchemy connection of the ledger's own transaction: what it writes happens once.

        Raises:
            NoConnection: Used outside the commit hook, or on a ledger without a database.
        """
        from rollout.errors import NoConnection

        if self._connect is None:
            raise NoConnection("in a path")
        return self._connect()
