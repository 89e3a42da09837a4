"""The demo's report: every line is computed from the ledger and the warehouse, and can fail."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from rollout.control.kill_report import KillReport
from rollout.demo.comparison import Comparison
from rollout.demo.policy import LADDER_BP, WEEK_S
from rollout.desk.plans import Planned
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Verdict
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.way import read_way
from rollout.pilot.ports import DecisionRecord, Recovery
from rollout.routing.decision import JobPath
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event, Stage
from rollout.shadow.ports import MismatchGroup

NOISE = "loaded_at"
"""The field in which the paths, and legacy by itself, always differ."""


@dataclass(frozen=True)
class Facts:
    """What the run left behind."""

    submitted: list[str]
    records: list[JobRecord]
    kill: KillReport
    killed_from: datetime | None
    killed_until: datetime | None
    comparison: Comparison
    transitions: list[TransitionRecord]
    decisions: list[DecisionRecord]
    groups: list[MismatchGroup]
    mended: ShadowEvidence
    planned: Planned | None
    exposed: dict[str, int]
    recoveries: list[Recovery]


def make_report(facts: Facts, seconds: float) -> dict[str, Any]:
    """Compute the report; `ok` says whether every promise held."""
    records = facts.records
    committed = {path: _count(records, JobState.COMMITTED, path) for path in JobPath}
    failed = sum(record.state is JobState.FAILED for record in records)
    submitted = len(facts.submitted)
    report: dict[str, Any] = {
        "submitted": submitted,
        "committed_legacy": committed[JobPath.LEGACY],
        "committed_concurrent": committed[JobPath.CONCURRENT],
        "failed_kept": failed,
        "lost": submitted - sum(committed.values()) - failed,
        "committed_twice": sum(_times(record, "committed") > 1 for record in records),
        "fallbacks": sum(record.fallback_reason is not None for record in records),
        "kill": _kill(facts),
        "cycle_s": {str(path): _cycle(records, path) for path in JobPath},
        "run_s": {str(path): _run(records, path) for path in JobPath},
        "warehouse_rows": facts.comparison.rows_found,
        "warehouse_matches": facts.comparison.matches,
        "ladder_bp": [
            change.after.scope_bp
            for change in reversed(facts.transitions)
            if change.after.scope_bp != change.before.scope_bp
        ],
        "decisions": [_decision(one) for one in facts.decisions],
        "graduated": any(one.action == "graduate" for one in facts.decisions),
        "exposed_until_revert": facts.exposed,
        "shadow_groups": [
            {"runs": one.runs, "path": str(one.path), "what": one.signature, "example": one.example}
            for one in facts.groups
        ],
        "shadow_mended": _mended(facts.mended),
        "plan": _plan(facts),
        "drill_pairs_by_scope": _pairs_by_scope(facts),
        "recovery_s": {
            str(path): [
                round(one.seconds, 2)
                for one in facts.recoveries
                if one.kind == "drill" and one.path is path
            ]
            for path in JobPath
        },
        "seconds": round(seconds, 1),
    }
    report["wrong"] = _wrong(report)
    report["ok"] = not report["wrong"]
    return report


def _wrong(report: dict[str, Any]) -> list[str]:
    """Name each line that is not as promised."""
    kill = report["kill"]
    checks = {
        "jobs were lost": report["lost"] == 0,
        "jobs were committed twice": report["committed_twice"] == 0,
        "the corrupt job was not kept, or others failed": report["failed_kept"] == 1,
        "a concurrent start after the kill returned": kill["starts_after"] == 0,
        "a concurrent commit after the kill returned": kill["commits_after"] == 0,
        "the kill did only half": kill["starts_blocked_ms"] is not None
        and kill["commits_fenced_ms"] is not None,
        "a broken job did not fall back": report["fallbacks"] >= 4,
        "the planted bug was not found in the shadow": any(
            "rows" in one["what"] for one in report["shadow_groups"]
        ),
        "the pilot did not graduate": report["graduated"],
        "the slow-down or the failure was not reverted": _made(report, "revert") == 2,
        "a revert was not confirmed by routing": _made(report, "confirm") >= 2,
        "no step held for want of jobs or drills": any(
            "jobs_min" in one["window"] or "drills" in one["window"] for one in report["decisions"]
        ),
        "the mended path still differs in the shadow": report["shadow_mended"]["mismatches"] == 0
        and report["shadow_mended"]["verdict"] != Verdict.REGRESS.value,
        "the time stamp was not told from a mismatch": NOISE in report["shadow_mended"]["noise"],
        "a step was passed without a pair of drills": all(
            report["drill_pairs_by_scope"].get(str(step)) for step in LADDER_BP
        ),
        "the concurrent path made nothing": report["committed_concurrent"] > 0,
        "the warehouse differs from the reference load": report["warehouse_matches"],
    }
    return [what for what, right in checks.items() if not right]


_CLIMBS = (Event.DOUBLE, Event.SCOPE, Event.GRADUATE)


def _plan(facts: Facts) -> dict[str, Any]:
    """What was planned, and how long the climb that graduated took, in weeks of the policy."""
    if facts.planned is None:
        return {"sentences": [], "planned_weeks": None, "steps": [], "happened": []}
    changes = sorted(facts.transitions, key=lambda one: one.at)
    started = max((one.at for one in changes if one.event is Event.START), default=None)
    climbed = [
        {
            "to": "graduation"
            if one.after.stage is Stage.GRADUATED
            else f"{one.after.scope_bp / 100:g} %",
            "weeks": round((one.at - started).total_seconds() / WEEK_S, 1),
        }
        for one in changes
        if started is not None and one.at > started and one.event in _CLIMBS
    ]
    length = facts.planned.plan.length
    return {
        "sentences": list(facts.planned.sentences),
        "planned_weeks": None if length.days_half is None else round(length.days_half / 7, 1),
        "steps": [one.scope_bp for one in facts.planned.plan.steps],
        "happened": climbed,
    }


def _made(report: dict[str, Any], action: str) -> int:
    return sum(one["action"] == action for one in report["decisions"])


def _mended(evidence: ShadowEvidence) -> dict[str, Any]:
    """What the shadow showed of the real data once the bug was gone."""
    outputs = evidence.outputs
    found = outputs.finding()
    return {
        "compared": outputs.new,
        "legacy_again": outputs.old,
        "mismatches": sum(field.k_new for field in outputs.fields if not field.is_noise),
        "noise": {field.name: [field.k_new, field.k_old] for field in outputs.noise},
        "verdict": found.verdict.value,
        "sentence": found.sentence,
    }


def _pairs_by_scope(facts: Facts) -> dict[str, int]:
    """Drills that were timed on both paths, by the scope in basis points at which they ended."""
    halves: dict[str, list[datetime]] = {}
    for one in facts.recoveries:
        if one.pair_id is not None:
            halves.setdefault(one.pair_id, []).append(one.at)
    ended = [max(both) for both in halves.values() if len(both) == len(JobPath)]
    return dict(Counter(str(_scope_at(facts, at)) for at in ended))


def _scope_at(facts: Facts, at: datetime) -> int:
    before = [change for change in facts.transitions if change.at <= at]
    return max(before, key=lambda change: change.after.revision).after.scope_bp


def _decision(one: DecisionRecord) -> dict[str, Any]:
    """One decision with the numbers it was made on."""
    answer = json.loads(one.answer)
    return {
        "id": one.decision_id,
        "at": one.at.isoformat(),
        "action": one.action,
        "window": one.window,
        "sentence": one.sentence,
        "to_bp": answer.get("to_bp"),
        "findings": answer.get("findings", []),
    }


def _kill(facts: Facts) -> dict[str, Any]:
    return {
        "starts_blocked_ms": facts.kill.starts_blocked_ms,
        "commits_fenced_ms": facts.kill.commits_fenced_ms,
        "queued_sent_back": facts.kill.queued_sent_back,
        "running_abandoned": facts.kill.running_abandoned,
        "starts_after": _while_killed(facts, "started"),
        "commits_after": _while_killed(facts, "committed"),
    }


def _while_killed(facts: Facts, what: str) -> int:
    """Concurrent steps of this kind between the kill's return and the rearm."""
    if facts.killed_from is None or facts.killed_until is None:
        return -1
    since, until = facts.killed_from, facts.killed_until
    return sum(
        line["what"] == what
        and line["path"] == JobPath.CONCURRENT
        and since < datetime.fromisoformat(line["at"]) < until
        for record in facts.records
        for line in read_way(record.way)
    )


