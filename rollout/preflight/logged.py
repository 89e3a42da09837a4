"""Run times of one task from a log that the audit can read."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.audit.job_log import JobLog
from rollout.figures import date_text
from rollout.preflight.facts import JobFact

RUNS_MAX = 100_000
"""Runs of a log that are looked at, the newest ones."""


def logged_runs(log: JobLog, name: str, task_name: str) -> Iterator[JobFact]:
    """Give each finished run of the task; a log has no arguments.

    Args:
        log: Whatever was read.
        name: The sub-pipeline, whose paths the ledger names `<name>.<path>`.
        task_name: The task.
    """
    names = {name, task_name}
    steps = {number for number, text in enumerate(log.steps.texts) if text in names}
    rows = [row for row in log.rows_with_run() if log.step[row] in steps][-RUNS_MAX:]
    for row in rows:
        capture = log.captures[log.capture[row]] if log.captures else None
        file = capture.name if capture else "the log"
        ended = date_text(log.ended[row]) if capture and capture.clock else "a run"
        yield JobFact(f"{file} {ended}", seconds=log.ended[row] - log.started[row])
