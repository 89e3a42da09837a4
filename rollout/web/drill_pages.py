"""The page that begins a drill: declared, foreseen, begun. Two touches, as with a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from rollout.control.access import Caller, permit
from rollout.drills.drill import Exercise
from rollout.drills.fault import Fault
from rollout.errors import RolloutError
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.drill_doors import begin, declared_drill, end, foresee
from rollout.web.forms import Form, must_be_own, must_be_permitted, see
from rollout.web.problems import status_of
from rollout.web.render import draw
from rollout.web.site import Site

router = APIRouter(include_in_schema=False, dependencies=[Form])

FAULTS = (*Fault, Exercise.KILL_SWITCH)
"""What a form can declare: an experiment of the Chaos Toolkit is a file."""

FIELDS: Mapping[str, str] = {
    "fault": "raise", "path": "both", "duration_s": "30", "blast_radius_jobs": "5",
    "deadline_s": "120", "fault_s": "2", "window_s": "10", "windows_with_jobs_min": "6",
}  # fmt: skip
"""Fields of the form, and what stands in them at first."""

_FIELD_MAX = 40
_WHOLE = ("blast_radius_jobs", "windows_with_jobs_min")


@router.get("/sub-pipelines/{name}/drill")
def drill_page(name: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """The form; once it is filled in, what the drill would do and the button that begins it."""
    must_see(caller, name)
    permit(caller, "drill", name)
    asked = request.query_params
    if "fault" not in asked:
        return _draw(request, site, caller, name, FIELDS)
    given, sentence, refused = _given(asked), None, None
    try:
        sentence = foresee(site, declared_drill(name, _values(given)))
    except RolloutError as error:
        refused = error
    return _draw(request, site, caller, name, given, sentence, refused)


@router.post("/sub-pipelines/{name}/drill")
def begin_drill(
    name: str, request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Begin the drill, then show its journal; a refusal keeps what was typed."""
    must_be_own(site, caller, "drill", name)
    must_be_permitted(site, caller, "drill", name)
    given = _given(form)
    try:
        drill_id = begin(site, caller, declared_drill(name, _values(given)), form.get("reason", ""))
    except RolloutError as error:
        return _draw(request, site, caller, name, given, None, error, status_of(error))
    return see(site.url("drills", drill_id))


@router.post("/sub-pipelines/{name}/end-drill")
def end_drill(
    name: str, request: Request, site: SiteOf, caller: CallerOf, form: dict[str, str] = Form
) -> Response:
    """Take a planted fault away, then show the drills of the sub-pipeline."""
    must_be_own(site, caller, "end-drill", name)
    end(site, caller, name, form.get("reason", ""))
    return see(site.url("drills"), name=name)


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields.get(name, usual)[:_FIELD_MAX] for name, usual in FIELDS.items()}


def _values(given: Mapping[str, str]) -> dict[str, Any]:
    """As a file would declare it; what is no number stays text, and is refused by name."""
    fault = given["fault"]
    values: dict[str, Any] = {
        "name": f"{fault} from the page", "fault": fault, "path": given["path"],
    }  # fmt: skip
    wanted = ["duration_s", "deadline_s", "window_s", *_WHOLE]
    if fault in set(Fault) and Fault(fault).needs_seconds:
        wanted.append("fault_s")
    for name in wanted:
        text = given[name].strip()
        try:
            values[name] = int(text) if name in _WHOLE else float(text)
        except ValueError:
            values[name] = text
    return values


def _draw(
    request: Request,
    site: Site,
    caller: Caller,
    name: str,
    given: Mapping[str, str],
    sentence: str | None = None,
    refused: RolloutError | None = None,
    status: int = 200,
) -> Response:
    taken = site.board(caller)
    return draw(
        request, "drill_form.html", caller, board=taken, about=name, still=True, status=status,
        name=name, one=taken.value.of(name), given=given, faults=FAULTS, sentence=sentence,
        refused=refused,
    )  # fmt: skip
