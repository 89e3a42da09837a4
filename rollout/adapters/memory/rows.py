"""What a ledger in memory holds, and the lock that makes each call one transaction."""

import heapq
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

from rollout.control.acts import Act
from rollout.control.requests import Answer
from rollout.control.tokens import Session, Token
from rollout.drills.ports import DrillEvent
from rollout.errors import LedgerUnreachable, UnknownSubPipeline
from rollout.jobs.claims import JobRecord, JobRef, JobState
from rollout.jobs.resources import Need
from rollout.pilot.builds import BuildRecord
from rollout.pilot.fold import HourKey, Sum
from rollout.pilot.lease import LeaseWatch
from rollout.pilot.ports import DecisionRecord, Notice, Recovery
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.policy.in_force import PoliciesInForce
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ALL, ControlState

OutcomeKey = tuple[str, str, str, str, str]
"""Name, assigned path, path, outcome, reason."""

CycleKey = tuple[str, str, float]
"""Name, assigned path, upper bound of the bucket in seconds."""


class Lease(NamedTuple):
    """Who leads, and until when; the token fences what an old leader still writes."""

    owner: str
    token: int
    until: datetime


class Span(NamedTuple):
    """When a drill hurt a sub-pipeline: jobs admitted then are judged by nobody."""

    drill_id: str
    began_at: datetime
    ended_at: datetime


class Entry(NamedTuple):
    """A job at a resource: held by the claim of this nonce, or waited for."""

    need: Need
    nonce: str | None
    since: datetime
    called_at: datetime | None = None


