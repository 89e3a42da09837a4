"""What was declared, as services and adapters need it: paths, hook, key, and this process's parts.

Declaring connects to nothing and reads no setting; both happen at the first submission.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from rollout.adapters.envelope import from_json, to_json, unseal_arguments
from rollout.errors import DeclarationError, KeyMissing, KeyTooLong, KeyUnusable
from rollout.jobs.attempt import Attempts
from rollout.jobs.delivery import Paths
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.order import KEY_BYTES_MAX, OnFailure
from rollout.jobs.ports import Job, JobLedger
from rollout.jobs.resource_calls import ResourceCalls
from rollout.jobs.resources import Need
from rollout.jobs.submit import Submit
from rollout.pilot.ports import Builds
from rollout.pipeline.here import run_here
from rollout.pipeline.needs import needs_of
from rollout.pipeline.runtimes import Runtimes
from rollout.pipeline.signatures import JOB, PathSignature
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.shadow.compare import Comparison
from rollout.wiring import Runtime

if TYPE_CHECKING:
    from rollout.shadow.publish import ShadowPublisher
    from rollout.shadow.runs import ShadowRuns

_KEY_TYPES = (str, int, UUID)
_VERSION_MAX = 100

Function = Callable[..., Any]


class Declared:
    """A sub-pipeline as the services see it; `SubPipeline` is what its owner sees.

    Attributes:
        bound: The paths take the Celery task as their first argument.
        task_name: Name of the Celery task; empty without an app.
        on_failure: What a failed job does with those of its key; None where no order is kept.
        resources: What a job takes of each resource while it runs.
        builds: Names of the builds of its paths.
        shown: Names of arguments, and of fields of a result, that anybody may see.
        on_path: Called when a path was declared.
        replaced: Attributes of the task as they were before somebody set them.
        around_concurrent: What the concurrent path runs inside of, given its job.
    """

    hurt = False
    """No drill strikes in what is declared; one puts paths of its own around it."""

    def __init__(
        self,
        name: str,
        app: Any,
        effects: Effects,
        key: str | Function | None,
        holdback_bp: int,
        comparison: Comparison,
        runtime: Runtime | None,
        task_name: str,
        *,
        bound: bool,
        on_failure: OnFailure | None = None,
        resources: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.resources = resources or {}
        self.on_failure = on_failure
        self.app = app
        self.effects = effects
        self.holdback_bp = holdback_bp
        self.comparison = comparison
        self.bound = bound
        self.task_name = task_name
        self.builds: dict[JobPath, str] = {}
        self.shown: frozenset[str] = frozenset()
        self.on_path: Callable[[], None] = lambda: None
        self.made_task: Callable[[], Any] = lambda: None
        self.paths: dict[JobPath, Function] = {}
        self.signatures: dict[JobPath, PathSignature] = {}
        self.around_concurrent: Callable[[Job], AbstractContextManager[None]] | None = None
        self.hook: Function | None = None
        self.replaced: dict[str, Any] = {}
        self._key = key
        self._runtimes = Runtimes(app, runtime)
        self._attempts: dict[int, Attempts] = {}

    # Declaring -------------------------------------------------------------------------------

    def declare(self, path: JobPath, function: Function) -> None:
        """Take a path's function. Raises DeclarationError."""
        self.plain(function)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise DeclarationError(
                f"the {path} path of {self.name!r} is an `async def`, which Celery never awaits",
                "declare a plain function that calls asyncio.run(...)",
            )
        if path in self.paths:
            raise DeclarationError(
                f"{self.name!r} has two {path} paths", f"keep one function under @{path}"
            )
        signature = PathSignature(self.name, function, self.bound)
        for other in self.signatures.values():
            if other.names != signature.names:
                raise DeclarationError(
                    f"both paths of {self.name!r} must take the same arguments, got "
                    f"{sorted(other.names)} and {sorted(signature.names)}",
                    "a job must be able to run on either",
                )
        self._check_key(signature)
        self.paths[path], self.signatures[path] = function, signature
        self.on_path()

    def name_build(self, path: JobPath, version: Any) -> None:
        """Name the build of a path. Raises DeclarationError."""
        if not isinstance(version, str) or not 0 < len(version) <= _VERSION_MAX:
            raise DeclarationError(
                f"version of {self.name!r} must be text of 1..{_VERSION_MAX} characters, "
                f"got {version!r}",
                "a commit or a release number does",
            )
        self.builds[path] = version

    def declare_hook(self, function: Function) -> None:
        """Take the commit hook. Raises DeclarationError."""
        self.plain(function)
        if not self.effects.hooked:
            raise DeclarationError(
                f"{self.name!r} has effects={str(self.effects)!r} and a commit hook",
                'declare effects="commit", or touch the world in the paths',
            )
        if self.hook is not None:
            raise DeclarationError(
                f"{self.name!r} has two commit hooks", "keep one function under @commit"
            )
        self.hook = function

    def declare_comparison(self, function: Function) -> None:
        """Take what compares a shadow's result with legacy's. Raises DeclarationError."""
        self.plain(function)
        if self.comparison.function is not None:
            raise DeclarationError(
                f"{self.name!r} has two compare functions", "keep one function under @compare"
            )
        self.comparison = replace(self.comparison, function=function)

    def plain(self, function: Any) -> None:
        """Raise DeclarationError for anything but a function."""
        from rollout.adapters.celery.install import plain_function

        plain_function(function)

    def _check_key(self, signature: PathSignature) -> None:
        takes_any = any(name.startswith("**") for name in signature.names)
        if isinstance(self._key, str) and self._key not in signature.names and not takes_any:
            raise DeclarationError(
                f"key={self._key!r} of {self.name!r} is not an argument of its paths",
                f"use one of {sorted(signature.names)}",
            )

    def check(self) -> None:
        """Raise DeclarationError for what cannot work.

        A path or the hook is missing, the name is taken, or a resource is not to be had. Asked at
        each submission and at a worker's start.
        """
        missing = [f"@{self.name}.{path}" for path in JobPath if path not in self.paths]
        if self.effects.hooked and self.hook is None:
            missing.append(f"@{self.name}.commit")
        if missing:
            raise DeclarationError(
                f"sub-pipeline {self.name!r} is not complete", f"declare {' and '.join(missing)}"
            )
        if self.app is not None and getattr(self.task, "rollout", None) is not self:
            raise DeclarationError(
                f"another task is registered as {self.task.name!r}",
                f"remove its @app.task: @{self.name}.legacy takes the function over",
            )
        _ = self.needs

    @property
    def task(self) -> Any:
        """The Celery task."""
        if self.app is None:
            raise DeclarationError(
                f"{self.name!r} has no Celery app", "declare SubPipeline(..., app=app) or use run()"
            )
        made = self.made_task()
        if made is None:
            raise DeclarationError(
                f"sub-pipeline {self.name!r} is not complete", f"declare @{self.name}.legacy"
            )
        return made

    # What the services ask -------------------------------------------------------------------

    def key_of(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Routing key of a job; also checks the arguments against the legacy path.

        Raises:
            TypeError: The arguments do not fit the paths.
            KeyMissing, KeyUnusable: The key is not there, or has no single text form.
        """
        self.check()
        arguments = self.signatures[JobPath.LEGACY].arguments(args, kwargs)
        if self._key is None:
            return job_id
        if callable(self._key):
            value = self._key(*args, **kwargs)
        elif self._key in arguments:
            value = arguments[self._key]
        elif self._key in kwargs:
            value = kwargs[self._key]
        else:
            raise KeyMissing(self.name, self._key, arguments)
        if not isinstance(value, _KEY_TYPES) or isinstance(value, bool):
            raise KeyUnusable(self.name, value)
        key = str(value)
        if "\x00" in key or any("\ud800" <= character <= "\udfff" for character in key):
            raise KeyUnusable(self.name, value)  # no database stores it, no hash covers it
        if self.on_failure is not None and (size := len(key.encode())) > KEY_BYTES_MAX:
            raise KeyTooLong(self.name, size, KEY_BYTES_MAX)
        return key

    def by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A call's arguments by name. Raises TypeError for a wrong call, and before any path."""
        if JobPath.LEGACY not in self.signatures:
            raise TypeError(f"{self.name!r} has no legacy path yet")
        return self.signatures[JobPath.LEGACY].arguments(args, kwargs)

    @property
    def key_text(self) -> str:
        """What jobs are routed by, in words; "" for their own ids."""
        if self._key is None:
            return ""
        return self._key if isinstance(self._key, str) else "of its function"

    def call(self, path: JobPath, job: Job) -> Any:
        """Run a path for a job that no worker has delivered: a shadow, an audit, a direct call."""
        if self.app is not None:
            from rollout.adapters.celery.body import run_directly

            return run_directly(self.task, path, job)
        return self.call_path(path, job, job.args, job.kwargs)

    def call_path(
        self, path: JobPath, job: Job, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call the path's function itself."""
        extra = {JOB: job} if self.signatures[path].wants_job else {}
        if self.around_concurrent is None or path is JobPath.LEGACY:
            return self.paths[path](*args, **kwargs, **extra)
        with self.around_concurrent(job):
            return self.paths[path](*args, **kwargs, **extra)

    def run_here(
        self,
        job_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        paths: Paths | None = None,
        on_fallback: Callable[[], None] = lambda: None,
        again: tuple[type[BaseException], ...] = (),
    ) -> Any:
        """Take a job its whole way in this process; see `here.run_here`."""
        return run_here(self, job_id, args, kwargs, paths, on_fallback, again)

    def write(self, value: Any, job: Job) -> str:
        """Call the commit hook, if there is one, and give the result as JSON text."""
        result = self.hook(value, job) if self.hook is not None else value
        return to_json(self.name, "the result", result)

    def read(self, result: str) -> Any:
        """Read a result back."""
        return from_json(result)

    def to_text(self, value: Any) -> str:
        """Write a path's value as JSON text, for a shadow to be compared with."""
        return to_json(self.name, "the value of a path", value)

    def input_of(self, envelope: str) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Read the arguments of a job's envelope."""
        return unseal_arguments(envelope)

    # This process's parts --------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The services, built from the settings when they are first needed."""
        return self._runtimes.now

    @property
    def runtime_here(self) -> Runtime:
        """The services of jobs that run in this process."""
        return self._runtimes.here

    @property
    def submit(self) -> Submit:
        """The submission service."""
        return self.runtime.submit

    @property
    def key_order(self) -> KeyOrder:
        """Sends the next job of a key."""
        return self.runtime.key_order

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """What a job takes of resources, in order of name; raises DeclarationError, WrongSettings.

        How much there is says `rollout.toml`, which is read here and not at the declaration.
        """
        if not self.resources:
            return ()
        return needs_of(self.name, self.resources, self.runtime.capacities)

    @property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for what was given back."""
        return self.runtime.resource_calls

    @property
    def ledger(self) -> JobLedger:
        """The ledger, as far as a job's way needs it."""
        return self.runtime.job_ledger

    @property
    def build_ledger(self) -> Builds:
        """The ledger, as far as builds are announced to it."""
        return cast(Builds, self.runtime.job_ledger)

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.runtime.clock

    @property
    def silent_after_s(self) -> float:
        """Seconds without renewal after which a job's worker counts as dead."""
        return self.runtime.settings.silent_after_s

    @property
    def stop_after_s(self) -> float:
        """Seconds a stopping worker gives its running jobs."""
        return self.runtime.settings.stop_after_s

    @property
    def payload_bytes_max(self) -> int:
        """Largest envelope in bytes."""
        return self.runtime.settings.payload_bytes_max

    @property
    def attempts(self) -> Attempts:
        """Runs deliveries from Celery."""
        return self.attempts_of(self.runtime)

    def attempts_of(self, runtime: Runtime) -> Attempts:
        """Runs deliveries with the services of this runtime."""
        made = self._attempts.get(id(runtime))
        if made is None:
            from rollout.adapters.celery.ending import ends_the_run
            from rollout.adapters.celery.task import PASSES, is_sent_again, is_sent_back

            given = (PASSES, PASSES, is_sent_back, is_sent_again, ends_the_run)
            made = runtime.attempts(*(given if self.app is not None else ()))
            self._attempts[id(runtime)] = made
        return made

    @cached_property
    def shadow_publisher(self) -> "ShadowPublisher":
        """Sends copies of this process's legacy jobs."""
        from rollout.adapters.celery.shadow_queue import KombuShadowQueue

        return self.runtime.shadow_publisher(KombuShadowQueue.of_app(self.app, self.task_name))

    @property
    def shadow_runs(self) -> "ShadowRuns":
        """Runs shadows in this process."""
        return self.runtime.shadow_runs

    @property
    def shadow_memory_mb(self) -> int:
        """Memory that a shadow may take on top of its process; 0 is any."""
        return self.runtime.settings.shadow_memory_mb
