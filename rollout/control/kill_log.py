"""Which of the kills in the log stopped a sub-pipeline, and the reason that was given for it.

A kill may be repeated: to be sure, or to say afterwards why. Who, and when, is told of the first;
why, of the first that had a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Protocol

from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event

NO_REASON = "(no reason given yet)"
"""At three in the morning nobody types; the page asks for the reason afterwards."""
BACK = 50
"""Changes that are read at first; more where a kill was repeated as often, as an alert does."""


class Changes(Protocol):
    """The log of changes of one sub-pipeline."""

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read them, newest first. Raises UnknownSubPipeline, LedgerUnreachable."""
        ...


class ChangeLog(Changes, Protocol):
    """The log of changes of all."""

    def last_changes(self) -> dict[str, TransitionRecord]:
        """Read the last change of each sub-pipeline. Raises LedgerUnreachable."""
        ...


def kills_that_hold(log: Changes, name: str) -> list[TransitionRecord]:
    """The kills since the last rearm, newest first; the last of them is what stopped it.

    Raises UnknownSubPipeline, LedgerUnreachable.
    """
    limit, since_rearm = BACK, list[TransitionRecord]()
    while True:
        changes = log.transitions(name, limit)
        since_rearm = list(takewhile(lambda one: one.event is not Event.REARM, changes))
        if len(since_rearm) < limit or not since_rearm[-1].before.killed:
            return [one for one in since_rearm if one.event is Event.KILL]
        limit *= 4


def reason_of(kills: Sequence[TransitionRecord]) -> str | None:
    """Why it was killed: what was said first, at the kill or when it was asked for afterwards."""
    return next((one.reason for one in reversed(kills) if one.reason != NO_REASON), None)


def last_change(log: Changes, name: str) -> TransitionRecord | None:
    """The last change of a sub-pipeline; raises UnknownSubPipeline, LedgerUnreachable."""
    record = next(iter(log.transitions(name, 1)), None)
    return None if record is None else _told(log, name, record)


def last_changes(log: ChangeLog, names: Collection[str]) -> dict[str, TransitionRecord]:
    """The last change of each of these; raises LedgerUnreachable."""
    return {
        name: _told(log, name, record)
        for name, record in log.last_changes().items()
        if name in names
    }


def _told(log: Changes, name: str, record: TransitionRecord) -> TransitionRecord:
    """The change as it is told: a kill that was repeated is the first one."""
    if record.event is not Event.KILL or not record.before.killed:
        return record
    kills = kills_that_hold(log, name)
    return replace(kills[-1], reason=reason_of(kills) or NO_REASON)
