"""Ticks merged into closed blocks: a block compares the paths, so it needs a job on each.

A block stays open until both paths have a job, however long that takes. Under 100 jobs a day most
half hours have none on one of them; a limit on the age of a block threw their jobs away and cost
two thirds more jobs before a regression was seen, and saved no false revert: bets are placed on
jobs of the same span, so an outage that both paths share pays on neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadDuration
from rollout.evidence.stored import Json, read_object

TICK_S_MAX = 28 * 86_400.0
"""Longer without a tick than the guarantee runs: the window has to start afresh."""


def check_tick(tick_s: float) -> float:
    """Give the length of a tick back when it lies in 0..28 days, else raise BadDuration."""
    if not 0.0 <= tick_s <= TICK_S_MAX:
        raise BadDuration(
            f"tick_s must lie in 0..{TICK_S_MAX:.0f}",
            tick_s,
            "take it from a clock that never goes backwards, or start the window afresh",
        )
    return tick_s


@dataclass(frozen=True, slots=True)
class BlockBuilder:
    """The open block: what was admitted since the last one closed."""

    counts: Counts = NO_COUNTS

    def add(self, tick: Counts, tick_s: float) -> tuple[BlockBuilder, Counts | None]:
        """Merge one tick.

        Whether a block closes depends on the numbers of jobs only, never on how they ended: a
        rule that looked at failures would bias every test built on it.

        Args:
            tick: What was admitted in the tick.
            tick_s: Seconds the tick took, 0..28 days.

        Returns:
            The next open block, and the closed one if both paths now have a job.

        Raises:
            BadDuration: `tick_s` cannot be the length of a tick.
        """
        check_tick(tick_s)
        counts = tick if self.counts is NO_COUNTS else self.counts + tick
        if counts.both_paths:
            return EMPTY_BLOCK, counts
        return BlockBuilder(counts), None

    def to_json(self) -> Json:
        """Give a plain object."""
        return {"counts": self.counts.to_json()}

    @classmethod
    def from_json(cls, payload: Json) -> BlockBuilder:
        """Read what `to_json` gave, in this release or the last; raises BadState or BadCounts."""
        aged = isinstance(payload, Mapping) and "age_s" in payload  # blocks had an age until 0.1
        stored = read_object(payload, ["counts", "age_s"] if aged else ["counts"])
        return cls(Counts.from_json(stored["counts"]))


EMPTY_BLOCK = BlockBuilder()
"""The block at the beginning of a step."""
