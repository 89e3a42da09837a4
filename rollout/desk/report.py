"""What happened to a sub-pipeline since a time: for a hand-over, and for whoever was not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Protocol

from rollout.desk.drills import read_drills
from rollout.desk.history import Log, read_history
from rollout.desk.lately import error_line
from rollout.desk.plain import Json, plain_json
from rollout.desk.releases import UNNAMED, Releases, read_releases
from rollout.desk.text import at_text, span_text
from rollout.drills.ports import Journals
from rollout.jobs.claims import JobRecord
from rollout.jobs.recent import Came, JobKind, RecentCount, RecentJobs
from rollout.pilot.holds import NEED_A_PERSON, HoldKind, holds_of
from rollout.pilot.judgement import Action
from rollout.pilot.ports import BuildLog, DecisionRecord
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.ports import ControlLedger
from rollout.routing.stages import ControlState

_BUILDS = 10
"""The newest builds of a path that are counted apart."""
_NONE = (0, 0)
_LINES = 1000
"""Changes, decisions and hurt jobs that are read; more is no report."""


class ReportLedger(ControlLedger, RecentJobs, Journals, Log, BuildLog, Protocol):
    """The ledger, as far as a report asks it."""


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One thing that happened, and who did it."""

    at: datetime
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class BuildJobs:
    """Jobs that were admitted to a path while this build was its newest, and what came of them."""

    path: JobPath
    build: str
    since: datetime
    jobs: int
    committed: int

    @property
    def sentence(self) -> str:
        """How many, and how many of them committed there without trouble."""
        return (
            f"{self.path} {self.build}, the newest since {at_text(self.since)}: {self.jobs} jobs, "
            f"{self.committed} committed without trouble"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What happened from `since` to `until`.

    Attributes:
        state: How the sub-pipeline stands at the end.
        counts: Jobs admitted since then, by path and fate.
        hurt: Jobs that fell back or failed, newest first, at most a thousand.
        releases: What the workers of both paths run at the end.
        by_build: The jobs of each named build that was the newest in that time, oldest first; while
            a restart rolls, the build before runs some of them.
        timeline: Changes, decisions, drills, first and last failures, oldest first.
    """

    state: ControlState
    since: datetime
    until: datetime
    counts: tuple[RecentCount, ...]
    hurt: tuple[JobRecord, ...]
    releases: Releases
    by_build: tuple[BuildJobs, ...]
    timeline: tuple[ReportLine, ...]

    def jobs(self, came: Came | None = None, path: JobPath | None = None) -> int:
        """Jobs that came to this, on this path; drilled ones included."""
        return sum(
            one.jobs for one in self.counts if came in (None, one.came) and path in (None, one.path)
        )

    @property
    def summary(self) -> list[str]:
        """What matters, in sentences."""
        drilled = sum(one.jobs for one in self.counts if one.drilled)
        lines = [
            f"{self.jobs()} jobs came in {span_text(self.until - self.since)}: "
            f"{self.jobs(path=JobPath.CONCURRENT)} were routed to the concurrent path, "
            f"{self.jobs(path=JobPath.LEGACY)} to legacy.",
            f"{self.jobs(Came.COMMITTED)} committed without trouble, {self.jobs(Came.FELL_BACK)} "
            f"failed on the concurrent path and were taken over by legacy, "
            f"{self.jobs(Came.FAILED)} failed and are kept, {self.jobs(Came.OPEN)} are not "
            "finished.",
            f"Builds at the end: {self.releases.sentence}.",
            *(f"While {one.sentence}." for one in self.by_build),
        ]
        if drilled:
            lines.append(f"{drilled} of these jobs were hurt by a drill, on purpose.")
        state = self.state
        flags = [word for word, on in (("killed", state.killed), ("frozen", state.frozen)) if on]
        now = ", ".join([f"stage {state.stage}", f"scope {state.scope_bp / 100:g} %", *flags])
        return [*lines, f"Now: {now}."]

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "name": self.state.name,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "jobs": {
                str(path): {str(came): self.jobs(came, path) for came in Came} for path in JobPath
            },
            "builds": self.releases.builds,
            "by_build": [plain_json(one) for one in self.by_build],
            "timeline": [plain_json(one) for one in self.timeline],
        }

    @property
    def markdown(self) -> str:
        """The report for a ticket."""
        rows = [
            f"| {at_text(one.at)} | {_cell(one.who)} | {_cell(one.what)} |" for one in self.timeline
        ]
        return "\n".join(
            [
                f"# {self.state.name}: {at_text(self.since)} to {at_text(self.until)}",
                "",
                *(f"- {line}" for line in self.summary),
                "",
                "| when | who | what |",
                "|---|---|---|",
                *rows,
                "",
            ]
        )

    @property
    def html(self) -> str:
        """The report as one page that needs nothing else."""
        title = escape(f"{self.state.name}: {at_text(self.since)} to {at_text(self.until)}")
        items = "".join(f"<li>{escape(line)}</li>" for line in self.summary)
        rows = "".join(
            f"<tr><td>{at_text(one.at)}</td><td>{escape(one.who)}</td>"
            f"<td>{escape(one.what)}</td></tr>"
            for one in self.timeline
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            "<style>body{font:16px sans-serif;max-width:60em;margin:2em auto}"
            "td,th{text-align:left;vertical-align:top;padding:.2em 1em .2em 0}</style>"
            f"<h1>{title}</h1><ul>{items}</ul>"
            f"<table><tr><th>when</th><th>who</th><th>what</th></tr>{rows}</table></html>\n"
        )


def read_report(ledger: ReportLedger, clock: Clock, name: str, since: datetime) -> Report:
    """Read what happened since then.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: It cannot be read.
    """
    state, now = ledger.control(name), clock.now()
    counts = tuple(ledger.recent_counts(since, name))
    hurt = tuple(ledger.recent_jobs(name, JobKind.HURT, since, _LINES))
    lines = [*_logged(ledger, name), *_drilled(ledger, name, now), *_failures(hurt)]
    lines = sorted((one for one in lines if one.at >= since), key=lambda one: one.at)
    releases = read_releases(ledger, name).get(name, UNNAMED)
    by_build = tuple(_by_build(ledger, name, since))
    return Report(state, since, now, counts, hurt, releases, by_build, tuple(lines))


def _by_build(ledger: ReportLedger, name: str, since: datetime) -> Iterator[BuildJobs]:
    """Count the jobs of each build by the span in which it was the newest of its path."""
    records = [one for one in ledger.build_records(name) if one.name == name]
    for path in JobPath:
        mine = sorted((one for one in records if one.path is path), key=lambda one: one.first_at)
        begins = [max(one.first_at, since) for one in mine]
        counts = [_admitted(ledger, name, path, at) for at in begins[-_BUILDS:]]
        spans = zip(mine[-_BUILDS:], begins[-_BUILDS:], counts, [*counts[1:], _NONE], strict=False)
        for one, at, here, after in spans:
            jobs, committed = here[0] - after[0], here[1] - after[1]
            if jobs:
                yield BuildJobs(path, one.build, at, jobs, committed)


def _admitted(ledger: RecentJobs, name: str, path: JobPath, since: datetime) -> tuple[int, int]:
    """Jobs admitted to a path since then, and how many of them committed without trouble."""
    mine = [one for one in ledger.recent_counts(since, name) if one.path is path]
    return (
        sum(one.jobs for one in mine),
        sum(one.jobs for one in mine if one.came is Came.COMMITTED),
    )


def _logged(ledger: Log, name: str) -> list[ReportLine]:
    """Changes, and decisions that asked for somebody; one that waits for time is no event."""
    history = read_history(ledger, name, _LINES)
    waits = {one.decision_id for one in history.decisions if _waits(one)}
    return [
        ReportLine(one.at, one.actor, f"{one.what}: {one.why}".rstrip(": "))
        for one in history.timeline
        if one.event != Action.HOLD or one.decision_id not in waits
    ]


def _waits(decision: DecisionRecord) -> bool:
    """Whether a hold goes on by itself: nothing was worse, and nobody was asked."""
    asked = (*NEED_A_PERSON, HoldKind.SHADOW)
    return decision.action == Action.HOLD and not any(
        kind in asked for kind in holds_of(decision.window)
    )


def _drilled(ledger: Journals, name: str, now: datetime) -> list[ReportLine]:
    return [
        ReportLine(
            one.declared.at,
            str(one.declared.facts.get("actor") or "unknown"),
            f"drill {one.declared.drill_id[:12]}, {one.declared.facts.get('fault')} on "
            f"{one.declared.facts.get('path')}: {one.result}",
        )
        for one in read_drills(ledger, name, _LINES, now).lines
    ]


def _failures(hurt: Sequence[JobRecord]) -> list[ReportLine]:
    """The first and the last job that each path failed; those between are counted."""
    rows = []
    for path in JobPath:
        mine = [one for one in hurt if one.assigned_path is path and one.drill is None]
        if not mine:
            continue
        newest, oldest = mine[0], mine[-1]
        sentence = f"first of {len(mine)} jobs that failed on {path}: {error_line(oldest)}"
        rows.append(ReportLine(oldest.accepted_at, f"job {oldest.job_id}", sentence))
        if newest is not oldest:
            sentence = f"last of them: {error_line(newest)}"
            rows.append(ReportLine(newest.accepted_at, f"job {newest.job_id}", sentence))
    return rows


def _cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
