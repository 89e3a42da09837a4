"""Who does not use executions loads nothing of them, and they load little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / "rollout" / "execution"


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import rollout", "from rollout import SubPipeline", "from rollout.wiring import build"],
)
def test_nothing_of_it_is_loaded_by_who_does_not_use_it(statement: str) -> None:
    """Neither by the package nor by what a worker loads."""
    assert not {name for name in loaded_by(statement) if name.startswith("rollout.execution")}


def test_it_loads_the_standard_library_only() -> None:
    """rich comes with the live view, Celery with its executor, and Dask never."""
    loaded = {name.partition(".")[0] for name in loaded_by("import rollout.execution")}
    assert not loaded & {"celery", "kombu", "rich", "dask", "distributed", "redis", "sqlalchemy"}
    assert not loaded & {"numpy", "scipy", "pydantic", "structlog", "typer"}


def test_it_imports_no_other_room() -> None:
    """It can be taken out of the package as it is."""
    for module in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                is_ours = name.partition(".")[0] == "rollout"
                assert not is_ours or name.startswith("rollout.execution"), (module.name, name)
