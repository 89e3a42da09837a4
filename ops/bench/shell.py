"""What a person at a shell waits for: from the start of the process to the line that is printed.

`python -m ops.bench.shell` measures this alone.
"""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ops.bench.figures import Target
from ops.bench.servers import valkey
from rollout import build
from rollout.adapters.sql.migrate import migrate
from rollout.routing.effects import Effects

ROUNDS = 7
PLAIN, KILLED, TO_KILL = "bench-plain", "bench-killed", "bench-to-kill"
"""Nothing is suspicious in the first, so nobody is asked. The second is killed before the first
round, so `status` asks the workers. `kill` has a name of its own, or the others would change."""

KILL = ("-m", "rollout", "kill", TO_KILL, "--reason", "bench")
COMMANDS = {
    "python": ("-c", "pass"),
    "kill": KILL,
    "status": ("-m", "rollout", "status", PLAIN),
    "status_asking": ("-m", "rollout", "status", KILLED),
}
TARGETS = (
    Target("kill_starts_blocked_s", 0.4, "s", "rollout kill, from the shell to starts blocked"),
    Target("kill_s", 1.0, "s", "rollout kill, from the shell to its end"),
    Target("status_s", 1.0, "s", "rollout status, from the shell to its end"),
    Target("status_more_s", 0.8, "s", "the same where the workers are asked: so much more"),
)


def measure(folder: Path) -> dict[str, float]:
    """Medians in seconds, each also as a multiple of `python -c pass` in the same run."""
    with valkey(folder / "shell-store") as store:
        url = f"redis://127.0.0.1:{store.port}/0"
        variables = {
            "ROLLOUT_LEDGER_URL": f"sqlite:///{folder}/shell.db",
            "ROLLOUT_BROKER_URL": url,
            "ROLLOUT_CONTROL_URL": url,
        }
        _fill(variables["ROLLOUT_LEDGER_URL"], url)
        taken: dict[str, list[float]] = {"kill_starts_blocked": []}
        for _ in range(ROUNDS):
            for name, words in COMMANDS.items():
                first, whole = _timed(words, variables, folder)
                taken.setdefault(name, []).append(whole)
                if words is KILL:
                    taken["kill_starts_blocked"].append(first)
    found = {f"{name}_s": round(median(times), 3) for name, times in taken.items()}
    found["status_more_s"] = round(found["status_asking_s"] - found["status_s"], 3)
    bare = found["python_s"]
    return found | {f"{name}_ratio": round(found[f"{name}_s"] / bare, 1) for name in taken}


def _fill(ledger_url: str, url: str) -> None:
    """Three sub-pipelines, of which a controller has taken a look."""
    runtime = build(ledger_url=ledger_url, broker_url=url)
    migrate(runtime.database)
    for name in (PLAIN, KILLED, TO_KILL):
        runtime.ledger.ensure(name, Effects.COMMIT, 500, datetime.now(UTC))
    runtime.changes.kill(KILLED, actor="bench", reason="bench")
    runtime.tick.turn()
    runtime.close()


def _timed(words: tuple[str, ...], variables: dict[str, str], folder: Path) -> tuple[float, float]:
    """Seconds to the first line that is printed, and to the end."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **variables},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None, "it was opened with one"
        line = process.stdout.readline()
        first = time.perf_counter() - began
        process.stdout.read()
    whole = time.perf_counter() - began
    if process.returncode != 0 or (words is KILL and "starts blocked  yes" not in line):
        raise RuntimeError(f"{words} ended with {process.returncode}, after {line!r}")
    return first, whole


def main() -> None:
    """Print the figures as JSON."""
    with TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder)), indent=2))


if __name__ == "__main__":
    main()
