"""Sums over runs, the table of faults, and `reports/crash.json`."""

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tests.crash.checker import UNFILED, ran_unrecorded
from tests.crash.run import Result
from tests.crash.switch_rules import answers_of_kills
from tests.crash.times import times_of
from tests.crash.violation import Violation

_AFTER_NS = 6_000_000_000
"""A job is affected by a fault when it is moved or refused until this long after its end."""


@dataclass(slots=True)
class KindSum:
    """Sums over all faults of one kind. Faults overlap, so a job may count for several."""

    count: int = 0
    jobs: int = 0
    fallbacks: int = 0
    refused: int = 0
    still_s: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, float]:
        """The numbers of one row."""
        return {
            "count": self.count,
            "jobs_affected": self.jobs,
            "fallbacks": self.fallbacks,
            "duplicates_refused": self.refused,
            "still_s_median": round(median(self.still_s), 2) if self.still_s else 0.0,
            "still_s_max": round(max(self.still_s, default=0.0), 2),
        }


@dataclass(slots=True)
class Sums:
    """Sums over all runs."""

    seeds: list[int] = field(default_factory=list)
    jobs: int = 0
    rows: int = 0
    faults: int = 0
    seconds: float = 0.0
    fallbacks: int = 0
    refused: int = 0
    resent: int = 0
    resent_needlessly: int = 0
    kills: int = 0
    kill_s_max: float = 0.0
    kills_asked: int = 0
    kill_words_s: list[float] = field(default_factory=list)
    kill_late_s_max: float = 0.0
    by_ledger: dict[str, dict[str, int]] = field(default_factory=dict)
    unfiled: int = 0
    unrecorded: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    died_by_itself: int = 0
    consumed_nothing: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    lost_unfiled: int = 0
    failing_seeds: list[int] = field(default_factory=list)
    by_fault: dict[str, KindSum] = field(default_factory=dict)

    def add(self, result: Result, found: list[Violation]) -> None:
        """Take one run in."""
        events = result.evidence.events
        self.seeds.append(result.order.seed)
        self.jobs += sum(len(e["jobs"]) for e in events if e["what"] == "submitted")
        self.rows += len(result.evidence.rows)
        self.seconds += result.seconds
        self.unfiled += sum(len(e["jobs"]) for e in events if e["what"] == "unfiled")
        self.unrecorded += len(ran_unrecorded(result.evidence))
        failed = (row for row in result.evidence.rows.values() if row.state == "failed")
        self.kept.update(_why_kept(row.error) for row in failed)
        self.died_by_itself += result.died_by_itself
        self.consumed_nothing += result.consumed_nothing
        self.violations.update(one.kind for one in found)
        self.lost_unfiled += sum(one.said == UNFILED for one in found)
        if found:
            self.failing_seeds.append(result.order.seed)
        self._add_kills(events)
        mine = self.by_ledger.setdefault(
            result.order.ledger, {"runs": 0, "jobs": 0, "faults": 0, "kills": 0, "violations": 0}
        )
        mine["runs"] += 1
        mine["jobs"] += sum(len(e["jobs"]) for e in events if e["what"] == "submitted")
        mine["faults"] += sum(e["what"] == "fault begun" for e in events)
        mine["kills"] += sum(e["what"] == "kill acknowledged" for e in events)
        mine["violations"] += len(found)
        self._add_faults(result)

    def _add_kills(self, events: list[dict[str, Any]]) -> None:
        for answer in answers_of_kills(events):
            self.kills_asked += 1
            self.kill_words_s.append(round(answer.took_ns / 1e9, 3))
            over_s = (answer.took_ns - answer.allowed_ns) / 1e9
            self.kill_late_s_max = max(self.kill_late_s_max, round(over_s, 3))
        asked: dict[str, int] = {}
        for event in events:
            if event["what"] == "kill asked":
                asked[event["who"]] = event["t"]
            elif event["what"] == "kill acknowledged":
                self.kills += event["complete"]
                took_s = (event["t"] - asked[event["who"]]) / 1e9
                self.kill_s_max = max(self.kill_s_max, took_s)

    def _add_faults(self, result: Result) -> None:
        evidence = result.evidence
        times = times_of(evidence.events)
        moved = sorted(
            (times.line(row.job_id, line["at"]), row.job_id, line.get("reason", ""))
            for row in evidence.rows.values()
            for line in row.way
            if line["what"] == "handed to legacy"
        )
        refused = [
            (e["t"], e["job"])
            for e in evidence.events
            if e["what"] in ("claim refused", "commit refused")
            and e["why"] not in ("unfiled", "killed")
        ]
        ends = (times.finished(row) for row in evidence.rows.values())
        finished = sorted(end for end in ends if end is not None)
        lost = {job for _, job, reason in moved if reason == "lost_message"}
        self.resent += len(lost)
        # The message that was given up turned up after all, and the ledger refused one of the two.
        self.resent_needlessly += len(lost & {job for _, job in refused})
        self.fallbacks += len(moved)
        self.refused += len(refused)
        begun = {e["n"]: e for e in evidence.events if e["what"] == "fault begun"}
        ended = {e["n"]: e["t"] for e in evidence.events if e["what"] == "fault ended"}
        self.faults += len(begun)
        for number, event in begun.items():
            since = int(event["t"])
            until = int(ended.get(number, since))
            one = self.by_fault.setdefault(event["kind"], KindSum())
            near = [m for m in moved if since <= m[0] <= until + _AFTER_NS]
            doubles = [r for r in refused if since <= r[0] <= until + _AFTER_NS]
            one.count += 1
            one.jobs += len({m[1] for m in near} | {r[1] for r in doubles})
            one.fallbacks += len(near)
            one.refused += len(doubles)
            one.still_s.append(longest_still_s(finished, since, until + _AFTER_NS))

    def kept_json(self) -> dict[str, Any]:
        """Everything that `resumed` needs to go on."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**kept, "by_fault": {name: asdict(one) for name, one in self.by_fault.items()}}

    def as_json(self) -> dict[str, Any]:
        """The report."""
        return {
            "seeds": self.seeds,
            "jobs": self.jobs,
            "faults": self.faults,
            "seconds": round(self.seconds, 1),
            "jobs_per_s": round(self.jobs / max(self.seconds, 0.1), 1),
            "lost": self.violations["lost"],
            "lost_unfiled": self.lost_unfiled,
            "committed_twice": self.violations["committed twice"],
            "starts_after_kill": self.violations["start after kill"],
            "commits_after_fence": self.violations["commit after fence"],
            "violations": dict(self.violations),
            "failing_seeds": self.failing_seeds,
            "kills": self.kills,
            "kill_s_max": round(self.kill_s_max, 2),
            "kill_first_word_s": _spread(self.kill_words_s),
            "kill_first_word_s_max_without_load": self.kill_late_s_max,
            "by_ledger": self.by_ledger,
            "rows": self.rows,
            "fallbacks": self.fallbacks,
            "duplicates_refused": self.refused,
            "resent_as_lost": self.resent,
            "resent_needlessly": self.resent_needlessly,
            "submitted_unfiled": self.unfiled,
            "ran_unrecorded": self.unrecorded,
            "kept_failed": dict(self.kept),
            "workers_died_by_themselves": self.died_by_itself,
            "workers_consumed_nothing": self.consumed_nothing,
            "by_fault": {name: self.by_fault[name].as_json() for name in sorted(self.by_fault)},
        }


def _spread(seconds: list[float]) -> dict[str, float]:
    """Median, the hundredth that took longest, and the longest."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        "median": round(median(ordered), 3),
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "max": ordered[-1],
    }


