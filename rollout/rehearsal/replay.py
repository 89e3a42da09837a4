"""One stream of jobs under one or more policies, and under the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from rollout.pilot.judgement import Action
from rollout.pilot.ports import Recovery
from rollout.policy.ladder import steps_from
from rollout.policy.policy import Policies
from rollout.rehearsal.exposed import Exposed
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.job_stream import BadStream, JobStream
from rollout.rehearsal.peer_ladder import Ladder, climb
from rollout.rehearsal.rehearse import TICK_S, WIDER_S, Plan, Rehearsed, rehearse
from rollout.rehearsal.stream_ledger import StreamLedger
from rollout.routing.stages import HOLDBACK_BP


@dataclass(frozen=True, slots=True)
class Setting:
    """What is replayed.

    Attributes:
        stream: The jobs, as they were.
        start: When the trial starts; jobs before it run on legacy.
        end: When it ends.
        injection: A regression to put in; None for none.
        drills: Recoveries, oldest first.
        scope_bp: The first step; None for the policy's.
        holdback_bp: As declared in code.
    """

    stream: JobStream
    start: datetime
    end: datetime
    injection: Injection | None = None
    drills: Sequence[Recovery] = ()
    scope_bp: int | None = None
    holdback_bp: int = HOLDBACK_BP


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy did.

    Attributes:
        done: Decisions and changes.
        worse_at: When the regression began; None without one.
        exposed: Jobs it reached until the revert, or until the end without one; None without a
            regression, or when the trial was over before it began.
        detected_after: From the regression to the first revert; None when it was not reverted.
        left_bp: Scope that this revert left; 0 on legacy.
        standing: Name of the hold that stood at the end; holds are recorded once, so it may be an
            earlier decision than the last.
    """

    done: Rehearsed
    worse_at: datetime | None = None
    exposed: Exposed | None = None
    detected_after: timedelta | None = None
    standing: str = ""
    left_bp: int = 0

    @property
    def false_revert(self) -> bool:
        """Whether it was reverted though nothing had been injected by then."""
        at = self.done.reverted_at
        return at is not None and (self.worse_at is None or at < self.worse_at)

    @property
    def sentence(self) -> str:
        """Why it was reverted; else what held it at the end, or the last thing said."""
        decisions = self.done.decisions
        reverts = [one for one in decisions if one.action == Action.REVERT]
        holds = [one for one in decisions if one.window == self.standing]
        said = reverts or holds or decisions[-1:]
        return said[0].sentence if said else "nothing was decided"


TICK_JOBS = 30.0
"""A calm tick need not come before so many jobs have: a small pilot's weeks then take seconds."""


def calm(stream: JobStream, day_s: float) -> dict[str, float]:
    """The seconds of a calm tick, and of a window in it, on a day of 24 h."""
    span_s = (stream.ends_at - stream.begins_at).total_seconds()
    jobs_a_day = stream.jobs * day_s / span_s if span_s > 0 else inf
    tick_s = min(max(TICK_S, TICK_JOBS * 86_400.0 / max(1.0, jobs_a_day)), TICK_S_MAX)
    return {"tick_s": tick_s, "wider_s": max(WIDER_S, tick_s / 5)}


TICK_S_MAX = 3600.0
"""Looks fall due at hours of the day."""


def replay(
    setting: Setting, policies: Policies, watch: Callable[[Rehearsed], None] | None = None
) -> Replayed:
    """Let the controller's judgement decide about the stream.

    Raises:
        BadStream: The jobs end before the trial starts.
    """
    stream, day_s = setting.stream, policies.of(setting.stream.name).day_s
    if not stream.begins_at <= setting.start < setting.end:
        raise BadStream(
            f"the pilot must start within the jobs and before its end, got {setting.start} for"
            f" jobs from {stream.begins_at} and an end at {setting.end}",
            "give more jobs, or fewer days before the start",
        )
    worse_at = None
    if setting.injection is not None:
        worse_at = setting.injection.at(setting.start, day_s)
        stream = setting.injection.into(stream, worse_at)
    ledger = StreamLedger(stream, setting.holdback_bp)
    plan = Plan(
        stream.begins_at,
        setting.start,
        setting.end,
        policies,
        setting.scope_bp,
        worse_at,
        setting.drills,
        **calm(stream, day_s),
    )
    done = rehearse(ledger, plan, watch)
    standing = str(ledger.trial_rows()[0].payload["said"])
    if worse_at is None or worse_at >= done.until:
        return Replayed(done, worse_at, standing=standing)
    lower = (one for one in done.changes if one.after.scope_bp < one.before.scope_bp)
    revert = next((one for one in lower if one.at >= worse_at), None)
    if revert is None:
        return Replayed(done, worse_at, ledger.exposed(worse_at, done.until), standing=standing)
    exposed = ledger.exposed(worse_at, revert.at)
    after, left_bp = revert.at - worse_at, revert.after.scope_bp
    return Replayed(done, worse_at, exposed, after, standing, left_bp)


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of a comparison.

    Attributes:
        who: A policy or a peer.
        scope_bp: The largest scope it came to on the jobs as they were.
        reverted_at: When it reverted them; None for never.
        why: In a sentence; empty for peers.
        hurt_reverted_at: When it reverted the jobs with the regression; None for never, or
            without one.
        exposed: Jobs the regression reached by then; None when it was over before it began.
    """

    who: str
    scope_bp: int
    reverted_at: datetime | None
    why: str
    hurt_reverted_at: datetime | None = None
    exposed: Exposed | None = None


def compare(setting: Setting, policies: Mapping[str, Policies]) -> list[Compared]:
    """Replay the jobs under each policy and each peer, as they were and with the regression.

    The peers climb the first policy's ladder by the calendar, a step each bake time.
    """
    calm = replace(setting, injection=None)
    rows = []
    for who, one in policies.items():
        was = replay(calm, one)
        row = Compared(who, was.done.scope_bp_top, was.done.reverted_at, was.sentence)
        if setting.injection is not None:
            hurt = replay(setting, one)
            row = replace(row, hurt_reverted_at=hurt.done.reverted_at, exposed=hurt.exposed)
        rows.append(row)
    return [*rows, *_peers(setting, next(iter(policies.values())))]


def _peers(setting: Setting, policies: Policies) -> list[Compared]:
    policy = policies.of(setting.stream.name)
    steps = steps_from(policy, setting.holdback_bp, setting.scope_bp)
    step = timedelta(seconds=max(policy.bake_days, 1.0) * policy.day_s)
    ladder = Ladder(setting.start, setting.end, steps, step)
    failed = setting.stream.legacy_failed
    rate = float(failed.mean()) if failed.size else 0.0
    climbed, _ = climb(setting.stream, ladder, rate)
    rows = [Compared(one.name, one.scope_bp, one.rolled_back_at, "") for one in climbed]
    if setting.injection is None:
        return rows
    worse_at = setting.injection.at(setting.start, policy.day_s)
    hurt, done = climb(setting.injection.into(setting.stream, worse_at), ladder, rate)
    return [
        replace(
            row,
            hurt_reverted_at=one.rolled_back_at,
            exposed=None
            if one.rolled_back_at is not None and one.rolled_back_at < worse_at
            else done.exposed(worse_at, one.rolled_back_at or setting.end),
        )
        for row, one in zip(rows, hurt, strict=True)
    ]
