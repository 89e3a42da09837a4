"""Many seeded pilots at fixed scopes: how often each rule reverts a healthy one, and how late.

Counts are drawn and not jobs: splitting a Poisson stream by chance gives independent Poisson
streams, so jobs that fail and jobs that do not are drawn apart, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rollout.evidence.counts import Counts
from rollout.evidence.revert_test import Window
from rollout.pilot.step import StepEvidence, guard_of
from rollout.policy.policy import Policy
from rollout.rehearsal import peers
from rollout.rehearsal.injection import BadInjection, Injection
from rollout.rehearsal.peers import Floats, Minutes

DAY_MINUTES = 1440
_normal_quantiles = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
SCOPES = (0.01, 0.08, 0.50)
DRIFT = 1.4
"""Both paths come to fail so many times as often: .5 % becomes .7 %."""

OWN_EVERY = 5
"""Minutes of a window of rollout's own tests on healthy pilots."""

OWN_WINDOW_S = 10.0
"""Seconds of a window of them on failing pilots."""

FALSE = "healthy pilots reverted, %"
DRIFTED = "the same when both paths drift to 1.4 times the rate, %"
EXPOSED = "concurrent jobs exposed, median"
BLIND = "blind to ten times the failures for a day, %"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What pilots see.

    Attributes:
        jobs_per_day: Of both paths.
        error_rate: Share that fails, on both paths, 0 < rate < .24.
        days: How long a healthy pilot lasts.
        fault: Share of concurrent jobs that fail in a failing pilot, from its start.
        seed: The same seed draws the same pilots.
    """

    jobs_per_day: float = 100_000.0
    error_rate: float = 0.005
    days: int = 28
    fault: float = 1.0
    seed: int = 41

    def minutes(
        self,
        rng: np.random.Generator,
        scope: float,
        count: int,
        rates: tuple[float, float],
        length_s: float = 60.0,
    ) -> Minutes:
        """Draw one pilot: `count` spans, a minute each unless told otherwise."""
        series: list[Floats] = []
        jobs = self.jobs_per_day * length_s / 86_400.0
        for share, rate in ((scope, rates[0]), (1 - scope, rates[1])):
            hits = rng.poisson(jobs * share * rate, count).astype(np.float64)
            series += [hits + rng.poisson(jobs * share * (1 - rate), count), hits]
        return Minutes(*series)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison; `observed` has a number for each scope."""

    who: str
    case: str
    observed: dict[str, float]


Rule = Callable[[Minutes], int | None]


def fault_of(injection: Injection | None) -> float:
    """The share of concurrent jobs that fail in a failing pilot; all of them without a word.

    Raises:
        BadInjection: It slows jobs down; pilots that are drawn here only fail.
    """
    if injection is not None and injection.slow != 1.0:
        raise BadInjection("a comparison without a stream draws failures only, got a slow-down")
    return 1.0 if injection is None or injection.errors is None else injection.errors


