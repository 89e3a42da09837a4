"""S rows: what shadows find and how often they are wrong, on the product's tests.

The model of times: jobs lognormal, sigma 1 on the log scale between jobs; each run of a job has
noise of its own, lognormal too, so that a pair's log ratio spreads by sqrt(2) times that. The
unpaired test is Welch's t-test on the logs of as many other jobs, one look, one-sided, at the same
alpha and without a margin: easier on both counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, log

import numpy as np
from scipy.stats import ttest_ind

from ops.evidence.row import SEED, Row
from rollout.evidence.outputs import OUTPUT_ALPHA, Outputs
from rollout.evidence.paired_time import TIME_ALPHA, TIME_MARGIN, PairedTime
from rollout.evidence.verdict import Verdict

PAIRS = 20
SLOW = 1.25
BETWEEN_JOBS = 1.0
Noise = Callable[[np.random.Generator], float]


def normal(spread: float) -> Noise:
    """Lognormal noise of one run."""
    return lambda rng: float(rng.normal(0.0, spread))


def heavy(spread: float) -> Noise:
    """Noise with tails so heavy that it has no variance (Student, 2 degrees)."""
    return lambda rng: spread * float(rng.standard_t(2))


def times(rng: np.random.Generator, slower: float, noise: Noise) -> tuple[float, float]:
    """Draw the times of one job on both paths."""
    job = float(rng.normal(0.0, BETWEEN_JOBS))
    return exp(job + noise(rng)), exp(job + log(slower) + noise(rng))


def found(rng: np.random.Generator, slower: float, noise: Noise, pairs: int) -> bool:
    """Say whether the paired test ends in REGRESS within so many pairs, looking after each."""
    state = PairedTime()
    for _ in range(pairs):
        state = state.observe(*times(rng, slower, noise), since_s=3600.0)
        if state.latched:
            return state.finding().verdict is Verdict.REGRESS
    return False


def found_unpaired(rng: np.random.Generator, slower: float, noise: Noise, pairs: int) -> bool:
    """Say whether Welch's test finds it on as many different jobs."""
    logs = [
        (log(times(rng, slower, noise)[0]), log(times(rng, slower, noise)[1])) for _ in range(pairs)
    ]
    legacy, concurrent = zip(*logs, strict=True)
    tested = ttest_ind(concurrent, legacy, equal_var=False, alternative="greater")
    return bool(tested.pvalue <= TIME_ALPHA)


def time_row(repeats: int) -> Row:
    """S1: power at 20 pairs."""
    rng = np.random.default_rng([SEED, 1])
    seen = {}
    for spread in (0.05, 0.10, 0.15, 0.20):
        hits = sum(found(rng, SLOW, normal(spread), PAIRS) for _ in range(repeats))
        seen[f"noise {spread:g}"] = 100 * hits / repeats
    hits = sum(found_unpaired(rng, SLOW, normal(0.1), PAIRS) for _ in range(repeats))
    seen["unpaired, noise 0.1"] = 100 * hits / repeats
    ok = seen["noise 0.1"] >= 80 and seen["unpaired, noise 0.1"] <= 10
    text = f"25 % slower found within {PAIRS} shadow pairs, % of {repeats}; jobs lognormal sigma 1"
    return Row("S1", text, seen, ">= 80 at noise 0.1, where unpaired finds <= 10", ok)


def time_alarm_row(repeats: int, pairs: int) -> Row:
    """S2: false alarms of the paired test under continuous looking."""
    rng = np.random.default_rng([SEED, 2])
    seen = {}
    for name, slower, noise in (
        ("equal", 1.0, normal(0.1)),
        ("on the margin, noise 0.05", TIME_MARGIN, normal(0.05)),
        ("on the margin, noise 0.3", TIME_MARGIN, normal(0.3)),
        ("on the margin, heavy tails", TIME_MARGIN, heavy(0.1)),
    ):
        hits = sum(found(rng, slower, noise, pairs) for _ in range(repeats))
        seen[name] = 100 * hits / repeats
    text = f"false REGRESS of times, looked at after each of {pairs} pairs, % of {repeats}"
    limit = 100 * TIME_ALPHA
    return Row("S2", text, seen, f"<= {limit:g} %", max(seen.values()) <= limit)


def output_run(
    rng: np.random.Generator, rates: Mapping[str, tuple[float, float]], shadows: int
) -> int | None:
    """Give the shadow at which the outputs regress; `rates` are (new, old) by field."""
    state = Outputs()
    for number in range(shadows):
        again = bool(rng.random() < 0.25)
        differing = {
            field for field, (new, old) in rates.items() if rng.random() < (old if again else new)
        }
        state = state.observe(again, differing)
        if state.latched:
            return number + 1
    return None


def output_row(repeats: int, shadows: int) -> Row:
    """S3: outputs, with a quarter of the shadows running legacy again."""
    rng = np.random.default_rng([SEED, 3])
    noise = {"at": (1.0, 1.0), "order": (0.3, 0.3), "rare": (0.02, 0.02)}
    noisy = [output_run(rng, noise, shadows) for _ in range(repeats)]
    alarms = 100 * sum(one is not None for one in noisy) / repeats
    bug = [output_run(rng, {**noise, "total": (1.0, 0.0)}, shadows) for _ in range(repeats)]
    part = [output_run(rng, {**noise, "total": (0.3, 0.0)}, shadows) for _ in range(repeats)]
    seen = {
        "noise only, false REGRESS %": alarms,
        "always wrong, found %": 100 * sum(one is not None for one in bug) / repeats,
        "always wrong, shadows": float(np.median([one or shadows for one in bug])),
        "wrong in 30 %, found %": 100 * sum(one is not None for one in part) / repeats,
        "wrong in 30 %, shadows": float(np.median([one or shadows for one in part])),
    }
    limit = 100 * OUTPUT_ALPHA
    ok = alarms <= limit and seen["always wrong, found %"] == 100
    text = f"outputs of {shadows} shadows among three noisy fields, {repeats} times"
    return Row("S3", text, seen, f"noise <= {limit:g} %, always wrong: all found", ok)


def rows(repeats: int = 1000) -> list[Row]:
    """Measure all three."""
    return [time_row(repeats), time_alarm_row(repeats, 200), output_row(repeats // 5, 300)]