def _why_kept(error: str | None) -> str:
    """Whether the input was broken, as the producer meant it, or what befell the job."""
    if "timeout" in (error or ""):
        return "hook cut off by the database's timeouts"
    return "workers died" if "workers died" in (error or "") else "broken input"


def longest_still_s(finished: list[int], since: int, until: int) -> float:
    """Longest pause between two finished jobs that overlaps a time span, in seconds."""
    first = max(0, bisect_left(finished, since) - 1)
    times = finished[first : bisect_right(finished, until) + 1]
    return max((b - a for a, b in pairwise(times)), default=0) / 1e9


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    head = ("fault", "count", "jobs", "moved", "refused", "still s", "worst s")
    lines = ["{:<26}{:>7}{:>9}{:>9}{:>9}{:>10}{:>10}".format(*head)]
    for name, row in report["by_fault"].items():
        lines.append(
            f"{name:<26}{row['count']:>7}{row['jobs_affected']:>9}{row['fallbacks']:>9}"
            f"{row['duplicates_refused']:>9}{row['still_s_median']:>10}{row['still_s_max']:>10}"
        )
    keys = (
        "jobs", "faults", "seconds", "jobs_per_s", "lost", "lost_unfiled", "committed_twice",
        "starts_after_kill", "commits_after_fence", "kills", "kill_s_max", "kill_first_word_s",
        "kill_first_word_s_max_without_load", "by_ledger", "violations", "fallbacks",
        "duplicates_refused", "resent_as_lost", "resent_needlessly", "submitted_unfiled",
        "ran_unrecorded", "kept_failed",
        "workers_died_by_themselves", "workers_consumed_nothing",
    )  # fmt: skip
    lines += [f"{key:<28}{report[key]}" for key in keys]
    return "\n".join(lines)


def markdown(report: dict[str, Any]) -> str:
    """The table by kind of fault, as the docs have it."""
    lines = [
        "| fault | times | still, median s | still, worst s | jobs moved | refused |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in report["by_fault"].items():
        cells = (
            row["count"], row["still_s_median"], row["still_s_max"], row["fallbacks"],
            row["duplicates_refused"],
        )  # fmt: skip
        lines.append(f"| {name} | {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def save(sums: Sums, path: Path) -> dict[str, Any]:
    """Write the report, and beside it the sums that `--resume` goes on from; gives the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    report = sums.as_json()
    for file, content in ((sums_file(path), sums.kept_json()), (path, report)):
        new = file.with_suffix(".new")
        new.write_text(json.dumps(content, indent=2) + "\n")
        new.rename(file)  # a series that is interrupted leaves whole files
    path.with_suffix(".md").write_text(markdown(report) + "\n")
    return report


def sums_file(report: Path) -> Path:
    """Where the sums of a report stand."""
    return report.with_name(f"{report.stem}-sums.json")


def resumed(report: Path) -> Sums:
    """The sums of a series that was interrupted; empty sums when there was none."""
    file = sums_file(report)
    if not file.exists():
        return Sums()
    kept: dict[str, Any] = json.loads(file.read_text())
    kept["by_fault"] = {name: KindSum(**one) for name, one in kept["by_fault"].items()}
    counters = {name: Counter(kept[name]) for name in ("kept", "violations")}
    return Sums(**{**kept, **counters})
