"""`/api/v1`: what can be done. Each answer is the state read back, not the request's echo."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.control.access import Caller
from rollout.control.change import retried_json
from rollout.control.requests import answered
from rollout.desk.kills import read_kill
from rollout.desk.plain import Json
from rollout.errors import LedgerUnreachable, RolloutError, StaleRevision
from rollout.jobs.recent import JobKind
from rollout.routing.stages import Event
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.killing import kill
from rollout.web.problems import BadRequest
from rollout.web.reads import bounded
from rollout.web.site import Site

router = APIRouter(prefix="/api/v1", tags=["act"])

REASON_MAX = 10_000
RETRIES_MAX = 1000

DryRun = Annotated[bool, Query(description="Say the consequences and change nothing.")]
IfMatch = Annotated[str | None, Header(description="The revision that the caller has seen.")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


class Body(BaseModel):
    """What every action takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field("", max_length=REASON_MAX, description="Why, for the log.")


class ScopeBody(Body):
    """The share of jobs that runs on the concurrent path."""

    scope_bp: int = Field(description="Basis points of jobs, 0..10000: 100 is 1 %.")


class RetryBody(Body):
    """Which kept failures are sent again: ids, or all of a sub-pipeline since a time."""

    ids: list[str] = Field(default_factory=list, max_length=RETRIES_MAX)
    sub_pipeline: str | None = Field(None, max_length=100)
    since: datetime | None = Field(None, strict=False)
    limit: int = Field(
        RETRIES_MAX, ge=1, le=RETRIES_MAX, description="At most so many now: the pace is yours."
    )


EVENTS = {
    str(event): event
    for event in (
        Event.START, Event.SHADOW, Event.DOUBLE, Event.GRADUATE, Event.REVERT, Event.FREEZE,
        Event.UNFREEZE,
    )
}  # fmt: skip


def _add_event(word: str, event: Event) -> None:
    @router.post(f"/sub-pipelines/{{name}}/{word}", name=word)
    def act(
        name: str,
        body: Body,
        request: Request,
        site: SiteOf,
        caller: CallerOf,
        dry_run: DryRun = False,
        if_match: IfMatch = None,
        key: Key = None,
    ) -> Response:
        return change(request, site, caller, name, event, body, dry_run, if_match, key)

    act.__doc__ = f"{word.capitalize()} a sub-pipeline; the stage table says what that means."


for _word, _event in EVENTS.items():
    _add_event(_word, _event)


@router.post("/sub-pipelines/{name}/scope")
def scope(
    name: str,
    body: ScopeBody,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    key: Key = None,
) -> Response:
    """Set the share of jobs on the concurrent path."""
    return change(
        request, site, caller, name, Event.SCOPE, body, dry_run, if_match, key, body.scope_bp
    )


def change(
    request: Request,
    site: Site,
    caller: Caller,
    name: str,
    event: Event,
    body: Body,
    dry_run: bool,
    if_match: str | None,
    key: str | None,
    scope_bp: int | None = None,
) -> Response:
    """Apply an event of the stage table."""
    _note_unseen(site, caller, str(event), name)
    revision = revision_of(if_match)

    def act() -> Json:
        try:
            if dry_run:
                return site.door.consequence_of_change(
                    caller, name, event, scope_bp=scope_bp, seen_revision=revision
                ).to_json()
            changed = site.door.change(
                caller, name, event, body.reason, scope_bp=scope_bp, seen_revision=revision
            )
        except StaleRevision:
            request.state.current = _state(site, caller, name)
            raise
        site.shared.forget()
        return {"changed": changed.to_json(), "state": _state(site, caller, name)}

    return once(request, site, caller, key, body, act)


@router.post("/sub-pipelines/{name}/kill")
def kill_one(
    name: str,
    body: Body,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: DryRun = False,
    key: Key = None,
) -> Response:
    """Send every job to legacy now. No precondition can refuse it; a second one is harmless."""
    _note_unseen(site, caller, "kill", name)
    return _kill(request, site, caller, name, body, dry_run, key)


@router.post("/kill")
def kill_all(
    body: Body,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: DryRun = False,
    key: Key = None,
) -> Response:
    """Send every job of every sub-pipeline to legacy now."""
    return _kill(request, site, caller, None, body, dry_run, key)


def _kill(
    request: Request,
    site: Site,
    caller: Caller,
    name: str | None,
    body: Body,
    dry_run: bool,
    key: str | None,
) -> Response:
    def act() -> Json:
        if dry_run:
            return site.door.consequence_of_kill(caller, name).to_json()
        report = kill(site, caller, name, body.reason)
        return read_kill(site.runtime.ledger, site.runtime.control, name, report).to_json()

    return once(request, site, caller, key, body, act, kill=True)


