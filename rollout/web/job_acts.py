"""`/api/v1`: what can be done with single jobs: sent again, or seen without the mask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from rollout.control.access import Caller
from rollout.control.change import retried_json
from rollout.desk.plain import Json
from rollout.jobs.recent import JobKind
from rollout.web.asked import AskedOf, Body
from rollout.web.asking import one_of
from rollout.web.cursors import bounded
from rollout.web.problems import BadRequest
from rollout.web.site import Site

router = APIRouter(prefix="/api/v1", tags=["act"])

RETRIES_MAX = 1000

Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""What a database is asked for: none holds a NUL."""


class RetryBody(Body):
    """Which kept failures are sent again: ids, or all of a sub-pipeline since a time."""

    ids: list[Word] = Field(default_factory=list, max_length=RETRIES_MAX)
    sub_pipeline: Word | None = Field(None, max_length=100)
    since: datetime | None = Field(None, strict=False)
    limit: int = Field(
        RETRIES_MAX, ge=1, le=RETRIES_MAX, description="At most so many now: the pace is yours."
    )


@router.post("/jobs/retry")
def retry(body: RetryBody, asked: AskedOf) -> Response:
    """Send kept failures again, to legacy: some by id, or all that match; `left`: more match."""
    if bool(body.ids) is (body.sub_pipeline is not None):
        raise BadRequest("give either ids or sub_pipeline, got both or neither", "choose one")
    site, caller = asked.site, asked.caller
    if body.sub_pipeline is not None:
        asked.must_see("retry", body.sub_pipeline)
    asked.permit("retry", body.sub_pipeline or one_of(caller))

    def act() -> Json:
        if body.sub_pipeline is None:
            wanted = [_job_of(site, caller, one) for one in body.ids]
            left = False
        else:
            at = bounded(body.since, site.runtime.clock.now())
            page = site.desk.jobs(body.sub_pipeline, JobKind.FAILED, at, body.limit)
            wanted = [(one.job_id, one.name) for one in page.jobs]
            left = page.more
            if asked.dry_run:
                return {"dry_run": True, **page.preview_json(), "left": left}
        if asked.dry_run:
            return {"dry_run": True, "jobs": len(wanted), "left": left}
        done = site.door.retry(caller, wanted, body.reason, name=body.sub_pipeline)
        site.shared.forget()
        skipped = sum(one.refused is not None for one in done)
        return {**retried_json(done), "skipped": skipped, "left": left}

    return asked.once(body, act)


@router.post("/jobs/{job_id}/reveal")
def reveal(job_id: str, body: Body, asked: AskedOf) -> Response:
    """Show what a job was given and what it gave; the log keeps who looked."""
    site, caller = asked.site, asked.caller

    def act() -> Json:
        records = [page.record for page in site.desk.job(job_id, caller.names).pages]
        for record in records:
            asked.permit("reveal", record.name)
        if asked.dry_run:
            return {"dry_run": True, "sentence": f"The log keeps that you saw job {job_id}."}
        for record in records:
            site.door.note(caller, "reveal", record.name, f"job {record.job_id}", body.reason)
        return {"revealed": [site.desk.revealed(record).to_json() for record in records]}

    return asked.unkept(act)


@router.post("/sub-pipelines/{name}/mismatches/reveal")
def reveal_mismatches(name: str, body: Body, asked: AskedOf) -> Response:
    """Show examples of what shadows compared; the log keeps who looked."""
    asked.must_see("reveal", name)
    asked.permit("reveal", name)

    def act() -> Json:
        if asked.dry_run:
            return {"dry_run": True, "sentence": f"The log keeps that you saw results of {name}."}
        said = "what shadows compared"
        asked.site.door.note(asked.caller, "reveal", name, said, body.reason)
        return asked.site.desk.shadow_report(name, 50, revealed=True).to_json()

    return asked.unkept(act)


@router.post("/messages/reveal")
def reveal_messages(body: Body, asked: AskedOf) -> Response:
    """Show headers and bodies of the newest refused messages; the log keeps who looked."""
    asked.permit("reveal", None)

    def act() -> Json:
        if asked.dry_run:
            return {"dry_run": True, "sentence": "The log keeps that you saw refused messages."}
        asked.site.door.note(asked.caller, "reveal", None, "refused messages", body.reason)
        return asked.site.desk.messages(50, revealed=True).to_json()

    return asked.unkept(act)


def _job_of(site: Site, caller: Caller, job_id: str) -> tuple[str, str]:
    """Id and sub-pipeline of one job; raises UnknownJob, for another's as well."""
    pages = site.desk.job(job_id, caller.names).pages
    if len(pages) > 1:
        names = ", ".join(page.record.name for page in pages)
        raise BadRequest(f"{job_id!r} is one id of several: {names}", "retry by sub_pipeline")
    return pages[0].record.job_id, pages[0].record.name
