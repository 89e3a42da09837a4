"""The legacy worker's side of shadows: one copy of some jobs, after everything else is done.

    sample  by the job's id, of the share that the stage allows
    shed    backlog, rate limit, day's budget, a server that failed a moment ago
    carry   legacy's result as JSON, as a digest when large, else the reason it is neither
    send    to <name>.shadow

It is called when the job is committed, its result stored and its links are sent, so its time can
only delay the worker's next job; that time is bounded, and whatever happens here ends here. Counts
of what was shed travel in the next copy, so that counting costs no round trip.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import getpid
from typing import Any, Protocol

from rollout.errors import BrokerUnreachable, words_of
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import ControlStore
from rollout.shadow.canonical import digest, weigh
from rollout.shadow.compare import Comparison
from rollout.shadow.copies import (
    Carried,
    ShadowCopy,
    Shed,
    Trouble,
    Unusable,
    in_sample,
    limit_of,
    share_bp,
)
from rollout.shadow.ports import ShadowBudget, ShadowQueue

SNAPSHOT_S = 1.0
"""Stage and backlog are looked at this often, whatever the number of jobs."""
PAUSE_S = 10.0
"""After a failure of store or broker no copy is tried for this long, so that it costs once."""
TEXT_CHARS_MAX = 64_000
"""Longest result that travels as it is."""
NODES_MAX = 20_000
"""Most parts of a result that is written as JSON for a copy (about 0.1 s with its digest)."""
CHARS_MAX = 1_000_000
"""Most text of such a result."""


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """How many shadows there may be.

    `shadow_bp` and `split_bp` are shares of legacy jobs in those stages, `again_bp` the share of
    copies that run legacy again, `limit_s` how long one may run at least (`copies.limit_of`).
    """

    shadow_bp: int
    split_bp: int
    again_bp: int
    rate_per_s: float
    per_day: int
    backlog_max: int
    limit_s: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What legacy's path returned for a job that has committed, and how long it took."""

    job_id: str
    value: Any
    seconds: float


class Copied(Protocol):
    """The declared sub-pipeline, as far as copying its jobs needs it."""

    name: str
    effects: Effects
    comparison: Comparison

    @property
    def builds(self) -> Mapping[JobPath, str]:
        """Names of the paths' builds; a path without one is not in it."""
        ...

    def to_text(self, value: Any) -> str:
        """Write a path's value as JSON text. Raises ArgumentsUnusable, or what the value raises."""
        ...

    def read(self, result: str) -> Any:
        """Read JSON text back."""
        ...


@dataclass(slots=True)
class _Snapshot:
    share_bp: int
    backlog: int
    fresh_until: float
    pid: int


