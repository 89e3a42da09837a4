"""What the services need from outside, as small as it can be.

An adapter can be written from this file alone; `tests/contract` runs one suite over all of them.
Two errors cross these ports: `ControlStoreUnreachable` and `LedgerUnreachable` (and
`BrokerUnreachable` for `Queues`). Any other exception from an adapter is a defect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rollout.core.claims import Claim, JobRecord, Refusal
from rollout.core.decision import JobPath, Reason
from rollout.core.effects import Effects
from rollout.core.routing import Reading
from rollout.core.stages import ControlState, Event

if TYPE_CHECKING:  # the way of a job never needs them
    from rollout.core.excursion import PathSample, Watch
    from rollout.core.pilot.profile import LegacyProfile
    from rollout.core.pilot.trial import Trial


class Clock(Protocol):
    """Time, passed in so that a decision can be replayed."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Seconds from an unknown point, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Kill:
    """One pull of the kill switch; `name` None is every sub-pipeline."""

    kill_id: str
    name: str | None
    actor: str
    reason: str
    at: datetime


class ControlStore(Protocol):
    """The fast copy of the control state that every start asks. It is never the truth."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    def read(self, name: str) -> Reading:
        """Read state, both kill latches and supervision in one round trip.

        Never raises: a store that does not answer, is empty or unreadable is a Reading with
        `doubt` set, because the caller's next step is the same.
        """
        ...

    def project(self, state: ControlState) -> bool:
        """Write a newer state over an older one; False when the store has a newer one."""
        ...

    def beat(self, owner: str, ttl: timedelta) -> None:
        """Say that a controller lives; forgotten after `ttl`."""
        ...

    def latch(self, kill: Kill) -> None:
        """Set a kill latch; it stays until `unlatch`."""
        ...

    def unlatch(self, name: str | None, kill_id: str | None) -> bool:
        """Remove a latch if it is this kill's; False when there is none or another's."""
        ...

    def latches(self) -> list[Kill]:
        """List all kill latches, that of every sub-pipeline included."""
        ...


@dataclass(frozen=True, slots=True)
class Filing:
    """A job on its way into the ledger. `envelope` is the JSON message that can send it again."""

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
class Handed:
    """A job that was just moved to legacy and has to be sent there."""

    job_id: str
    name: str
    envelope: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """One line of the append-only log of control changes."""

    name: str
    at: datetime
    event: Event
    actor: str
    reason: str
    before: ControlState
    after: ControlState


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


class Ledger(Protocol):
    """The truth: control rows, jobs and the log of changes."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    # Control -----------------------------------------------------------------------------

    def ensure(self, name: str, effects: Effects, holdback_bp: int, now: datetime) -> ControlState:
        """Create the control row of a declared sub-pipeline, killed when all are."""
        ...

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        ...

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        ...

    def change(
        self,
        name: str,
        event: Event,
        actor: str,
        reason: str,
        now: datetime,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> ControlState:
        """Apply an event of the stage table and log it, in one transaction.

        Raises UnknownSubPipeline, StaleRevision, IllegalTransition, ScopeOutOfRange, and
        NotShadowable for shadow runs of paths that touch the world; then nothing
        was changed.
        """
        ...

    def kill(self, kill: Kill) -> list[ControlState]:
        """Latch the kill and move the fence, waiting only for commits already in their last act.

        When this returns, no claim and no commit of the concurrent path made on the old fence
        can succeed. Idempotent per kill id.
        """
        ...

    def rearm(
        self,
        name: str | None,
        actor: str,
        reason: str,
        now: datetime,
        *,
        seen_revision: int | None = None,
    ) -> list[ControlState]:
        """Lift a latch; what was killed by itself stays killed when `name` is None.

        Raises UnknownSubPipeline, StaleRevision, IllegalTransition when there is no latch or
        `kill --all` holds it; then nothing was changed.
        """
        ...

    def all_latch(self) -> ControlState:
        """The row of `kill --all`; its name is '*'."""
        ...

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the log, newest first. Raises UnknownSubPipeline."""
        ...

    # One job's way -----------------------------------------------------------------------

    def file(self, filings: Sequence[Filing]) -> None:
        """Record accepted jobs in one transaction; a job id already there is left as it is."""
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
    ) -> Claim | Refused:
        """Claim a delivered job, or say why not (`core.claims.judge_claim`).

        Linearizable with `kill`: no claim of the concurrent path succeeds after it returned.
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
        or an exception of `write` rolls everything back; the exception is passed on.
        """
        ...

    def hand_over(
        self,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it and must send it.

        False when somebody else has moved, finished or taken it; None when it is not filed.

        `attempt` None moves a job that waits on the concurrent path; a number moves the job only
        while that attempt holds it. A lost worker counts as one death.
        """
        ...

    def release(
        self,
        filing: Filing,
        attempt: int,
    ) -> bool:
        """Put a started job back to accepted for a retry, on the filing's path.

        False when another attempt holds the job by now.
        """
        ...

    def fail(
        self, job_id: str, attempt: int | None, reason: Reason | None, error: str, now: datetime
    ) -> bool:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job."""
        ...

    def reopen(self, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy. Raises UnknownJob, IllegalTransition."""
        ...

    def renew(self, job_ids: Sequence[str], now: datetime) -> None:
        """Say that the workers of these started jobs live."""
        ...

    # The controller's view ---------------------------------------------------------------

    def recall(
        self, name: str, *, running: bool, reason: Reason, now: datetime, limit: int
    ) -> list[Handed]:
        """Move waiting (and with `running`, repeatable started) concurrent jobs to legacy."""
        ...

    def resend_lost(self, lost: "Lost", now: datetime, limit: int) -> list[Handed]:
        """Move accepted jobs that no queue holds to legacy, oldest first."""
        ...

    def resend_silent(
        self, name: str, heard_before: datetime, now: datetime, limit: int
    ) -> list[Handed]:
        """Move started jobs of silent workers to legacy; unsafe and poison ones are failed."""
        ...

    def redate(self, name: str, sent_after: datetime, heard_after: datetime, now: datetime) -> int:
        """Date accepted jobs sent after, and started ones heard of after, a time as of now.

        A clock that was ahead wrote such times; how many there were.
        """
        ...

    def count_lost(self, lost: "Lost") -> int:
        """Count accepted jobs that no queue holds."""
        ...

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs."""
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

    def prune(self, finished_before: datetime, limit: int) -> int:
        """Delete old committed jobs that were folded; how many. Failed ones are kept."""
        ...

    def job(self, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        ...

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        ...

    def keep_message(self, queue: str, why: str, headers: str, body: str, now: datetime) -> None:
        """Keep a message that was refused on one of our queues."""
        ...

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """List refused messages, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What the broker has of one sub-pipeline.

    `by_workers` are the job ids that workers hold, `next_up` the job id at the consuming end of
    each queue (None: the queue is empty). A broker that cannot be looked into gives `waiting`
    only: messages in both queues.
    """

    by_workers: frozenset[str] | None
    next_up: Mapping[JobPath, str | None]
    waiting: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Which accepted jobs count as lost: on `path`, sent before, due, and not in `spared`."""

    name: str
    path: JobPath
    sent_before: datetime
    spared: frozenset[str] = frozenset()


class Queues(Protocol):
    """The broker, as far as the controller needs it: it sends a stored envelope again."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    def send_to_legacy(self, jobs: Sequence[Handed]) -> None:
        """Publish stored envelopes to their legacy queues. Raises BrokerUnreachable."""
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
        from rollout.core.errors import NoConnection

        if self._connect is None:
            raise NoConnection("in a path")
        return self._connect()


# The controller's trials -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A stored trial; `core.pilot.trial.trial_from` builds the value."""

    columns: Mapping[str, Any]
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WindowRow:
    """Jobs of one sub-pipeline, assigned to one path, admitted from `begin` to `end`.

    `jobs`, `failed`, `slow_median` and `slow_tail` count what says something about the path.
    """

    name: str
    path: JobPath
    begin: datetime
    end: datetime
    admitted: int
    jobs: int
    failed: int
    both_failed: int
    unjudged: int
    slow_median: int
    slow_tail: int


@dataclass(frozen=True, slots=True)
class HourRow:
    """Finished jobs of a step, assigned to one path, by the hour of their admission."""

    hour: int
    path: JobPath
    jobs: int
    failed: int
    both_failed: int
    unjudged: int
    slow_median: int
    slow_tail: int


@dataclass(frozen=True, slots=True)
class OpenSlow:
    """Unfinished jobs of a step that are slow already, by the path they were assigned to."""

    path: JobPath
    slow_median: int
    slow_tail: int


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One line of the append-only log of decisions; `inputs` and `answer` are JSON text."""

    decision_id: int
    name: str
    at: datetime
    window: str
    action: str
    sentence: str
    revision: int
    inputs: str
    answer: str


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to record, and the event that carries it out (None changes nothing)."""

    name: str
    at: datetime
    window: str
    action: str
    sentence: str
    inputs: str
    answer: str
    event: Event | None
    to_bp: int | None
    seen_revision: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery of one path, by drill or in earnest; `seconds` == `cap_s` is censored."""

    name: str
    at: datetime
    kind: str
    path: JobPath
    fault: str
    onset_at: datetime
    seconds: float
    cap_s: float
    detected_at: datetime | None = None
    recovered_at: datetime | None = None
    pair_id: str | None = None
    version: str | None = None
    jobs_hurt: int = 0
    jobs_lost: int = 0


@dataclass(frozen=True, slots=True)
class KeySpread:
    """How the newest jobs of a sub-pipeline spread over routing keys.

    `design_effect` is the mean size of a key's group, weighted by its jobs: 1 when each job has a
    key of its own.
    """

    jobs: int
    keys: int
    design_effect: float


class Trials(Protocol):
    """The ledger, as far as the controller's trials need it."""

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead, or go on leading, for `ttl`; the token of this leadership, None for a standby."""
        ...

    def drop_lease(self, token: int) -> None:
        """Stop leading, so that a standby need not wait."""
        ...

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say which build of a path the workers run now. Nothing changes when it is known."""
        ...

    def builds(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Builds of the legacy and the concurrent path, by sub-pipeline."""
        ...

    def trial_rows(self) -> list[TrialRow]:
        """Read every trial."""
        ...

    def profiles(self) -> "Mapping[str, LegacyProfile]":
        """Read what legacy showed, by sub-pipeline."""
        ...

    def pass_time(
        self, now: datetime, days_s: Mapping[str, float]
    ) -> "Mapping[str, LegacyProfile]":
        """Close days and spans that are over; seconds of a policy's day by sub-pipeline."""
        ...

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of admission that are old enough and not yet in a trial, oldest first."""
        ...

    def save_trials(self, token: int, trials: "Sequence[Trial]") -> None:
        """Write trials and raise their versions, in one transaction.

        Raises LeaseLost when another controller leads or has written one; then nothing is written.
        """
        ...

    def hours(self, name: str, step: int) -> list[HourRow]:
        """Read the totals of a step."""
        ...

    def open_slow(self, trial: "Trial", now: datetime) -> list[OpenSlow]:
        """Count unfinished jobs of the trial's step that are slow already, as its totals do."""
        ...

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Measure how the newest `limit` jobs spread over keys."""
        ...

    def routed_since(self, name: str, since: datetime) -> Mapping[JobPath, int]:
        """Count jobs admitted since then by the path that routing chose."""
        ...

    def decide(self, token: int, decision: NewDecision, trial: "Trial") -> ControlState | None:
        """Record a decision, carry out its event and write the trial, in one transaction.

        None when this window of the sub-pipeline was decided before: nothing is done.

        Raises LeaseLost, StaleRevision, IllegalTransition; then nothing was changed.
        """
        ...

    def decisions(self, name: str | None, limit: int) -> list[DecisionRecord]:
        """Read the log of decisions, newest first."""
        ...

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision."""
        ...

    def watches(self) -> "Mapping[tuple[str, JobPath], Watch]":
        """Read what is known of each path's normal state and incidents."""
        ...

    def save_watches(
        self,
        token: int,
        watches: "Mapping[tuple[str, JobPath], Watch]",
        recoveries: Sequence[Recovery],
    ) -> None:
        """Write watches and the incidents that have ended, in one transaction.

        Raises LeaseLost when another controller leads; then nothing is written.
        """
        ...

    def add_recovery(self, recovery: Recovery) -> None:
        """Record how long a path took to heal."""
        ...

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first; None: of all names."""
        ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """Finished jobs of one sub-pipeline in a span that ends now.

    `legacy_jobs` are those that routing assigned to legacy, `legacy_failed` those of them that
    failed for good. `first_at` is when the first of all of them finished.
    """

    name: str
    jobs: int
    legacy_jobs: int
    legacy_failed: int
    first_at: datetime

    def and_also(self, other: "Arrived") -> "Arrived":
        """Both counts together."""
        return Arrived(
            self.name,
            self.jobs + other.jobs,
            self.legacy_jobs + other.legacy_jobs,
            self.legacy_failed + other.legacy_failed,
            min(self.first_at, other.first_at),
        )


class Arrivals(Protocol):
    """What a person asks the ledger before a trial: how much comes, and what was declared."""

    def arrivals(self, since: datetime) -> list[Arrived]:
        """Count the jobs of each sub-pipeline that have finished since then, by name."""
        ...

    def declared_effects(self) -> Mapping[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        ...


class Samples(Protocol):
    """What the watch for incidents asks the ledger, once a window and sub-pipeline."""

    def samples(
        self, name: str, since: datetime, until: datetime
    ) -> Mapping[JobPath, "PathSample"]:
        """Say what both paths did after `since` and up to `until`, by assigned path.

        A job that fell back is a failure of the concurrent path, with its whole cycle time. Left
        out are jobs that say nothing about a path (`core.pilot.outcome`), jobs that failed on both
        paths, jobs of a drill or admitted during one, jobs tried again by hand, and jobs that
        bypass routing. Failed jobs have a cycle time too. Open is what is due and unfinished when
        this is asked; a retry that waits is as old as its due time.

        A job that commits after this was asked, with an end before `until` (its worker's clock),
        is in no window. So let `until` lie some seconds back, and `since` be the last `until`.

        Reads the jobs of all names that finished in the window; for many names ask for all.
        """
        ...

    def samples_of_all(
        self, since: datetime, until: datetime
    ) -> Mapping[str, Mapping[JobPath, "PathSample"]]:
        """Say the same of every sub-pipeline, at the cost of one.

        A name that is missing had no job: `PathSample.idle(until)` on both paths.
        """
        ...


# Shadow runs -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShadowBegun:
    """A shadow that begins to run; `path` is legacy for an old-against-old run."""

    run_id: str
    name: str
    job_id: str
    path: JobPath
    legacy_s: float
    at: datetime


@dataclass(frozen=True, slots=True)
class ShadowEnd:
    """How a shadow ended.

    Attributes:
        run_id: As begun.
        name: The sub-pipeline.
        at: When.
        shadow_s: Seconds the path took; None when it did not return.
        trouble: What went wrong; None when the results were compared.
        why: The trouble in words, short and redacted.
        fields: Fields that differ; empty when the results are equal.
        signature: What mismatches of one cause have in common; empty when equal.
        diff: The readable difference.
    """

    run_id: str
    name: str
    at: datetime
    shadow_s: float | None = None
    trouble: str | None = None
    why: str = ""
    fields: frozenset[str] = frozenset()
    signature: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """A stored shadow; `state` is running, equal, different or trouble.

    `fields` are known only while it is folded.
    """

    run_id: str
    name: str
    job_id: str
    path: JobPath
    state: str
    legacy_s: float
    began_at: datetime
    ended_at: datetime | None
    shadow_s: float | None
    trouble: str | None
    why: str | None
    signature: str | None
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MismatchGroup:
    """Mismatches of one cause: how many, and one example."""

    path: JobPath
    signature: str
    runs: int
    first_at: datetime
    last_at: datetime
    example_job_id: str
    example: str


@dataclass(frozen=True, slots=True)
class ShadowAccount:
    """All that is kept of a sub-pipeline's shadows since they began.

    `evidence` is what the fold made, None before the first; `counts` are runs by what became of
    them, such as `equal:concurrent`, `trouble:legacy:raised`, `shed:rate`.
    """

    name: str
    evidence: Any
    counts: Mapping[str, int]
    groups: Sequence[MismatchGroup]


ShadowFold = Callable[[Any, ShadowRun], Any]
"""From the stored evidence (None at first) and a run that has just ended to the next evidence."""


class Shadows(Protocol):
    """The ledger's account of shadows.

    It begins anew when stage shadow (or, from legacy, the first step) begins, and when the build of
    either path changes. Every run is folded into the evidence once, in the transaction that ends
    it; rows of runs may then be deleted without losing any evidence.
    """

    def begin_shadow(self, begun: ShadowBegun, shed: Mapping[str, int]) -> bool:
        """Record a run as running, and what was shed before it; False for a message seen before."""
        ...

    def end_shadow(self, end: ShadowEnd, fold: ShadowFold) -> bool:
        """Record how a run ended and fold it; False when it has ended before."""
        ...

    def settle_shadows(
        self, name: str, began_before: datetime, now: datetime, fold: ShadowFold, limit: int
    ) -> int:
        """End runs that began long ago and were never heard of again as lost; how many."""
        ...

    def count_shadows(self, name: str, counts: Mapping[str, int], now: datetime) -> None:
        """Add to the counts, for what has no run."""
        ...

    def shadow_account(self, name: str) -> ShadowAccount:
        """Read the account. Raises UnknownSubPipeline."""
        ...

    def shadow_runs(self, name: str, limit: int) -> list[ShadowRun]:
        """List runs, newest first."""
        ...

    def prune_shadows(self, name: str, ended_before: datetime, limit: int) -> int:
        """Delete runs that ended before then; how many."""
        ...


class ShadowBudget(Protocol):
    """Counts copies over all workers of all machines; a part of the control store."""

    def take(self, name: str, rate_per_s: float, per_day: int) -> str | None:
        """Take one copy's share of rate and day's budget; else name the `Shed` that refuses it.

        Never raises: a store that does not answer refuses, with `store`.
        """
        ...


class ShadowQueue(Protocol):
    """The shadow's queue at the broker; every call is bounded in time."""

    def publish(self, name: str, copy: Mapping[str, Any], limit_s: float) -> None:
        """Send a copy, to be killed after `limit_s` of running. Raises BrokerUnreachable."""
        ...

    def backlog(self, name: str) -> int:
        """Count copies that wait. Raises BrokerUnreachable."""
        ...


class Leadership(Protocol):
    """The ledger, as far as a person asks it who judges."""

    def leader(self) -> tuple[str, datetime] | None:
        """Who leads and until when; None when nobody ever did, an empty name when it stopped."""
        ...

    def standbys(self, now: datetime) -> list[str]:
        """Who asked for the lease lately and did not get it."""
        ...
