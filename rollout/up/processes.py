"""Looks after child processes: starts them, starts them again, and leaves none behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from rollout.log import Log
from rollout.settings import environment

log = Log("rollout.up")

_PR_SET_PDEATHSIG = 1
LOG_END_LINES = 15
LOG_END_BYTES = 4_000
RESTART_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Spec:
    """One process: a name for its log file, its command, and what it needs in the environment.

    `serves` marks a server that the others need until their own end.
    """

    name: str
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    serves: bool = False


@dataclass(slots=True)
class _Child:
    spec: Spec
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    started_at: float
    deaths: int = 0
    restart_at: float | None = None


class Processes:
    """Children in sessions of their own, so that ctrl-C reaches them only through `stop`.

    Args:
        logs: Folder of their output, one file each.
        grace_s: Longest wait for a child that was told to stop, before it is killed with all
            of its own children.
    """

    def __init__(self, logs: Path, grace_s: float = 10.0) -> None:
        self._logs = logs
        self._grace_s = grace_s
        self._children: list[_Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, spec: Spec) -> None:
        """Start a process; it is started again when it dies."""
        output = (self._logs / f"{spec.name}.log").open("ab")
        self._children.append(_Child(spec, _spawn(spec, output), output, time.monotonic()))

    def pid(self, name: str) -> int:
        """Process id of a child."""
        return next(child.process.pid for child in self._children if child.spec.name == name)

    def log_end(self, name: str) -> str:
        """The last lines that a child has written."""
        with (self._logs / f"{name}.log").open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LOG_END_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-LOG_END_LINES:])

    def look_after(self) -> list[str]:
        """Start dead children again, later each time; the names of those found dead just now."""
        rows = []
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None and now >= child.restart_at:
                child.process = _spawn(child.spec, child.output)
                child.started_at, child.restart_at = now, None
            elif child.restart_at is None and child.process.poll() is not None:
                if now - child.started_at > 60:
                    child.deaths = 0
                pause = RESTART_WAITS_S[min(child.deaths, len(RESTART_WAITS_S) - 1)]
                child.deaths += 1
                child.restart_at = now + pause
                rows.append(child.spec.name)
                log.warning(
                    "process died",
                    process=child.spec.name,
                    exit_code=child.process.returncode,
                    again_in_s=pause,
                )
        return rows

    def stop(self) -> None:
        """Stop all, servers last; what does not stop in time is killed with its own children."""
        clients = [child for child in self._children if not child.spec.serves]
        servers = [child for child in self._children if child.spec.serves]
        for group in (clients, servers):
            for child in group:
                if child.process.poll() is None:
                    child.process.terminate()
            deadline = time.monotonic() + self._grace_s
            for child in group:
                self._see_off(child, deadline)
        self._children.clear()

    def _see_off(self, child: _Child, deadline: float) -> None:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("killed", process=child.spec.name, after_s=self._grace_s)
        _kill_group(child.process.pid)
        child.process.wait()
        child.output.close()


def _spawn(spec: Spec, output: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        spec.command,
        env=environment(**spec.variables),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _die_with_parent() -> None:
    """Ask Linux for a SIGTERM when `up` itself is killed, so that no process is left."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # all gone by themselves
