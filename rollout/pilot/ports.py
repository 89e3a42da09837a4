"""What the controller's judgement needs from outside: a port for each role of the ledger.

Beside `jobs/ports.py`, which the way of every job needs. All methods raise LedgerUnreachable.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState, Event

if TYPE_CHECKING:  # the way of a job never needs them
    from rollout.pilot.builds import BuildRecord
    from rollout.pilot.profile import LegacyProfile
    from rollout.pilot.trial import Trial
    from rollout.policy.in_force import PoliciesInForce

SPREAD_JOBS = 10_000
"""Newest jobs whose keys are looked at, once in an hour of the policy's day."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A stored trial; `pilot.trial.trial_from` builds the value."""

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
    """A decision to record, and the event that carries it out (None changes nothing).

    `notice` writes a notice in the same transaction: what was decided is told, also when this
    controller dies now.
    """

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
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told of a decision; `told` has a digest of each address that took it."""

    notice_id: int
    name: str
    at: datetime
    action: str
    sentence: str
    tries: int
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery of one path; `seconds` == `cap_s` is censored.

    `kind` is "drill". Ledgers of before decision 0025 hold "incident", evidence of nothing.
    """

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

    @property
    def by_drill(self) -> bool:
        """Whether the same fault was injected on both paths: only then is it evidence."""
        return self.kind == "drill"


@dataclass(frozen=True, slots=True)
class KeySpread:
    """How the newest jobs of a sub-pipeline spread over routing keys.

    `design_effect` is the mean size of a key's group, weighted by its jobs: 1 when each job has a
    key of its own.
    """

    jobs: int
    keys: int
    design_effect: float


class Lease(Protocol):
    """The ledger, as far as a controller asks it whether it leads."""

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead, or go on leading, for `ttl`; the token of this leadership, None for a standby."""
        ...

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Keep what this leader judges by, for whoever asks; `text` is of `in_force.text_of`.

        Raises LeaseLost when another controller leads; then nothing is written.
        """
        ...

    def drop_lease(self, token: int) -> None:
        """Stop leading, so that a standby need not wait."""
        ...


class Builds(Protocol):
    """The ledger, as far as it knows which code runs."""

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say that workers run this build of a path.

        Releases are in the order in which they were first seen: an older one changes nothing
        while workers still speak of the newer one (`pilot.builds`). Say it again each minute.
        """
        ...

    def builds(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Builds of the legacy and the concurrent path, by sub-pipeline."""
        ...


class BuildLog(Builds, Protocol):
    """The ledger, as far as it remembers which code ran."""

    def build_records(self, name: str | None) -> "Sequence[BuildRecord]":
        """Read every build of one sub-pipeline, or of all, the newest first."""
        ...


class Trials(Protocol):
    """The ledger, as far as it keeps trials, what they count, and what was decided on them."""

    def trial_rows(self, names: Collection[str] | None = None) -> list[TrialRow]:
        """Read every trial, or those of these sub-pipelines."""
        ...

    def profiles(self, names: Collection[str] | None = None) -> "Mapping[str, LegacyProfile]":
        """Read what legacy showed, by sub-pipeline; of all, or of these."""
        ...

    def pass_time(
        self, now: datetime, days_s: Mapping[str, float]
    ) -> "Mapping[str, LegacyProfile]":
        """Close days and spans that are over; seconds of a policy's day by sub-pipeline."""
        ...

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of admission that are old enough and not yet in a trial, oldest first."""
        ...

    def early_windows(self, trial: "Trial", now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of one trial that are old enough for its fast path and not yet in it."""
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

    def counts_of(
        self, trials: "Sequence[Trial]", now: datetime
    ) -> "Mapping[str, tuple[Sequence[HourRow], Sequence[OpenSlow]]]":
        """Read `hours` and `open_slow` of many trials at once, by name, each in its step."""
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

        Raises LeaseLost, StaleRevision, IllegalTransition, NotShadowable; then nothing was changed.
        """
        ...

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the log of decisions, newest first; `before`: only those with a smaller id."""
        ...

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision."""
        ...


class Recoveries(Protocol):
    """The ledger, as far as it keeps how long paths took to heal."""

    def add_recovery(self, recovery: Recovery) -> None:
        """Record how long a path took to heal."""
        ...

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first; None: of all names."""
        ...


class Notices(Protocol):
    """The ledger, as far as the sender of notices needs it."""

    def take_notice(self, now: datetime, again_at: datetime) -> Notice | None:
        """Take the oldest notice that is due; nobody else gets it before `again_at`."""
        ...

    def note_told(
        self, notice_id: int, told: Iterable[str], again_at: datetime | None, now: datetime
    ) -> None:
        """Note who was told (digests); without `again_at` nobody is told any more."""
        ...

    def open_notices(self) -> list[Notice]:
        """Notices that were not sent to everybody yet, oldest first."""
        ...


class PilotLedger(Lease, Builds, Trials, Recoveries, Protocol):
    """The ledger, as far as the controller's judgement needs it."""

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        ...


class Leadership(Protocol):
    """The ledger, as far as a person asks it who judges."""

    def leader(self) -> tuple[str, datetime] | None:
        """Who leads and until when; None when nobody ever did, an empty name when it stopped."""
        ...

    def kept_policies(self) -> "PoliciesInForce | None":
        """What the last leader judges by; None before the first."""
        ...

    def standbys(self, now: datetime) -> list[str]:
        """Who asked for the lease lately and did not get it."""
        ...
