"""The one-stream test: is the rate of the concurrent path alone above a cap?

It needs no partner, so it reacts within a job or two; it also cannot tell a fault of the path
from a fault of the world. Its users say what protects them from that.

Source: Waudby-Smith & Ramdas, JRSSB 2024; evidence method, sections 3 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, log

from rollout.evidence.counts import check_count
from rollout.evidence.detectable import smallest
from rollout.evidence.errors import BadProcess, BadRate, BadState
from rollout.evidence.process import WEALTH_MAX, grow
from rollout.evidence.restarts import NO_STAKE, SCOPE_STAKE, Restarts
from rollout.evidence.stored import Count, Json, Number, Stored

RATES = ((0.3, 0.34), (0.6, 0.33), (0.95, 0.33))
"""Rates bet on, with their weights: some, most and nearly all jobs hit."""


def log_likelihood(rate: float, cap: float, n: int, k: int) -> float:
    """Give ln of how much k hits among n jobs multiply a bet on `rate` against at most `cap`.

    A bet on a rate at or under the cap would win from good jobs, so it is not placed: 0.
    """
    if rate <= cap:
        return 0.0
    return k * log(rate / cap) + (n - k) * log((1 - rate) / (1 - cap))


@dataclass(frozen=True, slots=True)
class SinglePathState(Stored):
    """Wealth per rate bet on, the waiting stake, and the jobs scored since the step began."""

    wealth: tuple[Number, ...]
    restarts: Restarts = NO_STAKE
    n: Count = 0
    k: Count = 0

    def change_scope(self) -> SinglePathState:
        """Begin a step: what was learnt is kept, the counts start again."""
        return SinglePathState(self.wealth, self.restarts.change_scope())

    def to_json(self) -> Json:
        """Give a plain object; by hand, for speed: see `stored`."""
        return {
            "wealth": list(self.wealth),
            "restarts": self.restarts.to_json(),
            "n": self.n,
            "k": self.k,
        }


@dataclass(frozen=True, slots=True)
class SinglePathProcess:
    """How the test bets: `rates` as (rate, weight), weights adding up to 1."""

    rates: tuple[tuple[float, float], ...] = RATES
    wealth_max: float = WEALTH_MAX

    def __post_init__(self) -> None:
        total = sum(weight for _, weight in self.rates)
        if not isclose(total, 1.0) or not all(0.0 < rate < 1.0 for rate, _ in self.rates):
            raise BadProcess(
                "rates need weights that add up to 1 and 0 < rate < 1",
                self.rates,
                "with more weight the false-revert limit would not hold",
            )

    def fresh(self) -> SinglePathState:
        """Begin a window; nothing is staked until `change_scope` or a tick."""
        return SinglePathState((0.0,) * len(self.rates))

    def observe(
        self,
        state: SinglePathState,
        n: int,
        k: int,
        tick_s: float,
        cap: float,
        pace: float = 1.0,
    ) -> SinglePathState:
        """Take in one tick of the concurrent path.

        Args:
            state: What is remembered so far.
            n: Jobs admitted, >= 0.
            k: Those of them that hit, 0..n.
            tick_s: Seconds since the last tick, 0..28 days.
            cap: Largest rate that is no alarm, in (0, 1); known before the tick began.
            pace: As in `BettingProcess.observe`.

        Raises:
            EvidenceError: The input cannot be; the state is unchanged.
        """
        check_count("k", k, check_count("n", n))
        if not 0.0 < cap < 1.0:
            raise BadRate("cap must lie in (0, 1)", cap, "use the rate of the last seven days")
        restarts = state.restarts.tick(tick_s * pace)
        if n == 0:
            return SinglePathState(state.wealth, restarts, state.n, state.k)
        logs = [log_likelihood(rate, cap, n, k) for rate, _ in self.rates]
        wealth = grow(state.wealth, restarts.pend, logs, self.wealth_max)
        return SinglePathState(wealth, restarts.spent(), state.n + n, state.k + k)

    def statistic(self, state: SinglePathState) -> float:
        """Give the weighted wealth, >= 0."""
        pairs = zip(self.rates, state.wealth, strict=True)
        return sum([weight * held for (_, weight), held in pairs])

    def detectable(self, n: int, cap: float, limit: float) -> float | None:
        """Find the smallest rate that n jobs would have shown, on average, to be over the cap.

        Args:
            n: Jobs scored since the step began.
            cap: As in `observe`.
            limit: The statistic that reverts.

        Returns:
            A rate in cap..1; None when not even n hits would have reached the limit.
        """
        needed = log(limit / SCOPE_STAKE)

        def seen(rate: float) -> bool:
            return any(
                log(weight) + n * (rate * log(bet / cap) + (1 - rate) * log((1 - bet) / (1 - cap)))
                >= needed
                for bet, weight in self.rates
                if bet > cap
            )

        return smallest(seen, cap, 1.0)

    def from_json(self, payload: Json) -> SinglePathState:
        """Read a state back; raises BadState when it was stored by other rates."""
        state = SinglePathState.from_json(payload)
        if len(state.wealth) != len(self.rates):
            expected = f"stored wealth must be that of {len(self.rates)} rates"
            raise BadState(expected, state.wealth, "start this window afresh")
        return state
