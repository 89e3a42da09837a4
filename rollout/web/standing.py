"""How a sub-pipeline is drawn at a glance: a word, a shape and a colour that say the same."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.desk.alarms import Need
from rollout.desk.board import Board
from rollout.desk.status import Status
from rollout.routing.stages import Stage


@dataclass(frozen=True, slots=True)
class Standing:
    """`kind` is a class of the style sheet, `shape` says the same without colour."""

    kind: str
    shape: str
    word: str


KILLED = Standing("killed", "■", "Killed")
SICK = Standing("now", "▲", "Sick")
PERSON = Standing("soon", "◆", "Needs you")
HELD = Standing("later", "◇", "Held up")
FINE = Standing("fine", "●", "Fine")
LEGACY = Standing("still", "○", "On legacy")

FILTERS = {
    "all": "All",
    "person": "Needs a person",
    "sick": "Sick",
    "killed": "Killed",
    "moving": "On trial",
    "legacy": "On legacy",
}
"""What the overview can be narrowed to, as it stands in the address."""

VERDICTS = {
    "pass": Standing("fine", "●", "pass"),
    "regress": Standing("now", "▲", "regress"),
    "error": Standing("now", "▲", "error"),
    "insufficient": Standing("later", "◇", "insufficient"),
    "unseen": Standing("still", "○", "unseen"),
}


def of(board: Board, one: Status) -> Standing:
    """How a sub-pipeline stands."""
    if one.state.killed:
        return KILLED
    need = board.need(one)
    if need is Need.NOW:
        return SICK
    if need is Need.SOON:
        return PERSON
    if need is Need.LATER:
        return HELD
    return LEGACY if one.state.stage is Stage.LEGACY else FINE


def passes(board: Board, one: Status, wanted: str) -> bool:
    """Whether a filter shows it."""
    match wanted:
        case "person":
            return board.need(one) is Need.SOON
        case "sick":
            return board.need(one) is Need.NOW
        case "killed":
            return one.state.killed
        case "moving":
            return one.state.stage is not Stage.LEGACY
        case "legacy":
            return one.state.stage is Stage.LEGACY
        case _:
            return True
