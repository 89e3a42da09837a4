"""Ticks merged into closed blocks: a block compares the paths, so it needs a job on each."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadDuration
from rollout.evidence.stored import Json, read_number, read_object

BLOCK_AGE_S_MAX = 30 * 60.0
"""A block open for longer mixes times that need not be alike, and is discarded."""

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
    """The open block: what was admitted since the last one closed, and for how long."""

    counts: Counts = NO_COUNTS
    age_s: float = 0.0

    def add(self, tick: Counts, tick_s: float) -> tuple[BlockBuilder, Counts | None]:
        """Merge one tick.

        Whether a block closes or is discarded depends on the numbers of jobs only, never on how
        they ended: a rule that looked at failures would bias every test built on it.

        Args:
            tick: What was admitted in the tick.
            tick_s: Seconds the tick took, 0..28 days.

        Returns:
            The next open block, and the closed one if both paths now have a job.

        Raises:
            BadDuration: `tick_s` cannot be the length of a tick.
        """
        age_s = self.age_s + check_tick(tick_s)
        counts = self.counts + tick
        # A tick that alone is longer than the limit is judged by itself: it cannot be cut.
        too_old = age_s > BLOCK_AGE_S_MAX and self.age_s > 0.0
        if too_old:
            counts, age_s = tick, tick_s
        if counts.both_paths:
            return BlockBuilder(), counts
        return BlockBuilder(counts, age_s), None

    def to_json(self) -> Json:
        """Give a plain object."""
        return {"counts": self.counts.to_json(), "age_s": self.age_s}

    @classmethod
    def from_json(cls, payload: Json) -> BlockBuilder:
        """Read what `to_json` gave; raises BadState or BadCounts."""
        stored = read_object(payload, ["counts", "age_s"])
        return cls(Counts.from_json(stored["counts"]), read_number(stored["age_s"]))


EMPTY_BLOCK = BlockBuilder()
"""The block at the beginning of a step."""
