"""The two-stream test: several bets on the same blocks, with fresh stake arriving all the time.

Per tick the stake grows; at each closed block every bet's wealth becomes (wealth + stake) * L.
The weighted sum is the statistic. Under H0 it reaches 1 / alpha within 28 days with probability
at most alpha, however often one looks.

Source: Lindon & Malek, NeurIPS 2022; Shin, Ramdas & Rinaldo 2024; evidence method, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, isclose
from operator import mul
from typing import Annotated, Any

from rollout.evidence.betting import Bet, Margin, Odds, odds, settle
from rollout.evidence.blocks import EMPTY_BLOCK, BlockBuilder
from rollout.evidence.counts import NO_COUNTS, Counts, merged
from rollout.evidence.errors import BadProcess, BadState
from rollout.evidence.restarts import NO_STAKE, Restarts, steady_stake
from rollout.evidence.stored import Json, Number, Stored, StoredAs

WEALTH_MAX = 1e12
"""Wealth is cut here, far above every limit, so that it stays a number; less is always valid."""

_KNOWN_MAX = 4096
"""Sizes of blocks whose odds a process remembers: about a megabyte."""
_LOG_MAX = 690.0  # exp(690) is still a double; beyond it the cut decides anyway


def grow(
    wealth: Sequence[float], pend: float, logs: Sequence[float], wealth_max: float
) -> tuple[float, ...]:
    """Place the stake and settle one block: (wealth + pend) * exp(log), cut at `wealth_max`."""
    return tuple(
        [
            grown
            if (grown := (held + pend) * exp(log if log < _LOG_MAX else _LOG_MAX)) < wealth_max
            else wealth_max
            for held, log in zip(wealth, logs, strict=True)
        ]
    )


@dataclass(frozen=True, slots=True)
class BettingState(Stored):
    """What a test remembers between ticks; some 300 bytes of JSON.

    Attributes:
        wealth: One number per bet, >= 0.
        block: The open block.
        restarts: The stake that waits for the next closed block.
        scored: Jobs of all closed blocks since the step began.
    """

    wealth: tuple[Number, ...]
    block: Annotated[BlockBuilder, StoredAs(Any, BlockBuilder.from_json, BlockBuilder.to_json)] = (
        EMPTY_BLOCK
    )
    restarts: Restarts = NO_STAKE
    scored: Counts = NO_COUNTS

    def change_scope(self, factor: float = 1.0) -> BettingState:
        """Begin a step: only jobs admitted from now on count; what was learnt is kept."""
        restarts = self.restarts.change_scope(factor)
        return BettingState(self.wealth, EMPTY_BLOCK, restarts, NO_COUNTS)

    def to_json(self) -> Json:
        """Give a plain object; by hand, for speed: see `stored`."""
        return {
            "wealth": list(self.wealth),
            "block": self.block.to_json(),
            "restarts": self.restarts.to_json(),
            "scored": self.scored.to_json(),
        }


@dataclass(frozen=True, slots=True)
class BettingProcess:
    """How a test bets: fixed for a pilot, never stored.

    Attributes:
        bets: Their weights add up to 1.
        margin: What still counts as no worse.
        alpha: Largest chance of a false REGRESS in 28 days, in (0, 1).
        restarting: False for a test that starts with its whole stake and gets no more.
        wealth_max: Where wealth is cut.

    Raises:
        BadProcess: The weights do not add up to 1, or alpha is outside (0, 1).
    """

    bets: tuple[Bet, ...]
    margin: Margin
    alpha: float
    restarting: bool = True
    wealth_max: float = WEALTH_MAX
    _known: dict[tuple[int, int], tuple[Odds, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _weights: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        total = sum(bet.weight for bet in self.bets)
        if not isclose(total, 1.0, rel_tol=1e-9) or not 0.0 < self.alpha < 1.0:
            raise BadProcess(
                "a process needs weights that add up to 1 and 0 < alpha < 1",
                (total, self.alpha),
                "with more weight the false-revert limit would not hold",
            )
        object.__setattr__(self, "_weights", tuple(bet.weight for bet in self.bets))

    def fresh(self) -> BettingState:
        """Begin a window. A restarting test owns nothing until `change_scope` or a tick."""
        return BettingState((0.0 if self.restarting else 1.0,) * len(self.bets))

    def observe(
        self, state: BettingState, tick: Counts, tick_s: float, pace: float = 1.0
    ) -> BettingState:
        """Take in one tick.

        Args:
            state: What is remembered so far.
            tick: Jobs admitted in one window, now old enough to be scored.
            tick_s: Seconds since the last tick, 0..28 days.
            pace: How many seconds of the policy's calendar a second is; over 1 in a rehearsal.

        Returns:
            The next state; wealth moves only when a block closes.

        Raises:
            EvidenceError: The input cannot be; the state is unchanged.
        """
        return self.observe_all(state, [(tick, tick_s)], pace)[0]

    def observe_all(
        self, state: BettingState, ticks: Sequence[tuple[Counts, float]], pace: float
    ) -> tuple[BettingState, list[float]]:
        """Take in ticks one after the other: what `observe` says of each, without its objects.

        Returns:
            The state after the last one, and the statistic after each.

        Raises:
            EvidenceError: One of them cannot be; none was taken in.
        """
        wealth, builder, blocks = state.wealth, state.block, list[Counts]()
        pend, elapsed_s = state.restarts.pend, state.restarts.elapsed_s
        statistic, statistics = -1.0, list[float]()
        for tick, tick_s in ticks:
            if self.restarting:
                passed_s = tick_s * pace
                pend += steady_stake(passed_s)
                elapsed_s += passed_s
            builder, block = builder.add(tick, tick_s)
            if block is not None:
                wealth = grow(wealth, pend, self._logs(block), self.wealth_max)
                pend, statistic = 0.0, self._weighted(wealth)
                blocks.append(block)
            elif statistic < 0.0:
                statistic = self._weighted(wealth)
            statistics.append(statistic)
        scored = merged([state.scored, *blocks]) if blocks else state.scored
        restarts = Restarts(pend, elapsed_s, state.restarts.lumps_s)
        return BettingState(wealth, builder, restarts, scored), statistics

    def _logs(self, block: Counts) -> list[float]:
        """ln L of each bet; windows of one pilot are often equally large, and their odds known."""
        size = block.n_concurrent, block.n_legacy
        known = self._known.get(size)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            known = tuple(
                [odds(bet.family, bet.parameter, self.margin, *size) for bet in self.bets]
            )
            self._known[size] = known
        return settle(known, block)

    def statistic(self, state: BettingState) -> float:
        """Give the weighted wealth, >= 0; REGRESS is at `limit`."""
        return self._weighted(state.wealth)

    def _weighted(self, wealth: Sequence[float]) -> float:
        weighted: float = sum(map(mul, self._weights, wealth))
        return weighted

    @property
    def limit(self) -> float:
        """The statistic that a path within the margin reaches with probability <= alpha."""
        return 1.0 / self.alpha

    def checked(self, state: BettingState) -> BettingState:
        """Give a state back that these bets made, else raise BadState."""
        if len(state.wealth) != len(self.bets):
            expected = f"stored wealth must be that of {len(self.bets)} bets"
            raise BadState(expected, state.wealth, "start this window afresh")
        return state

    def from_json(self, payload: Json) -> BettingState:
        """Read a state back; raises BadState when it was stored by other bets."""
        return self.checked(BettingState.from_json(payload))
