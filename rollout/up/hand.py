"""One interpreter of its own that does as it is told: a line of JSON each way."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rollout.adapters.envelope import from_json, to_json

READY = "[]"
"""The first line of a process: it has imported the app."""
START_S = 120.0
"""Longest wait for a process to import the app."""


class Hand:
    """A process that runs one of our modules, and the line to it.

    Args:
        module: Run as `python -m`; says `READY` first.
        arguments: Its arguments.
        environment: All of its environment; None for this process's own.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # ctrl-C is for who started it, who then ends it
        )
        self._unread = b""
        self._ready = False

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until it has imported the app; one that cannot is found out by its first answer."""
        if not self._ready:
            self.receive(START_S)
            self._ready = True

    def tell(self, order: Any) -> None:
        """Send it an order."""
        assert self._process.stdin is not None, "it was opened with one"
        text = to_json("a process of our own", "the order", order)
        with suppress(OSError):  # it is gone, which the first answer tells
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, limit_s: float) -> Any:
        """What it says next; a text when it says nothing or is gone."""
        assert self._process.stdout is not None, "it was opened with one"
        line = self._process.stdout.fileno()
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            readable, _, _ = select.select([line], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                return f"no result in {limit_s:g} s"
            came = os.read(line, 65_536)
            if not came:
                return "the path killed its process"
            self._unread += came
        first, _, self._unread = self._unread.partition(b"\n")
        return from_json(first.decode())

    def close(self) -> None:
        """End it and what it has started: it has said all, or hangs."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:  # closes both lines and waits
            pass
