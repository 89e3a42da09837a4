"""The pages: each is complete without scripts, and every count leads to exactly that set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from rollout.errors import (
    LedgerSlow,
    LedgerUnreachable,
    RolloutError,
    UnknownSubPipeline,
)
from rollout.jobs.recent import JobKind
from rollout.web import charts, standing
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.cursors import ID_MAX, cursor_of, job_cursor
from rollout.web.reads import DecisionId, decision_of, journal_of
from rollout.web.render import draw
from rollout.web.shared import TooSlowToRead
from rollout.web.site import Site

router = APIRouter(include_in_schema=False)

ROWS_MAX = 100
LINES = 30
JOBS = 100

Name = Annotated[str, Query(max_length=100)]
Text = Annotated[str, Query(max_length=400)]


@dataclass
class Parts:
    """Readings of which one that takes too long is left out, and the page says so."""

    site: Site
    left_out: list[str] = field(default_factory=list)

    def read(self, words: str, what: str, key: Any, read: Callable[[], Any]) -> Any:
        """A reading, or None; `words` is what the page calls it."""
        try:
            return self.site.read(what, key, read).value
        except (LedgerSlow, TooSlowToRead):
            self.left_out.append(words)
            return None


@router.get("/")
def overview(
    request: Request, site: SiteOf, caller: CallerOf, show: Text = "all", q: Text = "",
    rows: Annotated[int, Query(ge=1, le=10_000)] = ROWS_MAX,
) -> Response:  # fmt: skip
    """A line for each sub-pipeline, what needs somebody first."""
    taken = site.board(caller)
    board = taken.value
    wanted = show if show in standing.FILTERS else "all"
    counts = {
        one: sum(standing.passes(board, status, one) for status in board.statuses)
        for one in standing.FILTERS
    }
    found = [
        one
        for one in board.by_need
        if standing.passes(board, one, wanted) and q.lower() in one.state.name.lower()
    ]
    drills = site.read("drills", (None, 200), lambda: site.desk.drills(None, 200)).value
    last_drills = {line.declared.name: line for line in reversed(drills.lines)}
    return draw(
        request, "overview.html", caller, board=taken, found=found, shown=found[: max(1, rows)],
        wanted=wanted, q=q, counts=counts, last_drills=last_drills,
    )  # fmt: skip


@router.get("/sub-pipelines/{name}")
def sub_pipeline(
    name: str,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    hours: Annotated[int, Query(ge=0, le=8784)] = 0,
) -> Response:
    """Why it stands where it stands; then its numbers over time, decisions and log."""
    must_see(caller, name)
    taken = site.board(caller)
    one = taken.value.of(name)
    parts = Parts(site)
    # A reading of the state before this one would contradict the rest of the page.
    state = (name, one.state.revision)
    why = parts.read(
        "why it stands here", "why", state, lambda: site.desk.why(name, ask_workers=False)
    )
    history = parts.read(
        "changes and decisions", "history", (*state, LINES),
        lambda: site.desk.history(name, LINES),
    )  # fmt: skip
    drills = parts.read("drills", "drills", (name, 10), lambda: site.desk.drills(name, 10))
    trend = parts.read(
        "the curves", "trend", (name, hours), lambda: site.desk.trend(name, hours or None)
    )
    shadows = None
    if one.state.stage in ("shadow", "split"):
        shadows = _shadows(site, name)
    return draw(
        request, "sub_pipeline.html", caller, board=taken, about=name, one=one, why=why,
        history=history, drills=drills, trend=trend, shadows=shadows, left_out=parts.left_out,
        chart_time=trend and charts.cycle_times(trend),
        chart_errors=trend and charts.error_rates(trend), hours=hours,
    )  # fmt: skip


def _shadows(site: Site, name: str) -> object:
    """What shadows found; a broker that is away hides nothing else."""
    try:
        return site.read("shadows", (name, 20), lambda: site.desk.shadow_report(name, 20)).value
    except RolloutError:
        return None


@router.get("/jobs")
def jobs(
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    kind: JobKind = JobKind.FAILED,
    name: Name = "",
    q: Text = "",
    cursor: Text = "",
) -> Response:
    """Jobs of one kind, grouped by what they say; or one job by its id or its key."""
    chosen = name or None
    if chosen is not None:
        must_see(caller, chosen)
    elif caller.names is not None:
        chosen = sorted(caller.names)[0]
    board = site.board(caller)
    if q.strip():
        text = q.strip()
        found = site.read(
            "like", (text, chosen), lambda: site.desk.jobs_like(text, chosen, LINES)
        ).value
        mine = [one for one in found if caller.sees(one.name)]
        return draw(request, "found.html", caller, board=board, about=chosen, q=q, found=mine,
                    name=name)  # fmt: skip
    before = job_cursor(cursor or None)
    page, partial = site.newest(
        "jobs", (chosen, kind, JOBS, before), None,
        lambda since: site.desk.jobs(chosen, kind, since, JOBS, before),
    ).value  # fmt: skip
    last = page.jobs[-1] if page.more else None
    after = None if last is None else cursor_of(last.accepted_at.isoformat(), last.job_id)
    names = [one.state.name for one in board.value.statuses]
    return draw(
        request, "jobs.html", caller, board=board, about=chosen, page=page, kind=kind,
        name=name, names=names, after=after, partial=partial,
        kinds=[one for one in JobKind if one != "hurt"],
    )  # fmt: skip


@router.get("/jobs/retry")
def retry_page(request: Request, site: SiteOf, caller: CallerOf, name: Name) -> Response:
    """What a retry of all kept failures would send, before anybody sends it."""
    must_see(caller, name)
    page, _ = site.newest(
        "jobs", (name, JobKind.FAILED, 1000, None), None,
        lambda since: site.desk.jobs(name, JobKind.FAILED, since, 1000),
    ).value  # fmt: skip
    return draw(
        request, "retry.html", caller, board=site.board(caller), about=name, still=True, page=page,
        name=name,
    )  # fmt: skip


@router.get("/jobs/{job_id}")
def job(job_id: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """One job's way, step by step."""
    pages = site.job(caller, job_id).pages
    about = pages[0].record.name
    return draw(
        request, "job.html", caller, board=site.board(caller), about=about, pages=pages,
        job_id=job_id, revealed=None,
    )  # fmt: skip


