"""Runs page and API in this process until it is told to stop."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from rollout.errors import RolloutError, WrongSettings
from rollout.log import tell_utc
from rollout.web.app import create_app
from rollout.wiring import Runtime

STOP_S = 2
"""Open streams are cut after so long."""
TURN_S = 0.001
STARTS_WITHIN_S = 3.0
"""A ledger that takes longer to answer is told of; the page is served all the same."""


def serve(runtime: Runtime, say: Callable[[str], None]) -> None:
    """Serve; returns when the process is told to stop.

    Args:
        runtime: The services; the caller closes them.
        say: Told the address once it listens.

    Raises:
        WrongSettings: It would listen beyond this machine without a sign-in, or the port is taken.
    """
    tell_utc()
    take_turns()
    app = create_app(runtime)
    settings = runtime.settings
    listener = listen(settings.web_host, settings.web_port)
    say(f"page        {address_of(settings.web_host, listener, settings.web_base_path)}")
    if settings.web_read_only:
        say("read-only   page and API change nothing")
    say(_ledger(runtime))
    say("ready       ctrl-C stops it")
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64_000,
    )
    uvicorn.Server(config).run(sockets=[listener])


def take_turns() -> None:
    """Let threads of this process take turns a thousand times a second.

    A kill takes some thirty turns, and while a page is drawn or judged each of them waits for the
    interval: at Python's 5 ms they came to more than the kill itself.
    """
    sys.setswitchinterval(TURN_S)


def _ledger(runtime: Runtime) -> str:
    """Where the ledger is, or why the page will have nothing to show."""
    url = runtime.ledger.url
    try:
        with runtime.reads_within(STARTS_WITHIN_S):
            runtime.ledger.controls()
    except RolloutError as error:
        return f"ledger      NOT READ: {error.problem}; {error.hint}"
    return f"ledger      {url}"


def address_of(host: str, listener: socket.socket, base: str) -> str:
    """Where a browser finds the page."""
    port = listener.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{base}/"


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes any free one. Raises WrongSettings."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        raise WrongSettings(
            f"page and API cannot listen on {host}:{port}: {error.strerror or error}",
            "stop what listens there, or take another: --port or ROLLOUT_WEB_PORT (0 is any free)",
        ) from None
    return listener
