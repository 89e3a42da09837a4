"""The process of a Chaos Toolkit experiment ends in order, however often it is told to."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until

EXPERIMENT = {
    "title": "a fault that stays",
    "description": "It waits; its rollback takes a moment.",
    "contributions": {},
    "method": [
        {
            "type": "action",
            "name": "begin",
            "provider": {"type": "process", "path": "touch", "arguments": "begun"},
            "pauses": {"after": 300},
        }
    ],
    "rollbacks": [
        {
            "type": "action",
            "name": "mend it",
            "provider": {"type": "process", "path": "sh", "arguments": "-c 'touch on; sleep 1'"},
        }
    ],
}


def test_a_second_call_to_end_does_not_end_the_rollbacks(tmp_path: Path) -> None:
    """Its own time and the runner's call come at once: the rollbacks are run, and told."""
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(EXPERIMENT))
    command = [sys.executable, "-m", "rollout.adapters.chaos_toolkit", str(file), "120"]
    with (tmp_path / "output.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    try:
        wait_until((tmp_path / "begun").exists, "the experiment has begun", 60)
        process.send_signal(signal.SIGALRM)
        wait_until((tmp_path / "on").exists, "its rollback has begun", 60)
        process.send_signal(signal.SIGALRM)
        process.wait(60)
    finally:
        process.kill()
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert journal["status"] == "interrupted"
    (mended,) = journal["rollbacks"]
    assert mended["status"] == "succeeded"
