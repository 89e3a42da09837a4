"""The pages of the kill switch: two touches, what is true afterwards, and the harder ways back."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from rollout.control.access import permit
from rollout.control.kill_log import reason_of
from rollout.desk.board import Board
from rollout.desk.kills import read_kill
from rollout.errors import LedgerUnreachable, RolloutError
from rollout.routing.decision import JobPath
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event
from rollout.web.asking import CallerOf, SiteOf, must_see, must_see_all
from rollout.web.render import draw
from rollout.web.site import GLANCE_S, READ_S

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Query(max_length=400)]


@router.get("/kill")
def kill_some(request: Request, site: SiteOf, caller: CallerOf, q: Text = "") -> Response:
    """The second touch of a page that is about no single sub-pipeline: which one?"""
    taken = site.glance(caller)
    board = None if taken is None else taken.value
    wanted = q.lower()
    found = [one for one in (board.by_need if board else ()) if wanted in one.state.name.lower()]
    found.sort(key=lambda one: one.state.stage == "legacy")
    return draw(
        request, "kill_some.html", caller, board=taken, still=True, found=found[:50],
        left=max(0, len(found) - 50), q=q,
    )  # fmt: skip


@router.get("/sub-pipelines/{name}/kill")
def kill_page(name: str, request: Request, site: SiteOf, caller: CallerOf) -> Response:
    """What a kill would do now, and the button that does it."""
    must_see(caller, name)
    permit(caller, "kill", name)
    sentence, away = None, None
    try:
        with site.runtime.reads_within(GLANCE_S):
            sentence = site.door.consequence_of_kill(caller, name).sentence
    except LedgerUnreachable as error:  # a kill waits for no ledger, so neither does its button
        away = error
    board = site.glance(caller)
    legacy_fails = None if board is None else _legacy_fails(board.value, name, board.at)
    return draw(
        request, "kill.html", caller, board=board, about=name, still=True, name=name,
        sentence=sentence, away=away, legacy_fails=legacy_fails,
    )  # fmt: skip


def _legacy_fails(board: Board, name: str, board_at: datetime) -> str | None:
    """What legacy fails now: then a kill is no way out by itself, and whoever kills knows."""
    lately = next((one.lately for one in board.statuses if one.state.name == name), None)
    if lately is None:
        return None
    failing = (one for one in lately.troubles if one.path is JobPath.LEGACY)
    if not any(one.lasts(board_at) and not one.fine_since for one in failing):
        return None
    return lately.of(JobPath.LEGACY).sentence


@router.get("/killed")
def killed_all(request: Request, site: SiteOf, caller: CallerOf, kill: Text = "") -> Response:
    """What is true after a kill of all."""
    must_see_all(caller)
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
    kills: list[TransitionRecord] = []
    with site.runtime.reads_within(READ_S), suppress(LedgerUnreachable):
        kills = site.door.kills(name)
    with site.runtime.reads_within(READ_S):
        stands = read_kill(ledger, control, name, site.reports.get(kill_id))
    board = site.glance(caller)
    return draw(
        request, "killed.html", caller, board=board, about=name, name=name, stands=stands,
        record=kills[-1] if kills else None, kill_id=kill_id,
        reason=reason_of(kills),
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
        why=reason_of(site.door.kills(name)),
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
        scope = event is Event.SCOPE
        scope_bp = max(1, taken.value.of(name).state.scope_bp) if scope else None
        try:
            consequence = site.door.consequence_of_change(caller, name, event, scope_bp=scope_bp)
        except RolloutError as error:
            refused = error
        else:
            if not scope and not consequence.changes:
                continue
            sentence = "" if scope else consequence.sentence  # which one, somebody has to type
        offers.append((event, sentence, refused))
    return draw(
        request, "change.html", caller, board=taken, about=name, still=True, name=name,
        one=taken.value.of(name), offers=offers,
    )  # fmt: skip
