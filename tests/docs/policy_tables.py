"""Tables of `docs/policy.md`, made from the models by `python -m tests.docs.policy_tables`."""

import ast
import re
from collections.abc import Callable

from pydantic import BaseModel

from rollout.policy.calendars import Freeze, Quiet
from rollout.policy.policy import Cohort, Fleet, Policy
from tests.docs.tables import ROOT, as_toml, filled, table

POLICY = ROOT / "docs" / "policy.md"
LINT = ROOT / "rollout" / "policy" / "lint"


def _default(model: type[BaseModel], name: str) -> str:
    """A default as TOML would have it; what does not fit a cell is told below the table."""
    field = model.model_fields[name]
    if field.is_required():
        return "needed"
    return "Friday from 12:00" if name == "quiet" else as_toml(field.default)


def keys(model: type[BaseModel], *left_out: str) -> Callable[[], str]:
    """One row per key of a table in the file."""

    def made() -> str:
        rows = [
            (f"`{name}`", _default(model, name), field.description or "")
            for name, field in model.model_fields.items()
            if name not in left_out
        ]
        return table(("key", "default", "what it says"), *rows)

    return made


def rules_in_code() -> set[str]:
    """Names of all rules but those of one word: what looks like one in the rules' modules."""
    other = {*Policy.model_fields, "previous_step"}
    return {
        node.value
        for path in sorted(LINT.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[a-z]+(_[a-z]+)+", node.value)
        and node.value not in other
    }


TABLES: dict[str, Callable[[], str]] = {
    "policy": keys(Policy),
    "freeze": keys(Freeze),
    "quiet": keys(Quiet),
    "fleet": keys(Fleet),
    "cohort": keys(Cohort, "name"),
}

if __name__ == "__main__":
    POLICY.write_text(filled(POLICY.read_text(), TABLES))
