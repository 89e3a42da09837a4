"""The budget of fresh stakes that lets a test react at any time and still keep its promise.

A bet placed once at the start would have lost everything by the time a fault begins. So a little
fresh stake arrives with every tick, and a lump with every change of scope, when faults are most
likely. Over any 28 days the stakes add up to at most 1: that sum is what bounds false reverts.

Source: Shin, Ramdas & Rinaldo, NEJSDS 2024 (arXiv 2203.03532), e-detectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.blocks import check_tick
from rollout.evidence.stored import Json, Number, Stored

PERIOD_S = 28 * 86_400.0
"""The span the guarantee is stated for."""

STEADY_STAKE = 0.5
"""Staked evenly over the period."""

SCOPE_STAKE = 0.125
"""Staked at each change of scope."""

SCOPE_STAKES_MAX = 4
"""Changes of scope in a period that still get a stake; 0.5 + 4 x 0.125 = 1."""


def steady_stake(tick_s: float) -> float:
    """The stake that arrives in a tick; raises BadDuration."""
    return STEADY_STAKE * check_tick(tick_s) / PERIOD_S


@dataclass(frozen=True, slots=True)
class Restarts(Stored):
    """Stake waiting for the next closed block, and when the last lumps were given.

    Attributes:
        pend: Stake not yet placed.
        elapsed_s: Seconds since the window began.
        lumps_s: `elapsed_s` at the last changes of scope that got a stake; at most four.
    """

    pend: Number = 0.0
    elapsed_s: Number = 0.0
    lumps_s: tuple[Number, ...] = ()

    def tick(self, tick_s: float) -> Restarts:
        """Let time pass; raises BadDuration."""
        pend = self.pend + steady_stake(tick_s)
        return Restarts(pend, self.elapsed_s + tick_s, self.lumps_s)

    def change_scope(self, factor: float = 1.0) -> Restarts:
        """Stake the lump of a change of scope; a fifth one within 28 days stakes nothing.

        Args:
            factor: Times the lump; its mean is at most 1 when nothing is wrong, which is all that
                the limit on false reverts needs.
        """
        recent = tuple(at for at in self.lumps_s if self.elapsed_s - at < PERIOD_S)
        if len(recent) >= SCOPE_STAKES_MAX:
            return Restarts(self.pend, self.elapsed_s, recent)
        return Restarts(self.pend + factor * SCOPE_STAKE, self.elapsed_s, (*recent, self.elapsed_s))

    def spent(self) -> Restarts:
        """Say that the stake was placed on the block that just closed."""
        return Restarts(0.0, self.elapsed_s, self.lumps_s)

    def to_json(self) -> Json:
        """Give a plain object; by hand, for speed: see `stored`."""
        return {"pend": self.pend, "elapsed_s": self.elapsed_s, "lumps_s": list(self.lumps_s)}


NO_STAKE = Restarts()
"""The budget at the beginning of a window."""
