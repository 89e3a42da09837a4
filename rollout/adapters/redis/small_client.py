"""A client of the control store that loads nothing, for commands that must not wait for imports.

`import redis` takes 0.3 to 0.4 s, most of it for modules that no command needs (its cluster, its
asyncio half), and the kill switch has 0.4 s in all. So what the store asks is spoken here directly:
the second protocol of Redis over TCP or a Unix socket. An address that needs more (TLS, options in
the URL) is not `plain`, and redis-py is asked as everywhere else. Workers and the controller,
which load it once, never come here. See decision 0022; the contract suite of the control store
runs over this client, too.

Source: https://valkey.io/topics/protocol/ (RESP2).
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

PORT = 6379


class ErrorReply(OSError):
    """The server answered, and refused."""


class Address(NamedTuple):
    """Where a server is; `path` is that of a Unix socket, else empty."""

    host: str
    port: int
    path: str
    login: tuple[str, ...]
    database: int


def plain(url: str) -> Address | None:
    """Read a URL without TLS and without options; None for any other, which redis-py reads."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        return None
    if parts.query or parts.fragment:
        return None
    secret = [unquote(text) for text in (parts.username, parts.password) if text]
    login = tuple(secret) if parts.password else ()
    if parts.scheme in ("unix", "redis+socket"):
        return Address("", 0, unquote(parts.path), login, 0) if parts.path else None
    number = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "valkey") or not number.isdecimal():
        return None
    return Address(unquote(parts.hostname or "localhost"), port, "", login, int(number))


class SmallClient:
    """The commands of redis-py that the control store uses; connects at the first of them.

    Args:
        address: Where the server is.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest wait for each piece of an answer.

    Raises (all methods):
        OSError: The server does not answer; ErrorReply when it refuses.
        UnicodeError: A value is no text.
    """

    def __init__(self, address: Address, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._line: socket.socket | None = None
        self._unread = b""
        self._one_at_a_time = Lock()

    def ping(self) -> bool:
        """Ask for an answer."""
        return bool(self._ask("PING") == "PONG")

    def get(self, key: str) -> str | None:
        """Read a value."""
        found: str | None = self._ask("GET", key)
        return found

    def mget(self, keys: Sequence[str]) -> list[str | None]:
        """Read several values in one round trip."""
        found: list[str | None] = self._ask("MGET", *keys)
        return found

    def set(
        self, key: str, value: str, px: timedelta | int | None = None, nx: bool = False
    ) -> bool | None:
        """Write a value, for `px` (milliseconds) when given; with `nx` only where there is none."""
        words: list[object] = ["SET", key, value]
        if px is not None:
            words += ["PX", px // timedelta(milliseconds=1) if isinstance(px, timedelta) else px]
        return True if self._ask(*words, *(["NX"] if nx else [])) == "OK" else None

    def register_script(self, script: str) -> Callable[..., Any]:
        """A function of `keys` and `args` that runs a Lua script."""

        def run(keys: Sequence[str], args: Sequence[object]) -> Any:
            return self._ask("EVAL", script, len(keys), *keys, *args)

        return run

    def scan_iter(self, match: str, count: int) -> Iterator[str]:
        """Each key that matches, once or more."""
        cursor = "0"
        while True:
            cursor, keys = self._ask("SCAN", cursor, "MATCH", match, "COUNT", count)
            yield from keys
            if cursor == "0":
                return

    def info(self, section: str) -> dict[str, int | str]:
        """What the server says of itself; numbers as numbers."""
        pairs = (line.partition(":") for line in self._ask("INFO", section).splitlines())
        return {
            name: int(value) if value.isdecimal() else value
            for name, colon, value in pairs
            if colon
        }

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        line, self._line, self._unread = self._line, None, b""
        if line is not None:
            with suppress(OSError):
                line.close()

    def _ask(self, *words: object) -> Any:
        try:
            with self._one_at_a_time:
                if self._line is None:
                    self._connect()
                self._send(words)
                return self._receive()
        except BaseException:  # what is left of the answer must not be that of the next command
            self.close()
            raise

    def _connect(self) -> None:
        host, port, path, login, database = self._address
        if path:
            self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._line.settimeout(self._connect_timeout_s)
            self._line.connect(path)
        else:
            self._line = socket.create_connection((host, port), self._connect_timeout_s)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.settimeout(self._read_timeout_s)
        if login:
            self._send(("AUTH", *login))
            self._receive()
        if database:
            self._send(("SELECT", database))
            self._receive()

    def _send(self, words: Sequence[object]) -> None:
        assert self._line is not None, "it was connected"
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            text = str(word).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
        self._line.sendall(b"".join(parts))

    def _receive(self) -> Any:
        line = self._read_line()
        kind, rest = line[:1], line[1:].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ErrorReply(rest)
        if kind not in b":$*" or not rest.removeprefix("-").isdecimal():
            raise OSError(f"not what a Redis or Valkey answers: {line[:40]!r}")
        number = int(rest)
        if kind == b":":
            return number
        if kind == b"*":
            return [self._receive() for _ in range(number)]
        return None if number < 0 else self._read(number + 2)[:-2].decode()

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._fill()
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _read(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._fill()
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def _fill(self) -> None:
        assert self._line is not None, "it was connected"
        piece = self._line.recv(65_536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._unread += piece