def compare_pilots(traffic: Traffic, pilots: int, scopes: Sequence[float] = SCOPES) -> list[Row]:
    """Draw pilots and let rollout's tests and every peer watch them.

    Args:
        traffic: What they see.
        pilots: How many per number; the slow rules take a quarter, but 5 or more.
        scopes: Shares of jobs on the concurrent path, 0..1.
    """
    rng = np.random.default_rng(traffic.seed)
    rows = _own(rng, traffic, max(5, pilots // 4), scopes)
    for who, rule in (
        ("Flagger-style", peers.FLAGGER.rolls_back),
        ("Argo-style", peers.ARGO.rolls_back),
        ("naive z each minute", peers.naive_z),
    ):
        rows.append(_false(rng, who, rule, traffic, pilots, scopes))
        rows.append(_exposed(rng, who, rule, traffic, pilots, scopes))
    return [
        *rows,
        *_kayenta(rng, traffic, max(5, pilots // 4), scopes),
        *_cusum(rng, traffic, pilots, scopes),
    ]


def _row(who: str, case: str, scopes: Sequence[float], one: Callable[[float], float]) -> Row:
    return Row(who, case, {f"{100 * scope:g} %": one(scope) for scope in scopes})


def _false(
    rng: np.random.Generator,
    who: str,
    rule: Rule,
    traffic: Traffic,
    pilots: int,
    scopes: Sequence[float],
) -> Row:
    rates = (traffic.error_rate, traffic.error_rate)

    def share(scope: float) -> float:
        drawn = (
            traffic.minutes(rng, scope, traffic.days * DAY_MINUTES, rates) for _ in range(pilots)
        )
        return 100 * sum(rule(one) is not None for one in drawn) / pilots

    return _row(who, FALSE, scopes, share)


def _exposed(
    rng: np.random.Generator,
    who: str,
    rule: Rule,
    traffic: Traffic,
    pilots: int,
    scopes: Sequence[float],
) -> Row:
    rates = (traffic.fault, traffic.error_rate)

    def median(scope: float) -> float:
        jobs = []
        for _ in range(pilots):
            drawn = traffic.minutes(rng, scope, DAY_MINUTES, rates)
            at = rule(drawn)
            jobs.append(float(drawn.n[: at + 1].sum()) if at is not None else np.inf)
        return float(np.median(jobs))

    return _row(who, EXPOSED, scopes, median)


# rollout's own tests -------------------------------------------------------------------------


def first_revert(spans: Minutes, length_s: float, rate: float) -> int | None:
    """The span in which rollout's tests on failures revert; None when they never do."""
    evidence = StepEvidence.fresh(guard_of(Policy()))
    columns = (one.astype(np.int64).tolist() for one in (spans.n, spans.k, spans.m, spans.j))
    for at, (n, k, m, j) in enumerate(zip(*columns, strict=True)):
        window = Window(Counts(n, k, m, j), None, None, n, m)
        evidence = evidence.observe(window, length_s, rate, 1.0)
        if evidence.latched:
            return at
    return None


def _own(
    rng: np.random.Generator, traffic: Traffic, pilots: int, scopes: Sequence[float]
) -> list[Row]:
    who, rate = "rollout, failures", traffic.error_rate
    length_s = OWN_EVERY * 60.0
    spans = traffic.days * DAY_MINUTES // OWN_EVERY

    def share(factor: float) -> Callable[[float], float]:
        def of(scope: float) -> float:
            rates = (factor * rate, factor * rate)
            drawn = (traffic.minutes(rng, scope, spans, rates, length_s) for _ in range(pilots))
            return (
                100 * sum(first_revert(one, length_s, rate) is not None for one in drawn) / pilots
            )

        return of

    def median(scope: float) -> float:
        jobs = []
        for _ in range(pilots):
            count = round(86_400 / OWN_WINDOW_S)
            drawn = traffic.minutes(rng, scope, count, (traffic.fault, rate), OWN_WINDOW_S)
            at = first_revert(drawn, OWN_WINDOW_S, rate)
            jobs.append(float(drawn.n[: at + 1].sum()) if at is not None else np.inf)
        return float(np.median(jobs))

    return [
        _row(who, FALSE, scopes, share(1.0)),
        _row(who, DRIFTED, scopes, share(DRIFT)),
        _row(who, EXPOSED, scopes, median),
    ]


# Kayenta and CUSUM ---------------------------------------------------------------------------


def _tails(rng: np.random.Generator, jobs: float, count: int) -> Floats:
    """Draw minute values of the 95th percentile of lognormal cycle times."""
    n = rng.poisson(jobs, count).astype(np.float64)
    rank = np.ceil(0.95 * n)
    drawn = np.full(count, np.nan)
    some = n > 0
    drawn[some] = np.exp(_normal_quantiles(rng.beta(rank[some], n[some] - rank[some] + 1)))
    return drawn


def _kayenta(
    rng: np.random.Generator, traffic: Traffic, pilots: int, scopes: Sequence[float]
) -> list[Row]:
    jobs, rate = traffic.jobs_per_day / DAY_MINUTES, traffic.error_rate
    count = traffic.days * DAY_MINUTES

    def share(scope: float) -> float:
        seen = 0
        for _ in range(pilots):
            new, old = _tails(rng, jobs * scope, count), _tails(rng, jobs * (1 - scope), count)
            seen += peers.hourly(new, old) is not None
        return 100 * seen / pilots

    def blind(scope: float) -> float:
        missed = 0
        for _ in range(pilots):
            rates = (min(1.0, 10 * rate), rate)
            drawn = traffic.minutes(rng, scope, DAY_MINUTES, rates)
            missed += peers.hourly(*peers.failure_rates(drawn)) is None
        return 100 * missed / pilots

    return [
        _row("Kayenta-style, p95", FALSE, scopes, share),
        _row("Kayenta-style, errors", BLIND, scopes, blind),
    ]


def _cusum(
    rng: np.random.Generator, traffic: Traffic, pilots: int, scopes: Sequence[float]
) -> list[Row]:
    who, rate = "CUSUM told the true rate", traffic.error_rate
    count = traffic.days * DAY_MINUTES

    def limit(scope: float) -> float:
        return peers.cusum_limit(traffic.jobs_per_day * traffic.days * scope * rate)

    def share(factor: float) -> Callable[[float], float]:
        def of(scope: float) -> float:
            rates = (factor * rate, factor * rate)
            drawn = (traffic.minutes(rng, scope, count, rates) for _ in range(pilots))
            seen = [peers.cusum_rolls_back(one, rate, limit(scope)) is not None for one in drawn]
            return 100 * sum(seen) / pilots

        return of

    def median(scope: float) -> float:
        jobs = []
        for _ in range(pilots):
            drawn = traffic.minutes(rng, scope, DAY_MINUTES, (traffic.fault, rate))
            at = peers.cusum_rolls_back(drawn, rate, limit(scope))
            jobs.append(float(drawn.n[: at + 1].sum()) if at is not None else np.inf)
        return float(np.median(jobs))

    return [
        _row(who, FALSE, scopes, share(1.0)),
        _row(who, DRIFTED, scopes, share(DRIFT)),
        _row(who, EXPOSED, scopes, median),
    ]
