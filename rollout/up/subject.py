"""The task that is tried: a sub-pipeline by its name or its task's, or a task that is none yet."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from rollout.adapters.celery.install import pipelines_of
from rollout.adapters.envelope import from_json, to_json
from rollout.errors import KeyMissing, KeyUnusable, UnknownTask
from rollout.jobs.ports import Job
from rollout.pipeline.declared import Declared
from rollout.pipeline.signatures import PathSignature
from rollout.routing.decision import JobPath
from rollout.shadow.compare import Comparison
from rollout.wiring import load_app


class Subject:
    """One task of an app, as a preflight and a scale test run it.

    Attributes:
        app: The Celery app.
        name: Name of the sub-pipeline; of the task while it is none.
        task: The Celery task.
        pipeline: What is declared; None while it is no sub-pipeline.
    """

    def __init__(self, app: Any, name: str, task: Any, pipeline: Declared | None) -> None:
        self.app = app
        self.name = name
        self.task = task
        self.pipeline = pipeline

    @property
    def comparison(self) -> Comparison:
        """How two results of it are compared."""
        return Comparison() if self.pipeline is None else self.pipeline.comparison

    @property
    def functions(self) -> list[Any]:
        """The functions that run: of each path, or of the task."""
        return [self.task.run] if self.pipeline is None else list(self.pipeline.paths.values())

    def call(self, job: Job) -> Any:
        """Run the concurrent path; of a task that is no sub-pipeline, its body."""
        if self.pipeline is not None:
            return self.pipeline.call(JobPath.CONCURRENT, job)
        return self.task(*job.args, **job.kwargs)

    def to_text(self, value: Any) -> str:
        """Write a result as JSON. Raises ArgumentsUnusable."""
        return to_json(self.name, "the value of the path", value)

    def read(self, text: str) -> Any:
        """Read a result back."""
        return from_json(text)

    def weigh(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
        """Bytes of a message's body. Raises ArgumentsUnusable."""
        return len(to_json(self.name, "the arguments", [args, kwargs, {}]).encode())

    def key_of(self, key: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Routing key; `key` names the argument for a task that declares none.

        Raises:
            TypeError: The arguments do not fit.
            KeyMissing, KeyUnusable: There is no key, or it has no single text form.
        """
        if self.pipeline is not None:
            return self.pipeline.key_of("preflight", args, kwargs)
        arguments = self._signature.arguments(args, kwargs)
        if not key:
            return ""
        if key not in arguments:
            raise KeyMissing(self.name, key, arguments)
        if isinstance(arguments[key], bool) or not isinstance(arguments[key], str | int):
            raise KeyUnusable(self.name, arguments[key])
        return str(arguments[key])

    @cached_property
    def _signature(self) -> PathSignature:
        return PathSignature(self.name, self.task.run, bound=False)

    def try_hook(self, value: Any, job: Job) -> None:
        """Run the commit hook in a transaction of the ledger that is taken back.

        Raises:
            LedgerUnreachable: The ledger does not answer.
            Exception: What the hook raised.
        """
        pipeline = self.pipeline
        assert pipeline is not None, "only a sub-pipeline has a hook"
        pipeline.runtime.try_hook(
            lambda connect: pipeline.write(value, replace(job, _connect=connect))
        )

    def connect_ledger(self) -> None:
        """Open the connection that hooks are tried on. Raises LedgerUnreachable."""
        assert self.pipeline is not None, "only a sub-pipeline has a ledger"
        self.pipeline.runtime.try_hook(lambda connect: str(connect()))


def subject_of(module: str, name: str) -> Subject:
    """Find a task by the name of its sub-pipeline or by its own.

    Raises:
        WrongSettings: The module cannot be imported.
        UnknownTask: The app has neither.
        DeclarationError: It is declared and not complete.
    """
    app = load_app(module)
    pipelines = pipelines_of(app)
    by_name = {one.name: one for one in pipelines.values()}
    pipeline = by_name.get(name) or pipelines.get(name)
    if pipeline is not None:
        pipeline.check()
        return Subject(app, pipeline.name, pipeline.task, pipeline)
    app.finalize()
    if name not in app.tasks:
        own = [one for one in app.tasks if not one.startswith("celery.")]
        raise UnknownTask(name, {*by_name, *own})
    return Subject(app, name, app.tasks[name], None)
