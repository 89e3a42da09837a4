"""`SubPipeline`: what a platform team declares, and the way jobs are submitted.

    invoices = SubPipeline("invoices", app=app, effects="commit", key="customer_id")

Declaring connects to nothing and reads no setting; both happen at the first submission.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from rollout.adapters.envelope import from_json, seal, to_json, unseal_arguments
from rollout.errors import DeclarationError, JobFailed, KeyMissing, KeyUnusable
from rollout.jobs.attempt import Attempts
from rollout.jobs.delivery import Delivery, Done, Failed, ToLegacy, Wait
from rollout.jobs.ports import Filing, Job, Ledger
from rollout.jobs.submit import UNFILED, Submit
from rollout.pilot.ports import Builds
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects, read_effects
from rollout.routing.stages import BP_ALL, HOLDBACK_BP
from rollout.shadow.compare import Comparison
from rollout.wiring import Runtime, build, load_for_jobs

if TYPE_CHECKING:
    from rollout.shadow.publish import ShadowPublisher
    from rollout.shadow.runs import ShadowRuns

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,89}")
_KEY_TYPES = (str, int, UUID)
_VERSION_MAX = 100

_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}

Function = Callable[..., Any]


class SubPipeline:
    """One unit of work that moves from a legacy path to a concurrent one.

    Args:
        name: Lower-case word; names the queues `<name>.legacy` and `<name>.concurrent`.
        app: Celery app; None runs jobs in this process with `run` only.
        effects: "none", "commit", "idempotent" or "unsafe": what the paths do to the world.
        key: Argument that routes a job, so that equal keys take the same path; a function of the
            job's arguments; or None to route each job by its own id.
        task_name: Name of the Celery task; an existing name is adopted.
        holdback_bp: Share kept on legacy even at the top, in basis points.
        compare: How a shadow's result is compared with legacy's; by default exactly.
        runtime: Services to use; by default they are built from the settings.
        task_options: Options of the Celery task, such as `autoretry_for`.

    Raises:
        DeclarationError: The declaration cannot work; says why and what to write.
    """

    hurt = False
    """No drill strikes in what is declared; one puts paths of its own around it."""

    def __init__(
        self,
        name: str,
        app: Any = None,
        *,
        effects: str,
        key: str | Function | None = None,
        task_name: str | None = None,
        holdback_bp: int = HOLDBACK_BP,
        compare: Comparison | None = None,
        runtime: Runtime | None = None,
        **task_options: Any,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                f"a sub-pipeline's name must match {_NAME.pattern}, got {name!r}",
                "use a short lower-case word; it names queues and metrics",
            )
        if not 0 <= holdback_bp < BP_ALL:
            raise DeclarationError(
                f"holdback_bp of {name!r} must be 0..{BP_ALL - 1}, got {holdback_bp!r}",
                "500 keeps 5 % on legacy",
            )
        load_for_jobs()
        self.name = name
        self.app = app
        self.effects: Effects = read_effects(name, effects)
        self.holdback_bp = holdback_bp
        self.comparison = compare or Comparison()
        self._key = key
        self._given_runtime = runtime
        self._paths: dict[JobPath, Function] = {}
        self.builds: dict[JobPath, str] = {}
        self._hook: Function | None = None
        self._task: Any = None
        if app is not None:
            self._install(task_name or f"rollout.{name}", task_options)
        elif task_name or task_options:
            raise DeclarationError(
                f"{name!r} has Celery options but no app", "pass app=, or leave the options out"
            )

    def _install(self, task_name: str, options: dict[str, Any]) -> None:
        from rollout.adapters.celery.install import install, pipelines_of

        for other in pipelines_of(self.app).values():
            if other.name == self.name:
                raise DeclarationError(
                    f"sub-pipeline {self.name!r} is declared twice on this app",
                    "give the second another name, or import the first",
                )
        self._task = install(self.app, self, task_name, options)

    # Declaring -------------------------------------------------------------------------------

    def legacy(self, function: Function | None = None, *, version: str | None = None) -> Any:
        """Declare the legacy path: what runs today; `version` as in `concurrent`."""
        return self._declared_as(JobPath.LEGACY, function, version)

    def concurrent(self, function: Function | None = None, *, version: str | None = None) -> Any:
        """Declare the concurrent path: what is on trial.

        Args:
            function: The path; `@concurrent` and `@concurrent(version="7")` both work.
            version: Names this build of it. When workers with another one start, the evidence of
                the step begins anew: it was about something else.
        """
        return self._declared_as(JobPath.CONCURRENT, function, version)

    def commit(self, function: Function) -> Function:
        """Declare the commit hook `(value, job)`: the only place that touches the world."""
        self._plain(function)
        if self.effects is not Effects.COMMIT:
            raise DeclarationError(
                f"{self.name!r} has effects={str(self.effects)!r} and a commit hook",
                'declare effects="commit", or touch the world in the paths',
            )
        if self._hook is not None:
            raise DeclarationError(
                f"{self.name!r} has two commit hooks", "keep one function under @commit"
            )
        self._hook = function
        return function

    def _declared_as(self, path: JobPath, function: Function | None, version: str | None) -> Any:
        if version is not None:
            if not isinstance(version, str) or not 0 < len(version) <= _VERSION_MAX:
                raise DeclarationError(
                    f"version of {self.name!r} must be text of 1..{_VERSION_MAX} characters, "
                    f"got {version!r}",
                    "a commit or a release number does",
                )
            self.builds[path] = version
        if function is None:
            return lambda given: self._declare(path, given)
        return self._declare(path, function)

    def compare(self, function: Function) -> Function:
        """Declare what says whether `(legacy, concurrent)` results of a shadow are equal."""
        self._plain(function)
        if self.comparison.function is not None:
            raise DeclarationError(
                f"{self.name!r} has two compare functions", "keep one function under @compare"
            )
        self.comparison = replace(self.comparison, function=function)
        return function

    def _declare(self, path: JobPath, function: Function) -> Function:
        self._plain(function)
        if path in self._paths:
            raise DeclarationError(
                f"{self.name!r} has two {path} paths", f"keep one function under @{path}"
            )
        for other in self._paths.values():
            if _names(other) != _names(function):
                raise DeclarationError(
                    f"both paths of {self.name!r} must take the same arguments, got "
                    f"{sorted(_names(other))} and {sorted(_names(function))}",
                    "a job must be able to run on either",
                )
        self._paths[path] = function
        self._check_key(function)
        return function

    def _check_key(self, function: Function) -> None:
        names = _names(function)
        takes_any = any(name.startswith("**") for name in names)
        if isinstance(self._key, str) and self._key not in names and not takes_any:
            raise DeclarationError(
                f"key={self._key!r} of {self.name!r} is not an argument of {function.__name__}",
                f"use one of {sorted(names)}",
            )

    def _plain(self, function: Function) -> None:
        from rollout.adapters.celery.install import plain_function

        plain_function(function)

    def check(self) -> None:
        """Raise DeclarationError when a path or the hook is missing, or the name is taken."""
        missing = [f"@{self.name}.{path}" for path in JobPath if path not in self._paths]
        if self.effects is Effects.COMMIT and self._hook is None:
            missing.append(f"@{self.name}.commit")
        if missing:
            raise DeclarationError(
                f"sub-pipeline {self.name!r} is not complete", f"declare {' and '.join(missing)}"
            )
        if self.app is not None and getattr(self.task, "pipeline", None) is not self:
            raise DeclarationError(
                f"another task is registered as {self.task.name!r}",
                f"remove its @app.task: @{self.name}.legacy takes the function over",
            )

    # Submitting ------------------------------------------------------------------------------

    @property
    def task(self) -> Any:
        """The Celery task, for options that have no name here."""
        if self._task is None:
            raise DeclarationError(
                f"{self.name!r} has no Celery app", "declare SubPipeline(..., app=app) or use run()"
            )
        return self.app.tasks[self._task.name]

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Submit a job; gives Celery's AsyncResult."""
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submit a job with Celery's options; gives Celery's AsyncResult."""
        return self.task.apply_async(args, kwargs, **options)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """A Celery signature, for chains, groups and chords."""
        return self.task.signature(*args, **kwargs)

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """A Celery signature of these arguments."""
        return self.task.s(*args, **kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """An immutable Celery signature of these arguments."""
        return self.task.si(*args, **kwargs)

    def submit_many(self, jobs: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Submit many jobs, given by their keyword arguments, in few round trips.

        Returns:
            Celery's AsyncResults, in order.

        Raises:
            KeyMissing, KeyUnusable, ArgumentsUnusable, PayloadTooLarge, TypeError: No job was
            submitted.
        """
        from rollout.adapters.celery.bulk import submit_many

        return submit_many(self, list(jobs))

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Take a job its whole way in this process: routing, fallback, commit, ledger.

        Returns:
            The job's result.

        Raises:
            Exception: What the legacy path (or the commit hook) raised; the job is kept as failed.
        """
        return self.run_job("", args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The same as `run`."""
        return self.run(*args, **kwargs)

    def run_job(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Take a job with this id (a new one when empty) its whole way in this process."""
        self.check()
        job_id = job_id or str(uuid4())
        key = self.key_of(job_id, args, kwargs)
        decision = self.submit.decide(self.name, key)
        filing = Filing(
            job_id=job_id,
            name=self.name,
            key=key,
            path=decision.path,
            reason=decision.reason,
            revision=decision.revision,
            envelope="",  # nobody can send again what only this process runs
            at=self.clock.now(),
        )
        seal(self.name, {}, [args, kwargs], {}, self.payload_bytes_max)
        if not self.submit.file(
            self.name, self.effects, self.holdback_bp, [filing], outcome_will_do=True
        ):
            decision = UNFILED
        job = Job(job_id, self.name, key, decision.path, 0, args, kwargs)
        return self._run_here(job, filing, decision.drilled)

    def _run_here(self, job: Job, filing: Filing, drilled: bool) -> Any:
        worker = f"in process {self._process}"
        delivery = Delivery(job, worker, lambda: filing, drilled)
        outcome = self._own_attempts.run(self, delivery)
        if isinstance(outcome, ToLegacy):
            legacy = Job(job.job_id, job.name, job.key, JobPath.LEGACY, 0, job.args, job.kwargs)
            outcome = self._own_attempts.run(self, Delivery(legacy, worker, lambda: filing))
        match outcome:
            case Done(value):
                return value
            case Failed(error):
                raise error
            case Wait(unreachable):
                raise unreachable
            case _:
                raise JobFailed(job.job_id, "another worker took it while it ran here")

    @property
    def _process(self) -> int:
        from os import getpid

        return getpid()

    # What the services ask -------------------------------------------------------------------

    def key_of(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Routing key of a job; also checks the arguments against the legacy path.

        Raises:
            TypeError: The arguments do not fit the paths.
            KeyMissing, KeyUnusable: The key is not there, or has no single text form.
        """
        self.check()
        function = self._paths[JobPath.LEGACY]
        bound = _signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        if self._key is None:
            return job_id
        if callable(self._key):
            value = self._key(*args, **kwargs)
        elif self._key in bound.arguments:
            value = bound.arguments[self._key]
        elif self._key in kwargs:
            value = kwargs[self._key]
        else:
            raise KeyMissing(self.name, self._key, bound.arguments)
        if not isinstance(value, _KEY_TYPES) or isinstance(value, bool):
            raise KeyUnusable(self.name, value)
        key = str(value)
        if "\x00" in key or any("\ud800" <= character <= "\udfff" for character in key):
            raise KeyUnusable(self.name, value)  # no database stores it, no hash covers it
        return key

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path's function with the job's arguments."""
        function = self._paths[path]
        extra = {"job": job} if _wants_job(function) else {}
        return function(*job.args, **job.kwargs, **extra)

    def write(self, value: Any, job: Job) -> str:
        """Call the commit hook, if there is one, and give the result as JSON text."""
        result = self._hook(value, job) if self._hook is not None else value
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

    @cached_property
    def runtime(self) -> Runtime:
        """The services, built from the settings when they are first needed."""
        if self._given_runtime is not None:
            return self._given_runtime
        if self.app is None:
            return build()
        conf = self.app.conf
        return build(
            app_broker_url=conf.broker_url, app_broker_options=conf.broker_transport_options
        )

    @property
    def submit(self) -> Submit:
        """The submission service."""
        return self.runtime.submit

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self.runtime.ledger

    @property
    def build_ledger(self) -> Builds:
        """The ledger, as far as builds are announced to it."""
        return self.runtime.ledger

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

    @cached_property
    def attempts(self) -> Attempts:
        """Runs deliveries from Celery."""
        from rollout.adapters.celery.task import FORGETS, PASSES

        return self.runtime.attempts(PASSES, FORGETS)

    @cached_property
    def shadow_publisher(self) -> "ShadowPublisher":
        """Sends copies of this process's legacy jobs."""
        from rollout.adapters.celery.shadow_queue import KombuShadowQueue

        return self.runtime.shadow_publisher(KombuShadowQueue.of_app(self.app, self._task.name))

    @property
    def shadow_runs(self) -> "ShadowRuns":
        """Runs shadows in this process."""
        return self.runtime.shadow_runs

    @property
    def shadow_memory_mb(self) -> int:
        """Memory that a shadow may take on top of its process; 0 is any."""
        return self.runtime.settings.shadow_memory_mb

    @cached_property
    def _own_attempts(self) -> Attempts:
        return self.runtime.attempts(())


def _signature(function: Function) -> inspect.Signature:
    """The signature without `job`, which rollout fills in."""
    cached = getattr(function, "__rollout_signature__", None)
    if isinstance(cached, inspect.Signature):
        return cached
    whole = inspect.signature(function)
    kept = [parameter for parameter in whole.parameters.values() if parameter.name != "job"]
    signature = whole.replace(parameters=kept)
    function.__rollout_signature__ = signature  # type: ignore[attr-defined]  # a cache
    return signature


def _wants_job(function: Function) -> bool:
    cached = getattr(function, "__rollout_wants_job__", None)
    if isinstance(cached, bool):
        return cached
    wants = "job" in inspect.signature(function).parameters
    function.__rollout_wants_job__ = wants  # type: ignore[attr-defined]  # a cache
    return wants


def _names(function: Function) -> set[str]:
    return {
        _STARS.get(parameter.kind, "") + parameter.name
        for parameter in _signature(function).parameters.values()
    }
