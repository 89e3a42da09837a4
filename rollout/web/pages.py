"""The pages: each is complete without scripts, and every count leads to exactly that set."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from rollout.desk.kills import read_kill
from rollout.errors import LedgerUnreachable, RolloutError, UnknownSubPipeline
from rollout.jobs.recent import JobKind
from rollout.policy.check import Assumed
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event
from rollout.web import charts, standing
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.killing import NO_REASON
from rollout.web.reads import ID_MAX, DecisionId, cursor_of, job_cursor
from rollout.web.render import draw

router = APIRouter(include_in_schema=False)

ROWS_MAX = 100
LINES = 30
JOBS = 100

Name = Annotated[str, Query(max_length=100)]
Text = Annotated[str, Query(max_length=400)]


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
    why = site.read("why", name, lambda: site.desk.why(name)).value
    history = site.read("history", (name, LINES), lambda: site.desk.history(name, LINES)).value
    acts = site.desk.acts(name, 10)
    drills = site.read("drills", (name, 10), lambda: site.desk.drills(name, 10)).value
    trend = site.read("trend", (name, hours), lambda: site.desk.trend(name, hours or None)).value
    shadows = None
    if one.state.stage in ("shadow", "split"):
        shadows = _shadows(request, site, name)
    return draw(
        request, "sub_pipeline.html", caller, board=taken, about=name, one=one, why=why,
        history=history, acts=acts, drills=drills, trend=trend, shadows=shadows,
        chart_time=charts.cycle_times(trend), chart_errors=charts.error_rates(trend),
        hours=hours,
    )  # fmt: skip


def _shadows(request: Request, site: SiteOf, name: str) -> object:
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
        found = site.desk.jobs_like(q.strip(), chosen, LINES)
        mine = [one for one in found if caller.sees(one.name)]
        return draw(request, "found.html", caller, board=board, about=chosen, q=q, found=mine,
                    name=name)  # fmt: skip
    before = job_cursor(cursor or None)
    page = site.desk.jobs(chosen, kind, None, JOBS, before)
    last = page.jobs[-1] if page.more else None
    after = None if last is None else cursor_of(last.accepted_at.isoformat(), last.job_id)
    names = [one.state.name for one in board.value.statuses]
    return draw(
        request, "jobs.html", caller, board=board, about=chosen, page=page, kind=kind,
        name=name, names=names, after=after, kinds=[one for one in JobKind if one != "hurt"],
    )  # fmt: skip


@router.get("/jobs/retry")
def retry_page(request: Request, site: SiteOf, caller: CallerOf, name: Name) -> Response:
    """What a retry of all kept failures would send, before anybody sends it."""
    must_see(caller, name)
    page = site.desk.jobs(name, JobKind.FAILED, None, 1000)
    return draw(
        request, "retry.html", caller, board=site.board(caller), about=name, still=True, page=page,
        name=name,
    )  # fmt: skip


@router.get("/jobs/{job_id}")
def job(job_id: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """One job's way, step by step."""
    pages = site.desk.job(job_id).pages
    for page in pages:
        must_see(caller, page.record.name)
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
    page = site.desk.decision(decision_id)
    name = page.record.name
    must_see(caller, name)
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
    page = site.desk.drills(name or None, 100)
    lines = [line for line in page.lines if caller.sees(line.declared.name)]
    return draw(
        request, "drills.html", caller, board=site.board(caller), about=name or None, lines=lines,
        name=name,
    )  # fmt: skip


