"""What is true now: what was decided, what a start would get, where the jobs are."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from rollout.desk.lately import Lately
from rollout.desk.plain import Json, plain_json
from rollout.desk.releases import UNNAMED, Releases
from rollout.desk.running_drills import RunningDrill
from rollout.desk.text import span_text
from rollout.errors import UnknownSubPipeline
from rollout.jobs.claims import JobState
from rollout.jobs.ports import CycleTally, Ledger, OpenCount, Tally
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Reading, why_closed
from rollout.routing.stages import ControlState


@dataclass(frozen=True, slots=True)
class Status:
    """One sub-pipeline: what was decided, what the gate sees, where its jobs are.

    `gate` is the reading a start would get now. Counts are jobs; `kept` counts those that have
    failed and wait for a person, `failed` also those that were retried since. `observed_bp` is
    the share of finished jobs that routing assigned to the concurrent path, None before the first.
    """

    state: ControlState
    gate: Reading
    at: datetime
    open_counts: list[OpenCount] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    kept: int = 0
    lately: Lately | None = None
    drill: RunningDrill | None = None
    releases: Releases = UNNAMED
    cycles: list[CycleTally] = field(default_factory=list)

    def oldest(self, path: JobPath, state: JobState) -> datetime | None:
        """Admission of the oldest unfinished job on this path in this state."""
        found = [one.oldest for one in self.open_counts if one.path is path and one.state == state]
        return min(found, default=None)

    @property
    def closed(self) -> Reason | None:
        """Why a concurrent start would be sent to legacy now; None lets it."""
        return why_closed(self.gate)

    @property
    def gate_revision(self) -> int | None:
        """Revision that the gate decides on; None when the store gave no state."""
        return None if self.gate.state is None else self.gate.state.revision

    def committed(self, path: JobPath) -> int:
        """Jobs committed by this path."""
        return sum(
            tally.jobs
            for tally in self.tallies
            if tally.outcome == JobState.COMMITTED and tally.path is path
        )

    @property
    def failed(self) -> int:
        """Times that a job failed for good."""
        return sum(tally.jobs for tally in self.tallies if tally.outcome == JobState.FAILED)

    @property
    def fallbacks(self) -> int:
        """Finished jobs that legacy had to take over from the concurrent path, drills left out."""
        return sum(tally.jobs for tally in self.tallies if tally.reason.means.fallback)

    @property
    def drilled(self) -> int:
        """Finished jobs that a drill moved or broke and that legacy ran."""
        return sum(tally.jobs for tally in self.tallies if tally.reason is Reason.DRILL)

    @property
    def opted_out(self) -> int:
        """Finished jobs whose caller named a queue of its own, so that nobody routed them."""
        return sum(tally.jobs for tally in self.tallies if tally.reason is Reason.OPTED_OUT)

    def ended(self, state: JobState) -> int:
        """Jobs that ended in this state."""
        return sum(tally.jobs for tally in self.tallies if tally.outcome == state)

    @property
    def observed_bp(self) -> int | None:
        """Share of the finished jobs that were routed which took the concurrent path, in bp."""
        routed = [tally for tally in self.tallies if tally.reason is not Reason.OPTED_OUT]
        total = sum(tally.jobs for tally in routed)
        moved = sum(tally.jobs for tally in routed if tally.assigned_path is JobPath.CONCURRENT)
        return None if total == 0 else 10_000 * moved // total

    def waiting(self, path: JobPath, state: JobState) -> int:
        """Unfinished jobs on this path in this state."""
        return sum(
            count.jobs for count in self.open_counts if count.path is path and count.state == state
        )

    @property
    def starts_now(self) -> str:
        """What a start would get now, in a sentence."""
        closed = self.closed
        if closed is None:
            newest = self.gate_revision == self.state.revision
            lag = "" if newest else ", which is not the newest"
            return f"concurrent inside the scope (supervised, revision {self.gate_revision}{lag})"
        text = f"legacy: {closed} ({closed.means.closes})"
        gate_killed = self.gate.killed or self.gate.killed_all
        if gate_killed and not self.state.killed:
            text += (
                "; the latch is in the control store only, the controller's next tick settles it"
            )
        if self.state.killed and not gate_killed and closed is not Reason.UNREACHABLE:
            text += "; the store lost the latch, the controller's next tick sets it"
        return text

    def jobs_sentence(self, path: JobPath) -> str:
        """What waits, runs and was committed on a path, and what it did lately."""
        waiting, running = (
            self.waiting(path, state) for state in (JobState.ACCEPTED, JobState.STARTED)
        )
        text = f"{waiting} waiting, {running} running, {self.committed(path)} committed"
        oldest = self.oldest(path, JobState.STARTED)
        if oldest is not None:
            text += f"; the oldest that runs came {span_text(self.at - oldest)} ago"
        if self.lately is not None:
            text += f"; in the last 5 min: {self.lately.sentence(path)}"
            if path is JobPath.CONCURRENT and self.lately.drilled:
                text += f"; {self.lately.drilled} that a drill hurt count for neither path"
        return text

    def to_json(self) -> Json:
        """What scripts read about its state and its jobs."""
        state, gate = self.state, self.gate
        return {
            "name": state.name,
            "at": self.at.isoformat(),
            "stage": str(state.stage),
            "killed": state.killed,
            "frozen": state.frozen,
            "scope_bp": state.scope_bp,
            "scope_bp_max": state.scope_bp_max,
            "holdback_bp": state.holdback_bp,
            "observed_bp": self.observed_bp,
            "revision": state.revision,
            "gate": {
                "open": self.closed is None,
                "reason": None if self.closed is None else str(self.closed),
                "reachable": gate.doubt is not Reason.UNREACHABLE,
                "supervised": gate.supervised,
                "killed": gate.killed,
                "killed_all": gate.killed_all,
                "revision": self.gate_revision,
            },
            "waiting": {str(path): self.waiting(path, JobState.ACCEPTED) for path in JobPath},
            "running": {str(path): self.waiting(path, JobState.STARTED) for path in JobPath},
            "committed": {str(path): self.committed(path) for path in JobPath},
            "failed_kept": self.kept,
            "fallbacks": self.fallbacks,
            "drilled": self.drilled,
            "cancelled": self.ended(JobState.CANCELLED),
            "expired": self.ended(JobState.EXPIRED),
            "opted_out": self.opted_out,
            "oldest_running": {
                str(path): plain_json(self.oldest(path, JobState.STARTED)) for path in JobPath
            },
            "oldest_waiting": {
                str(path): plain_json(self.oldest(path, JobState.ACCEPTED)) for path in JobPath
            },
            "lately": None if self.lately is None else self.lately.to_json(),
            "drill": None if self.drill is None else self.drill.to_json(),
            "builds": self.releases.builds,
            "releases": self.releases.to_json(),
        }


def read_status(
    ledger: Ledger, control: ControlStore, clock: Clock, name: str | None
) -> list[Status]:
    """Read one sub-pipeline, or all of them.

    Raises:
        UnknownSubPipeline: There is no such name.
        LedgerUnreachable: The ledger does not answer.
    """
    states = ledger.controls()
    if name is not None:
        known = [state.name for state in states]
        states = [state for state in states if state.name == name]
        if not states:
            raise UnknownSubPipeline(name, known)
    counts, kept = ledger.open_counts(), ledger.kept_counts()
    tallies: tuple[list[Tally], list[CycleTally]] = ledger.tallies(name)
    gates = control.read_all([state.name for state in states])
    counted: defaultdict[str, list[OpenCount]] = defaultdict(list)
    for count in counts:
        counted[count.name].append(count)
    ended: defaultdict[str, list[Tally]] = defaultdict(list)
    for tally in tallies[0]:
        ended[tally.name].append(tally)
    timed: defaultdict[str, list[CycleTally]] = defaultdict(list)
    for cycle in tallies[1]:
        timed[cycle.name].append(cycle)
    return [
        Status(
            state,
            gates[state.name],
            clock.now(),
            counted[state.name],
            ended[state.name],
            kept.get(state.name, 0),
            cycles=timed[state.name],
        )
        for state in states
    ]
