"""One action of the API as it was asked for, and its answer: given once, however often it comes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.control.access import Caller, permit
from rollout.control.requests import answered
from rollout.desk.plain import Json
from rollout.errors import LedgerUnreachable, RolloutError
from rollout.web.asking import CallerOf, SiteOf, must_see
from rollout.web.problems import BadRequest
from rollout.web.site import Site

REASON_MAX = 10_000


class Body(BaseModel):
    """What every action takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field("", max_length=REASON_MAX, description="Why, for the log.")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for an action, and how.

    Attributes:
        request: The request.
        site: The site.
        caller: Who asks.
        dry_run: Say the consequences and change nothing.
        key: The Idempotency-Key; None without one.
    """

    request: Request
    site: Site
    caller: Caller
    dry_run: bool
    key: str | None

    def must_see(self, action: str, name: str) -> None:
        """A name that is not the caller's is refused as unknown, and noted."""
        try:
            must_see(self.caller, name)
        except RolloutError as error:
            self.site.door.refused(self.caller, action, name, error)
            raise

    def permit(self, action: str, name: str | None) -> None:
        """Ask before the body is looked at: who may not is told nothing else.

        Raises:
            NotPermittedHere: It is noted.
        """
        try:
            permit(self.caller, action, name)
        except RolloutError as error:
            self.site.door.refused(self.caller, action, name, error)
            raise

    def state(self, name: str) -> Json:
        """The sub-pipeline as the ledger and the gate have it now."""
        result: Json = self.site.desk.status(name).one_json(name)
        return result

    def once(self, body: Body, act: Callable[[], Json], *, kill: bool = False) -> Response:
        """Act, or give again what was answered under the same Idempotency-Key.

        Whoever calls has asked `permit`: a key is written, and an answer is for who may have it.
        A kill whose key cannot be looked up acts: doing it twice is harmless, not doing it is not.
        """
        if self.key is None:
            return JSONResponse(self._with_id(act()))
        rows, now = self.site.runtime.ledger, self.site.runtime.clock.now()
        where = self.request.url
        taken = _hash(self.caller.actor, self.key)
        fingerprint = _hash(
            self.request.method, where.path, str(self.request.query_params), body.model_dump_json()
        )
        try:
            before = rows.begin_answer(taken, fingerprint, now)
        except LedgerUnreachable:
            if not kill:
                raise
            return JSONResponse(self._with_id(act()))
        if before is not None:
            status, text = answered(before, self.key, fingerprint)
            return Response(
                text, status, {"Idempotent-Replayed": "true"}, media_type="application/json"
            )
        try:
            text = json.dumps(self._with_id(act()))
        except BaseException:
            rows.end_answer(taken, None, "")
            raise
        try:
            rows.end_answer(taken, 200, text)
        except LedgerUnreachable:
            if not kill:
                raise
        return Response(text, 200, media_type="application/json")

    def unkept(self, act: Callable[[], Json]) -> Response:
        """Act, and keep no answer: it holds what is masked everywhere else."""
        return JSONResponse(self._with_id(act()))

    def _with_id(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "request_id": self.request.state.request_id}


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def asked(
    request: Request,
    site: SiteOf,
    caller: CallerOf,
    dry_run: Annotated[bool, Query(description="Say the consequences and change nothing.")] = False,
    key: Annotated[
        str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)
    ] = None,
) -> Asked:
    """What every action takes beside its body."""
    return Asked(request, site, caller, dry_run, key)


def revision_of(
    if_match: Annotated[
        str | None, Header(description="The revision that the caller has seen.")
    ] = None,
) -> int | None:
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


AskedOf = Annotated[Asked, Depends(asked)]
RevisionOf = Annotated[int | None, Depends(revision_of)]
