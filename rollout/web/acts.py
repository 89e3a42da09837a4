"""`/api/v1`: what can be done. Each answer is the state read back, not the request's echo."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from rollout.desk.kills import read_kill
from rollout.desk.plain import Json
from rollout.errors import StaleRevision
from rollout.routing.stages import Event
from rollout.web.asked import Asked, AskedOf, Body, RevisionOf
from rollout.web.killing import kill

router = APIRouter(prefix="/api/v1", tags=["act"])


class ScopeBody(Body):
    """The share of jobs that runs on the concurrent path."""

    scope_bp: int = Field(description="Basis points of jobs, 0..10000: 100 is 1 %.")


def _add_event(event: Event) -> None:
    @router.post(f"/sub-pipelines/{{name}}/{event}", name=str(event))
    def act(name: str, body: Body, asked: AskedOf, revision: RevisionOf) -> Response:
        return change(asked, name, event, body, revision)

    act.__doc__ = f"{event.capitalize()} a sub-pipeline; the stage table says what that means."


for _event in (
    Event.START, Event.SHADOW, Event.DOUBLE, Event.GRADUATE, Event.REVERT, Event.FREEZE,
    Event.UNFREEZE,
):  # fmt: skip
    _add_event(_event)


@router.post("/sub-pipelines/{name}/scope")
def scope(name: str, body: ScopeBody, asked: AskedOf, revision: RevisionOf) -> Response:
    """Set the share of jobs on the concurrent path."""
    return change(asked, name, Event.SCOPE, body, revision, body.scope_bp)


def change(
    asked: Asked,
    name: str,
    event: Event,
    body: Body,
    revision: int | None,
    scope_bp: int | None = None,
) -> Response:
    """Apply an event of the stage table."""
    asked.must_see(str(event), name)
    asked.permit(str(event), name)
    door, caller = asked.site.door, asked.caller

    def act() -> Json:
        try:
            if asked.dry_run:
                return door.consequence_of_change(
                    caller, name, event, scope_bp=scope_bp, seen_revision=revision
                ).to_json()
            changed = door.change(
                caller, name, event, body.reason, scope_bp=scope_bp, seen_revision=revision
            )
        except StaleRevision:
            asked.request.state.current = asked.state(name)
            raise
        asked.site.shared.forget()
        return {"changed": changed.to_json(), "state": asked.state(name)}

    return asked.once(body, act)


@router.post("/sub-pipelines/{name}/kill")
def kill_one(name: str, body: Body, asked: AskedOf) -> Response:
    """Send every job to legacy now. No precondition can refuse it; a second one is harmless."""
    asked.must_see("kill", name)
    return _kill(asked, name, body)


@router.post("/kill")
def kill_all(body: Body, asked: AskedOf) -> Response:
    """Send every job of every sub-pipeline to legacy now."""
    return _kill(asked, None, body)


def _kill(asked: Asked, name: str | None, body: Body) -> Response:
    site, caller = asked.site, asked.caller
    asked.permit("kill", name)

    def act() -> Json:
        if asked.dry_run:
            return site.door.consequence_of_kill(caller, name).to_json()
        report = kill(site, caller, name, body.reason)
        return read_kill(site.runtime.ledger, site.runtime.control, name, report).to_json()

    return asked.once(body, act, kill=True)


@router.post("/sub-pipelines/{name}/rearm")
def rearm_one(name: str, body: Body, asked: AskedOf, revision: RevisionOf) -> Response:
    """Lift a kill; the reason is needed, and by policy a second person."""
    asked.must_see("rearm", name)
    asked.permit("rearm", name)
    door, caller = asked.site.door, asked.caller

    def act() -> Json:
        if asked.dry_run:
            return door.consequence_of_rearm(caller, name, body.reason).to_json()
        changed = door.rearm(caller, name, body.reason, seen_revision=revision)
        asked.site.shared.forget()
        return {"rearmed": [one.to_json() for one in changed], "state": asked.state(name)}

    return asked.once(body, act)


@router.post("/rearm")
def rearm_all(body: Body, asked: AskedOf) -> Response:
    """Lift the kill of all; what was killed by itself stays killed."""
    asked.permit("rearm", None)

    def act() -> Json:
        if asked.dry_run:
            return asked.site.door.consequence_of_rearm(asked.caller, None, body.reason).to_json()
        changed = asked.site.door.rearm(asked.caller, None, body.reason)
        asked.site.shared.forget()
        return {"rearmed": [one.to_json() for one in changed]}

    return asked.once(body, act)