@router.get("/decisions/{decision_id}")
def decision(
    decision_id: DecisionId, request: Request, site: SiteOf, caller: CallerOf, again: bool = False
) -> Response:
    """A decision with its evidence; `again` makes it once more."""
    page = decision_of(site, caller, decision_id)
    name = page.record.name
    made, refused = None, None
    if again:
        try:
            made = site.desk.replay(decision_id).made
        except RolloutError as error:
            refused = error
    return draw(
        request, "decision.html", caller, board=site.board(caller), about=name, page=page,
        made=made, refused=refused,
    )  # fmt: skip


@router.get("/drills")
def drills(request: Request, site: SiteOf, caller: CallerOf, name: Name = "") -> Response:
    """Drills that were run, and what came of them."""
    if name:
        must_see(caller, name)
    page = site.read("drills", (name, 100), lambda: site.desk.drills(name or None, 100)).value
    lines = [line for line in page.lines if caller.sees(line.declared.name)]
    return draw(
        request, "drills.html", caller, board=site.board(caller), about=name or None, lines=lines,
        name=name,
    )  # fmt: skip


@router.get("/drills/{drill_id}")
def drill(drill_id: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """One drill's journal."""
    journal = journal_of(site, caller, drill_id)
    name = journal.events[0].name
    return draw(
        request, "drill.html", caller, board=site.board(caller), about=name, journal=journal
    )


@router.get("/policy")
def policy(request: Request, site: SiteOf, caller: CallerOf, name: Name = "") -> Response:
    """The policy in force, where each value comes from, and what is wrong with it."""
    if name:
        must_see(caller, name)
    elif caller.names is not None:
        name = sorted(caller.names)[0]
    board = site.board(caller)
    chosen = name or None
    check, refused, page, difference = None, None, None, None
    try:
        found = site.read("policy", chosen, lambda: site.desk.policy_in_force(chosen)).value
        (page,), difference = found.pages, found.difference
        check = site.checked(chosen)
    except (UnknownSubPipeline, LedgerUnreachable):
        raise
    except RolloutError as error:
        refused = error
    names = [one.state.name for one in board.value.statuses]
    return draw(
        request, "policy.html", caller, board=board, about=chosen, page=page, check=check,
        refused=refused, difference=difference, name=name, names=names,
    )  # fmt: skip


@router.get("/log")
def log(
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    name: Name = "",
    before: Annotated[int, Query(ge=0, le=ID_MAX)] = 0,
) -> Response:
    """Who tried what, refusals too."""
    if name:
        must_see(caller, name)
    elif caller.names is not None:
        name = sorted(caller.names)[0]
    page = site.read(
        "acts", (name or None, 100, before or None),
        lambda: site.desk.acts(name or None, 100, before or None),
    ).value  # fmt: skip
    return draw(
        request, "log.html", caller, board=site.board(caller), about=name or None, page=page,
        name=name,
    )  # fmt: skip
