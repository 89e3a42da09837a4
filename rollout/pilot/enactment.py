"""Carries out what was judged: decision, evidence, control state and log are one transaction.

The projection to the control store follows it, and the next tick makes good what it missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rollout.errors import IllegalTransition, NotShadowable, StaleRevision
from rollout.log import log
from rollout.pilot.held_trials import HeldTrials, PilotsReport
from rollout.pilot.inputs import Entry, answer_text, inputs_of
from rollout.pilot.judgement import Action, Judgement
from rollout.pilot.ports import NewDecision, PilotLedger
from rollout.pilot.situation import Situation
from rollout.pilot.trial import Trial
from rollout.pilot.trial_steps import after_look, cool_down, follow
from rollout.policy.policy import Policy
from rollout.routing.stages import ControlState, Event, apply


class Enactment:
    """Records judgements and lets them happen.

    Args:
        ledger: Of decisions.
        held: What the leader remembers of the trials.
        project: Copies changed control states to the store at once; gives what went wrong.
        tells: Whether people are told of decisions: each that changed something, or that waits
            for a person, leaves a notice in its own transaction.
    """

    def __init__(
        self,
        ledger: PilotLedger,
        held: HeldTrials,
        project: Callable[[Sequence[ControlState]], str | None],
        tells: bool,
    ) -> None:
        self._ledger = ledger
        self._held = held
        self._project = project
        self._tells = tells

    def act(
        self,
        token: int,
        policy: Policy,
        trial: Trial,
        situation: Situation,
        judgement: Judgement,
        report: PilotsReport,
        entry: Entry | None = None,
    ) -> None:
        """Record what was judged and carry it out; raises LeaseLost."""
        state, after = situation.state, trial
        if judgement.event is not None:
            try:
                changed = apply(
                    state,
                    judgement.event,
                    scope_bp=judgement.to_bp,
                    seen_revision=state.revision,
                    effects=self._ledger.effects(state.name)
                    if judgement.event is Event.SHADOW
                    else None,
                )
            except (IllegalTransition, NotShadowable) as error:
                report.errors.append(str(error))
                return
            prior = situation.shadowed.prior(trial.began_at, situation.now)
            builds = trial.identity.builds
            after = follow(
                trial,
                changed,
                builds,
                policy,
                trial.thresholds,
                situation.now,
                prior,
                situation.baseline,
            )
            after = replace(after, acted=str(judgement.action), acted_at=situation.now)
            if judgement.action is Action.ADVANCE:
                after = replace(after, advanced_at=situation.now)
            if judgement.action is Action.REVERT:
                after = cool_down(after, policy, situation.now)
        elif judgement.look:
            after = after_look(trial, policy, situation.now)
        else:
            after = replace(trial, said=judgement.window)
        if self._record(
            token, inputs_of(policy, situation, entry), situation, judgement, after, report
        ):
            report.decisions.append((trial.name, judgement))

    def _record(
        self,
        token: int,
        inputs: str,
        situation: Situation,
        judgement: Judgement,
        after: Trial,
        report: PilotsReport,
    ) -> bool:
        decision = NewDecision(
            name=situation.state.name,
            at=situation.now,
            window=judgement.window,
            action=str(judgement.action),
            sentence=judgement.sentence,
            inputs=inputs,
            answer=answer_text(judgement.to_json()),
            event=judgement.event,
            to_bp=judgement.to_bp,
            seen_revision=situation.state.revision,
            notice=self._tells and (judgement.event is not None or judgement.person),
        )
        try:
            state = self._ledger.decide(token, decision, after)
        except (StaleRevision, IllegalTransition, NotShadowable) as error:
            report.errors.append(str(error))  # somebody changed it just now; judged anew next tick
            return False
        if state is None:  # decided before: only what is remembered is brought up to date
            self._held.save(token, [after])
            return False
        self._held.written(after)
        log.info("decided", name=after.name, action=str(judgement.action), why=judgement.sentence)
        if judgement.event is not None:
            not_projected = self._project([state])
            if not_projected is not None:
                report.errors.append(not_projected)
        return True
