"""Reads the policies from the tables of `rollout.toml` and says what is wrong in them.

`[policy]` is the default of all, `[policy.sub_pipeline.NAME]` what one differs by, `[fleet]` the
limits of all together, `[cohort.NAME]` similar sub-pipelines.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollout.capacities import read_capacities
from rollout.errors import CannotWrite, WrongSettings, why_of
from rollout.policy.policy import Cohort, Fleet, Policies, Policy
from rollout.policy.tables import SUB_PIPELINE
from rollout.settings import CONFIG_FILE, read_policy_tables

Model = TypeVar("Model", bound=BaseModel)


class WrongPolicy(WrongSettings):
    """A line of a policy that cannot be right; names the table, the key and what came."""

    def __init__(self, table: str, what: str, hint: str, file: str = CONFIG_FILE) -> None:
        self.table = table
        self.what = what
        super().__init__(f"{file} [{table}] {what}", hint)

    def beside(self, others: int) -> WrongPolicy:
        """The same error, saying how many other lines are wrong."""
        more = f"; `rollout policy check` lists {others} more" if others else ""
        return WrongPolicy(self.table, self.what, self.hint.rstrip(".") + more)


GONE = {
    "looks_max": "a step has 15 looks, at bake and after each half of it",
    "alpha_promote": "all looks of a step share one limit, 5 % on the margin",
    "margins": "what a step has to show follows from budget_failed and budget_late",
}
"""Settings of the last release that mean nothing any more, and what is so instead."""


@dataclass(frozen=True, slots=True)
class GoneSetting:
    """A line of a policy file that has no effect; it is read, and said."""

    table: str
    key: str

    @property
    def sentence(self) -> str:
        """What is so instead."""
        return f"{CONFIG_FILE} [{self.table}] {self.key} has no effect any more: {GONE[self.key]}"


def gone_settings(tables: Mapping[str, Any]) -> list[GoneSetting]:
    """Name the lines that have no effect any more."""
    default = tables.get("policy", {})
    if not isinstance(default, Mapping):
        return []
    named = [GoneSetting("policy", key) for key in default if key in GONE]
    own = default.get(SUB_PIPELINE, {})
    for name, values in own.items() if isinstance(own, Mapping) else ():
        if isinstance(values, Mapping):
            table = f"policy.{SUB_PIPELINE}.{name}"
            named += [GoneSetting(table, key) for key in values if key in GONE]
    return named


def write_budget(name: str, values: Mapping[str, float], folder: Path) -> Path:
    """Write a sub-pipeline's budget into `rollout.toml`, as a table of its own.

    Args:
        name: The sub-pipeline.
        values: Budgets by key.
        folder: Where the file is, or will be.

    Raises:
        WrongSettings: The file cannot be read, or has a table of that name already.
        CannotWrite: The machine refuses.
    """
    file = folder / CONFIG_FILE
    try:
        before = file.read_text() if file.exists() else ""
        tables = tomllib.loads(before)
    except (OSError, ValueError) as error:
        raise WrongSettings(f"{file} cannot be read: {why_of(error)}", "correct it first") from None
    lines = [f"{key} = {value}" for key, value in values.items()]
    if name in tables.get("policy", {}).get(SUB_PIPELINE, {}):
        raise WrongSettings(
            f"{file} has a table [policy.{SUB_PIPELINE}.{name}] already",
            f"put this into it: {', '.join(lines)}",
        )
    quoted = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
    table = [f"[policy.{SUB_PIPELINE}.{quoted}]", *lines]
    text = before.rstrip() + ("\n\n" if before.strip() else "") + "\n".join(table) + "\n"
    try:
        file.write_text(text)
    except OSError as error:
        raise CannotWrite(file, error) from None
    return file


def read_policies() -> Policies:
    """Read the policies in force from `rollout.toml`; without the file or its tables, defaults.

    Raises:
        WrongSettings: The file is not TOML.
        WrongPolicy: A line in it is wrong; the first of them, with the number of the others.
    """
    policies, wrong = parse_policies(read_policy_tables())
    if wrong:
        raise wrong[0].beside(len(wrong) - 1)
    return policies


def read_every_line() -> tuple[Policies, list[WrongSettings]]:
    """Read the policies of `rollout.toml`, with each line that is wrong, resources' included.

    Raises:
        WrongSettings: The file is not TOML.
    """
    policies, wrong = parse_policies(read_policy_tables())
    try:
        read_capacities()
    except WrongSettings as error:
        return policies, [*wrong, error]
    return policies, list(wrong)


def read_policies_of(file: Path) -> Policies:
    """Read policies from another file of the same form.

    Raises:
        WrongSettings: The file cannot be read, or is not TOML.
        WrongPolicy: A line in it is wrong; the first of them, with the number of the others.
    """
    try:
        with file.open("rb") as opened:
            tables = tomllib.load(opened)
    except (OSError, ValueError) as error:
        hint = "give a TOML file with tables like [policy]"
        raise WrongSettings(f"{file} cannot be read: {why_of(error)}", hint) from None
    policies, wrong = parse_policies(tables)
    if wrong:
        first = wrong[0]
        raise WrongPolicy(first.table, first.what, first.hint, str(file))
    return policies


def parse_policies(tables: Mapping[str, Any]) -> tuple[Policies, list[WrongPolicy]]:
    """Build the policies and collect every wrong line.

    Args:
        tables: `policy`, `fleet` and `cohort` as TOML has them; each may be missing.

    Returns:
        The policies, with defaults wherever a table was wrong, and one error for each wrong line:
        use the policies only when there is none.
    """
    wrong: list[WrongPolicy] = []
    default = dict(_table("policy", tables.get("policy", {}), wrong))
    own = _table(f"policy.{SUB_PIPELINE}", default.pop(SUB_PIPELINE, {}), wrong)
    cohorts = _table("cohort", tables.get("cohort", {}), wrong)
    return (
        Policies(
            default=_read("policy", Policy, default, wrong) or Policy(),
            sub_pipelines={
                name: _read(f"policy.{SUB_PIPELINE}.{name}", Policy, values, wrong) or Policy()
                for name, values in own.items()
            },
            fleet=_read("fleet", Fleet, tables.get("fleet", {}), wrong) or Fleet(),
            cohorts=tuple(
                cohort
                for name, values in cohorts.items()
                if (cohort := _cohort(name, values, wrong)) is not None
            ),
        ),
        wrong,
    )


def _cohort(name: str, values: Any, wrong: list[WrongPolicy]) -> Cohort | None:
    table = f"cohort.{name}"
    values = dict(_table(table, values, wrong))
    if "name" in values:
        wrong.append(_unknown(table, "", "name", values["name"], Cohort))
        return None
    return _read(table, Cohort, {**values, "name": name}, wrong)


def _table(name: str, values: Any, wrong: list[WrongPolicy]) -> Mapping[str, Any]:
    """The values of a table, or an error and none."""
    if isinstance(values, Mapping):
        return values
    hint = "write [policy], [policy.sub_pipeline.NAME], [fleet] or [cohort.NAME]"
    wrong.append(WrongPolicy(name, f"must be a table, got {_shown(values)}", hint))
    return {}


def _read(table: str, model: type[Model], values: Any, wrong: list[WrongPolicy]) -> Model | None:
    values = _table(table, values, wrong)
    if model is Policy:
        values = {key: value for key, value in values.items() if key not in GONE}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong += [_explained(table, model, one) for one in error.errors()]
        return None


def _explained(table: str, model: type[BaseModel], error: ErrorDetails) -> WrongPolicy:
    loc = error["loc"]
    owner, hint = _field_at(model, loc)
    if error["type"] == "extra_forbidden":
        return _unknown(table, _key(loc[:-1]), str(loc[-1]), error["input"], owner)
    if error["type"] == "missing":
        return WrongPolicy(table, f"{_key(loc)} is missing", hint)
    sentence = error["msg"].removeprefix("Value error, ")
    if error["type"] == "too_short":
        sentence = "Input should be a list of at least one"
    sentence = f"{_key(loc)}: {sentence}" if loc else sentence
    sentence = sentence.replace(": Input should be ", " must be ")
    came = _shown(error["input"])
    if came not in sentence:
        sentence = f"{sentence}, got {came}"
    if error["type"] == "literal_error":
        sentence += _guess(str(error["input"]), re.findall(r"'(\w+)'", error["msg"]))
    return WrongPolicy(table, sentence, hint)


def _field_at(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[type[BaseModel], str]:
    """The model that the last name of a place belongs to, and what people have to know of it."""
    hint = f"correct it in {CONFIG_FILE}"
    for part in loc:
        if not isinstance(part, str) or part not in model.model_fields:
            continue
        field = model.model_fields[part]
        hint = f"it says: {field.description}"
        if isinstance(field.default, bool | int | float | str):
            hint += f" The default is {field.default!r}."
        inner = [one for one in get_args(field.annotation) if isinstance(one, type)]
        model = next((one for one in inner if issubclass(one, BaseModel)), model)
    return model, hint


def _unknown(table: str, key: str, unknown: str, value: Any, owner: type[BaseModel]) -> WrongPolicy:
    known = [name for name in owner.model_fields if (owner, name) != (Cohort, "name")]
    hint = "`rollout policy show` lists all" if owner is Policy else f"it has {', '.join(known)}"
    at_the_top = table == "policy" and not key
    guess = _guess(unknown, [*known, SUB_PIPELINE] if at_the_top else known)
    if at_the_top and isinstance(value, Mapping) and not guess:
        guess = f", did you mean [policy.{SUB_PIPELINE}.{unknown}]?"
    return WrongPolicy(table, f"{key} has no key {unknown!r}{guess}".lstrip(), hint)


def _guess(unknown: str, known: Iterable[str]) -> str:
    close = get_close_matches(unknown, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _key(loc: Sequence[int | str]) -> str:
    """A place inside a table: `quiet[0].days`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def _shown(value: Any) -> str:
    """A value as a message can carry it."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_shown(one)}" for key, one in value.items())
    return f"{value!r:.80}"
