"""Paths that are declared to touch nothing, against what their runs did; and the commit hook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.preflight.facts import TaskFacts, Touched, Trial, TriedRun
from rollout.preflight.findings import (
    EXAMPLES_MAX,
    Check,
    Finding,
    NotChecked,
    Passed,
    Result,
    jobs_text,
)
from rollout.preflight.watch import READ_ONLY

_WORDS = {
    Touched.FILE: "write files",
    Touched.PROGRAM: "start programs, whose writes nobody sees",
    Touched.REQUEST: "send HTTP requests that change something",
    Touched.MAIL: "send mail or upload files",
    Touched.STATEMENT: "write to a database",
    Touched.MESSAGE: "submit other jobs",
}
"""Touches that are no part of effects `none` and `commit`."""


def check_runs(trial: Trial) -> Iterator[Result]:
    """Look for inputs on which the concurrent path raises; a refused write is another's finding."""
    if not trial.runs:
        yield NotChecked(Check.RUNS, trial.not_run, trial.remedy)
        return
    # An error after a refused write may be its consequence: the write is found, not the error.
    clean = [one for one in trial.runs if not _writes(one)]
    failed = [one for one in clean if one.error is not None]
    jobs = len({one.number for one in clean})
    if failed:
        yield Finding(
            Check.RUNS,
            f"the concurrent path raised in {jobs_text(len(failed), 'run')} of {len(clean):,}",
            "legacy would take these jobs over; mend the path first",
            _first((one.where, one.error or "") for one in failed),
        )
    elif clean:
        yield Passed(Check.RUNS, f"{jobs_text(jobs)} returned in {jobs_text(len(clean), 'run')}")
    else:
        yield NotChecked(
            Check.RUNS,
            "every run had a write refused, and what it would have returned is not known",
            "see what was found under effects",
        )


def check_effects(task: TaskFacts, trial: Trial) -> Iterator[Result]:
    """Look for writes of paths that are declared to make none."""
    if not trial.runs:
        yield NotChecked(Check.EFFECTS, trial.not_run, trial.remedy)
        return
    wrote = False
    for kind, words in _WORDS.items():
        places = [
            (run.where, touch.what)
            for run in trial.runs
            for touch in run.touches
            if touch.kind is kind and not touch.allowed
        ]
        if kind is Touched.STATEMENT:
            places += [(one.where, one.error or "") for one in trial.runs if _refused_by_it(one)]
        if places:
            wrote = True
            yield Finding(
                Check.EFFECTS,
                f"the path is declared {task.effects!r} and {len({where for where, _ in places})} "
                f"of {len({run.where for run in trial.runs})} jobs would {words}; it was refused "
                "here",
                "move it into the commit hook, or declare effects='idempotent' or 'unsafe'",
                _first(places),
            )
    let_through = dict.fromkeys(t.what for run in trial.runs for t in run.touches if t.allowed)
    if not wrote:
        but = f", but for what was let through: {', '.join(let_through)}" if let_through else ""
        yield Passed(
            Check.EFFECTS,
            f"{jobs_text(len(trial.runs), 'run')} opened no file to write, started no program, "
            f"sent no job and no request that changes something{but}",
        )
    connected = dict.fromkeys(
        touch.what
        for run in trial.runs
        for touch in run.touches
        if touch.kind is Touched.CONNECTION
    )
    if connected:
        yield NotChecked(
            Check.EFFECTS,
            f"what goes through connections to {', '.join([*connected][:EXAMPLES_MAX])} was not "
            "seen (PostgreSQL refuses writes itself, where its driver is libpq)",
            "give the path a user that may only read there",
        )


def check_hook(task: TaskFacts, trial: Trial) -> Iterator[Result]:
    """Look for commit hooks that fail in the ledger's transaction, which was taken back."""
    if task.effects != "commit":
        yield Passed(Check.HOOK, f"effects {task.effects or 'unknown'!r} have no commit hook")
        return
    tried = [one for one in trial.runs if one.hook_ran]
    failed = [one for one in tried if one.hook_error is not None]
    if failed:
        yield Finding(
            Check.HOOK,
            f"the commit hook failed in {len(failed):,} of {jobs_text(len(tried), 'run')}",
            "mend it: such a job fails on both paths",
            _first((one.where, one.hook_error or "") for one in failed),
        )
    elif tried:
        yield Passed(
            Check.HOOK,
            f"the commit hook wrote in {jobs_text(len(tried), 'transaction')} of the ledger, all "
            "taken back",
        )
    else:
        yield NotChecked(
            Check.HOOK,
            "the commit hook was not run",
            "--run N --hook runs it in a transaction of the ledger that is taken back",
        )


def _writes(run: TriedRun) -> bool:
    refused = [one.kind for one in run.touches if not one.allowed]
    return any(kind in _WORDS or kind is Touched.WAIT for kind in refused) or _refused_by_it(run)


def _refused_by_it(run: TriedRun) -> bool:
    """Whether a database refused a write that nobody here saw coming."""
    return run.error is not None and READ_ONLY.search(run.error) is not None


def _first(places: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> list[str]:
    """The first job of each different thing."""
    by_what: dict[str, str] = {}
    for where, what in places:
        by_what.setdefault(what, where)
    return [f"{where}: {what}" for what, where in list(by_what.items())[:EXAMPLES_MAX]]
