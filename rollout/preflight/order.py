"""Hidden order: does a job's result depend on which ones ran before it, or beside it.

The same jobs run four times: in order, in order again, backwards, and under load. What differs
between the first two varies by itself and is left out; what differs from them afterwards depends on
the company that the job was in.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.preflight.facts import Order, Trial, TriedRun
from rollout.preflight.findings import (
    EXAMPLES_MAX,
    Check,
    Finding,
    NotChecked,
    Passed,
    Result,
    jobs_text,
)
from rollout.shadow.compare import Compared, Comparison, compare

JOBS_MIN = 2
"""One job has no others before it."""
RAISED = "(raised)"
"""The field of a run that raised where another one returned."""


def check_order(trial: Trial, comparison: Comparison) -> Iterator[Result]:
    """Compare each job's runs, with the leniency that is declared for shadows."""
    if not trial.runs:
        yield NotChecked(Check.ORDER, trial.not_run, trial.remedy)
        return
    first = {one.number: one for one in trial.runs if one.order is Order.FORTH}
    if len(first) < JOBS_MIN:
        yield NotChecked(Check.ORDER, "one job alone has no order", "run more: --run 5")
        return
    if not any(one.error is None for one in first.values()):
        yield NotChecked(
            Check.ORDER, "no run returned, so no results could be compared", "mend the path first"
        )
        return
    noise: set[str] = set()
    for run in trial.runs:
        if run.order is Order.AGAIN and run.number in first:
            noise |= _differing(comparison, first[run.number], run)
    told: set[str] = set()
    for order, words in (
        (Order.BACK, "which jobs ran before"),
        (Order.LOAD, "which jobs run beside it"),
    ):
        examples: dict[str, str] = {}
        for run in trial.runs:
            if run.order is order and run.number in first and run.where not in told:
                fields = _differing(comparison, first[run.number], run) - noise
                if fields:
                    examples.setdefault(run.where, ", ".join(sorted(fields)))
        told.update(examples)
        if examples:
            yield Finding(
                Check.ORDER,
                f"the result of {len(examples):,} of {jobs_text(len(first))} depends on {words}",
                "look for what lives longer than a job: globals, caches, sequences, files",
                [f"{where}: {fields}" for where, fields in [*examples.items()][:EXAMPLES_MAX]],
            )
    if not told:
        varied = f"; by themselves vary {', '.join(sorted(noise))}" if noise else ""
        yield Passed(
            Check.ORDER,
            f"{jobs_text(len(first))} gave the same in order, backwards and under load{varied}",
        )
    yield NotChecked(
        Check.ORDER,
        "an order by what jobs write (one reads what the one before has written) cannot show "
        "where nothing is written",
        'declare order="key" where jobs of one key build on each other',
    )


def _differing(comparison: Comparison, one: TriedRun, other: TriedRun) -> set[str]:
    """Fields in which two runs of one job differ."""
    if one.error is not None or other.error is not None:
        return set() if one.error == other.error else {RAISED}
    compared = compare(comparison, one.value, other.value)
    return set(compared.names) if isinstance(compared, Compared) else {compared.why}
