"""Messages and results as JSON text, with the types that Celery's JSON carries."""

from typing import Any

from kombu.utils.json import dumps, loads

from rollout.errors import ArgumentsUnusable, PayloadTooLarge

_REBUILT = ("argsrepr", "kwargsrepr")
"""Headers that only repeat the arguments; a message sent again does without."""


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


def seal(
    name: str,
    headers: dict[str, Any],
    body: Any,
    properties: dict[str, Any],
    size_bytes_max: int,
) -> str:
    """Write a Celery message as the envelope that the ledger keeps.

    Raises:
        ArgumentsUnusable: JSON cannot carry the arguments.
        PayloadTooLarge: The envelope is longer than `size_bytes_max` bytes.
    """
    kept = {key: value for key, value in headers.items() if key not in _REBUILT}
    text = to_json(name, "the arguments", {"headers": kept, "body": body, "properties": properties})
    size_bytes = len(text.encode())
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
