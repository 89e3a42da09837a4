"""Whether a controller may take the lease from another one, whatever the two clocks say.

A lease is dated by its leader's clock. A standby whose own clock is ahead sees it ended while the
leader lives, one whose clock is behind holds it for a mistake and does not wait: either would take
it, be overtaken, and take it again. So beside the date counts what a standby has seen itself: a
lease whose end moves belongs to somebody who lives.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class _Look:
    until: datetime
    since: datetime
    last: datetime


class LeaseWatch:
    """What the controllers of this process have seen of the lease, each by its own clock."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def may_take(self, owner: str, until: datetime, now: datetime, ttl: timedelta) -> bool:
        """Say whether `owner` may take a lease that another one holds `until` then.

        A first look, or one after a long pause, goes by the date alone. After that a lease that
        was renewed since the last look is waited for; one that stands still is taken once it has
        ended and stood for half its time, or once it has stood for all of it with an end that no
        clock in step would have written.
        """
        seen = self._looks.get(owner)
        if seen is None or not timedelta(0) <= now - seen.last < ttl:
            self._looks[owner] = _Look(until, now, now)
            return now >= until
        since = seen.since if seen.until == until else now
        self._looks[owner] = _Look(until, since, now)
        stood = now - since
        if now >= until:
            return stood >= ttl / 2
        return until > now + 2 * ttl and stood >= ttl * 0.9
