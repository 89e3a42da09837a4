"""`docs/architecture.md` says what the code says: its tables, its code map, its paths."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.tables import ARCHITECTURE, ROOT, TABLES, filled


def documents() -> list[Path]:
    """All pages of the docs."""
    return sorted((ROOT / "docs").rglob("*.md"))


def of(path: Path) -> str:
    """Name of a page, for the tests' ids."""
    return str(path.relative_to(ROOT))


def test_tables_are_those_of_the_code() -> None:
    """Every table is what `python -m tests.docs.tables` would write."""
    text = ARCHITECTURE.read_text()
    assert text == filled(text), "run: python -m tests.docs.tables"


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_changed_table_is_noticed(name: str) -> None:
    """A table that is edited by hand is not what the code says."""
    text = ARCHITECTURE.read_text()
    begin = f"<!-- begin: {name} -->\n"
    damaged = text.replace(begin, begin + "| a | row |\n")
    assert damaged != text
    assert filled(damaged) == filled(text) != damaged


def test_the_code_map_names_every_room_once() -> None:
    """A room or a loose module that was added has its line, in the order of the layers."""
    text = ARCHITECTURE.read_text()
    code_map = text[text.index("## Code map") : text.index("## Invariants")]
    named = re.findall(r"^rollout/(\w+)(?:/|\.py) ", code_map, flags=re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = (
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    assert named == layers


@pytest.mark.parametrize("page", documents(), ids=of)
def test_named_paths_exist(page: Path) -> None:
    """Each file or folder of this repository that a page names is there."""
    pattern = r"(?<![\w/.:-])(?:rollout|ops|docs|tests|migrations)/[\w./-]*[\w/]"
    for path in re.findall(pattern, page.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", documents(), ids=of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page has a target."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target
