"""Tokens, sessions, acts and kept answers, in memory."""

from dataclasses import replace
from datetime import datetime

from rollout.adapters.memory.rows import Rows
from rollout.control.acts import Act
from rollout.control.requests import ABANDONED_AFTER, KEPT, Answer
from rollout.control.tokens import Session, Token


class AccessRows:
    """The part of the ledger that the doors need."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def add_token(self, token: Token) -> None:
        """Keep a token."""
        with self._rows as rows:
            rows.tokens[token.token_id] = token

    def tokens(self) -> list[Token]:
        """All tokens, newest first, the revoked ones too."""
        with self._rows as rows:
            tokens = sorted(rows.tokens.values(), key=lambda one: one.token_id)
        return sorted(tokens, key=lambda one: one.made_at, reverse=True)

    def token_of(self, digest: str) -> Token | None:
        """The token with this hash."""
        with self._rows as rows:
            return next((one for one in rows.tokens.values() if one.digest == digest), None)

    def revoke_token(self, token_id: str, now: datetime) -> bool:
        """Revoke a token and end its sessions; False when it is unknown or revoked already."""
        with self._rows as rows:
            token = rows.tokens.get(token_id)
            if token is None or token.revoked_at is not None:
                return False
            rows.tokens[token_id] = replace(token, revoked_at=now)
            ended = [key for key, one in rows.sessions.items() if one.token_id == token_id]
            for digest in ended:
                del rows.sessions[digest]
            return True

    def add_session(self, session: Session) -> None:
        """Keep a session, and forget those that have ended."""
        with self._rows as rows:
            for digest, one in list(rows.sessions.items()):
                if one.ends_at <= session.began_at:
                    del rows.sessions[digest]
            rows.sessions[session.digest] = session

    def session_of(self, digest: str) -> Session | None:
        """The session with this hash."""
        with self._rows as rows:
            return rows.sessions.get(digest)

    def end_session(self, digest: str) -> None:
        """Sign out; ending what has ended changes nothing."""
        with self._rows as rows:
            rows.sessions.pop(digest, None)

    def note_act(self, one: Act) -> None:
        """Append an act."""
        with self._rows as rows:
            rows.acts.append(replace(one, act_id=len(rows.acts) + 1))

    def acts(self, name: str | None, limit: int, before: int | None = None) -> list[Act]:
        """Read acts, newest first."""
        with self._rows as rows:
            acts = [
                one
                for one in reversed(rows.acts)
                if name in (None, one.name) and (before is None or (one.act_id or 0) < before)
            ]
        return acts[:limit]

    def begin_answer(self, key: str, fingerprint: str, now: datetime) -> Answer | None:
        """Take a key; None when it is ours now, else what is kept under it."""
        with self._rows as rows:
            answer = rows.answers.get(key)
            if answer is not None and not _over(answer, now):
                return answer
            rows.answers[key] = Answer(fingerprint, now)
            return None

    def end_answer(self, key: str, status: int | None, body: str) -> None:
        """Keep an answer; without a status the key is free again."""
        with self._rows as rows:
            if status is None:
                rows.answers.pop(key, None)
            elif key in rows.answers:
                rows.answers[key] = replace(rows.answers[key], status=status, body=body)


def _over(answer: Answer, now: datetime) -> bool:
    kept = ABANDONED_AFTER if answer.status is None else KEPT
    return answer.began_at <= now - kept
