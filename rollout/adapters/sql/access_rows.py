"""Tokens, sessions, acts and kept answers, on a database."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from rollout.adapters.sql.access_tables import access_token, act, request_answer, web_session
from rollout.adapters.sql.database import Database
from rollout.control.access import Origin, Role
from rollout.control.acts import Act, Came
from rollout.control.requests import ABANDONED_AFTER, KEPT, Answer
from rollout.control.tokens import Session, Token


class AccessRows:
    """The part of the ledger that the doors need."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert

    # Tokens ------------------------------------------------------------------------------

    def add_token(self, token: Token) -> None:
        """Keep a token."""
        with self._db.write() as connection:
            connection.execute(
                insert(access_token).values(
                    token_id=token.token_id,
                    digest=token.digest,
                    actor=token.actor,
                    role=str(token.role),
                    names=_text_of(token.names),
                    made_at=token.made_at,
                    made_by=token.made_by,
                    ends_at=token.ends_at,
                    revoked_at=token.revoked_at,
                )
            )

    def tokens(self) -> list[Token]:
        """All tokens, newest first, the revoked ones too."""
        query = select(access_token).order_by(
            access_token.c.made_at.desc(), access_token.c.token_id
        )
        with self._db.read() as connection:
            return [_token_of(row) for row in connection.execute(query)]

    def token_of(self, digest: str) -> Token | None:
        """The token with this hash."""
        with self._db.read() as connection:
            row = connection.execute(
                select(access_token).where(access_token.c.digest == digest)
            ).first()
        return None if row is None else _token_of(row)

    def revoke_token(self, token_id: str, now: datetime) -> bool:
        """Revoke a token and end its sessions; False when it is unknown or revoked already."""
        with self._db.write() as connection:
            changed = connection.execute(
                update(access_token)
                .where(access_token.c.token_id == token_id, access_token.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            connection.execute(delete(web_session).where(web_session.c.token_id == token_id))
            return changed.rowcount == 1

    # Sessions ----------------------------------------------------------------------------

    def add_session(self, session: Session) -> None:
        """Keep a session, and forget those that have ended."""
        with self._db.write() as connection:
            connection.execute(delete(web_session).where(web_session.c.ends_at <= session.began_at))
            connection.execute(
                insert(web_session).values(
                    digest=session.digest,
                    actor=session.actor,
                    role=str(session.role),
                    names=_text_of(session.names),
                    token_id=session.token_id,
                    began_at=session.began_at,
                    ends_at=session.ends_at,
                )
            )

    def session_of(self, digest: str) -> Session | None:
        """The session with this hash."""
        with self._db.read() as connection:
            row = connection.execute(
                select(web_session).where(web_session.c.digest == digest)
            ).first()
        if row is None:
            return None
        return Session(
            row.digest,
            row.actor,
            Role(row.role),
            _names_of(row.names),
            row.token_id,
            row.began_at,
            row.ends_at,
        )

    def end_session(self, digest: str) -> None:
        """Sign out; ending what has ended changes nothing."""
        with self._db.write() as connection:
            connection.execute(delete(web_session).where(web_session.c.digest == digest))

    # Acts --------------------------------------------------------------------------------

    def note_act(self, one: Act) -> None:
        """Append an act."""
        with self._db.write() as connection:
            connection.execute(
                insert(act).values(
                    at=one.at,
                    actor=one.actor,
                    door=one.origin.door,
                    request_id=one.origin.request_id,
                    address=one.origin.address,
                    action=one.action,
                    name=one.name,
                    reason=one.reason,
                    came=str(one.came),
                    said=one.said,
                )
            )

    def acts(self, name: str | None, limit: int, before: int | None = None) -> list[Act]:
        """Read acts, newest first."""
        query = select(act).order_by(act.c.id.desc()).limit(limit)
        if name is not None:
            query = query.where(act.c.name == name)
        if before is not None:
            query = query.where(act.c.id < before)
        with self._db.read() as connection:
            return [_act_of(row) for row in connection.execute(query)]

    # Answers -----------------------------------------------------------------------------

    def begin_answer(self, key: str, fingerprint: str, now: datetime) -> Answer | None:
        """Take a key; None when it is ours now, else what is kept under it."""
        table = request_answer
        with self._db.write() as connection:
            connection.execute(delete(table).where(table.c.began_at <= now - KEPT))
            connection.execute(
                delete(table).where(
                    table.c.key == key,
                    table.c.status.is_(None),
                    table.c.began_at <= now - ABANDONED_AFTER,
                )
            )
            added = self._insert(table).values(key=key, fingerprint=fingerprint, began_at=now)
            added = added.on_conflict_do_nothing().returning(table.c.key)
            if connection.execute(added).first() is not None:
                return None
            row = connection.execute(select(table).where(table.c.key == key)).first()
        return None if row is None else Answer(row.fingerprint, row.began_at, row.status, row.body)

    def end_answer(self, key: str, status: int | None, body: str) -> None:
        """Keep an answer; without a status the key is free again."""
        table = request_answer
        mine = table.c.key == key
        with self._db.write() as connection:
            if status is None:
                connection.execute(delete(table).where(mine))
            else:
                connection.execute(update(table).where(mine).values(status=status, body=body))


def _text_of(names: frozenset[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))


def _names_of(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def _token_of(row: Any) -> Token:
    return Token(
        row.token_id,
        row.digest,
        row.actor,
        Role(row.role),
        _names_of(row.names),
        row.made_at,
        row.made_by,
        row.ends_at,
        row.revoked_at,
    )


def _act_of(row: Any) -> Act:
    origin = Origin(row.door, row.request_id, row.address)
    return Act(
        row.at,
        row.actor,
        origin,
        row.action,
        row.name,
        row.reason,
        Came(row.came),
        row.said,
        row.id,
    )
