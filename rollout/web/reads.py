"""`/api/v1`: what can be looked at. Every body is a result of the desk that all viewers share.

`late` says why a reading is an old one, `partial` why a list is a part of what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import JSONResponse

from rollout.control.access import Caller
from rollout.desk.decisions import DecisionPage
from rollout.desk.drills import DrillJournal
from rollout.desk.history import Older
from rollout.desk.plain import Json
from rollout.drills.errors import BadDrill
from rollout.errors import UnknownDecision
from rollout.jobs.recent import JobKind
from rollout.web.asking import CallerOf, SiteOf, must_see, must_see_all
from rollout.web.cursors import ID_MAX, bounded, cursor_of, cursor_parts, job_cursor
from rollout.web.shared import Taken
from rollout.web.site import Site

router = APIRouter(prefix="/api/v1", tags=["look"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=400)]
Only = Annotated[str | None, Query(max_length=100)]
DecisionId = Annotated[int, Path(ge=0, le=ID_MAX)]


@router.get("/sub-pipelines")
def sub_pipelines(site: SiteOf, caller: CallerOf) -> Json:
    """Every sub-pipeline: state, conditions, the three numbers, what is wrong."""
    taken = site.board(caller)
    return {**as_of(taken), **taken.value.to_json()}


@router.get("/sub-pipelines/{name}")
def sub_pipeline(name: str, site: SiteOf, caller: CallerOf) -> JSONResponse:
    """One sub-pipeline; its revision is the ETag that an action takes as If-Match."""
    must_see(caller, name)
    taken = site.board(caller)
    values = taken.value.one_json(name)
    return JSONResponse({**as_of(taken), **values}, headers={"ETag": f'"{values["revision"]}"'})


@router.get("/sub-pipelines/{name}/why")
def why(name: str, site: SiteOf, caller: CallerOf) -> Json:
    """Why it stands where it stands, and what comes next."""
    must_see(caller, name)
    board = site.board(caller).value
    one = board.of(name)
    taken = site.read(
        "why", (name, one.state.revision), lambda: site.desk.why(name, ask_workers=False)
    )
    # The workers were asked for the board: half a second and more, which nobody waits for twice.
    page = replace(taken.value, held_up=board.held_up(one))
    return {**as_of(taken), **page.to_json()}


@router.get("/sub-pipelines/{name}/history")
def history(
    name: str, site: SiteOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None
) -> Json:
    """Changes and decisions, newest first; builds are on the first page."""
    must_see(caller, name)
    before = None if cursor is None else Older(*cursor_parts(cursor, int, int))
    taken = site.read(
        "history", (name, limit, before), lambda: site.desk.history(name, limit, before)
    )
    older = taken.value.older
    after = None if older is None else cursor_of(older.change, older.decision)
    return {**as_of(taken), **taken.value.to_json(), "next": after}


@router.get("/sub-pipelines/{name}/mismatches")
def mismatches(name: str, site: SiteOf, caller: CallerOf, limit: Limit = 50) -> Json:
    """What shadows found; of an example only what the declaration allows."""
    must_see(caller, name)
    return _read(site, "shadows", (name, limit), lambda: site.desk.shadow_report(name, limit))


@router.get("/sub-pipelines/{name}/policy")
def policy(name: str, site: SiteOf, caller: CallerOf) -> Json:
    """The policy in force, and where each value comes from."""
    must_see(caller, name)
    taken = site.read("policy", name, lambda: site.desk.policy_in_force(name))
    (page,) = taken.value.pages
    return {**as_of(taken), **page.to_json(), "difference": taken.value.difference}


@router.get("/policies")
def policies(site: SiteOf, caller: CallerOf) -> Json:
    """Every policy in force; the one without a sub-pipeline is of all that have none."""
    names = caller.names
    return _read(site, "policies", names, lambda: site.desk.policies_in_force(names))


@router.get("/policy/check")
def policy_check(site: SiteOf, caller: CallerOf) -> Json:
    """What is wrong in the policies of all; `findings` null and `late` while it is being sized."""
    must_see_all(caller)
    taken = site.checked(None)
    if taken is None:
        return {"as_of": None, "late": "it is being looked at; ask again in some seconds",
                "ok": None, "findings": None}  # fmt: skip
    return {**as_of(taken), **taken.value.to_json()}


@router.get("/decisions")
def decisions(
    site: SiteOf,
    caller: CallerOf,
    sub_pipeline: Only = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Json:
    """What the controller decided, newest first, each without its evidence."""
    _sees(caller, sub_pipeline)
    (before,) = (None,) if cursor is None else cursor_parts(cursor, int)
    taken = site.read(
        "decisions", (sub_pipeline, limit, before),
        lambda: site.desk.decisions(sub_pipeline, limit, before),
    )  # fmt: skip
    page = taken.value
    after = cursor_of(page.decisions[-1].decision_id) if page.more else None
    return {**as_of(taken), **page.to_json(), "next": after}


@router.get("/decisions/{decision_id}")
def decision(decision_id: DecisionId, site: SiteOf, caller: CallerOf) -> Json:
    """A past decision with its evidence."""
    return decision_of(site, caller, decision_id).to_json()


@router.get("/decisions/{decision_id}/replay")
def replay(decision_id: DecisionId, site: SiteOf, caller: CallerOf) -> Json:
    """A past decision, made again from what it was made on."""
    decision_of(site, caller, decision_id)
    return site.desk.replay(decision_id).to_json()


@router.get("/jobs")
def jobs(
    site: SiteOf,
    caller: CallerOf,
    kind: JobKind,
    sub_pipeline: Only = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """Jobs of one kind that were admitted in a time, newest first; `next`: the page after."""
    _sees(caller, sub_pipeline)
    now = site.runtime.clock.now()
    end = bounded(until, now)
    before = job_cursor(cursor) or (None if end is None else (end, ""))
    taken = site.newest(
        "jobs", (sub_pipeline, kind, limit, before), bounded(since, now),
        lambda at: site.desk.jobs(sub_pipeline, kind, at, limit, before),
    )  # fmt: skip
    page, partial = taken.value
    last = page.jobs[-1] if page.more else None
    after = None if last is None else cursor_of(last.accepted_at.isoformat(), last.job_id)
    return {**as_of(taken), **page.to_json(), "partial": partial, "next": after}


@router.get("/jobs/{job_id}")
def job(job_id: str, site: SiteOf, caller: CallerOf) -> Json:
    """One job's way, by its id or its beginning; shown is what the declaration allows."""
    return site.job(caller, job_id).to_json()


