"""How many jobs a regression reached before the revert."""

from typing import NamedTuple


class Exposed(NamedTuple):
    """Concurrent jobs admitted since a regression began, as they stand at the revert."""

    seen: int
    """Their outcome, good or bad, was seen: what the tables call exposed."""
    failed: int
    """Those of them that the concurrent path failed."""
    in_flight: int
    """No outcome was seen yet; they come on top."""