@router.get("/drills/{drill_id}")
def drill(drill_id: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """One drill's journal."""
    journal = site.desk.drill(drill_id)
    name = journal.events[0].name
    must_see(caller, name)
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
    check, refused, page = None, None, None
    try:
        page = site.desk.policy(chosen)
        check = site.read("check", chosen, lambda: site.desk.policy_check(chosen, Assumed())).value
    except (UnknownSubPipeline, LedgerUnreachable):
        raise
    except RolloutError as error:
        refused = error
    names = [one.state.name for one in board.value.statuses]
    return draw(
        request, "policy.html", caller, board=board, about=chosen, page=page, check=check,
        refused=refused, name=name, names=names,
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
    page = site.desk.acts(name or None, 100, before or None)
    return draw(
        request, "log.html", caller, board=site.board(caller), about=name or None, page=page,
        name=name,
    )  # fmt: skip


# The kill switch -------------------------------------------------------------------------


@router.get("/kill")
def kill_some(request: Request, site: SiteOf, caller: CallerOf, q: Text = "") -> Response:
    """The second touch of a page that is about no single sub-pipeline: which one?"""
    taken = site.board(caller)
    board = taken.value
    found = [one for one in board.by_need if q.lower() in one.state.name.lower()]
    found.sort(key=lambda one: one.state.stage == "legacy")
    return draw(
        request, "kill_some.html", caller, board=taken, still=True, found=found[:50],
        left=max(0, len(found) - 50), q=q,
    )  # fmt: skip


@router.get("/sub-pipelines/{name}/kill")
def kill_page(name: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """What a kill would do now, and the button that does it."""
    must_see(caller, name)
    return draw(
        request, "kill.html", caller, board=site.board(caller), about=name, still=True, name=name,
        consequence=site.door.consequence_of_kill(caller, name),
    )  # fmt: skip


@router.get("/killed")
def killed_all(request: Request, site: SiteOf, caller: CallerOf, kill: Text = "") -> Response:
    """What is true after a kill of all."""
    return _killed(request, site, caller, None, kill)


@router.get("/sub-pipelines/{name}/killed")
def killed(
    name: str, request: Request, site: SiteOf, caller: CallerOf, kill: Text = ""
) -> Response:
    """What is true after a kill, read back at each look."""
    must_see(caller, name)
    return _killed(request, site, caller, name, kill)


def _killed(
    request: Request, site: SiteOf, caller: CallerOf, name: str | None, kill_id: str
) -> Response:
    ledger, control = site.runtime.ledger, site.runtime.control
    stands = read_kill(ledger, control, name, site.reports.get(kill_id))
    kills: list[TransitionRecord] = []
    board = None
    with suppress(LedgerUnreachable):
        kills = site.door.kills(name)
        board = site.board(caller)
    return draw(
        request, "killed.html", caller, board=board, about=name, name=name, stands=stands,
        record=kills[-1] if kills else None, kill_id=kill_id,
        reason=next((one.reason for one in kills if one.reason != NO_REASON), None),
    )  # fmt: skip


@router.get("/sub-pipelines/{name}/rearm")
def rearm_page(name: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """Harder than a kill: the name is typed, the reason needed."""
    must_see(caller, name)
    taken = site.board(caller)
    return draw(
        request, "rearm.html", caller, board=taken, about=name, still=True, name=name,
        one=taken.value.of(name), record=site.door.killed_by(name),
        second=site.door.second_person(name), error=None, typed="", reason="",
    )  # fmt: skip


CHANGES = (
    Event.SHADOW, Event.START, Event.SCOPE, Event.DOUBLE, Event.GRADUATE, Event.REVERT,
    Event.FREEZE, Event.UNFREEZE,
)  # fmt: skip


@router.get("/sub-pipelines/{name}/change")
def change_page(name: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """What can be changed now, each with what it would do; what cannot, with why."""
    must_see(caller, name)
    taken = site.board(caller)
    offers = []
    for event in CHANGES:
        if not caller.may(str(event), name):
            continue
        sentence, refused = "", None
        if event is not Event.SCOPE:
            try:
                consequence = site.door.consequence_of_change(caller, name, event)
            except RolloutError as error:
                refused = error
            else:
                if not consequence.changes:
                    continue
                sentence = consequence.sentence
        offers.append((event, sentence, refused))
    return draw(
        request, "change.html", caller, board=taken, about=name, still=True, name=name,
        one=taken.value.of(name), offers=offers,
    )  # fmt: skip