def _times(record: JobRecord, what: str) -> int:
    return sum(line["what"] == what for line in read_way(record.way))


def _count(records: list[JobRecord], state: JobState, path: JobPath) -> int:
    return sum(record.state is state and record.path is path for record in records)


def _cycle(records: list[JobRecord], path: JobPath) -> dict[str, float | int | None]:
    """Submission to commit, by the path that routing assigned: a rescued job counts against it."""
    return _middle(
        [
            (record.finished_at - record.accepted_at).total_seconds()
            for record in records
            if record.assigned_path is path
            and record.state is JobState.COMMITTED
            and record.finished_at is not None
        ]
    )


def _run(records: list[JobRecord], path: JobPath) -> dict[str, float | int | None]:
    """Start to commit of the attempt that committed, by the path it ran on."""
    return _middle(
        [
            (record.finished_at - record.started_at).total_seconds()
            for record in records
            if record.path is path
            and record.state is JobState.COMMITTED
            and record.finished_at is not None
            and record.started_at is not None
        ]
    )


def _middle(times: list[float]) -> dict[str, float | int | None]:
    if len(times) < 2:
        return {"jobs": len(times), "p50": None, "p95": None}
    cuts = quantiles(times, n=20, method="inclusive")
    return {"jobs": len(times), "p50": round(cuts[9], 3), "p95": round(cuts[18], 3)}


