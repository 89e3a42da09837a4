"""The door to every action: may the caller, what would it do, do it, and note what came of it.

Command line, API and page all come through here, so guards and the log of acts cannot differ.
A kill is never held up: it asks the ledger for nothing before its latch is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from rollout.control import consequence
from rollout.control.access import Caller, NotPermittedHere, permit
from rollout.control.acts import Act, ActLog, Came
from rollout.control.change import Changed, Changes, Retried
from rollout.control.consequence import Consequence, Looks
from rollout.control.kill_log import kills_that_hold
from rollout.control.kill_report import NOBODY, Heard, KillReport
from rollout.errors import LedgerUnreachable, ReasonMissing, RolloutError
from rollout.routing.clock import Clock
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ALL, ControlState, Event, apply

REASON_CHARS_MAX = 10_000
REARM_ALL = "The kill of all is lifted; what was killed by itself stays killed."
Result = TypeVar("Result")


class DoorLedger(Looks, Protocol):
    """The ledger, as far as the door looks into it."""

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the log of changes, newest first. Raises UnknownSubPipeline."""
        ...


class SecondPersonNeeded(NotPermittedHere):
    """Who killed may not rearm, says the policy; nothing was changed."""

    def __init__(self, name: str | None, actor: str) -> None:
        what = "all" if name is None else repr(name)
        super().__init__(
            f"rearming {what} takes a second person, {actor!r} killed it",
            "ask a colleague to rearm it (policy: rearm_second_person)",
        )


@dataclass(frozen=True, slots=True)
class _Noted:
    """What an act in progress will be noted with."""

    came: Came = Came.DONE
    said: str = ""


class _Entry:
    """Collects what came of one act."""

    def __init__(self) -> None:
        self.noted = _Noted()

    def came(self, came: Came, said: str) -> None:
        """Say what came of it."""
        self.noted = _Noted(came, said)


