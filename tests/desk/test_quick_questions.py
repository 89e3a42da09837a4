"""What is asked in a hurry loads no statistics."""

import subprocess
import sys

import pytest

CODE = """
import importlib, sys
importlib.import_module("rollout.desk." + sys.argv[1])
sys.exit(" ".join({"numpy", "scipy"} & set(sys.modules)) or 0)
"""


@pytest.mark.parametrize("module", ["board", "desk", "drills", "health", "history", "jobs"])
def test_a_quick_question_loads_no_statistics(module: str) -> None:
    """In a fresh interpreter, as a command begins."""
    command = [sys.executable, "-c", CODE, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