@router.get("/messages")
def messages(site: SiteOf, caller: CallerOf, limit: Limit = 50) -> Json:
    """Refused messages that are kept; their bodies are masked."""
    must_see_all(caller)
    return _read(site, "messages", limit, lambda: site.desk.messages(limit))


@router.get("/drills")
def drills(site: SiteOf, caller: CallerOf, sub_pipeline: Only = None, limit: Limit = 50) -> Json:
    """Drills, newest first."""
    _sees(caller, sub_pipeline)
    key = (sub_pipeline, limit)
    return _read(site, "drills", key, lambda: site.desk.drills(sub_pipeline, limit))


@router.get("/drills/{drill_id}")
def drill(drill_id: str, site: SiteOf, caller: CallerOf) -> Json:
    """The whole journal of a drill."""
    return journal_of(site, caller, drill_id).to_json()


@router.get("/acts")
def acts(
    site: SiteOf,
    caller: CallerOf,
    sub_pipeline: Only = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """Who tried what through which door, refusals too, newest first."""
    _sees(caller, sub_pipeline)
    (before,) = (None,) if cursor is None else cursor_parts(cursor, int)
    taken = site.read(
        "acts", (sub_pipeline, limit, before), lambda: site.desk.acts(sub_pipeline, limit, before)
    )
    page = taken.value
    after = cursor_of(page.acts[-1].act_id) if page.more else None
    return {**as_of(taken), **page.to_json(), "next": after}


@router.get("/health")
def health(site: SiteOf, caller: CallerOf) -> Json:
    """Whether the ledger answers, and who leads."""
    taken = site.board(caller)
    leader = taken.value.leader
    return {**as_of(taken), "leader": None if leader is None else leader.to_json()}


def decision_of(site: Site, caller: Caller, decision_id: int) -> DecisionPage:
    """A decision; raises UnknownDecision for another's as well: its name is no answer."""
    page = site.desk.decision(decision_id)
    if not caller.sees(page.record.name):
        raise UnknownDecision(decision_id)
    return page


def journal_of(site: Site, caller: Caller, drill_id: str) -> DrillJournal:
    """A drill; raises BadDrill, which tells whoever sees only some nothing of the others."""
    if caller.names is None:
        return site.desk.drill(drill_id)
    with suppress(BadDrill):
        journal = site.desk.drill(drill_id)
        if caller.sees(journal.events[0].name):
            return journal
    raise BadDrill(f"no drill with id {drill_id[:100]!r}", "its sub-pipeline's page lists them")


def as_of(taken: Taken[Any]) -> Json:
    """When a reading was taken, and why it is an old one."""
    return {"as_of": taken.at.isoformat(), "late": taken.late}


def _read(site: Site, what: str, key: Any, read: Callable[[], Any]) -> Json:
    """A result of the desk, with its time."""
    taken = site.read(what, key, read)
    return {**as_of(taken), **taken.value.to_json()}


def _sees(caller: CallerOf, name: str | None) -> None:
    """Refuse another's sub-pipeline, and all of them to whom only some are shown."""
    if name is None:
        must_see_all(caller)
    else:
        must_see(caller, name)
