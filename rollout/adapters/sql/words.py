"""Text that people and programs hand us, so that every database can hold it.

PostgreSQL takes no NUL in a text, neither database a lone surrogate, and a column has its length. A
reason that cannot be stored to the letter is stored with what does not fit written out: a kill
must not fail, nor a controller stop, because of what somebody typed.
"""

from typing import Any

from sqlalchemy import Connection, String, Text, TypeDecorator

UTF8 = "UTF8"


ASCII_ONLY = "rollout_ascii_only"
"""Attribute of a dialect whose database is not UTF-8: what it holds for sure is ASCII."""


def storable(words: str, length_max: int | None = None, *, ascii_only: bool = False) -> str:
    """Write out what the database cannot hold, and cut what its column does not."""
    if ascii_only:
        words = words.encode("ascii", "backslashreplace").decode()
    if "\x00" in words:
        words = words.replace("\x00", "\\x00")
    try:
        words.encode()
    except UnicodeEncodeError:
        words = words.encode(errors="backslashreplace").decode()
    if length_max is not None and len(words) > length_max:
        words = words[: length_max - 3] + "..."
    return words


class Words(TypeDecorator[str]):
    """Text of any length that came from outside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Write out what cannot be stored."""
        return None if value is None else storable(value, ascii_only=_ascii_only(dialect))


class ShortWords(TypeDecorator[str]):
    """The same, up to a length."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Write out what cannot be stored, and cut the rest."""
        length_max: int | None = self.impl_instance.length  # type: ignore[attr-defined]
        if value is None:
            return None
        return storable(value, length_max, ascii_only=_ascii_only(dialect))


def _ascii_only(dialect: Any) -> bool:
    return bool(getattr(dialect, ASCII_ONLY, False))


def encoding_of(connection: Connection) -> str:
    """Encoding of the database: UTF8 on SQLite, and to be so on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return UTF8
    driver: Any = connection.connection.driver_connection
    return str(driver.info.parameter_status("server_encoding"))
