"""A message of which no job can be made: no usable key, or larger than a job may be.

Its producer knows nothing of rollout, else it would have been refused there. It fails, as a task
with wrong arguments does without rollout, for whoever waits for it; and it is kept, so that a
person finds what a log would have buried.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from kombu.utils.encoding import safe_repr

from rollout.errors import (
    ArgumentsUnusable,
    JobIdUnusable,
    KeyMissing,
    KeyUnusable,
    LedgerUnreachable,
    PayloadTooLarge,
)
from rollout.jobs.ports import JobLedger
from rollout.log import log

KEPT_MAX = 20_000
"""Characters of a kept message: enough to know it by."""


class Keeper(Protocol):
    """A sub-pipeline, as far as its refused messages are kept."""

    @property
    def ledger(self) -> JobLedger:
        """The ledger of this process."""
        ...


@contextmanager
def kept_if_unusable(
    pipeline: Keeper, request: Any, clock: Callable[[], datetime]
) -> Iterator[None]:
    """Keep the message when no job can be made of it, and let the error out."""
    try:
        yield
    except (KeyMissing, KeyUnusable, JobIdUnusable, ArgumentsUnusable, PayloadTooLarge) as error:
        queue = str((request.delivery_info or {}).get("routing_key") or "")
        headers = safe_repr({"id": request.id, "task": request.task, "origin": request.origin})
        body = safe_repr((request.args, request.kwargs))[:KEPT_MAX]
        now = clock()
        try:
            pipeline.ledger.keep_message(queue, str(error), headers[:KEPT_MAX], body, now)
        except LedgerUnreachable as away:
            log.error("unusable message not kept", queue=queue, chars=len(body), why=str(away))
        raise
