"""The examples of docs/adopting.md, written into a folder and run as a team would run them."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "adopting.md"
_FILE = re.compile(r"```python\n# file: (\S+)\n(.*?)```", re.DOTALL)


def write_examples(folder: Path, *names: str) -> None:
    """Write files of the page."""
    files = dict(_FILE.findall(PAGE.read_text(encoding="utf-8")))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")


class Plant:
    """A folder with an app, its ledger and its worker, on a server that is given."""

    def __init__(self, folder: Path, url: str, app: str, **environment: str) -> None:
        self.folder = folder
        self.app = app
        self._worker: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:7] != "DJANGO_"},
            "PYTHONPATH": os.pathsep.join([str(folder), str(PAGE.parents[1])]),
            "BROKER": f"{url}/2",
            "BACKEND": f"{url}/3",
            "C_FORCE_ROOT": "1",
            "ROLLOUT_CONTROL_URL": f"{url}/4",
            "ROLLOUT_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
            "ROLLOUT_SNAPSHOT_S": "0.02",
            "ROLLOUT_SUPERVISION_S": "600",
            "ROLLOUT_READ_TIMEOUT_MS": "2000",
            "ROLLOUT_CONNECT_TIMEOUT_MS": "2000",
            **environment,
        }

    def start(self, *names: str, pool: str = "solo", more: tuple[str, ...] = ()) -> None:
        """Migrate, start a worker and open the concurrent path of these sub-pipelines."""
        self.call("-m", "rollout", "migrate")
        queues = [
            "celery",
            *(f"{name}.{path}" for name in names for path in ("legacy", "concurrent")),
        ]
        log = self.folder / "worker.log"
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", self.app, "worker", "-Q", ",".join(queues),
             "-P", pool, "-l", "INFO", "--without-mingle", "--without-gossip", *more],
            cwd=self.folder, env=self.environment, stdout=log.open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while b"ready." not in log.read_bytes():
            if self._worker.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-3000:])
            time.sleep(0.1)
        self.run(f"""
            from datetime import timedelta
            from rollout.adapters.celery.install import pipelines_of
            from rollout.routing.stages import Event
            from rollout.wiring import load_app
            app = load_app({self.app!r})
            app.loader.import_default_modules()
            for one in pipelines_of(app).values():
                one.runtime.control.beat("test", timedelta(minutes=10))
                # The worker has announced it: no job was needed for that.
                one.runtime.changes.change(one.name, Event.START, "test", "")
                scope_bp = 10_000 - one.holdback_bp
                one.runtime.changes.change(one.name, Event.SCOPE, "test", "", scope_bp=scope_bp)
            print("null")
        """)

    def stop(self) -> None:
        """Stop the worker."""
        if self._worker is not None:
            self._worker.terminate()
            try:
                self._worker.wait(15)
            except subprocess.TimeoutExpired:
                self._worker.kill()

    def run(self, code: str) -> Any:
        """Run a program that prints JSON last."""
        lines = [line[12:] if line.startswith(" " * 12) else line for line in code.splitlines()]
        said = self.call("-c", "\n".join(lines))
        return json.loads(said.strip().splitlines()[-1])

    def call(self, *arguments: str) -> str:
        """Run Python in the folder."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        log = self.folder / "worker.log"
        worker = log.read_text()[-2000:] if log.exists() else ""
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-3000:]}\n{worker}"
        return done.stdout
