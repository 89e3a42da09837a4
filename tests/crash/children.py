"""Child processes in groups of their own, of which none is left behind."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Ask Linux for a SIGKILL when the driver itself is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Children:
    """Processes by name. Every start is remembered until `end`, so that all groups are killed."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._groups: set[int] = set()
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: Sequence[str], env: dict[str, str], **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a process; its output goes to `<name>.log`."""
        with (self._logs / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=options.pop("stdin", subprocess.DEVNULL),
                stdout=options.pop("stdout", output),
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **options,
            )
        self._running[name] = process
        self._groups.add(process.pid)
        return process

    def exit_code(self, name: str) -> int | None:
        """Exit code, None while it runs."""
        return self._running[name].poll()

    def pid(self, name: str) -> int:
        """Process id, which is also the group's."""
        return self._running[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and all it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._running[name].pid, number)

    def kill(self, name: str) -> None:
        """SIGKILL a process and all it started, and wait until it is gone."""
        self.signal(name, signal.SIGKILL)
        self._running[name].wait()

    def quit(self, name: str) -> None:
        """SIGQUIT, which PostgreSQL takes as an immediate shutdown, and wait."""
        self._running[name].send_signal(signal.SIGQUIT)
        try:
            self._running[name].wait(10)
        except subprocess.TimeoutExpired:
            self.kill(name)

    def end(self) -> None:
        """Kill every group ever started here."""
        for group in self._groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for process in self._running.values():
            process.wait()
