"""`SubPipeline`: what a platform team declares, and the way jobs are submitted.

    invoices = SubPipeline("invoices", app=app, effects="commit", key="customer_id", time_limit=60)

It stands for the Celery task: what it does not know itself (`apply`, `map`, `request`, a helper of
the task's own class) it asks the task for.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from rollout.errors import DeclarationError
from rollout.jobs.order import OnFailure, on_failure_of
from rollout.pipeline.declared import Declared, Function
from rollout.pipeline.needs import read_resources
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects, read_effects
from rollout.routing.stages import BP_ALL, HOLDBACK_BP
from rollout.shadow.compare import Comparison
from rollout.wiring import Runtime, load_for_jobs

_F = TypeVar("_F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,89}")


class SubPipeline:
    """One unit of work that moves from a legacy path to a concurrent one.

    Args:
        name: Lower-case word; names the queues `<name>.legacy` and `<name>.concurrent`.
        app: Celery app; None runs jobs in this process with `run` only.
        effects: "none", "commit", "idempotent" or "unsafe": what the paths do to the world.
        key: Argument that routes a job, so that equal keys take the same path; a function of the
            job's arguments; or None to route each job by its own id.
        task_name: Name of the Celery task; an existing name is adopted.
        order: "key": jobs of one key start one after the other, in the order of their submission,
            on whichever path; None keeps no order.
        on_failure: With an order, what a job that is kept as failed does with those of its key
            behind it: "hold" (the default for effects "commit" and "unsafe") or "skip".
        resources: How much a job takes of what many share while it runs, such as
            {"warehouse": 1}; `rollout.toml` says how much there is ([resource.warehouse]
            capacity = 4). It is compared with that when the first job is submitted and when a
            worker starts.
        holdback_bp: Share kept on legacy even at the top, in basis points.
        compare: How a shadow's result is compared with legacy's; by default exactly.
        shown: Names of arguments, and of fields of a result, that page, API and commands may show
            to anybody; everything else of jobs is masked.
        runtime: Services to use; by default they are built from the settings.
        task_options: Options of the Celery task, such as `base`, `bind` or `autoretry_for`; see
            docs/adopting.md for the few that are refused.

    Raises:
        DeclarationError: The declaration cannot work; says why and what to write.
    """

    def __init__(
        self,
        name: str,
        /,
        app: Any = None,
        *,
        effects: str | None = None,
        key: str | Function | None = None,
        task_name: str | None = None,
        order: str | None = None,
        on_failure: str | None = None,
        resources: Mapping[str, int] | None = None,
        holdback_bp: int = HOLDBACK_BP,
        compare: Comparison | None = None,
        shown: Iterable[str] = (),
        runtime: Runtime | None = None,
        **task_options: Any,
    ) -> None:
        _check_name(name)
        if not 0 <= holdback_bp < BP_ALL:
            raise DeclarationError(
                f"holdback_bp of {name!r} must be 0..{BP_ALL - 1}, got {holdback_bp!r}",
                "500 keeps 5 % on legacy",
            )
        load_for_jobs()
        what = read_effects(name, effects)
        self.declared = Declared(
            name,
            app,
            what,
            key,
            holdback_bp,
            compare or Comparison(),
            runtime,
            "" if app is None else task_name or f"rollout.{name}",
            bound=bool(task_options.get("bind", False)),
            on_failure=_read_order(name, order, on_failure, key, what),
            resources=read_resources(name, resources),
        )
        """What was declared, as rollout's services see it."""
        self.declared.shown = _read_shown(name, shown)
        if app is not None:
            from rollout.adapters.celery.shared import install

            install(app, self.declared, task_options)
        elif task_name or task_options:
            raise DeclarationError(
                f"{name!r} has Celery options but no app",
                "pass app=; where a factory makes it later, app=celery.current_app",
            )

    @property
    def name(self) -> str:
        """Name of the Celery task; without an app, of the sub-pipeline."""
        return self.declared.task_name or self.declared.name

    @property
    def task(self) -> Any:
        """The Celery task itself."""
        return self.declared.task

    # Declaring -------------------------------------------------------------------------------

    @overload
    def legacy(self, function: _F, *, version: str | None = None) -> _F: ...
    @overload
    def legacy(self, *, version: str | None = None) -> Callable[[_F], _F]: ...
    def legacy(self, function: Function | None = None, *, version: str | None = None) -> Any:
        """Declare the legacy path: what runs today; `version` as in `concurrent`."""
        return self._declared_as(JobPath.LEGACY, function, version)

    @overload
    def concurrent(
        self,
        function: _F,
        *,
        version: str | None = None,
        execution: Mapping[str, Any] | None = None,
    ) -> _F: ...
    @overload
    def concurrent(
        self, *, version: str | None = None, execution: Mapping[str, Any] | None = None
    ) -> Callable[[_F], _F]: ...
    def concurrent(
        self,
        function: Function | None = None,
        *,
        version: str | None = None,
        execution: Mapping[str, Any] | None = None,
    ) -> Any:
        """Declare the concurrent path: what is on trial.

        Args:
            function: The path; `@concurrent` and `@concurrent(version="7")` both work.
            execution: The function gives a `rollout.execution.Graph` or `Flow` instead of a result,
                and the engine runs it with these options, such as `{"workers": 4}`. Where no legacy
                path was declared before, the same steps in sequence are it. Once a kill is seen no
                new step or batch starts.
            version: Names this build of it. When workers with another one start, the evidence of
                the step begins anew: it was about something else.
        """
        return self._declared_as(JobPath.CONCURRENT, function, version, execution)

    def commit(self, function: Function) -> Function:
        """Declare the commit hook `(value, job)`: the only place that touches the world.

        It is called again with the same value where the commit's answer was lost, so it leaves the
        value as it is.
        """
        self.declared.declare_hook(function)
        return function

    def compare(self, function: Function) -> Function:
        """Declare what says whether `(legacy, concurrent)` results of a shadow are equal."""
        self.declared.declare_comparison(function)
        return function

    def _declared_as(
        self,
        path: JobPath,
        function: Function | None,
        version: str | None,
        execution: Mapping[str, Any] | None = None,
    ) -> Any:
        if version is not None:
            self.declared.name_build(path, version)
        if function is None:
            return lambda given: self._declare(path, given, execution)
        return self._declare(path, function, execution)

    def _declare(
        self, path: JobPath, function: Function, execution: Mapping[str, Any] | None
    ) -> Function:
        had_legacy = JobPath.LEGACY in self.declared.paths
        if execution is None:
            self.declared.declare(path, function)
        else:
            from rollout.pipeline.executions import declare_execution

            declare_execution(self.declared, function, execution)
        if not had_legacy and JobPath.LEGACY in self.declared.paths:
            # So that `inspect`, `help` and editors see the function that this stands for.
            self.__signature__ = self.declared.signatures[JobPath.LEGACY].of_caller
            self.__wrapped__ = function
            for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
                if hasattr(function, attribute):
                    setattr(self, attribute, getattr(function, attribute))
        return function

    # Submitting ------------------------------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Submit a job; gives Celery's AsyncResult."""
        return self.task.delay(*args, **kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Submit a job with Celery's options; gives Celery's AsyncResult."""
        return self.task.apply_async(args, kwargs, *more, **options)

    def submit_many(self, jobs: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Submit many jobs, given by their keyword arguments, in few round trips.

        Each is sent by the task's `apply_async`, so headers, events and locks are as for one.

        Returns:
            Celery's AsyncResults, in order.

        Raises:
            KeyMissing, KeyUnusable, ArgumentsUnusable, PayloadTooLarge, TypeError: No job was
            submitted.
        """
        from rollout.adapters.celery.batch import submit_many

        return submit_many(self.declared, list(jobs))

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Take a job its whole way in this process: routing, fallback, commit, ledger.

        Returns:
            The job's result.

        Raises:
            Exception: What the legacy path (or the commit hook) raised; the job is kept as failed.
        """
        return self.declared.run_here("", args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The same as `run`."""
        return self.run(*args, **kwargs)

    # Standing for the task -------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """What services or the task know."""
        if name.startswith("__") or name == "declared":
            raise AttributeError(name)
        if self._is_declareds(name):
            return getattr(self.declared, name)
        if self.declared.app is None:
            raise AttributeError(f"{self.declared.name!r} has no Celery app, so it has no {name!r}")
        return getattr(self.task, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it on the task, too: `bill.max_retries = 0`, or a test that patches `apply_async`."""
        object.__setattr__(self, name, value)
        task = self._task_with(name)
        if task is not None:
            if name in vars(task):
                self.declared.replaced.setdefault(name, vars(task)[name])
            setattr(task, name, value)

    def __delattr__(self, name: str) -> None:
        """Take back what was set, as a test does at its end."""
        object.__delattr__(self, name)
        task = self._task_with(name)
        if task is not None and name in self.declared.replaced:
            setattr(task, name, self.declared.replaced.pop(name))
        elif task is not None:
            delattr(task, name)

    def _task_with(self, name: str) -> Any:
        """The task that has this attribute; None when it is no attribute of a task."""
        if name.startswith("__") or name == "declared" or self._is_declareds(name):
            return None
        return self.declared.made_task()

    def _is_declareds(self, name: str) -> bool:
        return hasattr(type(self.declared), name) or name in vars(self.declared)

    def __dir__(self) -> list[str]:
        """Names of both, for editors and consoles."""
        task = self.declared.made_task()
        return sorted({*object.__dir__(self), *(dir(task) if task is not None else ())})

    def __repr__(self) -> str:
        return f"<SubPipeline {self.declared.name!r}: {self.name}>"

    @property
    def __func__(self) -> Any:
        """What Celery's signals know a sender by, so that `connect(sender=bill)` means the task.

        The task itself is not asked for: at that line it may not be made yet.
        """
        return self.declared

    def __eq__(self, other: object) -> bool:
        """It equals its task, as what `@app.task` gives does: `sender == bill` in a handler."""
        if isinstance(other, SubPipeline):
            return other is self
        return getattr(other, "rollout", None) is self.declared

    def __hash__(self) -> int:
        """As its task's."""
        return hash(self.declared)

    def __reduce__(self) -> Any:
        """By its task's name, as Celery pickles a task."""
        return object.__reduce__(self) if self.declared.app is None else self.task.__reduce__()

    def __or__(self, other: Any) -> Any:
        """A chain that begins with this, of `chain(sub, ...)` and `sub | other`."""
        return self.task.s() | other

    def __ror__(self, other: Any) -> Any:
        """A chain that goes on with this."""
        return other | self.task.s()

    def __json__(self) -> Any:
        """A signature where a message needs one, such as in `link=sub`."""
        return dict(self.task.s())


def _read_order(
    name: str, order: str | None, on_failure: str | None, key: object, effects: Effects
) -> OnFailure | None:
    """What a failed job does with those of its key; None where no order is kept."""
    if order is None:
        if on_failure is not None:
            raise DeclarationError(
                f"on_failure= of {name!r} says what becomes of an order, and none is kept",
                'declare order="key" with it',
            )
        return None
    if order != "key":
        raise DeclarationError(
            f'order of {name!r} must be "key" or None, got {order!r}',
            'order="key" keeps the order of jobs with equal routing keys',
        )
    if key is None:
        raise DeclarationError(
            f'{name!r} has order="key" and no key', "declare key=, the argument whose jobs are kept"
        )
    if on_failure is None:
        return on_failure_of(effects)
    try:
        return OnFailure(on_failure)
    except ValueError:
        raise DeclarationError(
            f'on_failure of {name!r} must be "hold" or "skip", got {on_failure!r}',
            "hold keeps the jobs of the key waiting until a person looked; skip goes on",
        ) from None


def _read_shown(name: str, shown: Iterable[str]) -> frozenset[str]:
    """The fields that anybody may see. Raises DeclarationError."""
    given = [shown] if isinstance(shown, str) else list(shown)
    if isinstance(shown, str) or not all(isinstance(one, str) and one for one in given):
        raise DeclarationError(
            f"shown of {name!r} must be names of arguments and fields, got {shown!r}",
            'write shown=("customer_id", "month")',
        )
    return frozenset(given)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        hint = "use a short lower-case word; it names queues and metrics"
        if re.fullmatch(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)+", name):
            hint += f'; a Celery task is adopted with SubPipeline("...", task_name={name!r})'
        raise DeclarationError(
            f"a sub-pipeline's name must match {_NAME.pattern}, got {name!r}", hint
        )
