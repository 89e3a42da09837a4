"""What handlers take: the site, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from rollout.control.access import Caller, permit
from rollout.errors import UnknownSubPipeline
from rollout.web.callers import Callers, kills, only_looks
from rollout.web.problems import BadRequest
from rollout.web.site import Site


def site_of(request: Request) -> Site:
    """The site."""
    site: Site = request.app.state.site
    return site


def caller_of(request: Request) -> Caller:
    """Who asks; raises NotSignedIn, Foreign, TooMany."""
    callers: Callers = request.app.state.callers
    caller = callers.of(request)
    rates = site_of(request).rates
    if only_looks(request):
        rates.take("read", caller.actor)
    else:
        rates.take("kill" if kills(request) else "write", caller.actor)
    permit(caller, "look")
    request.state.caller = caller
    return caller


def must_see(caller: Caller, name: str) -> None:
    """Refuse a sub-pipeline that is not the caller's as if it did not exist.

    Raises:
        UnknownSubPipeline: It says nothing about what there is beside the caller's own.
    """
    if not caller.sees(name):
        raise UnknownSubPipeline(name, caller.names or ())


def must_see_all(caller: Caller) -> None:
    """Refuse all sub-pipelines together to whom only some are shown.

    Raises:
        BadRequest: Says which are.
    """
    if caller.names is not None:
        raise BadRequest(
            f"this token sees {', '.join(sorted(caller.names))}, and all were asked for",
            "name one with ?sub_pipeline=",
        )


def one_of(caller: Caller) -> str | None:
    """A sub-pipeline of the caller's, to ask for its role before it is known whose a job is."""
    return None if caller.names is None else min(caller.names, default=None)


SiteOf = Annotated[Site, Depends(site_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
