"""The gate when the control store is gone, in each of the ways it can be gone."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from ops.bench.servers import valkey
from rollout import Reason, build
from rollout.routing.rule import RouteTable

CALLS = 30
NAME, KEY = "bench-dead", "customer-7"
Gone = AbstractContextManager[str]
"""Gives the store's address; the store is gone in the block, after `strike` where there is one."""


def measure(folder: Path) -> dict[str, float]:
    """Longest gate in milliseconds by way of being gone, over many calls.

    Raises:
        RuntimeError: The gate said something other than "unreachable".
    """
    return {
        "closed_port": _longest_ms(_closed_port()),
        "black_hole": _longest_ms(_black_hole()),
        "full_backlog": _longest_ms(_full_backlog()),
        "paused_server": _longest_ms(*_struck(folder / "paused", signal.SIGSTOP)),
        "killed_server": _longest_ms(*_struck(folder / "killed", signal.SIGKILL)),
    }


def _longest_ms(gone: Gone, strike: Callable[[], None] = lambda: None) -> float:
    with gone as url:
        runtime = build(control_url=url, broker_url=url)
        gate = runtime.control.read
        gate(NAME)  # a worker that has a connection is the harder case
        strike()
        longest = 0.0
        for _ in range(CALLS):
            started = time.perf_counter()
            reason = RouteTable(gate(NAME)).decide(KEY).reason
            longest = max(longest, time.perf_counter() - started)
            if reason is not Reason.UNREACHABLE:
                raise RuntimeError(f"the gate of a dead store said {reason!r}")
        runtime.close()
    return round(longest * 1e3, 1)


@contextmanager
def _closed_port() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        yield _url(bound)


@contextmanager
def _black_hole() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(CALLS * 2)
        yield _url(listening)


@contextmanager
def _full_backlog() -> Iterator[str]:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):  # the kernel rounds the backlog up; the rest of these hang, too
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield _url(listening)


def _struck(folder: Path, number: signal.Signals) -> tuple[Gone, Callable[[], None]]:
    """A real server that answers, and what stops it in the middle."""
    pids: list[int] = []

    @contextmanager
    def opened() -> Iterator[str]:
        with valkey(folder) as server:
            url = f"redis://127.0.0.1:{server.port}/0"
            with Redis.from_url(url) as client:
                pids.append(int(client.info("server")["process_id"]))
            try:
                yield url
            finally:
                if number == signal.SIGSTOP:
                    os.kill(pids[0], signal.SIGCONT)

    return opened(), lambda: os.kill(pids[0], number)


def _url(bound: socket.socket) -> str:
    return f"redis://127.0.0.1:{bound.getsockname()[1]}/0"