def _median(times: list[float]) -> float | None:
    return round(median(times), 1) if times else None


def _decisions(report: dict[str, Any]) -> Table:
    """The controller's decisions, with the verdicts that made them."""
    table = Table(title="what the controller decided", title_justify="left")
    for column in ("UTC", "decision", "to", "why"):
        table.add_column(column, overflow="fold")
    for one in report["decisions"]:
        to = "" if one["to_bp"] is None else f"{one['to_bp'] / 100:g} %"
        table.add_row(one["at"][11:19], one["action"], to, one["sentence"])
    return table


def write_report(report: dict[str, Any], file: Path) -> None:
    """Write the report as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n")


def _headlines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What a newcomer looks at; everything else is in the file."""
    legacy, concurrent = (report["cycle_s"][str(path)] for path in JobPath)
    kill, mended = report["kill"], report["shadow_mended"]
    times = report["recovery_s"]
    exposed = ", ".join(f"{jobs} ({what})" for what, jobs in report["exposed_until_revert"].items())
    bugs = sum(one["runs"] for one in report["shadow_groups"] if one["what"] != NOISE)
    rows = f"{report['warehouse_rows']} rows"
    return [
        ("jobs submitted", str(report["submitted"])),
        (
            "committed by legacy, by concurrent",
            f"{report['committed_legacy']}, {report['committed_concurrent']}",
        ),
        (
            "failed and kept, lost, committed twice",
            f"{report['failed_kept']}, {report['lost']}, {report['committed_twice']}",
        ),
        ("fallbacks to legacy", str(report["fallbacks"])),
        ("cycle time p95, legacy, concurrent", f"{legacy['p95']} s, {concurrent['p95']} s"),
        (
            "kill: starts blocked, commits fenced in",
            f"{kill['starts_blocked_ms']:.1f} ms, {kill['commits_fenced_ms']:.1f} ms",
        ),
        (
            "kill: starts, commits after it returned",
            f"{kill['starts_after']}, {kill['commits_after']}",
        ),
        ("concurrent jobs until a revert", exposed),
        (
            "healed after drills, legacy, concurrent",
            ", ".join(f"{_median(times[str(path)])} s" for path in JobPath),
        ),
        (
            "shadow mismatches, planted bug, mended",
            f"{bugs}, {mended['mismatches']} of {mended['compared']}",
        ),
        ("plan: weeks to graduation, shadow included", str(report["plan"]["planned_weeks"])),
        (
            "happened: the last climb, in weeks",
            ", ".join(f"{one['to']} after {one['weeks']}" for one in report["plan"]["happened"]),
        ),
        (
            "warehouse, like a sequential load",
            f"{rows}, {'yes' if report['warehouse_matches'] else 'NO'}",
        ),
    ]


def show(report: dict[str, Any], console: Console, file: Path) -> None:
    """Print the report for a person."""
    table = Table(title="flights-load: what happened", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for what, value in _headlines(report):
        table.add_row(what, value)
    console.print(table)
    console.print(_decisions(report))
    console.print(f"report      {file}", highlight=False)
    for what in report["wrong"]:
        console.print(f"wrong       {what}", style="bold red", highlight=False)
    console.print("ok" if report["ok"] else "FAILED", style="bold", highlight=False)
