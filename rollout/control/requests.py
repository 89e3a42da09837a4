"""Requests that may come twice: the same key gets the same answer, and acts once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rollout.errors import RolloutError

KEPT = timedelta(days=1)
"""How long an answer is kept under its key."""

ABANDONED_AFTER = timedelta(minutes=1)
"""A request that has no answer after so long died; the next one with its key acts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered under a key: HTTP status and JSON text; both None while it is made."""

    fingerprint: str
    began_at: datetime
    status: int | None = None
    body: str | None = None


class AnswerRows(Protocol):
    """The ledger, as far as it keeps answers. Both raise LedgerUnreachable."""

    def begin_answer(self, key: str, fingerprint: str, now: datetime) -> Answer | None:
        """Take a key; None when it is ours now, else what is kept under it.

        An answer older than KEPT is forgotten, one that was begun and not ended is taken over
        after ABANDONED_AFTER.
        """
        ...

    def end_answer(self, key: str, status: int | None, body: str) -> None:
        """Keep an answer; without a status the key is free again."""
        ...


class KeyReused(RolloutError):
    """One Idempotency-Key with two different requests; nothing was changed."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"the Idempotency-Key {key!r} was used for another request",
            "draw a new key for each request, and repeat one only with the same body",
        )


class KeyInUse(RolloutError):
    """The first request with this key is still being answered."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"the request with the Idempotency-Key {key!r} is still being answered",
            "ask again in a second",
        )


def answered(answer: Answer, key: str, fingerprint: str) -> tuple[int, str]:
    """The kept answer. Raises KeyReused, KeyInUse."""
    if answer.fingerprint != fingerprint:
        raise KeyReused(key)
    if answer.status is None or answer.body is None:
        raise KeyInUse(key)
    return answer.status, answer.body
