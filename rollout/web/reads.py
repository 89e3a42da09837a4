"""`/api/v1`: what can be looked at. Every body is a result of the desk."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import JSONResponse

from rollout.desk.plain import Json
from rollout.jobs.recent import JobKind
from rollout.policy.check import Assumed
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.problems import BadRequest
from rollout.web.shared import Taken

router = APIRouter(prefix="/api/v1", tags=["look"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=400)]
DAYS_MAX = 366

ID_MAX = 2**53
"""Larger numbers name nothing, and no database column holds all of them."""

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
    taken = site.read("why", name, lambda: site.desk.why(name))
    return {**as_of(taken), **taken.value.to_json()}


@router.get("/sub-pipelines/{name}/history")
def history(name: str, site: SiteOf, caller: CallerOf, limit: Limit = 50) -> Json:
    """Changes and decisions, newest first."""
    must_see(caller, name)
    taken = site.read("history", (name, limit), lambda: site.desk.history(name, limit))
    return {**as_of(taken), **taken.value.to_json()}


@router.get("/sub-pipelines/{name}/mismatches")
def mismatches(name: str, site: SiteOf, caller: CallerOf, limit: Limit = 50) -> Json:
    """What shadows found; examples are masked."""
    must_see(caller, name)
    taken = site.read("shadows", (name, limit), lambda: site.desk.shadow_report(name, limit))
    return {**as_of(taken), **taken.value.masked_json()}


@router.get("/sub-pipelines/{name}/policy")
def policy(name: str, site: SiteOf, caller: CallerOf) -> Json:
    """The policy in force, and where each value comes from."""
    must_see(caller, name)
    result: Json = site.desk.policy(name).to_json()
    return result


@router.get("/policy/check")
def policy_check(site: SiteOf, caller: CallerOf) -> Json:
    """What is wrong in the policies of all sub-pipelines."""
    _sees_all(caller)
    taken = site.read("policy", None, lambda: site.desk.policy_check(None, Assumed()))
    return {**as_of(taken), **taken.value.to_json()}


@router.get("/decisions/{decision_id}")
def decision(decision_id: DecisionId, site: SiteOf, caller: CallerOf) -> Json:
    """A past decision with its evidence."""
    page = site.desk.decision(decision_id)
    must_see(caller, page.record.name)
    return page.to_json()


@router.get("/decisions/{decision_id}/replay")
def replay(decision_id: DecisionId, site: SiteOf, caller: CallerOf) -> Json:
    """A past decision, made again from what it was made on."""
    must_see(caller, site.desk.decision(decision_id).record.name)
    return site.desk.replay(decision_id).to_json()


@router.get("/jobs")
def jobs(
    site: SiteOf,
    caller: CallerOf,
    kind: JobKind,
    sub_pipeline: Annotated[str | None, Query(max_length=100)] = None,
    since: datetime | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """Jobs of one kind, newest admission first; `next` leads to the page after."""
    if sub_pipeline is None:
        _sees_all(caller)
    else:
        must_see(caller, sub_pipeline)
    at = bounded(since, site.runtime.clock.now())
    page = site.desk.jobs(sub_pipeline, kind, at, limit, job_cursor(cursor))
    last = page.jobs[-1] if page.more else None
    after = None if last is None else cursor_of(last.accepted_at.isoformat(), last.job_id)
    return {**page.to_json(), "next": after}


@router.get("/jobs/{job_id}")
def job(job_id: str, site: SiteOf, caller: CallerOf) -> Json:
    """One job's way, by its id or the beginning of it; what it returned is masked."""
    pages = site.desk.job(job_id)
    for page in pages.pages:
        must_see(caller, page.record.name)
    return pages.to_json()


@router.get("/messages")
def messages(site: SiteOf, caller: CallerOf, limit: Limit = 50) -> Json:
    """Refused messages that are kept; their bodies are masked."""
    _sees_all(caller)
    return site.desk.messages(limit).masked_json()


@router.get("/drills")
def drills(
    site: SiteOf,
    caller: CallerOf,
    sub_pipeline: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 50,
) -> Json:
    """Drills, newest first."""
    if sub_pipeline is None:
        _sees_all(caller)
    else:
        must_see(caller, sub_pipeline)
    return site.desk.drills(sub_pipeline, limit).to_json()


@router.get("/drills/{drill_id}")
def drill(drill_id: str, site: SiteOf, caller: CallerOf) -> Json:
    """The whole journal of a drill."""
    journal = site.desk.drill(drill_id)
    must_see(caller, journal.events[0].name)
    return journal.to_json()


@router.get("/acts")
def acts(
    site: SiteOf,
    caller: CallerOf,
    sub_pipeline: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Json:
    """Who tried what through which door, refusals too, newest first."""
    if sub_pipeline is None:
        _sees_all(caller)
    else:
        must_see(caller, sub_pipeline)
    (before,) = (None,) if cursor is None else cursor_parts(cursor, int)
    page = site.desk.acts(sub_pipeline, limit, before)
    last = page.acts[-1] if page.more else None
    return {**page.to_json(), "next": None if last is None else cursor_of(last.act_id)}


@router.get("/health")
def health(site: SiteOf, caller: CallerOf) -> Json:
    """Whether the ledger answers, and who leads."""
    taken = site.board(caller)
    leader = taken.value.leader
    return {**as_of(taken), "leader": None if leader is None else leader.to_json()}


def as_of(taken: Taken[Any]) -> Json:
    """When a reading was taken, and why it is an old one."""
    return {"as_of": taken.at.isoformat(), "late": taken.late}


def bounded(since: datetime | None, now: datetime) -> datetime | None:
    """A bound of time; one without a zone is UTC. Raises BadRequest for one too far back."""
    if since is None:
        return None
    at = since if since.tzinfo else since.replace(tzinfo=now.tzinfo)
    year = timedelta(days=DAYS_MAX)
    if abs(at.year - now.year) > 2 or now - at > year or at - now > year:
        raise BadRequest(f"since must lie in the last {DAYS_MAX} days, got {since}", "ask for less")
    return at


def cursor_of(*parts: object) -> str:
    """Where the next page begins, as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def cursor_parts(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """What `cursor_of` was given. Raises BadRequest."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != len(kinds)
        or not all(type(part) is kind for part, kind in zip(parts, kinds, strict=True))
        or any(type(part) is int and not 0 <= part <= ID_MAX for part in parts)
    ):
        raise BadRequest(
            f"cursor must be the `next` of the page before, got {cursor[:100]!r}", "begin again"
        )
    return tuple(parts)


def job_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Admission and id of the last job of the page before. Raises BadRequest."""
    if cursor is None:
        return None
    at, job_id = cursor_parts(cursor, str, str)
    try:
        return datetime.fromisoformat(at), job_id
    except ValueError:
        raise BadRequest("cursor must be the `next` of the page before", "begin again") from None


def _sees_all(caller: CallerOf) -> None:
    if caller.names is not None:
        raise BadRequest(
            f"this token sees {', '.join(sorted(caller.names))}, and all were asked for",
            "name one with ?sub_pipeline=",
        )
