"""The submit and the gate path stay light: numpy and scipy load only for the evidence."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "import sys; print([name for name in ('numpy', 'scipy') if name in sys.modules])"


@pytest.mark.parametrize(
    "module", ["rollout", "rollout.routing", "rollout.evidence", "rollout.evidence.promote"]
)
def test_importing_loads_no_numbers(module: str) -> None:
    """Importing the package, its core or the promotion rules loads neither numpy nor scipy."""
    code = f"import {module}; {HEAVY}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
