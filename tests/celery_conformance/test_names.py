"""Every name that Celery has is decided: a new one fails here until somebody has."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import pytest
from celery import Celery, Task, canvas, signals
from celery.app import autoretry
from celery.app.amqp import AMQP
from celery.app.task import Context, extract_exec_options
from kombu import Producer

from rollout.adapters.celery.options import REFUSED
from rollout.errors import DeclarationError
from rollout.pipeline import SubPipeline
from tests.celery_conformance.cases import CASES
from tests.celery_conformance.decided import (
    CALL_OPTIONS,
    CANVAS,
    REQUEST_ATTRIBUTES,
    SIGNALS,
    TASK_ATTRIBUTES,
    TASK_METHODS,
    TASK_OPTIONS,
    Decision,
    Meant,
    Refused,
    Same,
)
from tests.celery_conformance.differences import ATTRIBUTES

_EVERYTHING = {
    "self", "fun", "options", "compat_kwargs", "opts", "properties", "app"
}  # fmt: skip
"""Parameters that are no names of options."""


def _parameters(*functions: Any) -> set[str]:
    names = {name for one in functions for name in inspect.signature(one).parameters}
    return names - _EVERYTHING


def _task_options() -> set[str]:
    """Of the decorator, of what makes the task, of the behaviours read from the options."""
    source = inspect.getsource(Celery.task)
    found = re.search(r"def inner_create_task_cls\((.*?), \*\*opts\)", source)
    assert found, "Celery.task has changed; read its options anew"
    decorator = {part.split("=")[0].strip() for part in found[1].split(",")}
    retries = set(re.findall(r"options.get\(\s*'(\w+)'", inspect.getsource(autoretry)))
    executed = set(extract_exec_options(Task()))
    made = _parameters(Celery._task_from_fun)
    return (decorator | retries | executed | made) - set(_task_attributes()) | {"name"}


def _task_attributes() -> set[str]:
    return {name for name in _public(Task) if not callable(_static(name))} | {
        "store_eager_result"  # read from the configuration, `Task` has no default of it
    }


def _static(name: str) -> Any:
    """An attribute of `Task` that is looked at, not asked: asking binds the class to an app."""
    found = inspect.getattr_static(Task, name, None)
    return found.__func__ if isinstance(found, classmethod | staticmethod) else found


def _task_methods() -> set[str]:
    return {name for name in _public(Task) if callable(_static(name))}


def _public(of: type) -> set[str]:
    return {name for one in of.__mro__[:-1] for name in vars(one) if not name.startswith("_")}


NAMES: list[tuple[str, set[str], Mapping[str, Decision]]] = [
    ("options of Celery.task", _task_options(), TASK_OPTIONS),
    ("attributes of Task", _task_attributes(), TASK_ATTRIBUTES),
    ("methods of Task", _task_methods(), TASK_METHODS),
    (
        "arguments of apply_async",
        _parameters(
            Task.apply_async,
            Celery.send_task,
            AMQP.as_task_v2,
            Producer.publish,
        )
        | {"queue", "exchange_type", "event_dispatcher"},
        CALL_OPTIONS,
    ),
    ("signals", set(signals.__all__), SIGNALS),
    ("canvas", set(canvas.__all__), CANVAS),
    ("request attributes", _public(Context), REQUEST_ATTRIBUTES),
]


@pytest.mark.parametrize(("what", "of_celery", "decided"), NAMES, ids=[row[0] for row in NAMES])
def test_every_name_is_decided(
    what: str, of_celery: set[str], decided: Mapping[str, Decision]
) -> None:
    """Celery's own signatures and the table hold the same names."""
    assert of_celery - set(decided) == set(), f"decide these {what}"
    assert set(decided) - of_celery == set(), f"these {what} are gone"


@pytest.mark.parametrize("table", [row[2] for row in NAMES], ids=[row[0] for row in NAMES])
def test_what_is_said_to_be_the_same_has_a_case(table: Mapping[str, Decision]) -> None:
    """A decision names a case of the suite, and no case is named that is not there."""
    for name, decision in table.items():
        if isinstance(decision, Same):
            assert decision.case in CASES, name


def test_what_is_refused_says_so() -> None:
    """By the declaration, with the decided sentence."""
    values = {"acks_late": False, "serializer": "pickle", "shared": True}
    for name, decision in {**TASK_OPTIONS, **TASK_ATTRIBUTES}.items():
        if isinstance(decision, Refused) and name != "bind":
            app = Celery("shop", broker="memory://", set_as_current=False)
            options: dict[str, Any] = {name: values.get(name, "x")}
            with pytest.raises(DeclarationError) as caught:
                SubPipeline("invoices", app=app, effects="none", **options)
            assert decision.says in str(caught.value), name
            assert caught.value.hint


def test_nothing_is_refused_without_a_decision() -> None:
    """The code's list of refusals is in the table."""
    decided = {**TASK_OPTIONS, **TASK_ATTRIBUTES}
    for name in REFUSED:
        if name not in ("rollout", "run"):
            assert isinstance(decided[name], Refused) or name == "name", name


def test_attributes_that_differ_are_the_decided_ones() -> None:
    """One list in the comparison, one in the decisions."""
    meant = {name for name, one in TASK_ATTRIBUTES.items() if isinstance(one, Meant)}
    assert meant | {"acks_late"} == set(ATTRIBUTES)
