"""What a user would pick instead, on the same jobs: re-implementations, simplified and said so.

- Flagger-style: each minute the failure rate of the new path is held against 1 %; five failed
  checks in all roll back (`threshold: 5`, `interval: 1m`).
- Argo-style: each 5 minutes against 5 %; more than three failed measurements (`failureLimit: 3`).
- Naive z: a pooled z-test at 1.96 on the totals, each minute.
- Kayenta-style: each hour a Mann-Whitney test on 60 minute values of both paths, with the judge's
  98 % interval and tolerance .25. Minutes without jobs are left out, as its NaN strategy does.
- CUSUM: on the new path alone, told the true rate, tuned to some 1.5 % false reverts in 28 days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import norm

from ops.evidence.pilots import DAYS
from ops.evidence.traffic import DAY_S, JOBS_A_DAY
from ops.evidence.twin import Flags, Floats

SCOPES = (0.01, 0.08, 0.50)
RATE = 0.005
DRIFTED = 0.007
MINUTES = DAYS * 1440
KAYENTA_LEVEL = 0.98
KAYENTA_TOLERANCE = 0.25


def minutes(
    rng: np.random.Generator, pilots: int, scope: float, rates: tuple[float, float], every: int = 1
) -> Floats:
    """Draw one span of `every` minutes: (n_new, k_new, n_old, k_old) by pilots."""
    counts = np.empty((4, pilots))
    jobs = JOBS_A_DAY * 60 * every / DAY_S
    for row, share, rate in ((0, scope, rates[0]), (2, 1 - scope, rates[1])):
        counts[row + 1] = rng.poisson(jobs * share * rate, pilots)
        counts[row] = counts[row + 1] + rng.poisson(jobs * share * (1 - rate), pilots)
    return counts


def checks(
    rng: np.random.Generator,
    scope: float,
    pilots: int,
    rate: float,
    every: int,
    limit: float,
    most: int,
) -> tuple[Flags, Floats]:
    """Roll back when more than `most` spans of `every` minutes had over `limit` failures."""
    failed, exposed = np.zeros(pilots), np.zeros(pilots)
    for _ in range(MINUTES // every):
        n, k, _, _ = minutes(rng, pilots, scope, (rate, RATE), every)
        exposed += np.where(failed <= most, n, 0)
        failed += k > limit * n
        if (failed > most).all():
            break
    return failed > most, exposed


def naive(rng: np.random.Generator, scope: float, pilots: int, rate: float) -> tuple[Flags, Floats]:
    """Roll back at the first minute with a pooled z over 1.96 on the totals so far."""
    total, exposed = np.zeros((4, pilots)), np.zeros(pilots)
    out = np.zeros(pilots, dtype=bool)
    for _ in range(MINUTES):
        tick = minutes(rng, pilots, scope, (rate, RATE))
        total += tick
        exposed += np.where(out, 0, tick[0])
        k, j = total[1], total[3]
        n, m = np.maximum(total[0], 1e-9), np.maximum(total[2], 1e-9)
        pooled = (k + j) / (n + m)
        z = (k / n - j / m) / np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-12))
        out |= (z >= 1.96) & (total[0] >= 1) & (total[2] >= 1)
        if out.all():
            break
    return out, exposed


def cusum_peak(
    rng: np.random.Generator, scope: float, pilots: int, rate: float, limit: float
) -> tuple[Floats, Floats]:
    """Give the highest CUSUM of .5 % against 1 % in 28 days, and the jobs until it hit `limit`."""
    now, peak, exposed = np.zeros(pilots), np.zeros(pilots), np.zeros(pilots)
    for _ in range(MINUTES):
        n, k, _, _ = minutes(rng, pilots, scope, (rate, RATE))
        exposed += np.where(peak < limit, n, 0)
        now = np.maximum(now + k * np.log(2) + (n - k) * np.log(0.99 / 0.995), 0)
        peak = np.maximum(peak, now)
        if (peak >= limit).all():
            break
    return peak, exposed


def harmed(new: Floats, old: Floats) -> bool:
    """Give Kayenta's answer High: the shift's lower bound is over .25 of the shift itself."""
    if new.size < 2 or old.size < 2:
        return False
    differences = np.sort(np.subtract.outer(new, old).ravel())
    n, m = new.size, old.size
    spread = norm.ppf(0.5 + KAYENTA_LEVEL / 2) * np.sqrt(n * m * (n + m + 1) / 12)
    low = differences[max(0, int(n * m / 2 - spread))]
    return bool(low > KAYENTA_TOLERANCE * abs(np.median(differences)))


def tails(rng: np.random.Generator, jobs: float, level: float) -> Floats:
    """Draw 60 minute values of the 95th percentile of lognormal cycle times."""
    n = rng.poisson(jobs, 60)
    n = n[n > 0]
    rank = np.ceil(level * n)
    drawn: Floats = np.exp(norm.ppf(rng.beta(rank, n - rank + 1)))
    return drawn


def kayenta(rng: np.random.Generator, scope: float, pilots: int) -> float:
    """Count pilots with an hour that would be rolled back on p95; equal paths, 28 days."""
    jobs = JOBS_A_DAY * 60 / DAY_S
    out = 0
    for _ in range(pilots):
        for _ in range(DAYS * 24):
            if harmed(tails(rng, jobs * scope, 0.95), tails(rng, jobs * (1 - scope), 0.95)):
                out += 1
                break
    return 100 * out / pilots


def kayenta_blind(rng: np.random.Generator, scope: float, pilots: int) -> float:
    """Count pilots in which .5 -> 5 % errors are not seen within a day of hourly tests."""
    missed = 0
    for _ in range(pilots):
        seen = False
        for _ in range(24):
            n, k, m, j = minutes(rng, 60, scope, (0.05, RATE))
            new, old = (k / np.maximum(n, 1))[n > 0], (j / np.maximum(m, 1))[m > 0]
            seen = seen or harmed(new, old)
        missed += not seen
    return 100 * missed / pilots


def row(peer: str, case: str, numbers: Sequence[float]) -> dict[str, object]:
    """Give one row of the comparison."""
    named = zip(("1 %", "8 %", "50 %"), numbers, strict=True)
    return {"peer": peer, "case": case, "observed": {scope: round(x, 4) for scope, x in named}}


def compare(pilots: int) -> list[dict[str, object]]:
    """Measure every peer at 1, 8 and 50 %: false reverts of a healthy pilot, jobs exposed."""
    rng = np.random.default_rng(41)
    rows = []
    false, late = "healthy pilots reverted in 28 d, %", "jobs exposed when all fail, median"
    for peer, every, limit, most in (("Flagger", 1, 0.01, 4), ("Argo", 5, 0.05, 3)):
        healthy = [checks(rng, s, pilots, RATE, every, limit, most)[0] for s in SCOPES]
        failing = [checks(rng, s, 1000, 1.0, every, limit, most)[1] for s in SCOPES]
        rows.append(row(f"{peer}-style", false, [100 * float(x.mean()) for x in healthy]))
        rows.append(row(f"{peer}-style", late, [float(np.median(x)) for x in failing]))
    numbers = [100 * float(naive(rng, s, pilots, RATE)[0].mean()) for s in SCOPES]
    rows.append(row("naive z each minute", false, numbers))
    few = max(20, pilots // 4)
    numbers = [kayenta(rng, s, few) for s in SCOPES]
    rows.append(row("Kayenta-style hourly p95", false, numbers))
    numbers = [kayenta_blind(rng, s, few) for s in SCOPES]
    rows.append(row("Kayenta-style hourly errors", "blind to .5 -> 5 % for a day, %", numbers))
    peaks = [cusum_peak(rng, s, 1000, RATE, np.inf)[0] for s in SCOPES]
    limits = [float(np.quantile(peak, 0.985)) for peak in peaks]
    pairs = list(zip(SCOPES, limits, strict=True))
    for rate, case in ((RATE, false), (DRIFTED, "the same when both paths drift to .7 %")):
        numbers = [
            100 * float((cusum_peak(rng, s, pilots, rate, limit)[0] >= limit).mean())
            for s, limit in pairs
        ]
        rows.append(row("CUSUM told the true rate", case, numbers))
    return rows


def render(rows: Sequence[Mapping[str, object]]) -> str:
    """Give the comparison as a Markdown table."""
    lines = ["| peer | case | 1 / 8 / 50 % |", "|---|---|---|"]
    for line in rows:
        observed = line["observed"]
        assert isinstance(observed, dict)
        numbers = " / ".join(f"{number:.3g}" for number in observed.values())
        lines.append(f"| {line['peer']} | {line['case']} | {numbers} |")
    return "\n".join(lines)
