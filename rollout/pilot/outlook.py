"""What would have to happen for the next step, and when at the present rate.

A forecast, not a promise: it takes jobs to go on coming, failing and lasting as they have since
the step began. Only the controller's own looks promote; asking here uses up none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from rollout.evidence.promote import HARM_MAX, PLAIN
from rollout.evidence.stored import Json
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import HoldKind
from rollout.pilot.judgement import Judgement
from rollout.pilot.not_yet import Hold, days_in_step, not_yet
from rollout.pilot.proofs import PROOFS, RECOVERY
from rollout.pilot.rule import rule_of
from rollout.pilot.shown import word_of
from rollout.pilot.situation import Situation
from rollout.policy import ladder
from rollout.policy.policy import Policy, next_free
from rollout.routing.stages import Stage

NOT_AT_PRESENT_RATES = "not at present rates"
"""Said of a proof whose observed rate lies on the wrong side: more of the same proves nothing."""

NEXT_TICK = "the controller's next tick does it"
"""Said beside what is decided and not yet done."""

_FACTOR_MAX = 10_000.0
"""A score that needs more than this many times the jobs seen is not proven at present rates."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that has to happen before the next step.

    Attributes:
        what: Kind of the hold, or metric of the proof.
        sentence: It in words.
        at: When it is so at the present rate; None when only an event or a person can tell.
        jobs: Concurrent jobs (drill pairs for `recovery` and `drills`) that it still takes.
    """

    what: str
    sentence: str
    at: datetime | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The way to the next step.

    Attributes:
        to_bp: Scope of the next step; None when the next is to graduate, or there is none.
        needs: What has to happen, in the order in which it is asked.
        not_before: Earliest time by bake, looks, cooldown and calendar; None when there is none.
        at: The look that promotes at present rates; None when that cannot be told.
        sentence: The whole in one line.
    """

    to_bp: int | None
    needs: tuple[Need, ...]
    not_before: datetime | None
    at: datetime | None
    sentence: str

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "to_bp": self.to_bp,
            "needs": [
                {"what": one.what, "sentence": one.sentence, "at": _text(one.at), "jobs": one.jobs}
                for one in self.needs
            ],
            "not_before": _text(self.not_before),
            "at": _text(self.at),
            "sentence": self.sentence,
        }


def outlook(policy: Policy, situation: Situation, judgement: Judgement) -> Outlook:
    """Say what would have to happen for the next step, and when.

    Args:
        policy: The policy in force.
        situation: The situation.
        judgement: What `judge` made of them.
    """
    state, name = situation.state, situation.state.name
    if judgement.event is not None:
        return Outlook(judgement.to_bp, (), situation.now, situation.now, NEXT_TICK)
    if state.killed:
        return _by_hand(f"only after `rollout rearm {name} --reason '...'`")
    if state.stage is Stage.LEGACY:
        return _by_hand(f"a person starts it: `rollout start {name}`")
    if state.stage is Stage.GRADUATED:
        return _by_hand("graduated: no step is left, it is only watched")
    if state.stage is Stage.SHADOW:
        return _from_shadow(policy, situation, judgement)
    if ladder.is_capped(policy, state):
        return _by_hand("at its cap: the policy lets it grow no further")
    worse = [one.sentence for one in judgement.findings if one.verdict is Verdict.REGRESS]
    if worse:
        return _by_hand(f"never as it is: {worse[0]}")
    next_bp = ladder.next_bp(policy, state.scope_bp, state.holdback_bp, situation.baseline)
    return _climbing(policy, situation, judgement, next_bp)


def _by_hand(sentence: str) -> Outlook:
    return Outlook(None, (), None, None, sentence)


def _from_shadow(policy: Policy, situation: Situation, judgement: Judgement) -> Outlook:
    if not rule_of(policy).shadow_acts or judgement.next_bp is None:
        return _by_hand(judgement.sentence)
    holds = not_yet(policy, situation, in_shadow=True)
    needs = [_of_hold(policy, situation, one) for one in holds]
    sentences = {one.sentence for one in holds}
    needs += [Need("shadow", one) for one in judgement.reasons if one not in sentences]
    start = _not_before(policy, situation, needs)
    return _told(judgement.next_bp, needs, start, None if needs else start, situation.now)


def _climbing(
    policy: Policy, situation: Situation, judgement: Judgement, next_bp: int | None
) -> Outlook:
    holds = [_of_hold(policy, situation, one) for one in not_yet(policy, situation)]
    start = _not_before(policy, situation, holds)
    unproven = _unproven(policy, situation, judgement)
    needs = [*holds, *unproven]
    told = {HoldKind.BAKE, HoldKind.CALENDAR, HoldKind.COOLDOWN}
    if start is None or any(one.at is None for one in needs if one.what not in told):
        return _told(next_bp, needs, start, None, situation.now)
    ready = max((one.at for one in unproven if one.at is not None), default=start)
    look_at: datetime | None = start
    look, rule = situation.looks + 1, rule_of(policy)
    interval = timedelta(seconds=policy.day_s * rule.gap_days)
    while look_at is not None and look_at < ready and look <= rule.looks_max:
        look_at, look = next_free(policy, look_at + interval), look + 1
    if look_at is not None and look > rule.looks_max:
        sentence = f"All {rule.looks_max} looks of this step come before that: a person decides."
        return _told(next_bp, [*needs, Need(HoldKind.LOOKS, sentence)], start, None, situation.now)
    return _told(next_bp, needs, start, look_at, situation.now)


