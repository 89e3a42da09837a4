"""The audit as values for scripts; seconds throughout, shares 0..1, NaN is null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date
from enum import Enum
from math import isfinite
from typing import Any

from rollout.audit.audit import Audit, kinds_of
from rollout.audit.captures import Comparison, Point
from rollout.audit.segments import Segment, StepTimes


def as_json(answer: Audit) -> dict[str, Any]:
    """Everything that the audit says."""
    measured = answer.measured
    runs = measured.runs
    values = {
        "verdict": answer.verdict,
        "bottlenecks": kinds_of(answer.findings),
        "sources": [{"name": one.name, "kind": one.kind} for one in measured.log.captures],
        "runs": len(measured.rows),
        "runs_counted_only": measured.log.dropped,
        "finished": measured.finished,
        "jobs": measured.jobs,
        "workers": measured.slots,
        "span_s": runs.span_s if len(runs) else None,
        "work_s": runs.work_s if len(runs) else None,
        "utilisation": measured.utilisation,
        "where_s": {part.value: total for part, total in measured.parts.items()},
        "hand_off_s": float(sum(one.total_s for one in measured.hand_offs)),
        "steps": [_step(one) for one in measured.steps],
        "gaps": measured.gaps,
        "findings": answer.findings,
        "contention": measured.tests,
        "curve": None if measured.shape is None else measured.shape,
        "ways": answer.ways,
        "table": answer.table,
        "growth": answer.growth,
        "captures": [_point(one) for one in measured.points],
        "comparison": None if measured.comparison is None else _comparison(measured.comparison),
        "saturated_hours": answer.series.saturated_hours if answer.series else [],
        "lacks": answer.lacks,
        "problems": [
            {"what": what, "count": one.count, "where": one.where}
            for what, one in measured.log.problems.items()
        ],
        "inside": None if answer.stacks is None else {
            "samples": answer.stacks.samples,
            "by_kind": dict(answer.stacks.by_kind),
            "top": dict(answer.stacks.top.most_common(10)),
        },
    }  # fmt: skip
    plain: dict[str, Any] = _plain(values)
    return plain


def _segment(one: Segment) -> dict[str, Any]:
    return {"part": one.part.value, "runs": one.count, "total_s": one.total_s,
            "median_s": one.median_s, "p95_s": one.p95_s}  # fmt: skip


def _step(one: StepTimes) -> dict[str, Any]:
    return {
        "step": one.step, "runs": one.runs, "failed": one.failed, "retried": one.retried,
        "cpu_share": one.cpu_share, "segments": [_segment(part) for part in one.segments],
    }  # fmt: skip


def _point(one: Point) -> dict[str, Any]:
    return {
        "name": one.name, "workers": one.slots, "runs": one.runs, "wall_s": one.wall_s,
        "execution_s": one.execution_s, "work_s": one.work_s,
        "critical_path_s": one.critical_path_s, "waited_s": float(one.waited_s),
        "waited_for": one.resource, "at_once": one.at_once, "cores": one.cores,
        "phases": [{"name": p.name, "s": p.ends - p.begins} for p in one.phases],
    }  # fmt: skip


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "few": one.few.name, "many": one.many.name, "times_the_concurrency": one.times,
        "bought": one.bought, "shared_runs": one.shared, "longer": one.longer,
        "longer_each": one.longer_each, "load_points": len(one.points),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Values that JSON has."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(one) for name, one in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
