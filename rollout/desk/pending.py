"""The decision that is pending on a sub-pipeline, and all that is to be said about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollout.desk.alarms import Alarm
from rollout.desk.evidence import notes_of, situation_json, stands, way_back_of, worst_first
from rollout.desk.history import by_whom, summary
from rollout.desk.lately import Lately, trouble_sentence
from rollout.desk.leader import Leader
from rollout.desk.plain import Json
from rollout.desk.releases import UNNAMED, Releases
from rollout.desk.running_drills import RunningDrill
from rollout.desk.text import at_text
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import NEED_A_PERSON, HoldKind
from rollout.pilot.judgement import Judgement
from rollout.pilot.not_yet import not_yet
from rollout.pilot.outlook import Outlook
from rollout.pilot.ports import DecisionRecord
from rollout.pilot.readiness import describe, not_ready
from rollout.pilot.situation import Situation
from rollout.pilot.trial import Trial
from rollout.policy.policy import Policy
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import BP_ALL, ControlState, Event, Stage

_REVERT = "revert"
_OUTPUTS, _PERSON = "outputs-differ.md", "person-needed.md"
"""Runbooks for what a person decides."""


@dataclass(frozen=True, slots=True)
class Decides:
    """What a person has to decide, and the runbook that helps."""

    sentence: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What the controller would decide about one sub-pipeline now.

    `unseen` says why there is no judgement: then the four fields before it are None.
    `shadow_first` says that a shadow may run before the first job, and none has.
    """

    state: ControlState
    policy: Policy
    trial: Trial | None
    seen: Situation | None
    made: Judgement | None
    outlook: Outlook | None
    unseen: str | None = None
    shadow_first: bool = False

    @property
    def ahead(self) -> str:
        """What comes next, in a sentence; empty where nobody can tell."""
        if self.outlook is None:
            return ""
        first = f"; a shadow first: `rollout shadow {self.state.name}`" if self.shadow_first else ""
        return f"{self.outlook.sentence}{first}"

    @property
    def not_ready(self) -> tuple[str, ...]:
        """What stands in the way of a revert."""
        if self.seen is None:
            return ()
        return not_ready(self.seen.way_back, self.state, self.policy)

    @property
    def way_back(self) -> str:
        """One sentence on what a revert now would do to legacy."""
        return "unknown" if self.seen is None else describe(self.seen.way_back)

    @property
    def holdback_bp(self) -> int:
        """Share that stays on legacy at the top, in basis points."""
        limit = self.policy.scope_limit_bp(self.state.holdback_bp)
        return BP_ALL - min(limit, self.state.scope_bp_max)

    @property
    def decides(self) -> Decides | None:
        """What a person decides; None where the controller goes on, or waits for time alone.

        A judgement holds for its first reason, which may be one that time ends: the reason that
        time does not end is the one to tell. In stage shadow other outputs hold as well.
        """
        made, seen = self.made, self.seen
        if made is None or seen is None:
            return None
        if self.state.stage is Stage.SHADOW:
            worse = [one for one in made.findings if one.verdict is Verdict.REGRESS]
            if worse:
                return Decides(worse[0].sentence, _OUTPUTS)
        if not made.person:
            return None
        holds = not_yet(self.policy, seen) if self.state.stage is Stage.SPLIT else ()
        for one in holds:
            if one.kind in NEED_A_PERSON:
                runbook = _OUTPUTS if one.kind is HoldKind.OUTPUTS else _PERSON
                return Decides(one.sentence, runbook)
        return Decides(made.sentence, _PERSON)

    @property
    def sentence(self) -> str:
        """What is pending and what comes next, in one line."""
        made, ahead = self.made, self.outlook
        if made is None or ahead is None:
            return f"none: {self.unseen}"
        if ahead.not_before is None and not ahead.needs:
            return self.ahead
        decides = self.decides
        word, said = str(made.action), made.sentence
        if decides is not None:
            word, said = "A PERSON DECIDES", decides.sentence
        if said in ahead.sentence:
            return f"{word}: {ahead.sentence}"
        return f"{word}: {said.rstrip('.')}; {ahead.sentence}"

    @property
    def way_back_ready(self) -> str:
        """Whether legacy could take everything back now, in one line."""
        if self.seen is None:
            return "unknown: no controller has looked at it yet"
        reasons = self.not_ready
        return f"NOT READY: {reasons[0]}" if reasons else f"ready: {self.way_back}"

    def to_json(self) -> Json:
        """What scripts read about a pending decision."""
        seen, made, ahead = self.seen, self.made, self.outlook
        return {
            "unseen": self.unseen,
            "pending": None if made is None else made.to_json(),
            "next": None if ahead is None else ahead.to_json(),
            "situation": None if seen is None else situation_json(seen),
            "way_back": {
                "ready": None if seen is None else not self.not_ready,
                "sentence": self.way_back,
                "not_ready": list(self.not_ready),
                "holdback_bp": self.holdback_bp,
            },
        }


