"""What is wrong with a sub-pipeline now, the worst first, each with the runbook that helps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

from rollout.desk.history import CONTROLLER, by_whom
from rollout.desk.lately import trouble_sentence
from rollout.desk.plain import Json
from rollout.desk.status import Status
from rollout.desk.text import at_text, span_text
from rollout.desk.workers import (
    Hanging,
    hanging_sentences,
    needed_queues,
    nobody_listens,
    shadow_queue,
)
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState, Event, Stage

if TYPE_CHECKING:
    from rollout.desk.pending import Pending
    from rollout.routing.ports import TransitionRecord

WAITS_LONG = timedelta(seconds=10)
"""A job that waits for so long is asked about: does anybody listen on its queue?"""


class Need(IntEnum):
    """How much somebody is needed; the smaller the sooner."""

    NOW = 0
    """Jobs are hurt or wait, or the scope is about to be taken back."""
    SOON = 1
    """Something is stopped or waits for a person."""
    LATER = 2
    """Something stands in the way of the next step."""
    NONE = 3
    """As it should be."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong; `runbook` is a file of docs/runbooks, empty where none fits."""

    need: Need
    what: str
    sentence: str
    runbook: str = ""

    @property
    def alone(self) -> str:
        """The sentence where its word does not stand before it."""
        by = self.sentence.startswith("by ")
        return f"{self.what.capitalize()} {self.sentence}" if by else self.sentence

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "need": self.need.name.lower(),
            "what": self.what,
            "sentence": self.sentence,
            "runbook": self.runbook or None,
        }


def suspicious(status: Status) -> bool:
    """Whether it is worth the wait to ask the workers.

    Jobs wait for long, it is killed, or copies are made that nothing of the ledger counts.
    """
    state = status.state
    copied = state.stage is Stage.SHADOW
    return state.killed or copied or any(_waits_long(status, path) for path in JobPath)


def alarms_of(
    status: Status,
    pending: Pending | None,
    listeners: Mapping[str, Sequence[str]] | None,
    hanging: Sequence[Hanging],
    changed: TransitionRecord | None = None,
) -> tuple[Alarm, ...]:
    """Say what is wrong, the worst first.

    Args:
        status: Its state and jobs.
        pending: What the controller would decide now; None where nobody can tell.
        listeners: Workers by queue; None where nobody asked, or no broker answered.
        hanging: Processes that hang in it.
        changed: Its last change; None where nobody has asked.
    """
    found = [
        *_failing(status),
        *_stopped(status, changed),
        *held_up(status, listeners, hanging),
        *_judged(pending),
        *_kept(status),
    ]
    return tuple(sorted(found, key=lambda one: one.need))


def held_up(
    status: Status, listeners: Mapping[str, Sequence[str]] | None, hanging: Sequence[Hanging]
) -> Iterator[Alarm]:
    """Say what holds its jobs up at the workers: nobody listens, processes hang."""
    yield from _unheard(status, listeners)
    for sentence in hanging_sentences(hanging):
        yield Alarm(Need.SOON, "hangs", sentence)


def _failing(status: Status) -> Iterator[Alarm]:
    lately = status.lately
    if lately is None:
        return
    for one in lately.troubles:
        sentence = trouble_sentence(one, lately, status.at)
        mine = one.path is JobPath.CONCURRENT
        runbook = "concurrent-path-misbehaves.md" if mine else "failed-and-kept-jobs.md"
        if one.lasts(status.at):
            yield Alarm(Need.NOW, "fails", sentence, runbook)
        else:
            yield Alarm(Need.LATER if one.fine_since else Need.SOON, "failed", sentence, runbook)


def _stopped(status: Status, changed: TransitionRecord | None) -> Iterator[Alarm]:
    name = status.state.name
    if status.state.killed:
        what = "--all" if status.gate.killed_all else name
        lift = f"`rollout rearm {what} --reason '…'` lifts it when the cause is mended"
        told = changed is not None and changed.event is Event.KILL
        sentence = f"{by_whom(changed)}; {lift}" if told and changed is not None else lift
        yield Alarm(Need.SOON, "killed", sentence, "concurrent-path-misbehaves.md")
    elif changed is not None and was_reverted(status.state, changed):
        again = f"every job runs on legacy; `rollout start {name}` begins again when it is mended"
        yield Alarm(Need.SOON, "reverted", f"{by_whom(changed)}; {again}", "reverted.md")
    elif status.closed in (Reason.UNREACHABLE, Reason.UNREADABLE):
        yield Alarm(Need.NOW, "store", status.starts_now, "broker-down.md")
    elif status.closed in (Reason.UNSUPERVISED, Reason.UNKNOWN):
        yield Alarm(Need.NOW, "unsupervised", status.starts_now, "controller-dead.md")


def was_reverted(state: ControlState, changed: TransitionRecord) -> bool:
    """Whether the controller has taken everything back, and nobody has changed anything since."""
    mine = changed.event is Event.REVERT and changed.actor == CONTROLLER
    return mine and state.stage is Stage.LEGACY


def _unheard(status: Status, listeners: Mapping[str, Sequence[str]] | None) -> Iterator[Alarm]:
    for path in JobPath:
        oldest = status.oldest(path, JobState.ACCEPTED)
        if oldest is None or not _waits_long(status, path):
            continue
        count = status.waiting(path, JobState.ACCEPTED)
        waiting = "1 job waits" if count == 1 else f"{count} jobs wait"
        sentence = (
            f"{waiting} on {path}, the oldest for {span_text(status.at - oldest)} "
            f"(since {at_text(oldest)})"
        )
        queue = f"{status.state.name}.{path}"
        if listeners is not None and not listeners.get(queue):
            sentence = f"{nobody_listens(queue)}; {sentence}"
            yield Alarm(Need.NOW, "unheard", sentence, "jobs-pile-up-on-legacy.md")
        elif status.at - oldest > timedelta(minutes=1):
            yield Alarm(Need.LATER, "waits", sentence, "jobs-pile-up-on-legacy.md")
    copies = shadow_queue(status.state.name)
    if (
        listeners is not None
        and copies in needed_queues(status.state)
        and not listeners.get(copies)
    ):
        yield Alarm(Need.SOON, "unheard", nobody_listens(copies))


def _judged(pending: Pending | None) -> Iterator[Alarm]:
    if pending is None or pending.made is None:
        return
    judged = pending.made
    if judged.action == "revert":
        yield Alarm(Need.NOW, "reverts", judged.sentence, "reverted.md")
    elif (decides := pending.decides) is not None:
        yield Alarm(Need.SOON, "person", decides.sentence, decides.runbook)
    if pending.trial is not None and pending.trial.on_trial and pending.not_ready:
        yield Alarm(Need.LATER, "way back", pending.not_ready[0], "way-back-not-ready.md")


def _kept(status: Status) -> Iterator[Alarm]:
    if status.kept:
        name = status.state.name
        jobs = "1 failed job is" if status.kept == 1 else f"{status.kept} failed jobs are"
        sentence = f"{jobs} kept: `rollout jobs {name} --failed` says why"
        yield Alarm(Need.LATER, "kept", sentence, "failed-and-kept-jobs.md")


def _waits_long(status: Status, path: JobPath) -> bool:
    oldest = status.oldest(path, JobState.ACCEPTED)
    return oldest is not None and status.at - oldest > WAITS_LONG
