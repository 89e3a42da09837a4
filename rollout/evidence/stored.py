"""Stored values: plain JSON in, checked values out; what this release does not know is refused.

A class says its stored form by its fields. `Stored` is an object with exactly the names of the
fields, `StoredRow` the list of their values; pydantic checks and builds them. The `read_` functions
are for what has a codec of its own, and a few classes write themselves by hand because a tick asks
them one by one, which costs pydantic more than the values do: decision 0024 has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, get_type_hints

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from rollout.evidence.errors import BadState

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What `json.dumps` writes and `json.loads` gives back, without NaN and infinity."""

_HINT = "start this window afresh; the decisions already made stay in the history"
_Value = TypeVar("_Value")


def read_time(payload: object) -> datetime:
    """Give an aware time back from its ISO 8601 text, else raise BadState."""
    try:
        at = datetime.fromisoformat(payload) if isinstance(payload, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadState("a stored time must be ISO 8601 with a zone", payload, _HINT)
    return at


Count = Annotated[int, Field(ge=0, strict=True)]
"""A whole number >= 0."""
Number = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
"""A finite number >= 0."""
Signed = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number of either sign."""
Flag = Annotated[bool, Field(strict=True)]
"""True or false, and not 1."""
Text = Annotated[str, Field(strict=True)]
"""Text."""
# pydantic would read numbers as times and write Z; stored are `isoformat()` and always with a zone.
Time = Annotated[datetime, BeforeValidator(read_time), PlainSerializer(lambda at: at.isoformat())]
"""An aware time."""


class Stored:
    """A frozen dataclass that is stored as an object: all of its fields by name, and nothing else.

    A default is for those who build a value; what is stored has to say everything.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def to_json(self) -> Json:
        """Give plain JSON."""
        plain: Json = _form(type(self)).dump_python(self, mode="json", by_alias=True)
        return plain

    def to_text(self) -> str:
        """Give JSON text."""
        return _form(type(self)).dump_json(self, by_alias=True).decode()

    @classmethod
    def from_json(cls, payload: Json) -> Self:
        """Read what `to_json` gave; raises BadState."""
        return read_as(cls, payload)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` gave; raises BadState."""
        try:
            value: Self = _form(cls).validate_json(text)
        except ValidationError as error:
            raise _refused(error) from error
        return value

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Self], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic read the fields, each of them required."""
        schema = handler.resolve_ref_schema(handler(source))
        assert schema["type"] == "dataclass", "a stored value is a dataclass"
        arguments = schema["schema"]
        assert arguments["type"] == "dataclass-args", "nothing wraps a stored value"
        for field in arguments["fields"]:
            if field["schema"]["type"] == "default":
                field["schema"] = field["schema"]["schema"]
        return schema


class StoredRow(Stored):
    """A frozen dataclass that is stored as the list of its values."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Self], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic read the list, and the class check the whole."""
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # a dataclass
        row = handler.generate_schema(tuple.__class_getitem__(tuple(map(hints.get, names))))
        return core_schema.no_info_after_validator_function(
            lambda values: cls(*values),
            row,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: tuple(getattr(value, name) for name in names), return_schema=row
            ),
        )


class StoredAs:
    """Marks a field whose value is stored in another form.

    Args:
        form: What pydantic reads and writes: a `Stored` class, or a tuple of the types above;
            `Any` when both functions know all of it.
        build: From that form to the value; may raise EvidenceError.
        take: From the value to that form.
    """

    def __init__(
        self, form: Any, build: Callable[[Any], object], take: Callable[[Any], object]
    ) -> None:
        self._form = form
        self._build = build
        self._take = take

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic go by way of the form."""
        form = handler.generate_schema(self._form)
        return core_schema.no_info_after_validator_function(
            self._build,
            form,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._take, return_schema=form
            ),
        )


def read_as(kind: type[_Value], payload: Json) -> _Value:
    """Read a stored value of a class, or of any form that pydantic knows; raises BadState."""
    try:
        value: _Value = _form(kind).validate_python(payload)
    except ValidationError as error:
        raise _refused(error) from error
    return value


_forms: dict[Any, TypeAdapter[Any]] = {}


def _form(kind: Any) -> TypeAdapter[Any]:
    """Made at first use: it takes milliseconds, and most processes read few kinds."""
    made = _forms.get(kind)
    if made is None:
        made = _forms[kind] = TypeAdapter(kind)
    return made


def _refused(error: ValidationError) -> BadState:
    """The first thing that is wrong, as every refusal is said."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    return BadState(
        f"stored evidence must have its form, and {place} has not ({first['msg']})",
        first["input"],
        _HINT,
    )


def read_object(payload: Json, keys: Sequence[str]) -> Mapping[str, Json]:
    """Give `payload` back when it is an object with exactly these keys, else raise BadState."""
    if not isinstance(payload, Mapping) or set(payload) != set(keys):
        expected = f"stored evidence must be an object with the keys {list(keys)}"
        raise BadState(expected, payload, _HINT)
    return payload


def read_list(payload: Json, length: int | None = None) -> Sequence[Json]:
    """Give a list back, of this length if one is given, else raise BadState."""
    if not isinstance(payload, list | tuple) or (length is not None and len(payload) != length):
        expected = f"stored evidence must list {'some' if length is None else length} numbers"
        raise BadState(expected, payload, _HINT)
    return payload


def read_number(payload: Json) -> float:
    """Give a finite number >= 0 back, else raise BadState."""
    if isinstance(payload, bool) or not isinstance(payload, int | float):
        raise BadState("a stored number must be a number", payload, _HINT)
    if not math.isfinite(payload) or payload < 0:
        raise BadState("a stored number must be finite and >= 0", payload, _HINT)
    return float(payload)


def read_flag(payload: Json) -> bool:
    """Give true or false back, else raise BadState."""
    if not isinstance(payload, bool):
        raise BadState("a stored flag must be true or false", payload, _HINT)
    return payload


def read_count(payload: Json) -> int:
    """Give a whole number >= 0 back, else raise BadState."""
    if isinstance(payload, bool) or not isinstance(payload, int) or payload < 0:
        raise BadState("a stored count must be a whole number >= 0", payload, _HINT)
    return payload
