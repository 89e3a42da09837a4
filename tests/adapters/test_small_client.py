"""The small client of the control store: what it reads itself, and what it leaves to redis-py."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from redis import Redis

from rollout.adapters.redis.small_client import Address, ErrorReply, SmallClient, plain
from rollout.adapters.redis.store import RedisControlStore
from rollout.errors import ControlStoreUnreachable
from tests.conftest import start_valkey


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("localhost", 6379, "", (), 0)),
        ("valkey://db.example:6380/2", Address("db.example", 6380, "", (), 2)),
        ("redis://:p%40ss@db", Address("db", 6379, "", ("p@ss",), 0)),
        ("redis://ada:secret@db/1", Address("db", 6379, "", ("ada", "secret"), 1)),
        ("redis://[::1]:6379/0", Address("::1", 6379, "", (), 0)),
        ("unix:///run/valkey.sock", Address("", 0, "/run/valkey.sock", (), 0)),
    ],
)
def test_plain_addresses_are_read(url: str, address: Address) -> None:
    """Host, port, login and database, as redis-py reads them."""
    assert plain(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "rediss://db", "redis://db?ssl_cert_reqs=none", "unix:///run/valkey.sock?db=3", "redis://db/a",
        "redis://db:port", "amqp://db", "sentinel://db", "", "unix://",
    ],
)  # fmt: skip
def test_any_other_address_is_left_to_redis_py(url: str) -> None:
    """TLS and options are not spoken here; a wrong URL is refused where it always was."""
    assert plain(url) is None


def test_a_password_and_a_database_are_given_first() -> None:
    """The store answers behind a login; a wrong one is a store that does not answer."""
    server = start_valkey()
    url = f"redis://:secret@127.0.0.1:{server.port}/3"
    try:
        with closing(Redis(port=server.port)) as raw:
            raw.config_set("requirepass", "secret")
        with closing(RedisControlStore(url, "login:", 2, 2, small=True)) as store:
            store.ping()
        with (
            closing(SmallClient(_address(url), 2, 2)) as small,
            closing(Redis.from_url(url)) as raw,
        ):
            small.set("key", "ä\r\n$", px=60_000)
            assert raw.get("key") == "ä\r\n$".encode()
            assert small.get("key") == "ä\r\n$"
            assert small.set("key", "other", nx=True) is None
        for wrong in (url.replace("secret", "guess"), url.replace(":secret@", "")):
            with closing(RedisControlStore(wrong, "login:", 2, 2, small=True)) as store:
                for _ in range(2):  # a refused login leaves no connection behind
                    with pytest.raises(ControlStoreUnreachable):
                        store.ping()
    finally:
        server.stop()


def _address(url: str) -> Address:
    address = plain(url)
    assert address is not None
    return address


@contextmanager
def answering(*pieces: bytes) -> Iterator[Address]:
    """A server that says these bytes to whoever asks, each in a packet, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(65_536)
                for piece in pieces:
                    line.sendall(piece)

        thread = Thread(target=serve)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1], "", (), 0)
        thread.join()


def test_an_answer_may_come_in_pieces() -> None:
    """A list that is cut anywhere is put together."""
    with answering(b"*2\r", b"\n$3\r\na\r", b"\n", b"\r\n$-1\r\n") as address:
        client = SmallClient(address, 1, 1)
        assert client.mget(["a", "b"]) == ["a\r\n", None]
        client.close()


@pytest.mark.parametrize(
    "said", [b"", b":\r\n", b"$5\r\nab", b"HTTP/1.1 400 Bad Request\r\n", b"$x\r\n"]
)
def test_half_an_answer_and_nonsense_are_no_answer(said: bytes) -> None:
    """The store says that it does not answer, whatever is there instead of it."""
    with answering(said) as address:
        store = RedisControlStore(f"redis://127.0.0.1:{address.port}", "x:", 1, 1, small=True)
        with pytest.raises(ControlStoreUnreachable):
            store.ping()
        store.close()


def test_a_refusal_is_an_error_with_the_servers_words() -> None:
    """What the server says is what a person reads."""
    with answering(b"-OOM command not allowed\r\n") as address:
        client = SmallClient(address, 1, 1)
        with pytest.raises(ErrorReply, match="OOM command not allowed"):
            client.set("a", "b")
        client.close()


def test_a_unix_socket_is_spoken_to(tmp_path: Path) -> None:
    """A path in place of host and port; nobody there is an error."""
    client = SmallClient(Address("", 0, str(tmp_path / "no.sock"), (), 0), 1, 1)
    with pytest.raises(OSError, match="No such file"):
        client.ping()
    path = str(tmp_path / "valkey.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(100)
                line.sendall(b"+PONG\r\n")

        thread = Thread(target=serve)
        thread.start()
        client = SmallClient(_address(f"unix://{path}"), 1, 1)
        assert client.ping()
        client.close()
        thread.join()