class Rows:
    """The tables, as dictionaries. `with rows:` is a transaction: one at a time, all or nothing.

    Records are frozen values that a write replaces, so what was given out never changes. A caller
    must make everything that can fail before its first write; there is no undoing.

    Attributes:
        reachable: Set to False to play a ledger that does not answer.
    """

    url = "memory:"

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self.reachable = True
        self.latch = ControlState(ALL)
        self.states: dict[str, ControlState] = {}
        self.effects: dict[str, Effects] = {}
        self.log: defaultdict[str, list[TransitionRecord]] = defaultdict(list)
        self.jobs: dict[JobRef, JobRecord] = {}
        self.claims = 0
        self.lines: defaultdict[str, dict[JobRef, Entry]] = defaultdict(dict)
        self.pruned_before: datetime | None = None
        self.outcomes: Counter[OutcomeKey] = Counter()
        self.cycles: dict[CycleKey, tuple[int, float]] = {}
        self.messages: list[Mapping[str, Any]] = []
        self.lease: Lease | None = None
        self.leader_policies: PoliciesInForce | None = None
        self.leases = LeaseWatch()
        self.standbys: dict[str, datetime] = {}
        self.builds: dict[tuple[str, JobPath], str] = {}
        self.build_records: dict[tuple[str, JobPath, str], BuildRecord] = {}
        self.trials: dict[str, Trial] = {}
        self.profiles: dict[str, LegacyProfile] = {}
        self.hours: dict[HourKey, Sum] = {}
        self.decisions: list[DecisionRecord] = []
        self.notices: dict[int, tuple[Notice, datetime, bool]] = {}
        self.decided: set[tuple[str, str]] = set()
        self.recoveries: list[Recovery] = []
        self.spans: defaultdict[str, list[Span]] = defaultdict(list)
        self.journal: list[DrillEvent] = []
        self.newest_commit: datetime | None = None
        self.tokens: dict[str, Token] = {}
        self.sessions: dict[str, Session] = {}
        self.acts: list[Act] = []
        self.answers: dict[str, Answer] = {}
        # What the controller asks for depends on what is open and not on history, as the
        # indexes of the SQL ledger do.
        self._open: defaultdict[str, dict[JobRef, None]] = defaultdict(dict)
        self._failed: dict[JobRef, None] = {}
        self._unfolded: dict[JobRef, None] = {}
        self._folded: list[tuple[datetime, JobRef]] = []
        self._admitted: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Wait for the transaction before, and begin one. Raises LedgerUnreachable."""
        self._lock.acquire()
        if not self.reachable:
            self._lock.release()
            raise LedgerUnreachable(self.url, ConnectionError("set unreachable"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the transaction."""
        self._lock.release()

    def known(self, name: str) -> ControlState:
        """Give a control row. Raises UnknownSubPipeline."""
        state = self.states.get(name)
        if state is None:
            raise UnknownSubPipeline(name, self.states)
        return state

    def clock(self, given: datetime) -> datetime:
        """What silence is measured by: the ledger's own clock, or the time that a caller gives."""
        return given if self._clock is None else self._clock.now()

    # Jobs --------------------------------------------------------------------------------

    def names(self) -> set[str]:
        """Sub-pipelines that have, or have had, jobs."""
        return set(self._admitted)

    def put(self, record: JobRecord) -> None:
        """Write a job's row that begins, changes or finishes."""
        ref = record.ref
        if ref not in self.jobs:
            insort(self._admitted[record.name], (record.accepted_at, record.job_id))
        self.jobs[ref] = record
        if not record.state.finished:
            self._open[record.name][ref] = None
            return
        self._open[record.name].pop(ref, None)
        if record.state.called_off:
            assert record.finished_at is not None, "an outcome has its time"
            heapq.heappush(self._folded, (record.finished_at, ref))  # counted where it is written
            return
        self._unfolded[ref] = None
        if record.state is JobState.FAILED:
            self._failed[ref] = None
            return
        assert record.finished_at is not None, "a commit has its time"
        self.newest_commit = max(record.finished_at, self.newest_commit or record.finished_at)

    def reopened(self, record: JobRecord) -> bool:
        """Write the row of a failed job that begins again; whether its failure was folded."""
        folded = record.ref not in self._unfolded
        self._unfolded.pop(record.ref, None)
        del self._failed[record.ref]
        self.put(record)
        return folded

    def open_jobs(self, name: str) -> Iterable[JobRecord]:
        """Unfinished jobs of one sub-pipeline, in the order in which they were filed."""
        return [self.jobs[ref] for ref in self._open[name]]

    def open_names(self) -> list[str]:
        """Sub-pipelines that have had jobs."""
        return sorted(self._open)

    def failed_jobs(self) -> list[JobRecord]:
        """Kept failures."""
        return [self.jobs[ref] for ref in self._failed]

    def unfolded_jobs(self) -> list[JobRecord]:
        """Finished jobs that are not in the tallies yet, in the order in which they finished."""
        return [self.jobs[ref] for ref in self._unfolded]

    def folded(self, record: JobRecord) -> None:
        """Note that a finished job is in the tallies."""
        del self._unfolded[record.ref]
        if record.state is JobState.COMMITTED:
            assert record.finished_at is not None, "a commit has its time"
            heapq.heappush(self._folded, (record.finished_at, record.ref))

    def forget(self, finished_before: datetime, limit: int) -> int:
        """Delete the oldest jobs that nobody keeps and that are in the tallies; how many."""
        gone = 0
        while gone < limit and self._folded and self._folded[0][0] < finished_before:
            record = self.jobs.pop(heapq.heappop(self._folded)[1])
            admitted = self._admitted[record.name]
            del admitted[bisect_left(admitted, (record.accepted_at, record.job_id))]
            gone += 1
        if gone:
            self.pruned_before = max(finished_before, self.pruned_before or finished_before)
        return gone

    def lose(self, ref: JobRef) -> None:
        """Lose an unfinished job's row, as a failover to a copy that lags behind does."""
        record = self.jobs.pop(ref)
        self._open[record.name].pop(ref, None)
        admitted = self._admitted[record.name]
        del admitted[bisect_left(admitted, (record.accepted_at, record.job_id))]

    def admitted_from(self, name: str, at: datetime) -> list[JobRecord]:
        """Jobs of one sub-pipeline that were admitted at or after a time, oldest first."""
        admitted = self._admitted[name]
        since = admitted[bisect_left(admitted, (at, "")) :]
        return [self.jobs[(name, job_id)] for _, job_id in since]

    def newest(self, name: str, limit: int) -> list[JobRecord]:
        """The jobs of one sub-pipeline that were admitted last."""
        return [self.jobs[(name, job_id)] for _, job_id in self._admitted[name][-limit:]]
