"""How long a path takes to heal: pure, fed with one window after the other.

A path is healed when nothing more will be hurt, every hurt job has its outcome, and so many
windows in a row are inside the band. It was healed when the first of these windows began, or, if
it never left the band, when the last hurt job finished; so the error is at most one window.
"""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Healing:
    """One path after a fault began to hurt it.

    Attributes:
        onset_at: When the first job was hurt.
        windows_inside: Windows in a row that mean: steady.
        outside_at: End of the first window outside the band.
        inside: Windows in a row inside, up to now.
        inside_since: Start of the first of them.
    """

    onset_at: datetime
    windows_inside: int
    outside_at: datetime | None = None
    inside: int = 0
    inside_since: datetime | None = None

    def observe(self, start: datetime, end: datetime, outside: bool, jobs: int) -> "Healing":
        """Take in a window; one without jobs says nothing unless it is outside."""
        if end <= self.onset_at:
            return self
        if outside:
            first = self.outside_at or end
            return replace(self, outside_at=first, inside=0, inside_since=None)
        if jobs == 0:
            return self
        return replace(self, inside=self.inside + 1, inside_since=self.inside_since or start)

    def healed_at(self, last_hurt_at: datetime | None) -> datetime | None:
        """When it was healed, given that no more is hurt and this job finished last; else None."""
        if last_hurt_at is None or self.inside < self.windows_inside or self.inside_since is None:
            return None
        if self.outside_at is None:
            return last_hurt_at
        return max(self.inside_since, last_hurt_at)
