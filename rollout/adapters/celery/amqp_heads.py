"""Which message is next up in a queue of RabbitMQ: taken, looked at, and put back at its place.

AMQP knows no looking. A message that is rejected with `requeue` goes back to where it was, in
classic queues and in quorum queues, is marked as redelivered (which nothing of ours goes by), and
in a quorum queue its deliveries are counted: past a limit, 20 by default, it would be dropped. So
it is looked at seldom: a head that stays the same is asked for half as often each time, and a
message that has come back often is left alone.

Source: https://www.rabbitmq.com/docs/nack, https://www.rabbitmq.com/docs/quorum-queues.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from kombu.exceptions import ChannelError

from rollout.adapters.celery.marks import job_id_of, sent_at
from rollout.routing.clock import Clock

_PAUSE_S, _PAUSE_S_MAX = 3.0, 3_600.0
_TIMES_MAX = 8
"""Of 20 deliveries that a quorum queue allows, most are left to the message's own misfortunes."""
_COUNT = "x-delivery-count"


class NextUp(NamedTuple):
    """The message that the next worker gets: "" of a foreign one, None of an empty queue."""

    job_id: str | None
    sent_at: datetime | None = None


@dataclass(slots=True)
class _Head:
    message: NextUp
    at_s: float
    pause_s: float


class AmqpHeads:
    """Remembers each queue's head; one connection's channel is used for the looking.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heads: dict[str, _Head] = {}

    def next_up(self, channel: Any, queue: str) -> NextUp:
        """The message that the next worker gets; None as its job id where that is unknown."""
        now_s = self._clock.monotonic()
        known = self._heads.get(queue)
        if known is not None and now_s - known.at_s < known.pause_s:
            return known.message
        try:
            message = channel.basic_get(queue, no_ack=False)
        except ChannelError:
            return NextUp(None)
        if message is None:  # its last one was taken meanwhile
            self._heads.pop(queue, None)
            return NextUp(None)
        headers = message.headers or {}
        channel.basic_reject(message.delivery_tag, requeue=True)
        if int(headers.get(_COUNT) or 0) > _TIMES_MAX:
            self._heads[queue] = _Head(NextUp(""), now_s, _PAUSE_S_MAX)
            return NextUp(None)
        task_id = headers.get("id")
        job_id = job_id_of(headers, task_id) if isinstance(task_id, str) else ""
        found = NextUp(job_id, sent_at(headers))
        same = known is not None and known.message == found
        pause_s = min(known.pause_s * 2, _PAUSE_S_MAX) if same and known else _PAUSE_S
        self._heads[queue] = _Head(found, now_s, pause_s)
        return found