def _told(
    to_bp: int | None,
    needs: list[Need],
    not_before: datetime | None,
    at: datetime | None,
    now: datetime,
) -> Outlook:
    step = "to graduate" if to_bp is None else f"{to_bp / 100:g} %"
    if at is not None:
        sentence = f"next step {step} at the present rate {when(at, now)}"
    elif not_before is not None:
        more = ", ".join(dict.fromkeys(word_of(one.what) for one in needs if one.at is None))
        sentence = f"next step {step} not before {when(not_before, now)}"
        if not_before <= now:
            sentence = f"next step {step} waits for {more}" if more else f"next step {step} now"
        elif more:
            sentence += f", and it takes more than time: {more}"
    else:
        sentence = f"next step {step}: no time can be told"
    return Outlook(to_bp, tuple(needs), not_before, at, sentence)


def when(at: datetime, now: datetime) -> str:
    """A time, and how far off it is: "2026-11-30 09:00 UTC (in 5.2 days)"."""
    left_s = (at - now).total_seconds()
    if left_s <= 0:
        return "now"
    return f"{at:%Y-%m-%d %H:%M} UTC (in {span(left_s)})"


def span(seconds: float) -> str:
    """A duration as people say it; seconds in, the largest fitting unit out."""
    for unit_s, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"


def _not_before(policy: Policy, situation: Situation, holds: Iterable[Need]) -> datetime | None:
    """The earliest time by bake, looks, cooldown and calendar."""
    due = situation.began_at + timedelta(seconds=policy.day_s * situation.look_at_day)
    times = [situation.now, due, *(one.at for one in holds if one.at is not None)]
    return next_free(policy, max(times))


def _of_hold(policy: Policy, situation: Situation, hold: Hold) -> Need:
    """When a hold ends by itself."""
    if hold.kind is HoldKind.BAKE:
        wanted = max(policy.bake_days, situation.look_at_day)
        at = situation.began_at + timedelta(seconds=policy.day_s * wanted)
        return Need(hold.kind, f"{hold.sentence[:-1]}: over {when(at, situation.now)}.", at)
    if hold.kind is HoldKind.CALENDAR:
        return Need(hold.kind, hold.sentence, next_free(policy, situation.now))
    if hold.kind is HoldKind.COOLDOWN:
        return Need(hold.kind, hold.sentence, situation.cooldown_until)
    if hold.kind is HoldKind.JOBS_MIN:
        have = situation.totals.failures.n_concurrent
        return _at_rate(policy, situation, hold.kind, hold.sentence, have, policy.jobs_min - have)
    if hold.kind is HoldKind.DRILLS:
        comparable = sum(not pair.both_censored for pair in situation.pairs)
        missing = max(
            policy.drills_min - comparable, policy.drills_step_min - situation.step_pairs, 1
        )
        return Need(hold.kind, hold.sentence, None, missing)
    return Need(hold.kind, hold.sentence)


def _unproven(policy: Policy, situation: Situation, judgement: Judgement) -> list[Need]:
    """Proofs that do not pass yet, tests that lean towards harm, a split that is broken."""
    needs = []
    scored = {one.metric for one in PROOFS}
    for found in judgement.findings:
        if found.verdict is Verdict.PASS:
            continue
        if found.metric == RECOVERY:
            if len(situation.pairs) < policy.drills_min:
                continue  # the drills hold says it
            needs.append(Need(RECOVERY, found.sentence))
        elif found.metric in scored:
            needs.append(_of_score(policy, situation, found))
        elif found.metric == "sample_ratio":
            needs.append(Need("sample_ratio", found.sentence))
    for metric, statistic in situation.evidence.harm.items():
        # As `promote.decide` asks, so that NaN is told as well.
        if not statistic < HARM_MAX:
            sentence = PLAIN.leans(metric, statistic)
            needs.append(Need(metric, sentence))
    return needs


def _of_score(policy: Policy, situation: Situation, finding: Finding) -> Need:
    """How many jobs more let a score pass: z grows with the root of their number."""
    z, metric = finding.value, finding.metric
    if z is None:
        return Need(metric, finding.sentence)
    factor = _FACTOR_MAX if z >= 0 else (finding.limit / z) ** 2
    if factor >= _FACTOR_MAX:
        sentence = f"{NOT_AT_PRESENT_RATES}: the observed rate costs more than the budget"
        return Need(metric, f"{finding.sentence} {sentence}.")
    more = max(1, ceil(finding.n_concurrent * (factor - 1.0)))
    return _at_rate(policy, situation, metric, finding.sentence, finding.n_concurrent, more)


def _at_rate(
    policy: Policy, situation: Situation, what: str, sentence: str, have: int, more: int
) -> Need:
    """When so many more concurrent jobs have come, if they come as they have at this step."""
    days = days_in_step(policy, situation)
    if not have or not days:
        return Need(what, f"{sentence[:-1]}; no rate is known yet.", None, more)
    wait_days = more * days / have
    try:
        at = situation.now + timedelta(seconds=wait_days * policy.day_s)
    except OverflowError:  # beyond the calendar's last year
        return Need(what, f"{sentence[:-1]}; {NOT_AT_PRESENT_RATES}.", None, more)
    wait = span(wait_days * policy.day_s)
    told = f"about {wait} more at this rate ({more:,} concurrent jobs)"
    return Need(what, f"{sentence[:-1]}; {told}.", at, more)


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
