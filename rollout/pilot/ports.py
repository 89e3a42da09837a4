"""What the controller's judgement needs from the ledger: trials, decisions, samples.

Beside `jobs/ports.py`, which the way of every job needs. All methods raise LedgerUnreachable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Event

if TYPE_CHECKING:  # the way of a job never needs them
    from rollout.drills.watch import Watch
    from rollout.evidence.sample import PathSample
    from rollout.pilot.profile import LegacyProfile
    from rollout.pilot.trial import Trial
    from rollout.policy.in_force import PoliciesInForce


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

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Keep what this leader judges by, for whoever asks; `text` is of `in_force.text_of`.

        Raises LeaseLost when another controller leads; then nothing is written.
        """
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


class Samples(Protocol):
    """What the watch for incidents asks the ledger, once a window and sub-pipeline."""

    def samples(
        self, name: str, since: datetime, until: datetime
    ) -> Mapping[JobPath, "PathSample"]:
        """Say what both paths did after `since` and up to `until`, by assigned path.

        A job that fell back is a failure of the concurrent path, with its whole cycle time. Left
        out are jobs that say nothing about a path (`pilot.outcome`), jobs that failed on both
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
