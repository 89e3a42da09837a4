"""Tables of the docs that are made from the code: `python -m tests.docs.tables` writes them.

A table stands between two comments, `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from enum import Enum
from inspect import getsource
from pathlib import Path
from textwrap import dedent
from typing import Any

from rollout.drills.drill import Abort, Drill, Target
from rollout.drills.fault import Fault
from rollout.drills.gameday import GameDay
from rollout.jobs.claims import Refusal
from rollout.preflight.findings import Check
from rollout.routing.decision import Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import TRANSITIONS, Event, Stage, Transition
from rollout.scaling.limits import Limit
from rollout.scaling.scale import Class
from rollout.settings import Settings
from tests.shells.json_shapes import Shape, recorded

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def sentences(kind: type[Enum]) -> dict[str, str]:
    """The sentence under each member of an enumeration, by value, as its source has it."""
    (defined,) = ast.parse(dedent(getsource(kind))).body
    assert isinstance(defined, ast.ClassDef)
    found: dict[str, str] = {}
    for assigned, said in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(assigned, ast.Assign) and isinstance(said, ast.Expr):
            word = assigned.value
            if isinstance(word, ast.Tuple):
                word = word.elts[0]  # what it means stands behind it
            value, text = ast.literal_eval(word), ast.literal_eval(said.value)
            found[value] = " ".join(text.split())
    assert set(found) == {member.value for member in kind}, f"a sentence is missing in {kind}"
    return found


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _while_held(row: Transition) -> str:
    if row.event is Event.SCOPE:
        return "a lower one only"
    return "refused" if row.grows else "allowed"


def stages() -> str:
    """One row per event of the stage table."""
    rows = [
        (
            f"`{row.event}`",
            "any" if row.stages == frozenset(Stage) else ", ".join(sorted(row.stages)),
            f"`{row.to}`" if row.to else "unchanged",
            _while_held(row),
            row.sentence,
        )
        for row in TRANSITIONS
    ]
    return table(("event", "from", "to", "while killed or frozen", "what it means"), *rows)


def reasons() -> str:
    """One row per reason of a decision."""
    rows = [
        (f"`{value}`", "yes" if Reason(value).means.fallback else "", said)
        for value, said in sentences(Reason).items()
    ]
    return table(("reason", "fallback", "what it says"), *rows)


def refusals() -> str:
    """One row per refusal of the ledger."""
    rows = [(f"`{value}`", said) for value, said in sentences(Refusal).items()]
    return table(("refusal", "what happens to the job"), *rows)


def effects() -> str:
    """What each declaration of effects allows."""

    def word(allowed: bool) -> str:
        return "yes" if allowed else "no"

    rows = [
        (
            f'`"{effect}"`',
            sentences(Effects)[effect],
            word(effect.repeatable),
            "waits" if effect.needs_ledger else "runs on legacy",
            "abandoned, runs on legacy" if effect.repeatable else "finishes",
        )
        for effect in Effects
    ]
    head = ("effects", "means", "started again", "while the ledger is away", "in flight at a kill")
    return table(head, *rows)


def settings() -> str:
    """One row per setting."""
    rows = [
        (
            f"`{name}`",
            as_toml(field.get_default(call_default_factory=True)),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return table(("setting", "default", "what it does"), *rows)


def as_toml(value: object) -> str:
    """A default as rollout.toml would have it; nothing for what is empty."""
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


TABLES: dict[str, Callable[[], str]] = {
    "stages": stages,
    "reasons": reasons,
    "refusals": refusals,
    "effects": effects,
    "settings": settings,
}


DRILLS = ROOT / "docs" / "drills.md"


def faults() -> str:
    """One row per fault of a drill."""
    rows = [(f"`{value}`", said) for value, said in sentences(Fault).items()]
    return table(("fault", "what breaks"), *rows)


def attributes(kind: type) -> dict[str, str]:
    """The sentence of each attribute in the docstring of a class."""
    told = (kind.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, str] = {}
    for line in dedent(told).strip("\n").splitlines():
        if line[:1].strip():
            name, _, said = line.partition(": ")
            found[name] = said
        else:
            found[name] += f" {line.strip()}"
    return found


_NOT_IN_A_FILE = "experiment"
_AS_WRITTEN = {"paths": "path", "drills": "drill"}


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "needed"
    if field.name == "target":
        return "`{ share = 1.0 }`"
    if field.name == "abort":
        return "`{ other_path_windows = 3 }`"
    return "off" if field.default is None else f"`{field.default}`"


def keys() -> str:
    """One row per key of a drill, of its tables, and of a game day."""
    rows = []
    for kind, before in ((Drill, ""), (Target, "target."), (Abort, "abort."), (GameDay, "")):
        said = attributes(kind)
        for field in fields(kind):
            if field.name == _NOT_IN_A_FILE:
                continue
            name = _AS_WRITTEN.get(field.name, field.name)
            default = "`both`" if field.name == "paths" else _default(field)
            if kind is Target or field.name == "title":
                default = "" if kind is Target else "the file's name"
            rows.append((f"`{before}{name}`", default, said[field.name]))
    return table(("key", "default", "what it says"), *rows)


CLI = ROOT / "docs" / "cli.md"
PREFLIGHT = ROOT / "docs" / "preflight.md"
_COMMANDS = {
    "changes": "`shadow`, `start`, `scope`, `double`, `graduate`, `revert`, `freeze`, `unfreeze`",
}
"""Commands that share a shape."""


def shapes() -> str:
    """One row per command: the keys of its `--json`, and those of the objects in it."""
    rows = []
    for command, shape in recorded().items():
        names = _COMMANDS.get(command, f"`{_TYPED.get(command, command.replace('_', ' '))}`")
        rows.append((names, ", ".join(_keys_in(shape))))
    return table(("command", "keys"), *rows)


_TYPED = {"shadow_report": "shadow-report", "scale_test": "scale-test"}
"""Commands whose name has a hyphen."""
_BY_NAME = {"settings", "sources", "values", "too_early", "counts", "where_s"}
"""Objects whose keys are names of settings, of a policy's keys, of sub-pipelines, of counts."""


