"""`/api/v1`: drills, begun and ended."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from rollout.desk.plain import Json
from rollout.drills.drill import Drill, read_drill
from rollout.drills.errors import BadDrill
from rollout.web.asked import AskedOf, Body
from rollout.web.problems import BadRequest

router = APIRouter(prefix="/api/v1", tags=["act"])


class DrillBody(Body):
    """A drill as a file declares it (docs/drills.md); its sub-pipeline stands in the address."""

    drill: dict[str, Any] = Field(max_length=40)


@router.post("/sub-pipelines/{name}/drill")
def drill(name: str, body: DrillBody, asked: AskedOf) -> Response:
    """Force a failure on purpose; answers when it has begun, `drills/ID` has the rest."""
    asked.must_see("drill", name)
    asked.permit("drill", name)
    declared = _read(name, body.drill)
    site = asked.site

    def act() -> Json:
        if asked.dry_run:
            site.runtime.drills(None).check(declared)
            return {"dry_run": True, "sub_pipeline": name, "sentence": declared.sentence}
        drill_id = site.door.drill(
            asked.caller, name, declared.sentence,
            lambda: site.drilling.begin(declared, asked.caller), body.reason,
        )  # fmt: skip
        site.shared.forget()
        return {"drill_id": drill_id, "sub_pipeline": name, "sentence": declared.sentence,
                "journal": site.desk.drill(drill_id).to_json()}  # fmt: skip

    return asked.once(body, act)


@router.post("/sub-pipelines/{name}/end-drill")
def end_drill(name: str, body: Body, asked: AskedOf) -> Response:
    """Take a planted fault away, whoever planted it; its drill sees that and ends."""
    asked.must_see("end-drill", name)
    asked.permit("end-drill", name)
    site = asked.site

    def act() -> Json:
        if asked.dry_run:
            return {"dry_run": True, "sentence": f"A fault that is planted on {name} goes off."}
        stopped = site.door.drill(
            asked.caller, name, "a planted fault is taken away",
            lambda: site.runtime.drills(None).stop(name), body.reason, action="end-drill",
        )  # fmt: skip
        site.shared.forget()
        return {"sub_pipeline": name, "ended": bool(stopped)}

    return asked.once(body, act)


def _read(name: str, values: dict[str, Any]) -> Drill:
    """Read a declaration. Raises BadRequest."""
    if values.get("sub_pipeline", name) != name:
        raise BadRequest(
            f"the drill must be of {name!r}, as in the address, got "
            f"{str(values['sub_pipeline'])[:100]!r}",
            "leave sub_pipeline out",
        )
    try:
        return read_drill({**values, "sub_pipeline": name})
    except BadDrill as error:
        raise BadRequest(error.problem, error.hint) from error