class ShadowPublisher:
    """Sends copies of legacy jobs.

    Args:
        control: Read once a second for stage, kill and supervision.
        budget: Counts copies over all workers.
        queue: Where they go.
        clock: Tells how old the last look is.
        limits: How many there may be.
    """

    def __init__(
        self,
        control: ControlStore,
        budget: ShadowBudget,
        queue: ShadowQueue,
        clock: Clock,
        limits: ShadowLimits,
    ) -> None:
        self._control = control
        self._budget = budget
        self._queue = queue
        self._clock = clock
        self._limits = limits
        self._snapshots: dict[str, _Snapshot] = {}
        self._shed: Counter[str] = Counter()
        self._paused_until = float("-inf")

    @property
    def shed(self) -> dict[str, int]:
        """What was shed since the last copy left, by reason."""
        return dict(self._shed)

    def offer(self, paths: Copied, ran: Ran, near_limit: Callable[[], bool]) -> bool:
        """Send a copy of this job if it is one of those to be copied; True when one left.

        Never raises: the job it is about is done.
        """
        try:
            if not paths.effects.shadowable:
                return False
            done = self._offer(paths, ran, near_limit)
        except (Exception, SystemExit) as error:  # a time limit's signal may come at any moment
            log.error(
                "no shadow copy", job=ran.job_id, why=f"{type(error).__name__}: {words_of(error)}"
            )
            done = Shed.DEFECT
        if isinstance(done, Shed):
            self._shed[done] += 1
            return False
        return done

    def _offer(self, paths: Copied, ran: Ran, near_limit: Callable[[], bool]) -> bool | Shed:
        """Send a copy: True; do not want one: False; want one and send none: why."""
        if self._paused:
            # Nobody knows the share now, so this counts the jobs of the largest one.
            largest = max(self._limits.shadow_bp, self._limits.split_bp)
            return Shed.PAUSED if in_sample(paths.name, ran.job_id, largest) else False
        snapshot = self._look(paths.name)
        if not in_sample(paths.name, ran.job_id, snapshot.share_bp):
            return False
        if near_limit():
            return Shed.NEAR_LIMIT
        if snapshot.backlog >= self._limits.backlog_max:
            return Shed.BACKLOG
        refused = self._budget.take(paths.name, self._limits.rate_per_s, self._limits.per_day)
        if refused is not None:
            if refused == Shed.STORE:
                self._pause("the control store did not count a copy")
            return Shed(refused)
        return self._send(paths, ran, snapshot)

    def _send(self, paths: Copied, ran: Ran, snapshot: _Snapshot) -> bool | Shed:
        again = in_sample(f"again {paths.name}", ran.job_id, self._limits.again_bp)
        path = JobPath.LEGACY if again else JobPath.CONCURRENT
        build = paths.builds.get(JobPath.LEGACY)
        copy = ShadowCopy(ran.job_id, path, ran.seconds, carry(paths, ran), self.shed, build)
        try:
            limit_s = limit_of(ran.seconds, self._limits.limit_s)
            self._queue.publish(paths.name, copy.to_values(), limit_s)
        except BrokerUnreachable as error:
            self._pause(str(error))
            return Shed.BROKER
        self._shed.clear()
        snapshot.backlog += 1
        return True

    def _look(self, name: str) -> _Snapshot:
        """What the last second's look gave; a forked process looks for itself."""
        snapshot = self._snapshots.get(name)
        now = self._clock.monotonic()
        if snapshot is not None and now <= snapshot.fresh_until and snapshot.pid == getpid():
            return snapshot
        share = share_bp(self._control.read(name), self._limits.shadow_bp, self._limits.split_bp)
        backlog = 0
        if share:
            try:
                backlog = self._queue.backlog(name)
            except BrokerUnreachable as error:
                self._pause(str(error))
                backlog = self._limits.backlog_max
        # Looking took time as well: it is counted from its end, so that it cannot follow itself.
        fresh_until = self._clock.monotonic() + SNAPSHOT_S
        snapshot = self._snapshots[name] = _Snapshot(share, backlog, fresh_until, getpid())
        return snapshot

    @property
    def _paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    def _pause(self, why: str) -> None:
        log.warning("no shadow copies for a while", seconds=PAUSE_S, why=why)
        self._paused_until = self._clock.monotonic() + PAUSE_S


def carry(paths: Copied, ran: Ran) -> Carried:
    """Legacy's result as a copy carries it; work and size are bounded."""
    try:
        if not weigh(ran.value, NODES_MAX, CHARS_MAX):
            return _too_large()
        text = paths.to_text(ran.value)
        if len(text) <= TEXT_CHARS_MAX:
            return text
        value = paths.read(text)
        # The value's own code may have made more of it than it looked.
        return (
            digest(value, paths.comparison) if weigh(value, NODES_MAX, CHARS_MAX) else _too_large()
        )
    except (Exception, SystemExit) as error:  # whatever the value's own code raises
        return Unusable(Trouble.UNSERIALISABLE, f"{type(error).__name__}: {words_of(error)}"[:300])


def _too_large() -> Unusable:
    return Unusable(
        Trouble.TOO_LARGE, f"more than {NODES_MAX} parts or {CHARS_MAX} characters of text"
    )