def _keys_in(shape: Shape) -> list[str]:
    """The keys of the outermost object, each with those of the objects in it; deeper ones are left
    to the output itself."""
    top = [path[1:] for path in shape if path.startswith(".") and re.fullmatch(r"\.\w+", path)]
    found = []
    for key in top:
        inner = [
            path.rpartition(".")[2] for path in shape if re.fullmatch(rf"\.{key}(\[\])?\.\w+", path)
        ]
        within = f" ({', '.join(f'`{one}`' for one in inner)})" if inner else ""
        if key in _BY_NAME and shape[f".{key}"] == "dict":
            within = " (by name)"
        found.append(f"`{key}`{within}")
    return found


def checks() -> str:
    """One row per check of a preflight."""
    return table(("check", "it finds"), *((f"`{k}`", v) for k, v in sentences(Check).items()))


def classes() -> str:
    """One row per class of a scale test."""
    return table(("class", "means"), *((k, v) for k, v in sentences(Class).items()))


def limits() -> str:
    """One row per limit of a scale test."""
    return table(("limit", "means"), *((k, v) for k, v in sentences(Limit).items()))


PREFLIGHT_TABLES: dict[str, Callable[[], str]] = {
    "checks": checks, "classes": classes, "limits": limits,
}  # fmt: skip


CLI_TABLES: dict[str, Callable[[], str]] = {"json": shapes}


DRILL_TABLES: dict[str, Callable[[], str]] = {"faults": faults, "keys": keys}


def filled(text: str, tables: dict[str, Callable[[], str]] = TABLES) -> str:
    """The document with every table made anew."""
    for name, make in tables.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        assert text.count(begin) == text.count(end) == 1, f"{name} must be in the document once"
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    ARCHITECTURE.write_text(filled(ARCHITECTURE.read_text()))
    DRILLS.write_text(filled(DRILLS.read_text(), DRILL_TABLES))
    CLI.write_text(filled(CLI.read_text(), CLI_TABLES))
    PREFLIGHT.write_text(filled(PREFLIGHT.read_text(), PREFLIGHT_TABLES))
