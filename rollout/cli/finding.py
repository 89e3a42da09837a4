"""One line of `doctor`'s report."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Works; somebody may want to know."""
    MISSING = "missing"
    """Jobs run on legacy, or kill and changes do not work, until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `todo` is empty when there is nothing to do."""

    what: str
    level: Level
    found: str
    todo: str = ""

    def values(self) -> dict[str, str]:
        """What scripts read."""
        return {
            "what": self.what,
            "level": str(self.level),
            "found": self.found,
            "todo": self.todo,
        }
