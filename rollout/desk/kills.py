"""What is true after a kill, read back from where it has to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rollout.control.kill_report import KillReport
from rollout.desk.history import by_whom
from rollout.desk.plain import Json
from rollout.errors import RolloutError, UnknownSubPipeline
from rollout.jobs.claims import JobState
from rollout.jobs.ports import OpenCount
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore, TransitionRecord
from rollout.routing.rule import Reading
from rollout.routing.stages import ALL, ControlState, Event

_CHANGES_BACK = 50
"""Changes among which the newest kill or rearm is looked for."""


class KillLedger(Protocol):
    """The ledger, as far as a kill is read back. All raise LedgerUnreachable."""

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        ...

    def open_counts(self) -> Sequence[OpenCount]:
        """Unfinished jobs by sub-pipeline, path and state."""
        ...

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the log of changes, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class KillStands:
    """A kill as it stands now.

    Attributes:
        name: The sub-pipeline; None for all.
        blocked: Whether the control store answers starts with the latch; None: it did not answer.
        fenced: Whether the ledger fences commits; None: it did not answer.
        waiting: Jobs that still wait on the concurrent path, each of which starts on legacy.
        running: Jobs that still run there, none of which can commit.
        report: What the kill itself answered, with its milliseconds; None for an old one.
        lifted: The rearm that came after it; None while it is meant to hold.
        store_error: Why the store could not be read.
        ledger_error: Why the ledger could not be read.
    """

    name: str | None
    blocked: bool | None
    fenced: bool | None
    waiting: int
    running: int
    report: KillReport | None
    store_error: str | None = None
    ledger_error: str | None = None
    lifted: TransitionRecord | None = None

    @property
    def holds(self) -> bool:
        """Whether both halves hold."""
        return self.blocked is True and self.fenced is True

    @property
    def headline(self) -> str:
        """What is true, in a sentence."""
        what = self.name or "Every sub-pipeline"
        if self.holds:
            return f"{what} is killed. No new start and no commit on the concurrent path."
        if self.blocked:
            return f"{what} is half killed: starts are blocked, commits are not fenced yet."
        if self.fenced:
            return (
                f"{what} is half killed: commits are fenced, starts are not blocked by the store."
            )
        if self.blocked is None and self.fenced is None:
            return f"Nobody can tell whether {what} is killed: neither server answers."
        if self.lifted is not None:
            return f"{self.name or 'The kill of all'} is rearmed, {by_whom(self.lifted)}."
        return f"{self.name} is not killed." if self.name else "Not everything is killed."

    @property
    def starts_sentence(self) -> str:
        """The first half."""
        if self.blocked is None:
            return f"not known: {self.store_error}"
        if not self.blocked and self.fenced is False:
            return "no: no kill is latched"
        if not self.blocked:
            return "NO: the control store holds no latch; the controller's next tick sets it"
        took = None if self.report is None else self.report.starts_blocked_ms
        return "yes" if took is None else f"yes, within {_ms_text(took)}"

    @property
    def commits_sentence(self) -> str:
        """The second half."""
        if self.fenced is None:
            return f"not known: {self.ledger_error}"
        if not self.fenced and self.blocked is False:
            return "no: no kill is latched"
        if not self.fenced:
            held = "" if self.report is None else self.report.ledger_error or ""
            return f"NO: the controller fences as soon as the ledger lets it. {held}".rstrip()
        took = None if self.report is None else self.report.commits_fenced_ms
        return "yes" if took is None else f"yes, within {_ms_text(took)}"

    @property
    def jobs_sentence(self) -> str:
        """What is left on the concurrent path."""
        if not self.waiting and not self.running:
            return "no job is left on the concurrent path"
        return f"{self.waiting} waiting and {self.running} running are still to go to legacy"

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "sub_pipeline": self.name,
            "holds": self.holds,
            "starts_blocked": self.blocked,
            "commits_fenced": self.fenced,
            "waiting": self.waiting,
            "running": self.running,
            "sentence": self.headline,
            "store_error": self.store_error,
            "ledger_error": self.ledger_error,
            "kill": None if self.report is None else self.report.to_json(),
        }


def read_kill(
    ledger: KillLedger, control: ControlStore, name: str | None, report: KillReport | None
) -> KillStands:
    """Read a kill back, half by half; a server that is away is part of the answer.

    Raises:
        UnknownSubPipeline: The ledger answers and knows no such name.
    """
    names: list[str] = [] if name is None else [name]
    fenced: bool | None = None
    ledger_error, waiting, running, lifted = None, 0, 0, None
    try:
        states = [one for one in ledger.controls() if name in (None, one.name)]
        if name is not None and not states:
            raise UnknownSubPipeline(name, [one.name for one in ledger.controls()])
        names = [one.name for one in states]
        fenced = all(one.killed for one in states)
        counts = [
            one
            for one in ledger.open_counts()
            if one.path is JobPath.CONCURRENT and one.name in names
        ]
        waiting = sum(one.jobs for one in counts if one.state == JobState.ACCEPTED)
        running = sum(one.jobs for one in counts if one.state == JobState.STARTED)
        if not fenced:
            lifted = _lifted(ledger, name or ALL)
    except UnknownSubPipeline:
        raise
    except RolloutError as error:
        ledger_error = error.problem
    blocked, store_error = _blocked(control, names)
    return KillStands(
        name, blocked, fenced, waiting, running, report, store_error, ledger_error, lifted
    )


def _lifted(ledger: KillLedger, name: str) -> TransitionRecord | None:
    """The newest rearm, where no kill came after it."""
    changes = ledger.transitions(name, _CHANGES_BACK)
    newest = next((one for one in changes if one.event in (Event.KILL, Event.REARM)), None)
    return newest if newest is not None and newest.event is Event.REARM else None


def _ms_text(ms: float) -> str:
    """Milliseconds; what took less than a tenth of one did not take none."""
    return f"{ms:.1f} ms" if ms >= 0.1 else "0.1 ms"


def _blocked(control: ControlStore, names: Sequence[str]) -> tuple[bool | None, str | None]:
    try:
        readings: list[Reading] = [control.read(one) for one in names]
    except RolloutError as error:
        return None, error.problem
    if any(one.doubt is Reason.UNREACHABLE for one in readings):
        return None, "the control store did not answer in time"
    return all(one.killed or one.killed_all for one in readings), None
