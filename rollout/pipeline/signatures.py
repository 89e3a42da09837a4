"""What a path takes: its own signature, without what others fill in (`self`, and rollout's job)."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rollout.errors import DeclarationError
from rollout.jobs.ports import Job

JOB = "job"
"""Name of the argument that rollout fills in, for a path that asks for it."""

_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


class PathSignature:
    """One path's arguments.

    Args:
        name: Sub-pipeline, for errors.
        function: The path.
        bound: Whether its first argument is the Celery task (`bind=True`).

    Raises:
        DeclarationError: The arguments cannot be those of a path.
    """

    def __init__(self, name: str, function: Callable[..., Any], bound: bool) -> None:
        whole = inspect.signature(function)
        given = list(whole.parameters.values())
        if bound and not given:
            raise DeclarationError(
                f"{name!r} has bind=True and a path without arguments",
                "give it `self`, the task, as its first argument",
            )
        if not bound and given and given[0].name == "self":
            raise DeclarationError(
                f"a path of {name!r} takes `self`, and the task is not bound",
                "declare SubPipeline(..., bind=True), as in @app.task(bind=True)",
            )
        mine = given[1:] if bound else given
        self.wants_job = any(parameter.name == JOB for parameter in mine)
        if self.wants_job:
            _check_job(name, mine)
        self.of_caller = whole.replace(parameters=[one for one in mine if one.name != JOB])
        """What the caller passes."""
        self.of_task = whole.replace(parameters=[one for one in given if one.name != JOB])
        """What Celery sees: with `self`, when it is bound."""
        self._by_name = _by_name(self.of_caller)

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A call's arguments by name, defaults filled in. Raises TypeError for a wrong call."""
        if not args and self._by_name is not None:
            names, defaults = self._by_name
            if kwargs.keys() == names:  # nearly every job: `bind` takes ten times as long
                return kwargs
            every = {**defaults, **kwargs}
            if every.keys() == names:
                return every
        bound = self.of_caller.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    @property
    def names(self) -> set[str]:
        """The caller's arguments by name, `*args` and `**kwargs` with their stars."""
        return {
            _STARS.get(parameter.kind, "") + parameter.name
            for parameter in self.of_caller.parameters.values()
        }


def _by_name(signature: inspect.Signature) -> tuple[frozenset[str], dict[str, Any]] | None:
    """Names and defaults of a path that can be called by keywords alone; None for any other."""
    given = signature.parameters.values()
    if any(one.kind in _STARS or one.kind is inspect.Parameter.POSITIONAL_ONLY for one in given):
        return None
    defaults = {one.name: one.default for one in given if one.default is not one.empty}
    return frozenset(one.name for one in given), defaults


def _check_job(name: str, parameters: list[inspect.Parameter]) -> None:
    """An argument named `job` is rollout's unless it looks like one of the task's own."""
    job = next(one for one in parameters if one.name == JOB)
    if job.annotation in (Job, "Job", "rollout.Job", "ports.Job"):
        return
    first = parameters[0] is job and job.kind is not inspect.Parameter.KEYWORD_ONLY
    if first or job.annotation is not inspect.Parameter.empty:
        raise DeclarationError(
            f"a path of {name!r} takes an argument `job`, a name under which rollout passes the "
            "job's id and attempt",
            "rename it if your callers pass it; write `job: rollout.Job` if rollout should",
        )