class Door:
    """Acts for a caller.

    Args:
        changes: What is done.
        ledger: Looked into for consequences.
        acts: The log of acts.
        clock: Time.
        second_person: Whether the policy wants another person for a rearm.
        lost: Told when an act could not be noted, because the ledger is away.
    """

    def __init__(
        self,
        changes: Changes,
        ledger: DoorLedger,
        acts: ActLog,
        clock: Clock,
        second_person: Callable[[str | None], bool],
        lost: Callable[[Act, RolloutError], None],
    ) -> None:
        self._changes = changes
        self._ledger = ledger
        self._acts = acts
        self._clock = clock
        self._second_person = second_person
        self._lost = lost

    def change(
        self,
        caller: Caller,
        name: str,
        event: Event,
        reason: str,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> Changed:
        """Apply an event of the stage table; raises what `Changes.change` does.

        Raises:
            NotPermittedHere: The caller may not; nothing was changed.
        """
        with self._noting(caller, str(event), name, reason) as entry:
            permit(caller, str(event), name)
            before = self._ledger.control(name)
            changed = self._changes.change(
                name, event, caller.actor, reason, scope_bp=scope_bp, seen_revision=seen_revision
            )
            same = _alike(before) == _alike(changed.state)
            sentence = consequence.change_sentence(before, changed.state)
            entry.came(Came.NOTHING if same else Came.DONE, sentence)
        return changed

    def kill(
        self, caller: Caller, name: str | None, reason: str, *, heard: Heard = NOBODY
    ) -> KillReport:
        """Send everything to legacy now; raises what `Changes.kill` does.

        Raises:
            NotPermittedHere: The caller may not; nothing was changed.
        """
        with self._noting(caller, "kill", name, reason) as entry:
            permit(caller, "kill", name)
            report = self._changes.kill(name, caller.actor, reason, heard=heard)
            entry.came(*self._kill_came(report))
        return report

    def _kill_came(self, report: KillReport) -> tuple[Came, str]:
        if not report.complete:
            missing = report.store_error or report.ledger_error or ""
            return Came.UNANSWERED, f"only half of it holds: {missing}" if report.holds else missing
        with suppress(LedgerUnreachable):
            for record in self._ledger.transitions(report.kill.name or ALL, 1):
                if record.before.killed:
                    return Came.NOTHING, "it was killed already, and still is"
        sent = report.queued_sent_back, report.running_abandoned
        return Came.DONE, "{} queued and {} running jobs go to legacy".format(*sent)

    def rearm(
        self, caller: Caller, name: str | None, reason: str, *, seen_revision: int | None = None
    ) -> list[Changed]:
        """Lift a kill; raises what `Changes.rearm` does.

        Raises:
            NotPermittedHere: The caller may not, or the policy wants a second person.
        """
        with self._noting(caller, "rearm", name, reason) as entry:
            permit(caller, "rearm", name)
            self._must_be_another(caller, name)
            changed = self._changes.rearm(name, caller.actor, reason, seen_revision=seen_revision)
            entry.came(Came.DONE, "the kill is lifted")
        return changed

    def _must_be_another(self, caller: Caller, name: str | None) -> None:
        if not self._second_person(name):
            return
        killed_by = self.killed_by(name)
        if killed_by is not None and killed_by.actor == caller.actor:
            raise SecondPersonNeeded(name, caller.actor)

    def second_person(self, name: str | None) -> bool:
        """Whether a rearm takes somebody else than who killed."""
        return self._second_person(name)

    def kills(self, name: str | None) -> list[TransitionRecord]:
        """The kills since the last rearm, newest first; the last of them is what stopped it.

        Raises UnknownSubPipeline, LedgerUnreachable.
        """
        return kills_that_hold(self._ledger, name or ALL)

    def killed_by(self, name: str | None) -> TransitionRecord | None:
        """The first of the kills that hold now; raises UnknownSubPipeline, LedgerUnreachable."""
        records = self.kills(name)
        return records[-1] if records else None

    def retry(
        self,
        caller: Caller,
        jobs: Sequence[tuple[str, str | None]],
        reason: str,
        *,
        name: str | None = None,
    ) -> list[Retried]:
        """Send kept failures again; raises LedgerUnreachable.

        Args:
            caller: Who asks.
            jobs: Ids, each with its sub-pipeline where that is known.
            reason: Why.
            name: The sub-pipeline where there may be no job; else that of the jobs, if it is one.

        Raises:
            NotPermittedHere: The caller may not; nothing was sent.
        """
        names = {one for _, one in jobs}
        if name is None or names - {name}:
            name = names.pop() if len(names) == 1 else None
        with self._noting(caller, "retry", name, reason) as entry:
            permit(caller, "retry", name)
            done = self._changes.retry_all(jobs)
            sent = sum(one.refused is None for one in done)
            came = Came.DONE if sent else Came.NOTHING
            entry.came(came, f"{sent} of {len(done)} jobs accepted again")
        return done

    def drill(
        self,
        caller: Caller,
        name: str | None,
        said: str,
        act: Callable[[], Result],
        reason: str = "",
        *,
        action: str = "drill",
    ) -> Result:
        """Force a failure, or take one away, as `act` does; raises what it does.

        Args:
            caller: Who forces it.
            name: The sub-pipeline that it hurts; None for all.
            said: What is done, in a sentence for the log.
            act: Does it; whatever guards it has of its own come after this one.
            reason: Why.
            action: What it is called in the log, and who may do it.

        Raises:
            NotPermittedHere: The caller may not; nothing was begun.
        """
        return self._begin(caller, action, name, said, act, reason)

    def token(self, caller: Caller, said: str, act: Callable[[], Result]) -> Result:
        """Hand a token out, or revoke one, as `act` does.

        Raises:
            NotPermittedHere: The caller may not; nothing was begun.
        """
        return self._begin(caller, "token", None, said, act, "")

    def _begin(
        self,
        caller: Caller,
        action: str,
        name: str | None,
        said: str,
        act: Callable[[], Result],
        reason: str,
    ) -> Result:
        with self._noting(caller, action, name, reason) as entry:
            permit(caller, action, name)
            entry.came(Came.DONE, said)  # also of one that is interrupted: it was begun
            return act()

    def note(
        self, caller: Caller, action: str, name: str | None, said: str, reason: str = ""
    ) -> None:
        """Permit and note an act that changes no job, such as revealing what is masked.

        Raises:
            NotPermittedHere: The caller may not.
            LedgerUnreachable: It could not be noted, so it must not be done.
        """
        with self._noting(caller, action, name, reason):
            permit(caller, action, name)
            self._acts.note_act(self._act(caller, action, name, reason, Came.DONE, said))

    def refused(self, caller: Caller, action: str, name: str | None, error: RolloutError) -> None:
        """Note a refusal that somebody else spoke."""
        self._note(self._act(caller, action, name, "", Came.REFUSED, error.problem))

    # What would be so --------------------------------------------------------------------

    def consequence_of_kill(self, caller: Caller, name: str | None) -> Consequence:
        """What a kill would meet now; raises as `consequence.of_kill` and `permit` do."""
        permit(caller, "kill", name)
        return consequence.of_kill(self._ledger, name)

    def consequence_of_rearm(self, caller: Caller, name: str | None, reason: str) -> Consequence:
        """What a rearm would put in force; raises what `rearm` does, and changes nothing."""
        permit(caller, "rearm", name)
        self._must_be_another(caller, name)
        if not reason.strip():
            raise ReasonMissing(Event.REARM)
        if name is None:
            return Consequence(str(Event.REARM), None, REARM_ALL)
        before = self._ledger.control(name)
        return consequence.of_change(before, apply(before, Event.REARM), Event.REARM)

    def consequence_of_change(
        self,
        caller: Caller,
        name: str,
        event: Event,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> Consequence:
        """What an event would change; raises what `change` does, and changes nothing."""
        permit(caller, str(event), name)
        before = self._ledger.control(name)
        if event is Event.START and scope_bp is None:
            scope_bp = self._changes.first_step(name)
        after = apply(
            before,
            event,
            scope_bp=scope_bp,
            seen_revision=seen_revision,
            effects=self._ledger.effects(name) if event is Event.SHADOW else None,
        )
        return consequence.of_change(before, after, event)

    # The log -----------------------------------------------------------------------------

    @contextmanager
    def _noting(
        self, caller: Caller, action: str, name: str | None, reason: str
    ) -> Iterator[_Entry]:
        entry = _Entry()
        act = self._act(caller, action, name, reason, Came.DONE, "")
        try:
            yield entry
        except LedgerUnreachable as error:
            self._note(replace(act, came=Came.UNANSWERED, said=error.problem))
            raise
        except RolloutError as error:
            self._note(replace(act, came=Came.REFUSED, said=error.problem))
            raise
        except KeyboardInterrupt:
            if entry.noted.said:
                said = f"{entry.noted.said}; interrupted"
                self._note(replace(act, came=entry.noted.came, said=said))
            raise
        except Exception as error:  # a defect: it may be in force, or half of it
            self._note(replace(act, came=Came.UNANSWERED, said=type(error).__name__))
            raise
        if entry.noted.said:
            self._note(replace(act, came=entry.noted.came, said=entry.noted.said))

    def _act(
        self, caller: Caller, action: str, name: str | None, reason: str, came: Came, said: str
    ) -> Act:
        now, why = self._clock.now(), reason[:REASON_CHARS_MAX]
        return Act(now, caller.actor, caller.origin, action, name, why, came, said)

    def _note(self, act: Act) -> None:
        try:
            self._acts.note_act(act)
        except RolloutError as error:  # away, or named wrongly: what was done stays done
            self._lost(act, error)


def _alike(state: ControlState) -> ControlState:
    """A state without the number that each change raises."""
    return replace(state, revision=0)
