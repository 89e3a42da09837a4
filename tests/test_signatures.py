"""A call's arguments by keywords are those that `inspect` binds, and as wrong."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from rollout.pipeline.signatures import PathSignature


def plain(customer_id: int, month: str = "2026-11", *, dry: bool = False) -> None:
    """A path as most are."""


def only_first(customer_id: int, /, month: str = "2026-11") -> None:
    """One that no keywords alone can call."""


def anything(customer_id: int, **more: Any) -> None:
    """One that takes what it is given."""


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {"customer_id": 7}),
    ((), {"month": "x", "customer_id": 7, "dry": True}),
    ((), {"customer_id": 7, "dry": True}),
    ((7,), {}),
    ((7, "x"), {"dry": True}),
    ((), {}),
    ((), {"customer_id": 7, "months": "x"}),
    ((7,), {"customer_id": 7}),
    ((), {"month": "x", "dry": False}),
]


@pytest.mark.parametrize("path", [plain, only_first, anything])
@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_arguments_are_those_that_bind_gives(
    path: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The short way and the long one answer alike, errors included."""
    signature = PathSignature("invoices", path, bound=False)
    try:
        bound = inspect.signature(path).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            signature.arguments(args, kwargs)
        return
    bound.apply_defaults()
    assert dict(signature.arguments(args, kwargs)) == dict(bound.arguments)
