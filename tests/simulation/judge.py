"""What must never be in a history. Knows the promises and not the code that keeps them.

The order of the events is the order of the acts (`watched.py`), so no clock is compared. A kill
holds from the line `changed` of its fence until the line `changed` of a rearm.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rollout.jobs.claims import JobState
from rollout.policy.policy import Policies
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.rule import Reading, position
from rollout.routing.stages import BP_ALL, TRANSITIONS, ControlState, Event, Stage
from tests.simulation.bulk import Bulk
from tests.simulation.history import Happening
from tests.simulation.limits import TICK_S
from tests.simulation.producer import Kind
from tests.simulation.trial_rules import TrialRules
from tests.simulation.violation import Violation

_TABLE = {row.event: row for row in TRANSITIONS}
_GROWS = {Event.START, Event.SCOPE, Event.DOUBLE, Event.GRADUATE}

KINDS = (
    "lost",
    "two outcomes",
    "committed twice",
    "out of order",
    "capacity exceeded",
    "left waiting",
    "effect missing",
    "unsafe repeated",
    "start after kill",
    "start without store",
    "commit after fence",
    "kill not fenced",
    "sent twice",
    "not told",
    "told wrong",
    "died for nothing",
    "not by the table",
    "grew while held",
    "scope grew",
    "store went back",
    "stuck",
    "not converged",
    "decided twice",
    "advanced too soon",
    "step skipped",
    "advanced unproven",
    "reverted for nothing",
    "not reverted",
)

_SILENCES = frozenset({
    "child killed", "worker killed", "worker told to stop", "paused", "cut off", "line slow",
    "server away", "answers lost", "ledger lost rows",
})  # fmt: skip
"""Faults after which a worker may rightly be taken for dead; a wrong clock is none of them."""
_HUSHES = frozenset({
    "child killed", "worker killed", "worker told to stop", "broker lost its messages",
    "messages delayed",
})  # fmt: skip
"""Faults after which a caller may rightly hear nothing, or only when a message comes again."""

_CALLED_WITHIN_S = 4 * TICK_S
"""A standby takes the lease over, and calls with its first turn."""
_CONVERGES_S = 120.0
"""A change reaches the store within two ticks; before that routing may follow the state before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger says of one job in the end: its state, and lines of its way."""

    state: JobState
    commits: int
    failures: int
    reopened: int
    moves: int


class Judge:
    """Reads a history event by event."""

    def __init__(self, kinds: list[Kind], policies: Policies, bulk: Bulk) -> None:
        self.found: list[Violation] = []
        self._trials = TrialRules(policies, bulk, self._say)
        self._effects = {kind.name: kind.effects for kind in kinds}
        self._states: dict[str, ControlState] = {}
        self._changed_s: dict[str, float] = {}
        self._logged: dict[tuple[str, int], ControlState] = {}
        self._kills: Counter[str] = Counter()
        self._fenced: dict[str, set[str]] = {}
        self._seen_in_store: dict[str, int] = {}
        self._asked: dict[str, tuple[str, object]] = {}
        self._claims: dict[tuple[str, int], int] = {}
        self._counted: set[tuple[str, int]] = set()
        self._submitted: dict[str, Happening] = {}
        self._told: dict[str, set[str]] = {}
        self._faults: set[str] = set()
        self._rowless: set[str] = set()
        self._reopened: set[str] = set()
        self._committed: dict[str, int] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._newest_place: dict[str, int] = {}
        self._forgotten: set[str] = set()
        self._forgotten_s = 0.0
        self._last_committed: dict[str, int] = {}
        self._effect: Counter[str] = Counter()
        self._ran: Counter[str] = Counter()
        self._again: Counter[str] = Counter()
        self._handed: Counter[str] = Counter()
        self._rules: dict[str, Callable[[Happening], None]] = {
            "submitted": self._on_submitted,
            "placed": self._on_placed,
            "took": self._on_took,
            "forgotten": self._on_forgotten,
            "read": self._on_read,
            "claimed": self._on_claimed,
            "ran": self._on_ran,
            "effect": self._on_effect,
            "committed": self._on_committed,
            "told": self._on_told,
            "fault": lambda event: self._faults.add(event.facts["fault"]),
            "silenced": self._on_silenced,
            "row lost": self._on_row_lost,
            "handed": self._on_handed,
            "reopened": self._on_reopened,
            "retried": lambda event: self._again.update([event.facts["job"]]),
            "changed": self._on_changed,
            "fenced": self._on_fenced,
            "kill acknowledged": self._on_acknowledged,
            "wiped": lambda event: self._seen_in_store.clear(),
            "observed": self._on_observed,
            "decided": lambda event: self._trials.on_decided(event, self._states),
            "settled": self._on_settled,
        }

    def see(self, events: list[Happening]) -> list[Violation]:
        """Read on; all that was found so far."""
        rules = self._rules
        for event in events:
            rule = rules.get(event.what)
            if rule is not None:
                rule(event)
        return self.found

    def _say(self, event: Happening, kind: str, subject: str, said: str) -> None:
        assert kind in KINDS, f"{kind!r} is not in KINDS"
        self.found.append(Violation(kind, subject, said, event))

    # Control state -------------------------------------------------------------------------

    def _on_changed(self, event: Happening) -> None:
        """Every change is a line of the stage table, follows the last, and grows only when free."""
        record = event.facts["record"]
        before, after = record.before, record.after
        name, row = before.name, _TABLE[record.event]
        last = self._states.get(name)
        if last is not None and before != last:
            self._say(event, "not by the table", name, f"{last} became {before} in between")
        lawful = (
            before.stage in row.stages
            and after.stage is (row.to or before.stage)
            and after.revision == before.revision + 1
            and (after.killed == before.killed or record.event in (Event.KILL, Event.REARM))
            and (after.scope_bp <= before.scope_bp or record.event in _GROWS)
            and after.scope_bp <= after.scope_bp_max
        )
        if not lawful:
            self._say(event, "not by the table", name, f"{record.event}: {before} -> {after}")
        grew = after.scope_bp > before.scope_bp or (row.grows and record.event is not Event.SCOPE)
        if grew and (before.killed or before.frozen):
            self._say(event, "grew while held", name, f"{record.event} while killed or frozen")
        if record.event is Event.KILL:
            self._kills[name] += 1
        self._trials.on_changed(event, before, after)
        self._states[name] = self._logged[(name, after.revision)] = after
        self._changed_s[name] = event.at_s

    def _on_fenced(self, event: Happening) -> None:
        self._fenced.setdefault(event.facts["kill"], set()).update(event.facts["names"])

    def _on_acknowledged(self, event: Happening) -> None:
        """A kill that says it is complete has moved the fence."""
        fenced = self._fenced.get(event.facts["kill"], set())
        if event.facts["complete"] and (event.facts["name"] or "*") not in fenced:
            self._say(event, "kill not fenced", str(event.facts["name"]), "acknowledged")

    def _on_read(self, event: Happening) -> None:
        """What the store shows was logged, and is never older than what it showed before."""
        state: ControlState | None = event.facts["state"]
        name = event.facts["name"]
        self._asked[event.who] = (name, event.facts["closed"])
        if state is None:
            return
        if not self._is_logged(state):
            self._say(event, "scope grew", name, f"the store shows {state}, which nobody decided")
        if state.revision < self._seen_in_store.get(name, 0):
            self._say(event, "store went back", name, f"to revision {state.revision}")
        self._seen_in_store[name] = max(state.revision, self._seen_in_store.get(name, 0))

    def _is_logged(self, state: ControlState) -> bool:
        logged = self._logged.get((state.name, state.revision))
        return state == logged if logged else (state.stage is Stage.LEGACY and state.scope_bp == 0)

    # Jobs ----------------------------------------------------------------------------------

    def _on_submitted(self, event: Happening) -> None:
        """A job goes concurrent only on a revision whose scope covers its key."""
        facts = event.facts
        self._submitted[facts["job"]] = event
        if facts["path"] is JobPath.CONCURRENT:
            state = self._logged.get((facts["name"], facts["revision"]))
            if state is None or not _covers(state, facts["key"]):
                self._say(event, "scope grew", facts["job"], f"routed by {state}")

    def _on_placed(self, event: Happening) -> None:
        """A job has its place among those of its key; one that is placed again has the last."""
        facts = event.facts
        line = f"{facts['name']} {facts['key']}"
        number = self._newest_place[line] = self._newest_place.get(line, 0) + 1
        self._places[facts["job"]] = (line, number)

    def _on_took(self, event: Happening) -> None:
        """With each start, running jobs use no more of a resource than there is."""
        facts = event.facts
        if facts["used"] > facts["capacity"]:
            said = f"{facts['used']} of {facts['capacity']} of {facts['resource']!r} in use"
            self._say(event, "capacity exceeded", facts["job"], said)

    def _on_forgotten(self, event: Happening) -> None:
        """With everything up nobody rests for long while nothing of what it needs is in use."""
        facts = event.facts
        again = self._forgotten & set(facts["jobs"])
        if again and event.at_s - self._forgotten_s > _CALLED_WITHIN_S:
            self._say(event, "left waiting", " ".join(sorted(again)), "nobody uses what they need")
        if not again:
            self._forgotten_s = event.at_s
        self._forgotten = again or set(facts["jobs"])

    def _judge_order(self, event: Happening, job: str) -> None:
        """Nobody commits before a job that was submitted earlier with the same key."""
        if job not in self._places or job in self._committed:
            return
        line, number = self._places[job]
        last = self._last_committed.get(line, 0)
        if number < last:
            self._say(event, "out of order", job, f"place {number} of {line!r} after {last}")
        self._last_committed[line] = max(number, last)

    def _on_claimed(self, event: Happening) -> None:
        """A concurrent start has the store's clear yes, and no kill is in force."""
        facts = event.facts
        name, job = facts["name"], facts["job"]
        self._claims[(job, facts["attempt"])] = self._kills[name]
        asked = self._asked.pop(event.who, None)
        if facts["path"] is not JobPath.CONCURRENT:
            return
        if asked is None and job in self._rowless:
            self._rowless.discard(job)  # no start: what ran has its row written anew
        elif asked != (name, None):
            self._say(event, "start without store", job, f"the store's last word: {asked}")
        state = self._states.get(name)
        if state is not None and state.killed:
            self._say(event, "start after kill", job, f"killed at revision {state.fence_revision}")

    def _on_ran(self, event: Happening) -> None:
        """An unsafe path runs once, and once more each time a person or Celery's retry asks."""
        job = event.facts["job"]
        self._ran[job] += 1
        if self._effects[event.facts["name"]] is Effects.UNSAFE:
            allowed = 1 + self._again[job]
            if self._ran[job] > allowed:
                self._say(event, "unsafe repeated", job, f"ran {self._ran[job]} times")

    def _on_effect(self, event: Happening) -> None:
        job = event.facts["job"]
        self._effect[job] += 1
        if self._effect[job] > 1:
            self._say(event, "committed twice", job, "its commit hook's effect was applied twice")

    def _on_committed(self, event: Happening) -> None:
        """One attempt commits, and no kill came between its claim and its commit."""
        facts = event.facts
        job, attempt = facts["job"], facts["attempt"]
        self._judge_order(event, job)
        if self._committed.setdefault(job, attempt) != attempt:
            said = f"attempts {self._committed[job]} and {attempt}"
            self._say(event, "committed twice", job, said)
        if facts["path"] is JobPath.CONCURRENT and not facts["unsafe"]:
            # A second answer to the same commit may come after a kill; the commit did not.
            first = (job, attempt) not in self._counted
            fresh = self._claims.get((job, attempt)) == self._kills[facts["name"]]
            if first and not fresh:
                self._say(event, "commit after fence", job, f"attempt {attempt}")
        self._counted.add((job, attempt))

    def _on_told(self, event: Happening) -> None:
        self._told.setdefault(event.facts["job"], set()).add(event.facts["outcome"])

    def _on_reopened(self, event: Happening) -> None:
        self._reopened.add(event.facts["job"])
        self._again[event.facts["job"]] += 1

    def _on_silenced(self, event: Happening) -> None:
        """A worker is taken for dead only when something has kept it from being heard."""
        if not self._faults & _SILENCES:
            self._say(event, "died for nothing", event.facts["job"], "its worker was well")

    def _on_row_lost(self, event: Happening) -> None:
        """The row's way begins anew, and so does what it says of moves; its place went with it."""
        self._places.pop(event.facts["job"], None)
        self._handed[event.facts["job"]] = 0
        self._rowless.add(event.facts["job"])

    def _on_handed(self, event: Happening) -> None:
        self._handed[event.facts["job"]] += bool(event.facts["recorded"])

    # Rest ----------------------------------------------------------------------------------

    def _on_observed(self, event: Happening) -> None:
        """With everything up, routing follows the newest state."""
        facts = event.facts
        state = self._states.get(facts["name"])
        if state is None or self._under_way(event, state.name):
            return
        inside = _covers(state, facts["key"]) and not state.killed
        expected = JobPath.CONCURRENT if inside else JobPath.LEGACY
        if facts["path"] is not expected or facts["revision"] != state.revision:
            self._say(event, "not converged", facts["name"], f"expected {expected} by {state}")

    def _under_way(self, event: Happening, name: str) -> bool:
        """Whether a change was made just now: the controller decides in times of rest as well."""
        return event.at_s - self._changed_s.get(name, -_CONVERGES_S) < _CONVERGES_S

    def _on_settled(self, event: Happening) -> None:
        """Nothing waits, every job has its one outcome, and the store agrees with the ledger."""
        facts = event.facts
        if facts["open"] or any(facts["queues"].values()):
            said = f"still open with everything up; {facts['queues']}"
            self._say(event, "stuck", " ".join(facts["open"]), said)
            return
        for job, outcome in facts["outcomes"].items():
            self._judge_outcome(event, job, outcome)
        self._faults.clear()
        for name, state in facts["states"].items():
            self._judge_rest(event, state, facts["readings"][name], facts["all_killed"])
            self._trials.on_rest(event, state)

    def _judge_outcome(self, event: Happening, job: str, outcome: Outcome | None) -> None:
        if outcome is None:
            if job not in self._told:
                self._say(event, "lost", job, "submitted, and nobody knows it")
            return
        committed = int(outcome.state is JobState.COMMITTED)
        failures = outcome.reopened + (1 - committed)
        if (outcome.commits, outcome.failures) != (committed, failures):
            self._say(event, "two outcomes", job, str(outcome))
        self._judge_told(event, job, outcome)
        if self._handed[job] > outcome.moves:
            said = f"{self._handed[job]} processes sent what was moved {outcome.moves} times"
            self._say(event, "sent twice", job, said)
        name = self._submitted[job].facts["name"] if job in self._submitted else None
        if name and self._effects[name] is Effects.COMMIT and self._effect[job] != committed:
            self._say(event, "effect missing", job, f"{outcome.state}, {self._effect[job]} effects")

    def _judge_told(self, event: Happening, job: str, outcome: Outcome) -> None:
        """Whoever submitted the job hears of its result, and of no failure beside it."""
        told = self._told.get(job, set())
        if outcome.state is not JobState.COMMITTED:
            return
        if "Done" not in told and not self._faults & _HUSHES:
            self._say(event, "not told", job, "committed, and its caller waits")
        submitted = self._submitted.get(job)
        # Without the ledger a path that does not need it answers for itself.
        binds = submitted and self._effects[submitted.facts["name"]].needs_ledger
        # A row that was lost since has forgotten that a person retried it.
        if "Failed" in told and binds and job not in self._reopened:
            self._say(event, "told wrong", job, "committed, and its caller was told of a failure")

    def _judge_rest(
        self, event: Happening, state: ControlState, reading: Reading, all_killed: bool
    ) -> None:
        last = self._states.get(state.name)
        if last is not None and last != state:
            self._say(event, "not by the table", state.name, f"the row is {state}, the log {last}")
        if self._under_way(event, state.name):
            return
        latched = reading.killed or reading.killed_all
        if reading.state != state or latched != state.killed or reading.killed_all != all_killed:
            self._say(event, "not converged", state.name, f"{reading} beside {state}")


def _covers(state: ControlState, key: str) -> bool:
    """Whether the scope covers a key, by the rule as the docs state it."""
    moved = state.stage in (Stage.SPLIT, Stage.GRADUATED)
    return moved and position(state.salt, key) * BP_ALL < state.scope_bp * 2**64
