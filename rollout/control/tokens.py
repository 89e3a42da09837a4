"""Tokens and sessions: made here, kept by their hash only, revoked in the ledger at once.

A secret is shown once. Its hash is a plain SHA-256: the secret is 256 random bits, which nobody
guesses, so there is nothing that a slow hash would slow down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from rollout.control.access import Role
from rollout.errors import RolloutError, UnknownSubPipeline
from rollout.routing.clock import Clock
from rollout.routing.stages import ControlState

PREFIX = "rollout_"
"""What a secret begins with, so that scanners of repositories find one that was committed."""

SESSION_LASTS = timedelta(hours=12)
TOKEN_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: everything but its secret.

    `names` None is every sub-pipeline; `ends_at` None never ends, `revoked_at` None is in force.
    """

    token_id: str
    digest: str
    actor: str
    role: Role
    names: frozenset[str] | None
    made_at: datetime
    made_by: str
    ends_at: datetime | None
    revoked_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.ends_at is None or now < self.ends_at)

    def state(self, now: datetime) -> str:
        """`in force`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "in force" if self.in_force(now) else "expired"

    def to_json(self) -> dict[str, Any]:
        """What scripts read; the hash is left out."""
        return {
            "id": self.token_id,
            "actor": self.actor,
            "role": str(self.role),
            "sub_pipelines": None if self.names is None else sorted(self.names),
            "made_at": self.made_at.isoformat(),
            "made_by": self.made_by,
            "ends_at": None if self.ends_at is None else self.ends_at.isoformat(),
            "revoked_at": None if self.revoked_at is None else self.revoked_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, and its secret, which nobody can read again."""

    token: Token
    secret: str

    def to_json(self) -> dict[str, Any]:
        """What scripts read, once."""
        return {**self.token.to_json(), "secret": self.secret}


@dataclass(frozen=True, slots=True)
class Session:
    """A person who signed in on the page; `token_id` None came from elsewhere."""

    digest: str
    actor: str
    role: Role
    names: frozenset[str] | None
    token_id: str | None
    began_at: datetime
    ends_at: datetime


class AccessRows(Protocol):
    """The ledger, as far as it keeps tokens and sessions. All raise LedgerUnreachable."""

    def add_token(self, token: Token) -> None:
        """Keep a token."""
        ...

    def tokens(self) -> list[Token]:
        """All tokens, newest first, the revoked ones too."""
        ...

    def token_of(self, digest: str) -> Token | None:
        """The token with this hash."""
        ...

    def revoke_token(self, token_id: str, now: datetime) -> bool:
        """Revoke a token and end its sessions; False when it is unknown or revoked already."""
        ...

    def add_session(self, session: Session) -> None:
        """Keep a session, and forget those that have ended."""
        ...

    def session_of(self, digest: str) -> Session | None:
        """The session with this hash; None also when its token was revoked."""
        ...

    def end_session(self, digest: str) -> None:
        """Sign out; ending what has ended changes nothing."""
        ...

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        ...


class UnknownToken(RolloutError):
    """An id that names no token in force."""

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        super().__init__(f"no token {token_id!r} is in force", "`rollout token list` lists them")


class WrongToken(RolloutError):
    """A token that was asked for wrongly; none was made."""


class Tokens:
    """Makes, finds and revokes tokens and sessions.

    Args:
        rows: The ledger.
        clock: Time.
        draw: Gives a fresh secret of at least 256 random bits, as URL-safe text.
    """

    def __init__(self, rows: AccessRows, clock: Clock, draw: Callable[[], str]) -> None:
        self._rows = rows
        self._clock = clock
        self._draw = draw

    def create(
        self,
        actor: str,
        role: Role,
        names: Iterable[str] | None,
        lasts: timedelta | None,
        made_by: str,
    ) -> NewToken:
        """Make a token; its secret is in the answer and nowhere else.

        Args:
            actor: Name for the log.
            role: What it may do.
            names: Sub-pipelines that it is for; None for all.
            lasts: How long; None for ever.
            made_by: Who made it.

        Raises:
            WrongToken, UnknownSubPipeline, LedgerUnreachable: None was made.
        """
        if not actor.strip():
            raise WrongToken("a token needs the name of its holder, got none", "say --for NAME")
        if lasts is not None and not timedelta() < lasts <= timedelta(days=TOKEN_DAYS_MAX):
            raise WrongToken(
                f"a token lasts up to {TOKEN_DAYS_MAX} days, got {lasts / timedelta(days=1):g}",
                "say --days 90",
            )
        chosen = None if names is None else frozenset(names)
        if chosen is not None:
            known = [state.name for state in self._rows.controls()]
            for name in sorted(chosen):
                if name not in known:
                    raise UnknownSubPipeline(name, known)
        now = self._clock.now()
        secret = PREFIX + self._draw()
        digest = digest_of(secret)
        ends_at = None if lasts is None else now + lasts
        token = Token(digest[:12], digest, actor.strip(), role, chosen, now, made_by, ends_at)
        self._rows.add_token(token)
        return NewToken(token, secret)

    def every(self) -> list[Token]:
        """All tokens, newest first."""
        return self._rows.tokens()

    def revoke(self, token_id: str) -> None:
        """Revoke a token and end its sessions. Raises UnknownToken, LedgerUnreachable."""
        if not self._rows.revoke_token(token_id, self._clock.now()):
            raise UnknownToken(token_id)

    def of(self, secret: str) -> Token | None:
        """The token in force that has this secret."""
        token = self._rows.token_of(digest_of(secret))
        return token if token is not None and token.in_force(self._clock.now()) else None

    def sign_in(
        self, actor: str, role: Role, names: frozenset[str] | None, token: Token | None = None
    ) -> tuple[str, Session]:
        """Begin a session; its id, which only the browser keeps, and what is kept of it."""
        now, secret = self._clock.now(), self._draw()
        ends_at = now + SESSION_LASTS
        if token is not None and token.ends_at is not None:
            ends_at = min(ends_at, token.ends_at)
        token_id = None if token is None else token.token_id
        session = Session(digest_of(secret), actor, role, names, token_id, now, ends_at)
        self._rows.add_session(session)
        return secret, session

    def session(self, secret: str) -> Session | None:
        """The session in force that has this id."""
        session = self._rows.session_of(digest_of(secret))
        return session if session is not None and self._clock.now() < session.ends_at else None

    def sign_out(self, secret: str) -> None:
        """End a session."""
        self._rows.end_session(digest_of(secret))


def tokens_json(tokens: Iterable[Token]) -> dict[str, Any]:
    """What scripts read of several tokens."""
    return {"tokens": [one.to_json() for one in tokens]}


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
