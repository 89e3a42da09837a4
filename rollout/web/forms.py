"""What the page's plain forms post to. Each answers by a redirect to what is true now."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rollout.control.access import Caller, NotPermittedHere, permit
from rollout.control.kill_log import reason_of
from rollout.errors import RolloutError, UnknownSubPipeline
from rollout.jobs.recent import JobKind
from rollout.routing.stages import Event
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.killing import kill
from rollout.web.problems import BadRequest
from rollout.web.render import draw
from rollout.web.site import Site

REASON_MAX = 10_000
FIELDS_MAX = 20


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises BadRequest."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise BadRequest("the form cannot be read", "load the page again and send it") from None
    form = dict(pairs)
    if any("\x00" in form.get(one, "") for one in ("name", "job_id")):
        raise BadRequest("a name holds no NUL, got one", "load the page again and send it")
    if len(form.get("reason", "")) > REASON_MAX:
        raise BadRequest(
            f"a reason has up to {REASON_MAX:,} characters, got {len(form['reason']):,}",
            "say it shorter and link to the rest",
        )
    request.state.form = form
    return form


Form = Depends(read_form)

# The form is read before the caller is known: whoever has to sign in again keeps what was typed.
router = APIRouter(include_in_schema=False, dependencies=[Form])


@router.post("/sub-pipelines/{name}/kill")
def kill_one(
    name: str, request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Kill, then show what is true."""
    must_be_own(site, caller, "kill", name)
    report = kill(site, caller, name, form.get("reason", ""))
    first = form.get("kill", "")  # the reason comes after the kill: what that one met is shown
    kill_id = first if first in site.reports else report.kill.kill_id
    return see(site.url("sub-pipelines", name, "killed"), kill=kill_id)


@router.post("/kill")
def kill_all(
    request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Kill every sub-pipeline, then show what is true."""
    report = kill(site, caller, None, form.get("reason", ""))
    return see(site.url("killed"), kill=report.kill.kill_id)


@router.post("/sub-pipelines/{name}/rearm")
def rearm(
    name: str, request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Lift a kill; a mistyped name asks again and keeps what was typed."""
    must_be_own(site, caller, "rearm", name)
    must_be_permitted(site, caller, "rearm", name)
    typed, reason = form.get("typed", "").strip(), form.get("reason", "")
    error: RolloutError | None = None
    if typed != name:
        error = BadRequest(
            f"the name to type is {name!r}, got {typed[:100]!r}", "type it letter by letter"
        )
        site.door.refused(caller, "rearm", name, error)
    else:
        try:
            site.door.rearm(caller, name, reason, seen_revision=_revision(form))
        except RolloutError as refused:
            error = refused
    site.shared.forget()
    if error is None:
        return see(site.url("sub-pipelines", name))
    taken = site.board(caller)
    return draw(
        request, "rearm.html", caller, board=taken, about=name, still=True, status=409, name=name,
        one=taken.value.of(name), record=site.door.killed_by(name),
        second=site.door.second_person(name), error=error, typed=typed, reason=reason,
        why=reason_of(site.door.kills(name)),
    )  # fmt: skip


@router.post("/rearm")
def rearm_all(
    request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Lift the kill of all: `all` is typed."""
    must_be_permitted(site, caller, "rearm", None)
    if form.get("typed", "").strip() != "all":
        error = BadRequest("the word to type is 'all'", "go back and type it")
        site.door.refused(caller, "rearm", None, error)
        raise error
    site.door.rearm(caller, None, form.get("reason", ""))
    site.shared.forget()
    return see(site.url())


@router.post("/sub-pipelines/{name}/change/{word}")
def change(
    name: str,
    word: str,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    form: dict[str, str] = Form,
) -> Response:
    """Apply an event of the stage table."""
    if word not in {str(event) for event in Event} - {"kill", "rearm"}:
        raise BadRequest(f"there is no change {word[:60]!r}", "the page of changes has them all")
    must_be_own(site, caller, word, name)
    event = Event(word)
    site.door.change(
        caller,
        name,
        event,
        form.get("reason", ""),
        scope_bp=_scope(form) if event is Event.SCOPE else None,
        seen_revision=_revision(form),
    )
    site.shared.forget()
    return see(site.url("sub-pipelines", name))


@router.post("/jobs/retry")
def retry(
    request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Send kept failures of a sub-pipeline again, or one of them."""
    name = form.get("name", "")
    must_be_own(site, caller, "retry", name)
    wanted: list[tuple[str, str | None]]
    if job_id := form.get("job_id"):
        wanted, left = [(job_id, name)], False
    else:
        limit = min(1000, max(1, _number(form.get("limit", "1000"), "how many")))
        page = site.desk.jobs(name, JobKind.FAILED, None, limit)
        wanted, left = [(one.job_id, one.name) for one in page.jobs], page.more
    done = site.door.retry(caller, wanted, form.get("reason", ""), name=name)
    site.shared.forget()
    return draw(
        request, "retried.html", caller, board=site.board(caller), about=name, still=True,
        name=name, done=done, left=left,
    )  # fmt: skip


@router.post("/jobs/{job_id}/reveal")
def reveal(
    job_id: str, request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Show what a job was given and what it gave; the log says who looked."""
    pages = site.desk.job(job_id, caller.names).pages
    for page in pages:
        site.door.note(caller, "reveal", page.record.name, f"job {page.record.job_id}")
    about = pages[0].record.name
    return draw(
        request, "job.html", caller, board=site.board(caller), about=about, still=True,
        pages=pages, job_id=job_id,
        revealed=[site.desk.revealed(page.record) for page in pages],
    )  # fmt: skip


def must_be_own(site: Site, caller: Caller, action: str, name: str) -> None:
    """Refuse a name that is not the caller's as unknown; it is noted, as at the API's door.

    Raises:
        UnknownSubPipeline: It says nothing of what there is beside the caller's own.
    """
    try:
        must_see(caller, name)
    except UnknownSubPipeline as error:
        site.door.refused(caller, action, name, error)
        raise


def must_be_permitted(site: Site, caller: Caller, action: str, name: str | None) -> None:
    """Ask before the form itself is looked at: who may not is told nothing else.

    Raises:
        NotPermittedHere: It is noted.
    """
    try:
        permit(caller, action, name)
    except NotPermittedHere as error:
        site.door.refused(caller, action, name, error)
        raise


def see(where: str, **query: Any) -> Response:
    """Lead to the page that shows what is true now."""
    return RedirectResponse(f"{where}?{urlencode(query)}" if query else where, 303)


def _revision(form: dict[str, str]) -> int | None:
    given = form.get("revision", "")
    return _number(given, "revision") if given else None


def _scope(form: dict[str, str]) -> int:
    return _number(form.get("scope_bp", ""), "scope_bp")


def _number(given: str, what: str) -> int:
    text = given.strip()
    if not re.fullmatch(r"-?\d{1,17}", text, re.ASCII):
        raise BadRequest(f"{what} must be a whole number, got {given[:60]!r}", "such as 2500")
    return int(text)
