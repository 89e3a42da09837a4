"""The one-stream test: is the rate of the concurrent path alone above a cap?

It needs no partner, so it reacts within a job or two; it also cannot tell a fault of the path
from a fault of the world. Its users say what protects them from that.

Source: Waudby-Smith & Ramdas, JRSSB 2024; evidence method, sections 3 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose, log

from rollout.evidence.counts import check_count
from rollout.evidence.detectable import smallest
from rollout.evidence.errors import BadProcess, BadRate, BadState
from rollout.evidence.process import WEALTH_MAX, grow
from rollout.evidence.restarts import NO_STAKE, SCOPE_STAKE, Restarts, steady_stake
from rollout.evidence.stored import Count, Json, Number, Stored

RATES = ((0.3, 0.34), (0.6, 0.33), (0.95, 0.33))
"""Rates bet on, with their weights: some, most and nearly all jobs hit."""


def odds(rate: float, cap: float) -> tuple[float, float]:
    """Give ln of what a hit, and a good job, multiply a bet on `rate` by against at most `cap`.

    A bet on a rate at or under the cap would win from good jobs, so it is not placed: 0.
    """
    if rate <= cap:
        return 0.0, 0.0
    return log(rate / cap), log((1 - rate) / (1 - cap))


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
        return self.observe_all(state, [(n, k, tick_s)], cap, pace)[0]

    def observe_all(
        self,
        state: SinglePathState,
        ticks: Sequence[tuple[int, int, float]],
        cap: float,
        pace: float,
    ) -> tuple[SinglePathState, list[float]]:
        """Take in ticks (n, k, seconds) one after the other, as `observe` does each of them.

        Returns:
            The state after the last one, and the statistic after each.

        Raises:
            EvidenceError: One of them cannot be; none was taken in.
        """
        if not 0.0 < cap < 1.0:
            raise BadRate("cap must lie in (0, 1)", cap, "use the rate of the last seven days")
        known = [odds(rate, cap) for rate, _ in self.rates]
        wealth, jobs, hits = state.wealth, state.n, state.k
        pend, elapsed_s = state.restarts.pend, state.restarts.elapsed_s
        statistic, statistics = self.statistic(state), list[float]()
        for n, k, tick_s in ticks:
            check_count("k", k, check_count("n", n))
            passed_s = tick_s * pace
            pend += steady_stake(passed_s)
            elapsed_s += passed_s
            if n:
                logs = [k * hit + (n - k) * good for hit, good in known]
                wealth = grow(wealth, pend, logs, self.wealth_max)
                pend, statistic = 0.0, self._weighted(wealth)
                jobs, hits = jobs + n, hits + k
            statistics.append(statistic)
        restarts = Restarts(pend, elapsed_s, state.restarts.lumps_s)
        return SinglePathState(wealth, restarts, jobs, hits), statistics

    def statistic(self, state: SinglePathState) -> float:
        """Give the weighted wealth, >= 0."""
        return self._weighted(state.wealth)

    def _weighted(self, wealth: Sequence[float]) -> float:
        return sum([weight * held for (_, weight), held in zip(self.rates, wealth, strict=True)])

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