@dataclass(frozen=True, slots=True)
class Why:
    """Everything that is to be said about one sub-pipeline.

    Attributes:
        at: When it was read.
        pending: The decision that is pending.
        last: The last decision of the controller; a confirmed revert is not one.
        confirmation: What routing says of the last revert; None without one.
        leader: Who leads.
        policy_difference: Where the leader judges by another policy than the file's.
        lately: What both paths did in the last minutes.
        drill: A drill that runs now.
        releases: The build of each path.
        changed: The last change of the control state; None before the first.
        held_up: What holds its jobs up at the workers; empty where nobody asked them.
    """

    at: datetime
    pending: Pending
    last: DecisionRecord | None
    confirmation: str | None
    leader: Leader
    policy_difference: str | None = None
    lately: Lately | None = None
    drill: RunningDrill | None = None
    releases: Releases = UNNAMED
    changed: TransitionRecord | None = None
    held_up: tuple[Alarm, ...] = ()

    @property
    def headline(self) -> tuple[str, str]:
        """The most important word, in capitals where something acts, and its sentence."""
        pending, made, last = self.pending, self.pending.made, self.last
        if made is None:
            return "", pending.unseen or ""
        if pending.decides is not None:
            return "A PERSON DECIDES", pending.decides.sentence
        if pending.state.killed:
            killed = self.changed is not None and self.changed.event is Event.KILL
            who = f" {by_whom(self.changed)}" if killed and self.changed is not None else ""
            return "KILLED", f"{made.sentence}{who and ';'}{who}"
        if pending.state.stage is Stage.LEGACY:
            if last is not None and last.action == _REVERT and self._last_made_this_step:
                return "REVERTED", last.sentence
            return "LEGACY", made.sentence
        return str(made.action).upper(), made.sentence

    @property
    def _last_made_this_step(self) -> bool:
        """Whether the last decision began the present step: nobody changed anything since."""
        trial = self.pending.trial
        return trial is not None and self.last is not None and self.last.at == trial.began_at

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is to be known, the most important first: a word and a sentence each."""
        pending, seen = self.pending, self.pending.seen
        first = [] if self.drill is None else [("drill", self.drill.sentence)]
        if self.lately is not None:
            lately = self.lately
            first += [
                (
                    "fails" if one.lasts(self.at) else "failed",
                    trouble_sentence(one, lately, self.at),
                )
                for one in lately.troubles
            ]
        first += [(alarm.what, alarm.sentence) for alarm in self.held_up]
        if seen is None or pending.outlook is None:
            return [
                *first,
                ("leader", self.leader.sentence),
                ("builds", self.releases.sentence),
                ("last decision", self._last),
            ]
        ready = way_back_of(seen, pending.way_back, pending.not_ready, pending.holdback_bp)
        rows = [
            ("next", self._next(pending.ahead)),
            ("stands", stands(seen)),
            ("way back", ready),
            ("builds", self.releases.sentence),
            ("last decision", self._last),
            ("leader", self.leader.sentence),
        ]
        if self.confirmation is not None:
            rows.insert(1, ("revert", self.confirmation))
        if self.policy_difference is not None:
            rows.append(("policy", self.policy_difference))
        return [*first, *rows]

    @property
    def needs(self) -> list[tuple[str, str]]:
        """What has to happen before the next step: its kind and a sentence each."""
        if self.pending.outlook is None:
            return []
        needs = [(one.what, one.sentence) for one in self.pending.outlook.needs]
        told = {sentence for _, sentence in needs}
        return needs + [("way_back", one) for one in self.pending.not_ready if one not in told]

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What the numbers do not say by themselves."""
        seen, policy = self.pending.seen, self.pending.policy
        if seen is None:
            return []
        notes = notes_of(seen)
        if seen.looks == 0 and seen.look_at_day != policy.bake_days:
            notes.append(
                (
                    "bake time",
                    f"{seen.look_at_day:g} days are in force at this step, which began with them; "
                    f"the policy's {policy.bake_days:g} hold from the next step on",
                )
            )
        return notes

    def _next(self, sentence: str) -> str:
        """What comes next; nothing does while nobody leads."""
        return (
            sentence
            if self.leader.alive
            else f"{sentence}, as soon as a controller leads: nobody does"
        )

    @property
    def findings(self) -> list[Finding]:
        """Every verdict, what regresses first."""
        judged = self.pending.made
        return [] if judged is None else sorted(judged.findings, key=worst_first)

    @property
    def _last(self) -> str:
        last = self.last
        if last is None:
            return "none yet"
        sentence = f"{last.action} at {at_text(last.at)}: {last.sentence}"
        return f"{sentence} (`rollout decision {last.decision_id}`)"

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "name": self.pending.state.name,
            "at": self.at.isoformat(),
            **self.pending.to_json(),
            "revert_confirmation": self.confirmation,
            "last_decision": None if self.last is None else summary(self.last),
            "leader": self.leader.to_json(),
            "policy_difference": self.policy_difference,
            "lately": None if self.lately is None else self.lately.to_json(),
            "drill": None if self.drill is None else self.drill.to_json(),
            "releases": self.releases.to_json(),
            "held_up": [alarm.to_json() for alarm in self.held_up],
        }
