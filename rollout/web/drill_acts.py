"""`/api/v1`: drills, begun and ended."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from rollout.desk.plain import Json
from rollout.web.asked import AskedOf, Body
from rollout.web.drill_doors import begin, declared_drill, end, foresee

router = APIRouter(prefix="/api/v1", tags=["act"])


class DrillBody(Body):
    """A drill as a file declares it (docs/drills.md); its sub-pipeline stands in the address."""

    drill: dict[str, Any] = Field(max_length=40)


@router.post("/sub-pipelines/{name}/drill")
def drill(name: str, body: DrillBody, asked: AskedOf) -> Response:
    """Force a failure on purpose; answers when it has begun, `drills/ID` has the rest."""
    asked.must_see("drill", name)
    asked.permit("drill", name)
    declared = declared_drill(name, body.drill)
    site = asked.site

    def act() -> Json:
        if asked.dry_run:
            return {"dry_run": True, "sub_pipeline": name, "sentence": foresee(site, declared)}
        drill_id = begin(site, asked.caller, declared, body.reason)
        return {"drill_id": drill_id, "sub_pipeline": name, "sentence": declared.sentence,
                "journal": site.desk.drill(drill_id).to_json()}  # fmt: skip

    return asked.once(body, act)


@router.post("/sub-pipelines/{name}/end-drill")
def end_drill(name: str, body: Body, asked: AskedOf) -> Response:
    """Take a planted fault away, whoever planted it; its drill sees that and ends."""
    asked.must_see("end-drill", name)
    asked.permit("end-drill", name)

    def act() -> Json:
        if asked.dry_run:
            return {"dry_run": True, "sentence": f"A fault that is planted on {name} goes off."}
        return {"sub_pipeline": name, "ended": end(asked.site, asked.caller, name, body.reason)}

    return asked.once(body, act)
