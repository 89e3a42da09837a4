"""From what a process's own clock said to the clock that all processes share."""

from dataclasses import dataclass, field
from statistics import median

from tests.crash.evidence import Row, wall_ns
from tests.crash.history import Event

_STEP_NS_MAX = 5_000_000
"""Half a run apart, the two clocks may differ by this much; slewing stays far below."""


@dataclass(frozen=True, slots=True)
class Times:
    """Turns the ledger's times into shared ones.

    `offset` is wall clock minus shared clock in ns and `stepped` whether it was moved in between;
    `asked` has the shared time at which a process asked the ledger something about a job, by the
    job and the microseconds (`asked_ms`: milliseconds) that its own clock showed then.
    """

    offset: int
    stepped: bool
    asked: dict[tuple[str, int], int] = field(default_factory=dict)
    asked_ms: dict[tuple[str, int], int] = field(default_factory=dict)

    def finished(self, row: Row) -> int | None:
        """When the transaction that finished a job was begun, shared ns; None while it is open."""
        if row.finished_at is None:
            return None
        told = self.asked.get((row.job_id, row.finished_at // 1000))
        return row.finished_at - self.offset if told is None else told

    def line(self, job_id: str, at: str) -> int:
        """When the transaction that wrote a line of a job's way was begun, shared ns."""
        wall = wall_ns(at)
        told = self.asked_ms.get((job_id, wall // 1_000_000))
        return wall - self.offset if told is None else told


def times_of(events: list[Event]) -> Times:
    """Read both clocks from a history."""
    gaps = [int(event["w"]) - int(event["t"]) for event in events]
    if not gaps:
        return Times(0, stepped=False)
    half = max(1, len(gaps) // 2)
    stepped = abs(median(gaps[:half]) - median(gaps[-half:])) > _STEP_NS_MAX
    times = Times(int(median(gaps)), stepped)
    for event in events:
        if event["what"] == "asked":
            times.asked[event["job"], event["now"]] = event["t"]
            times.asked_ms[event["job"], event["now"] // 1000] = event["t"]
    return times
