"""The next command of a verdict, to be typed as it stands."""

from __future__ import annotations

import re

from rollout.audit.findings import Finding
from rollout.audit.measured import Measured, jobs_a_day
from rollout.audit.segments import Part
from rollout.figures import figures_text


def pipeline_name(step: str) -> str:
    """A step's name as a sub-pipeline may be called."""
    last = re.sub(r"[^a-z0-9]+", "-", step.rsplit(".", 1)[-1].rsplit(": ", 1)[-1].lower()).strip(
        "-"
    )
    return last or "jobs"


def plan_command(measured: Measured, first: str) -> str:
    """The plan of the step to move first, with this log's traffic."""
    step = measured.step(first)
    a_day = jobs_a_day(measured)
    if step is None or a_day != a_day:
        return "rollout plan NAME --jobs-per-day N --failing 0.005"
    run_s = step.total_s(Part.RUN) + step.total_s(Part.RETRY)
    cycle = step.p95_run_s
    if measured.waiting is not None and run_s:
        cycle += measured.waiting.p95_s
    share = (
        step.runs / max(1, len(measured.rows)) * max(1, len(measured.rows)) / max(1, measured.jobs)
    )
    p95 = f" --cycle-p95 {_rounded(max(cycle, 0.001))}" if cycle == cycle else ""
    return (
        f"rollout plan {pipeline_name(first)} --jobs-per-day "
        f"{_rounded(max(a_day * min(share, 1.0), 0.1))} "
        f"--failing {step.failed:.3g}{p95}"
    )


def _rounded(value: float) -> str:
    """Three figures that matter, never in powers of ten."""
    return figures_text(value).replace(",", "")


def record_command(source: str) -> str:
    """A log that leaves less open."""
    return "add rollout.audit.record(app) to the Celery app, then: rollout audit audit.jsonl"


def audit_again(source: str) -> str:
    """The report for the meeting."""
    return f"rollout audit {source} --html audit.html"


def look_inside(source: str, main: Finding) -> str:
    """What runs share, seen from inside of them."""
    if main.values.get("resource"):
        return audit_again(source)
    return (
        "py-spy record --format raw --output stacks.txt --pid WORKER && rollout audit "
        f"{source} --stacks stacks.txt"
    )
