"""For the probes of a proxy or an orchestrator: whether this process answers at all."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

PATH = "/healthz"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def alive() -> PlainTextResponse:
    """Answered without a thread, a server or a sign-in: the page must stay up when the ledger is
    down, because a kill's half in the control store still holds then."""
    return PlainTextResponse("ok\n")
