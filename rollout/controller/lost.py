"""Which accepted jobs no queue and no worker holds, without taking a long queue for a lost one.

Three things speak for a job: its message waits in the queue, the broker says that a worker has it,
a worker has given its receipt for it. Not every broker says what its consumers hold (RabbitMQ, for
one), and a receipt comes a moment after the fetch. So of such a broker it takes several looks: what
was fetched between two of them was in the queue at the first and has its receipt at the last.

A queue hands out its oldest message first. So a job sent well before the message that is next up is
in no queue any more. When that message was sent it says itself: it may be the first one of a job
that was sent again since, and the ledger dates the job by its last. Well before, because a job is
dated when its row is written: many senders at once, and a kill that moves a whole queue, publish in
another order than they date. While nobody takes anything from a queue, it is counted: where there
are fewer messages than jobs, look after look, those that are dated before the next one are missing,
as many as there are too few.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from rollout.errors import BrokerUnreachable, UnknownJob
from rollout.jobs.ports import Held, Ledger, Lost, Queues
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath

_DEFERRED_MAX, _DEFERRED_TIMES = timedelta(hours=1), 20
"""So long, or so many times `lost_after`, a broker that cannot be looked into is believed to hold
what it may hold. An hour is far beyond an ordinary queue, and Redis's own visibility timeout."""
LOOKS_S = 3.0
"""Looks of a broker that does not say what workers hold span so long: a receipt comes after one
second (`adapters/celery/receipts.py`), and needs a transaction of the ledger."""
_PUBLISHED = timedelta(seconds=1)
"""A message is published so long after its job's row was dated, in an ordinary submission."""
_COUNTED_MAX = 50_000


class Look(NamedTuple):
    """What was seen of one queue: before when a job counts as lost, what is next, what lacks."""

    at_s: float
    sent_before: datetime
    next_up: str | None
    missing: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Lost jobs, and how many of them at most are to be sent again."""

    lost: Lost
    jobs_max: int


class LostMessages:
    """Looks for lost messages, one sub-pipeline at a time.

    Args:
        ledger: Of jobs.
        queues: The broker.
        clock: Time.
        lost_after: An accepted job whose message nobody seems to hold is sent again after this.
        receipt_for: A worker's receipt speaks for its job for this long.
    """

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        clock: Clock,
        lost_after: timedelta,
        receipt_for: timedelta,
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._lost_after = lost_after
        self._receipt_for = receipt_for
        self._looks: dict[tuple[str, JobPath], list[Look]] = {}

    def of(
        self,
        name: str,
        paths: Sequence[JobPath],
        now: datetime,
        limit: int,
        note: Callable[[str], None],
    ) -> list[Missing]:
        """Say what is lost of one sub-pipeline; `note` is told when the broker is away."""
        sent_before = now - self._lost_after
        waiting = [
            Lost(name, path, sent_before, now=now, receipt_for=self._receipt_for) for path in paths
        ]
        overdue = [lost for lost in waiting if self._ledger.count_lost(lost, 1)]
        for lost in waiting:
            if lost not in overdue:
                self._looks.pop((name, lost.path), None)
        if not overdue:
            return []
        try:
            queued = self._queues.held(name)
        except BrokerUnreachable as error:
            note(str(error))
            return []
        found = [self._look(lost, queued, limit) for lost in overdue]
        return [one for several in found for one in several]

    def forget_but(self, names: frozenset[str]) -> None:
        """Forget what was seen of sub-pipelines in which nothing waits any more."""
        self._looks = {key: looks for key, looks in self._looks.items() if key[0] in names}

    def _look(self, lost: Lost, queued: Held, limit: int) -> list[Missing]:
        lost = replace(lost, spared=queued.by_workers or frozenset())
        next_up = queued.next_up.get(lost.path)
        next_sent = self._sent_at(lost.name, next_up, queued.next_sent.get(lost.path))
        if lost.path not in queued.next_up:
            surely = self._deferred(lost, queued)
        elif next_sent is None:  # a foreign message says nothing about ours
            surely = lost.sent_before
        else:
            surely = min(lost.sent_before, next_sent - self._lost_after)
        look = Look(
            self._clock.monotonic(), surely, next_up, self._missing(lost, queued, next_sent)
        )
        looks = self._looks.setdefault((lost.name, lost.path), [])
        looks.append(look)
        found = []
        if queued.by_workers is not None:
            found.append(Missing(replace(lost, sent_before=surely), limit))
        elif (settled := _settled(looks, look.at_s)) is not None:
            found.append(Missing(replace(lost, sent_before=settled), limit))
        few = self._stands_short(looks, look)
        if few and next_sent is not None:
            before = min(lost.sent_before, next_sent - _PUBLISHED)
            found.append(Missing(replace(lost, sent_before=before), min(few, limit)))
        span_s = max(LOOKS_S, self._lost_after.total_seconds())
        while len(looks) > 1 and look.at_s - looks[1].at_s >= span_s:
            del looks[0]
        return found

    def _sent_at(self, name: str, job_id: str | None, told: datetime | None) -> datetime | None:
        """When a message was sent: as it tells, but no later than its job was by the ledger.

        Its sender's clock may be ahead.
        """
        if job_id is None:
            return None
        with suppress(UnknownJob):
            dated = self._ledger.job(name, job_id).sent_at
            return dated if told is None else min(told, dated)
        return None

    def _missing(self, lost: Lost, queued: Held, next_sent: datetime | None) -> int:
        """How many messages fewer than waiting jobs there are; 0 where that cannot be told."""
        if next_sent is None:
            return 0
        assert lost.now is not None, "lost jobs are looked for at a time"
        every = self._ledger.count_lost(replace(lost, sent_before=lost.now + _PUBLISHED))
        short = every - queued.waiting.get(lost.path, 0)
        return max(0, short) if every < _COUNTED_MAX else 0

    def _stands_short(self, looks: Sequence[Look], look: Look) -> int:
        """What a queue from which nobody took anything for `lost_after` has lacked all the time."""
        since_s = look.at_s - self._lost_after.total_seconds()
        if look.next_up is None or looks[0].at_s > since_s:
            return 0
        if any(one.next_up != look.next_up for one in looks):
            return 0
        return min(one.missing for one in looks)

    def _deferred(self, lost: Lost, queued: Held) -> datetime:
        """Wait while a queue that cannot be looked into has anything, but not for ever.

        Its one message may be a leftover that nobody will take. What it does hold and is sent
        again all the same costs a message: of two deliveries the ledger refuses one.
        """
        if not queued.waiting.get(lost.path, 0):
            return lost.sent_before
        assert lost.now is not None, "lost jobs are looked for at a time"
        longest = max(_DEFERRED_MAX, _DEFERRED_TIMES * self._lost_after)
        return min(lost.sent_before, lost.now - longest)


def _settled(looks: Sequence[Look], now_s: float) -> datetime | None:
    """Before when a job counts as lost by each look of the last seconds; None for too few."""
    if now_s - looks[0].at_s < LOOKS_S:
        return None
    late = [one for one in looks if now_s - one.at_s <= LOOKS_S]
    early = [one for one in looks if now_s - one.at_s >= LOOKS_S][-1:]
    return min(one.sent_before for one in [*early, *late])
