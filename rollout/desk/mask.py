"""What is not shown unless somebody asks for it by name: what jobs were given, what they gave.

A declaration allows fields (`shown=("customer_id", "month")`). Everything else is masked, wherever
it stands: on the page, in the API, in commands. Looking behind the mask is an act of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.desk.plain import Json
from rollout.jobs.claims import JobRecord
from rollout.shadow.compare import FIELDS_MAX

MASKED = "(masked)"


class Allowance(Protocol):
    """What a declaration says about its jobs' arguments and results."""

    @property
    def shown(self) -> frozenset[str]:
        """Names of arguments, and of fields of a result, that anybody may see."""
        ...

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A call's arguments by name. Raises TypeError for a wrong call."""
        ...


@dataclass(frozen=True, slots=True)
class Mask:
    """Lets through what declarations allow.

    Attributes:
        allowance: Of a sub-pipeline; None where its declaration is not known here, so that
            everything of it is masked.
        arguments: Reads the arguments in a kept message; raises ValueError, KeyError, TypeError.
    """

    allowance: Callable[[str], Allowance | None]
    arguments: Callable[[str], tuple[tuple[Any, ...], Mapping[str, Any]]]

    def fields(self, name: str) -> frozenset[str]:
        """What may be seen of a sub-pipeline's jobs."""
        allowed = self.allowance(name)
        return frozenset() if allowed is None else allowed.shown

    def given(self, record: JobRecord) -> Json | None:
        """The arguments of a job by name, the others masked; None where none may be seen."""
        allowed = self.allowance(record.name)
        if allowed is None or not allowed.shown or not record.envelope:
            return None
        try:
            named = allowed.by_name(*self.arguments(record.envelope))
        except (ValueError, KeyError, TypeError):
            return None
        return through(named, allowed.shown)

    def gave(self, record: JobRecord) -> str | Json | None:
        """The result of a job: its allowed fields, else the mask over it."""
        return result_through(record.result, self.fields(record.name))


def through(values: Mapping[str, Any], shown: frozenset[str]) -> Json:
    """The values with a mask over each that may not be seen."""
    return {str(name): value if name in shown else MASKED for name, value in values.items()}


def result_through(text: str | None, shown: frozenset[str]) -> str | Json | None:
    """A result that is an object with allowed fields; else the mask, and nothing stays nothing."""
    if text is None:
        return None
    try:
        value = json.loads(text) if shown else None
    except ValueError:
        value = None
    if isinstance(value, dict) and shown & value.keys():
        return through(value, shown)
    return MASKED


def example_through(signature: str, example: str, shown: frozenset[str]) -> str:
    """An example of results that differ, where all the fields that it shows may be seen.

    A signature that is full may leave out a field of the example.
    """
    names = signature.split(", ")
    roots = {re.split(r"[.\[ ]", one, maxsplit=1)[0] for one in names}
    return example if roots <= shown and len(names) < FIELDS_MAX else MASKED