@router.post("/sub-pipelines/{name}/rearm")
def rearm_one(
    name: str,
    body: Body,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
    key: Key = None,
) -> Response:
    """Lift a kill; the reason is needed, and by policy a second person."""
    _note_unseen(site, caller, "rearm", name)
    revision = revision_of(if_match)

    def act() -> Json:
        if dry_run:
            return site.door.consequence_of_rearm(caller, name, body.reason).to_json()
        changed = site.door.rearm(caller, name, body.reason, seen_revision=revision)
        site.shared.forget()
        states = [one.to_json() for one in changed]
        return {"rearmed": states, "state": _state(site, caller, name)}

    return once(request, site, caller, key, body, act)


@router.post("/rearm")
def rearm_all(
    body: Body, request: Request, site: SiteOf, caller: CallerOf, key: Key = None
) -> Response:
    """Lift the kill of all; what was killed by itself stays killed."""

    def act() -> Json:
        changed = site.door.rearm(caller, None, body.reason)
        site.shared.forget()
        return {"rearmed": [one.to_json() for one in changed]}

    return once(request, site, caller, key, body, act)


@router.post("/jobs/retry")
def retry(
    body: RetryBody,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: DryRun = False,
    key: Key = None,
) -> Response:
    """Send kept failures again, to legacy: some by id, or all that match; `left`: more match."""
    if bool(body.ids) is (body.sub_pipeline is not None):
        raise BadRequest("give either ids or sub_pipeline, got both or neither", "choose one")

    def act() -> Json:
        if body.sub_pipeline is None:
            wanted = [_job_of(site, caller, one) for one in body.ids]
            left = False
        else:
            _note_unseen(site, caller, "retry", body.sub_pipeline)
            at = bounded(body.since, site.runtime.clock.now())
            page = site.desk.jobs(body.sub_pipeline, JobKind.FAILED, at, body.limit)
            wanted = [(one.job_id, one.name) for one in page.jobs]
            left = page.more
            if dry_run:
                return {"dry_run": True, **page.preview_json(), "left": left}
        if dry_run:
            return {"dry_run": True, "jobs": len(wanted), "left": left}
        done = site.door.retry(caller, wanted, body.reason)
        site.shared.forget()
        skipped = sum(one.refused is not None for one in done)
        return {**retried_json(done), "skipped": skipped, "left": left}

    return once(request, site, caller, key, body, act)


def _job_of(site: Site, caller: Caller, job_id: str) -> tuple[str, str]:
    """Id and sub-pipeline of one job; raises UnknownJob, and UnknownSubPipeline for another's."""
    pages = site.desk.job(job_id).pages
    for page in pages:
        must_see(caller, page.record.name)
    if len(pages) > 1:
        names = ", ".join(page.record.name for page in pages)
        raise BadRequest(f"{job_id!r} is one id of several: {names}", "retry by sub_pipeline")
    return pages[0].record.job_id, pages[0].record.name


def _note_unseen(site: Site, caller: Caller, action: str, name: str) -> None:
    """A name that is not the caller's is refused as unknown, and noted."""
    try:
        must_see(caller, name)
    except RolloutError as error:
        site.door.refused(caller, action, name, error)
        raise


def _state(site: Site, caller: Caller, name: str) -> Json:
    """The sub-pipeline as the ledger and the gate have it now."""
    result: Json = site.desk.status(name).one_json(name)
    return result


def revision_of(if_match: str | None) -> int | None:
    """The revision in an If-Match header; None without one. Raises BadRequest."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,18})"', if_match.strip(), re.ASCII)
    if match is None:
        raise BadRequest(
            f'If-Match must be the ETag of the sub-pipeline, such as "41", got {if_match[:60]!r}',
            "read it again and send what it gave",
        )
    return int(match[1])


def once(
    request: Request,
    site: Site,
    caller: Caller,
    key: str | None,
    body: Body,
    act: Callable[[], Json],
    *,
    kill: bool = False,
) -> Response:
    """Act, or give again what was answered under the same Idempotency-Key.

    A kill whose key cannot be looked up acts: doing it twice is harmless, not doing it is not.
    """
    if key is None:
        return JSONResponse(_with_id(act(), request))
    rows, now = site.runtime.ledger, site.runtime.clock.now()
    taken = _hash(caller.actor, key)
    fingerprint = _hash(request.method, request.url.path, str(request.query_params), _text(body))
    try:
        before = rows.begin_answer(taken, fingerprint, now)
    except LedgerUnreachable:
        if not kill:
            raise
        return JSONResponse(_with_id(act(), request))
    if before is not None:
        status, text = answered(before, key, fingerprint)
        return Response(
            text, status, {"Idempotent-Replayed": "true"}, media_type="application/json"
        )
    try:
        values = _with_id(act(), request)
    except BaseException:
        rows.end_answer(taken, None, "")
        raise
    text = json.dumps(values)
    try:
        rows.end_answer(taken, 200, text)
    except LedgerUnreachable:
        if not kill:
            raise
    return Response(text, 200, media_type="application/json")


def _with_id(values: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**values, "request_id": request.state.request_id}


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _text(body: Body) -> str:
    return body.model_dump_json()
