"""`docs/glossary.md`: each word once, each code name in the code."""

import re
from dataclasses import fields, is_dataclass
from importlib import import_module

import pytest

from tests.docs.tables import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text()
BUILT, NOT_BUILT = TEXT.split("## Words that have no code yet")


def rows(text: str) -> list[list[str]]:
    """Cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def code_names() -> list[str]:
    """Every code name of the table."""
    return [name for row in rows(BUILT) for name in re.findall(r"`([^`]+)`", row[2])]


def has(owner: object, name: str) -> bool:
    """Whether an object has this attribute; fields without a default count."""
    if isinstance(owner, type) and is_dataclass(owner):
        return hasattr(owner, name) or name in {field.name for field in fields(owner)}
    return hasattr(owner, name)


@pytest.mark.parametrize("name", code_names())
def test_code_names_exist(name: str) -> None:
    """The module is there, and in it what the table names."""
    parts = name.split(".")
    count = next(
        count
        for count in range(len(parts), 0, -1)
        if (ROOT.joinpath(*parts[:count])).with_suffix(".py").is_file()
    )
    owner: object = import_module(".".join(parts[:count]))
    assert parts[count:], "a module is not the home of a word"
    for part in parts[count:]:
        assert has(owner, part), f"{part} of {name}"
        owner = getattr(owner, part, None)


def test_each_word_has_one_meaning() -> None:
    """No word is explained twice, and each has its sentence."""
    words = [row[0] for row in [*rows(BUILT), *rows(NOT_BUILT)]]
    assert len(set(words)) == len(words)
    assert all(row[1].endswith(".") for row in [*rows(BUILT), *rows(NOT_BUILT)])


def test_it_is_short_enough_to_be_read() -> None:
    """The words of the product and not of the code: fewer than 40."""
    assert len(rows(BUILT)) < 40


def test_every_built_word_has_a_code_name() -> None:
    """A word without a place in the code stands in the second table."""
    assert all(re.search(r"`rollout\.", row[2]) for row in rows(BUILT))
