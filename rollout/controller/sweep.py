"""Sends jobs again that the ledger has and nobody else seems to have; one statement for each kind.

A plant may have a thousand sub-pipelines and jobs in few of them. So the ledger is asked which of
them have what, for all at once, and only those are looked at one by one.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.control.recall import Recall
from rollout.controller.lost import LostMessages
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Ledger, OpenCount, Queues
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath

_BATCH = 500


@dataclass(slots=True)
class Swept:
    """What a sweep did; `unaccounted` by sub-pipeline, for those that have any."""

    silent: int = 0
    lost: int = 0
    unaccounted: dict[str, int] = field(default_factory=dict)


class Sweep:
    """The sweeper.

    Args:
        ledger: Of jobs.
        queues: The broker.
        recall: Sends what was moved.
        clock: Time.
        lost_after: See `TickLimits`.
        silent_after: See `TickLimits`.
    """

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        recall: Recall,
        clock: Clock,
        lost_after: timedelta,
        silent_after: timedelta,
    ) -> None:
        self._ledger = ledger
        self._recall = recall
        self._clock = clock
        self._lost_after = lost_after
        self._silent_after = silent_after
        receipt_for = max(lost_after, silent_after)
        self._lost = LostMessages(ledger, queues, clock, lost_after, receipt_for)

    def turn(
        self,
        open_counts: Sequence[OpenCount],
        *,
        heard_long_enough: bool,
        note: Callable[[str | None], None],
        keep_up: Callable[[], None],
    ) -> Swept:
        """Sweep every sub-pipeline once.

        Args:
            open_counts: Unfinished jobs.
            heard_long_enough: Whether a worker that says nothing is a dead one.
            note: Told why something was not sent.
            keep_up: Called between two sub-pipelines.
        """
        swept = Swept()
        names = sorted({one.name for one in open_counts})
        if not names:
            return swept
        self._redate(names)
        keep_up()
        if heard_long_enough:
            self._resend_silent(names, swept, note, keep_up)
        overdue = self._overdue(open_counts, self._clock.now())
        self._lost.forget_but(frozenset(overdue))
        for name, paths in overdue.items():
            self._resend_lost(name, paths, swept, note)
            keep_up()
        return swept

    def _redate(self, names: Sequence[str]) -> None:
        ahead = self._ledger.redate(names, self._lost_after, self._silent_after, self._clock.now())
        if ahead:
            log.warning("jobs dated in the future, by a clock ahead", jobs=ahead)

    def _resend_silent(
        self,
        names: Sequence[str],
        swept: Swept,
        note: Callable[[str | None], None],
        keep_up: Callable[[], None],
    ) -> None:
        now = self._clock.now()
        for name in self._ledger.silent_names(names, self._silent_after, now):
            silent = self._ledger.resend_silent(name, self._silent_after, now, _BATCH)
            note(self._recall.send(silent))
            swept.silent += len(silent)
            keep_up()

    def _overdue(
        self, open_counts: Sequence[OpenCount], now: datetime
    ) -> dict[str, Collection[JobPath]]:
        """Paths on which a job may wait for too long: sent no earlier than it was admitted.

        One admitted in the future, by a clock ahead, may have been dated back.
        """
        overdue: dict[str, list[JobPath]] = {}
        for one in open_counts:
            if one.state != JobState.ACCEPTED or not one.jobs:
                continue
            if one.oldest < now - self._lost_after or one.oldest > now:
                overdue.setdefault(one.name, []).append(one.path)
        return {name: overdue[name] for name in sorted(overdue)}

    def _resend_lost(
        self,
        name: str,
        paths: Collection[JobPath],
        swept: Swept,
        note: Callable[[str | None], None],
    ) -> None:
        now = self._clock.now()
        for missing in self._lost.of(name, list(paths), now, _BATCH, note):
            jobs = self._ledger.count_lost(missing.lost)
            if not jobs:
                continue
            if missing.jobs_max < _BATCH:  # so many are missing, and no more
                jobs = min(jobs, missing.jobs_max)
            swept.unaccounted[name] = swept.unaccounted.get(name, 0) + jobs
            resent = self._ledger.resend_lost(missing.lost, now, missing.jobs_max)
            note(self._recall.send(resent))
            swept.lost += len(resent)
