"""Who tried what, through which door, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.control.acts import Act, ActLog
from rollout.desk.plain import Json


@dataclass(frozen=True, slots=True)
class ActPage:
    """Acts, newest first; at most `limit`."""

    acts: tuple[Act, ...]
    limit: int

    @property
    def more(self) -> bool:
        """Whether older ones may have been left out."""
        return len(self.acts) == self.limit

    def to_json(self) -> Json:
        """What scripts read."""
        return {"acts": [one.to_json() for one in self.acts]}


def read_acts(log: ActLog, name: str | None, limit: int, before: int | None) -> ActPage:
    """Read the log of acts; raises LedgerUnreachable."""
    return ActPage(tuple(log.acts(name, limit, before)), limit)
