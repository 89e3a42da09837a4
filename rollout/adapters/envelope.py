"""Messages and results as JSON text, with the types that Celery's JSON carries."""

from collections.abc import Mapping
from typing import Any

from kombu.utils.json import dumps, loads

from rollout.errors import ArgumentsUnusable, PayloadTooLarge


def to_json(name: str, what: str, value: Any) -> str:
    """Write a value as JSON.

    Raises:
        ArgumentsUnusable: JSON cannot carry it.
    """
    try:
        return str(dumps(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ArgumentsUnusable(name, what, error) from error


def from_json(text: str) -> Any:
    """Read a value back."""
    return loads(text)


def seal(name: str, parts: Mapping[str, Any], size_bytes_max: int) -> str:
    """Write the parts of a Celery message (headers, body, ...) as the ledger keeps it.

    Raises:
        ArgumentsUnusable: JSON cannot carry the arguments.
        PayloadTooLarge: The envelope is longer than `size_bytes_max` bytes.
    """
    text = to_json(name, "the arguments", parts)
    size_bytes = len(text) if text.isascii() else len(text.encode())
    if size_bytes > size_bytes_max:
        raise PayloadTooLarge(name, size_bytes, size_bytes_max)
    return text


def unseal_arguments(envelope: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read the arguments of an envelope.

    Raises:
        ValueError, KeyError, TypeError: It is empty, or none that `seal` wrote.
    """
    args, kwargs, *_ = from_json(envelope)["body"]
    return tuple(args), dict(kwargs)
