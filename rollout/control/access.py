"""Who may do what: roles, and the one question that every door asks before it acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rollout.errors import RolloutError


class Role(StrEnum):
    """What a caller may do; each may do what those before it may."""

    VIEWER = "viewer"
    """Looks, and changes nothing."""
    SAFER_ONLY = "safer-only"
    """Kills, reverts and freezes: what can only make things safer; also for alert webhooks."""
    OPERATOR = "operator"
    """Retries kept failures, runs drills and reveals what is masked, too."""
    ADMIN = "admin"
    """Starts, grows, rearms, and hands out tokens, too."""

    def covers(self, least: Role) -> bool:
        """Whether this role may do what takes at least the other."""
        order = list(Role)
        return order.index(self) >= order.index(least)


LEAST_ROLE = {
    "look": Role.VIEWER,
    "kill": Role.SAFER_ONLY,
    "revert": Role.SAFER_ONLY,
    "freeze": Role.SAFER_ONLY,
    "retry": Role.OPERATOR,
    "drill": Role.OPERATOR,
    "end-drill": Role.OPERATOR,
    "reveal": Role.OPERATOR,
    "shadow": Role.ADMIN,
    "start": Role.ADMIN,
    "scope": Role.ADMIN,
    "double": Role.ADMIN,
    "graduate": Role.ADMIN,
    "unfreeze": Role.ADMIN,
    "rearm": Role.ADMIN,
    "token": Role.ADMIN,
}
"""The least role that each action takes; `docs/web.md` shows the same table."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Through which door an action came.

    Attributes:
        door: `cli`, `api` or `page`.
        request_id: The request's; empty for a command.
        address: The client's; empty for a command.
    """

    door: str = "cli"
    request_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks.

    Attributes:
        actor: Name for the log.
        role: What it may do.
        names: The only sub-pipelines that it may see and act on; None for all.
        origin: The door.
        read_only: The whole process changes nothing.
    """

    actor: str
    role: Role
    names: frozenset[str] | None = None
    origin: Origin = field(default_factory=Origin)
    read_only: bool = False

    def may(self, action: str, name: str | None = None) -> bool:
        """Whether `permit` lets it pass; an action without a name concerns all sub-pipelines."""
        try:
            permit(self, action, name)
        except NotPermittedHere:
            return False
        return True

    def sees(self, name: str) -> bool:
        """Whether this sub-pipeline is the caller's to look at."""
        return self.names is None or name in self.names


class NotPermittedHere(RolloutError):
    """A caller that is known, and may not do this; nothing was changed."""


def permit(caller: Caller, action: str, name: str | None = None) -> None:
    """Let the caller pass, or say what it lacks.

    Args:
        caller: Who asks.
        action: A key of LEAST_ROLE.
        name: The sub-pipeline; None concerns all of them.

    Raises:
        NotPermittedHere: Nothing was changed.
    """
    least = LEAST_ROLE[action]
    if caller.read_only and least is not Role.VIEWER:
        raise NotPermittedHere(
            f"this page and its API are read-only, so {action!r} is refused",
            "use `rollout` on a machine that may change things, or start it without --read-only",
        )
    if not caller.role.covers(least):
        raise NotPermittedHere(
            f"{action!r} takes the role {least}, {caller.actor!r} has {caller.role}",
            f"ask somebody who has it, or for a token: `rollout token create --role {least}`",
        )
    if caller.names is None or (action == "look" and name is None):
        return
    mine = ", ".join(sorted(caller.names))
    if name is None:
        raise NotPermittedHere(
            f"{action!r} of all sub-pipelines takes a token for all, this one is for {mine}",
            "name one of them",
        )
    if name not in caller.names:
        raise NotPermittedHere(
            f"{caller.actor!r} may act on {mine}, got {name!r}",
            f"ask for a token: `rollout token create --sub-pipeline {name}`",
        )
