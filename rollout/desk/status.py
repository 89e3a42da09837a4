"""What is true now: what was decided, what a start would get, where the jobs are."""

from dataclasses import dataclass, field
from datetime import datetime

from rollout.desk.plain import Json
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
        """Finished jobs that legacy had to take over from the concurrent path."""
        return sum(tally.jobs for tally in self.tallies if tally.reason.means.fallback)

    @property
    def observed_bp(self) -> int | None:
        """Share of finished jobs assigned to the concurrent path, in basis points."""
        total = sum(tally.jobs for tally in self.tallies)
        moved = sum(
            tally.jobs for tally in self.tallies if tally.assigned_path is JobPath.CONCURRENT
        )
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
    tallies: tuple[list[Tally], list[CycleTally]] = ledger.tallies()
    return [
        Status(
            state,
            control.read(state.name),
            clock.now(),
            [count for count in counts if count.name == state.name],
            [tally for tally in tallies[0] if tally.name == state.name],
            kept.get(state.name, 0),
        )
        for state in states
    ]
