"""OFREP 0.3: which path a job key takes, for producers in any language.

It is advice: whatever a producer does with it, the gate and the claim of the ledger decide. A
sub-pipeline `invoices` is the boolean flag `invoices` (true: concurrent) and the string flag
`invoices.path`. The targeting key is the job's routing key.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.control.access import Caller
from rollout.routing.decision import Decision, JobPath
from rollout.routing.rule import RouteTable
from rollout.web.asking import CallerOf, SiteOf
from rollout.web.site import Site

router = APIRouter(prefix="/ofrep/v1", tags=["OFREP"])

PATH = ".path"
FRESH_S = 2.0
"""An older reading is good enough for a page, and not for a producer after a kill elsewhere."""
PATIENCE_S = 1.0
KEY_MAX = 1000


class Evaluation(BaseModel):
    """What a provider sends."""

    model_config = ConfigDict(extra="ignore")

    context: dict[str, Any] = Field(default_factory=dict)


@router.post("/evaluate/flags/{key}")
def evaluate(key: str, body: Evaluation, site: SiteOf, caller: CallerOf) -> Response:
    """One flag."""
    name = key.removesuffix(PATH)
    if name not in names_of(site, caller):
        return JSONResponse(
            {"key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": f"no flag {key[:100]!r}"},
            404,
        )
    targeting = _targeting(body)
    if isinstance(targeting, Response):
        return targeting
    return JSONResponse(_flag(site, name, targeting, key))


@router.post("/evaluate/flags")
def evaluate_all(
    body: Evaluation,
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Every flag of one targeting key; the ETag is over the whole answer and the context."""
    targeting = _targeting(body)
    if isinstance(targeting, Response):
        return targeting
    flags = []
    for name in names_of(site, caller):
        flags += [_flag(site, name, targeting, key) for key in (name, name + PATH)]
    values = {
        "flags": flags,
        "metadata": {"advice": "gate and claim decide at the job's start"},
        "eventStreams": [{"type": "sse", "url": str(site.base + "/ofrep/v1/events")}],
    }
    text = json.dumps(values)
    seed = json.dumps([values, body.context], sort_keys=True)
    etag = f'"{hashlib.sha256(seed.encode()).hexdigest()[:32]}"'
    if matches(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return Response(text, 200, {"ETag": etag}, media_type="application/json")


def names_of(site: Site, caller: Caller) -> list[str]:
    """The sub-pipelines that the caller may see."""
    taken = site.shared.get("names", lambda: [one.name for one in site.runtime.ledger.controls()])
    return [name for name in taken.value if caller.sees(name)]


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether a list of ETags holds this one; weak ones match, too."""
    if if_none_match is None:
        return False
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in given or etag in given


def _targeting(body: Evaluation) -> str | Response:
    given = body.context.get("targetingKey")
    if not isinstance(given, str | int) or isinstance(given, bool) or given == "":
        return JSONResponse(
            {
                "errorCode": "TARGETING_KEY_MISSING",
                "errorDetails": "targetingKey must be the job's routing key, a text or a number",
            },
            400,
        )
    key = str(given)
    try:
        key.encode()
    except UnicodeEncodeError:
        key = ""
    if not key or len(key) > KEY_MAX:
        return JSONResponse(
            {
                "errorCode": "INVALID_CONTEXT",
                "errorDetails": f"targetingKey must be text of 1..{KEY_MAX} characters",
            },
            400,
        )
    return key


def _flag(site: Site, name: str, targeting: str, key: str) -> dict[str, Any]:
    def read() -> RouteTable:
        return RouteTable(site.runtime.control.read(name))

    taken = site.shared.get(("route", name), read, PATIENCE_S)
    table = taken.value if taken.age_s <= FRESH_S else read()
    decision = table.decide(targeting)
    return {
        "key": key,
        "value": str(decision.path) if key.endswith(PATH) else decision.path is JobPath.CONCURRENT,
        "variant": str(decision.path),
        "reason": reason_of(decision),
        "metadata": {"revision": decision.revision, "because": str(decision.reason)},
    }


def reason_of(decision: Decision) -> str:
    """OpenFeature's word for why."""
    if decision.reason.means.drawn:
        return "SPLIT"
    return "DISABLED" if decision.reason.means.by_kill else "STATIC"
