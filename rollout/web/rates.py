"""How often one caller may ask. Kills have a bucket of their own: nothing else uses it up."""

from __future__ import annotations

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from rollout.web.problems import TooMany

LIMITS: dict[str, RateLimitItem] = {
    "sign-in": RateLimitItemPerMinute(10),
    "credential": RateLimitItemPerMinute(30),
    "kill": RateLimitItemPerMinute(120),
    "write": RateLimitItemPerMinute(240),
    "read": RateLimitItemPerMinute(3_000),
}
"""Requests of one address or actor; `credential` counts wrong ones only."""

_WORDS = {
    "sign-in": "attempts to sign in",
    "credential": "wrong tokens",
    "kill": "kills",
    "write": "changes",
    "read": "requests",
}


class Rates:
    """Counts in this process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def take(self, what: str, who: str) -> None:
        """Count one. Raises TooMany."""
        if not self._limiter.hit(LIMITS[what], what, who):
            raise TooMany(_WORDS[what], 60)

    def check(self, what: str, who: str) -> None:
        """Raise TooMany when nothing is left, and count nothing."""
        if not self._limiter.test(LIMITS[what], what, who):
            raise TooMany(_WORDS[what], 60)
