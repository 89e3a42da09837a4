"""The controller's trials in memory: lease, builds, trials, decisions, recoveries."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollout.adapters.clock import SystemClock
from rollout.adapters.memory.control_rows import record_change
from rollout.adapters.memory.rows import Lease, Rows
from rollout.errors import LeaseLost, UnknownDecision
from rollout.jobs.claims import JobState
from rollout.pilot.builds import BuildRecord
from rollout.pilot.ports import DecisionRecord, NewDecision, Notice, Recovery, TrialRow
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.policy.in_force import PoliciesInForce
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, apply

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class PilotRows:
    """The part of the ledger that remembers trials."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    # Leadership --------------------------------------------------------------------------

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead, or go on leading, for `ttl`; None for a standby."""
        with self._rows as rows:
            lease = rows.lease
            if lease is None:
                token = 1
            elif lease.owner == owner:
                token = lease.token
            elif lease.owner and not rows.leases.may_take(owner, lease.until, now, ttl):
                rows.standbys = {
                    other: until for other, until in rows.standbys.items() if until > now
                }
                rows.standbys[owner] = now + ttl
                return None
            else:
                token = lease.token + 1
            rows.lease = Lease(owner, token, now + ttl)
            return token

    def drop_lease(self, token: int) -> None:
        """Stop leading, so that a standby need not wait."""
        with self._rows as rows:
            if rows.lease is not None and rows.lease.token == token:
                rows.lease = Lease("", token, _NEVER)

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Keep what the leader judges by. Raises LeaseLost when another controller leads."""
        with self._rows as rows:
            _must_lead(rows, token)
            rows.leader_policies = PoliciesInForce(owner, now, text)

    def kept_policies(self) -> PoliciesInForce | None:
        """What the last leader judges by; None before the first."""
        with self._rows as rows:
            return rows.leader_policies

    def leader(self) -> tuple[str, datetime] | None:
        """Who leads and until when; None when nobody ever did."""
        with self._rows as rows:
            return None if rows.lease is None else (rows.lease.owner, rows.lease.until)

    def standbys(self, now: datetime) -> list[str]:
        """Who asked for the lease lately and did not get it; who leads now stands by no more."""
        with self._rows as rows:
            leads = None if rows.lease is None else rows.lease.owner
            asked = rows.standbys.items()
            return sorted(one for one, until in asked if until > now and one != leads)

    # Builds ------------------------------------------------------------------------------

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say that this process runs this build of a path; one that was seen before is older."""
        with self._rows as rows:
            build = build[:100]
            now = rows.clock(SystemClock().now())
            known = rows.build_records.get((name, path, build))
            if known is None and name in rows.states:
                known = BuildRecord(name, path, build, now, now)
                rows.builds[(name, path)] = build
            if known is not None:
                rows.build_records[(name, path, build)] = replace(known, last_at=now)

    def build_records(self, name: str | None) -> list[BuildRecord]:
        """Every build that was announced, the newest first."""
        with self._rows as rows:
            mine = [one for one in rows.build_records.values() if name in (None, one.name)]
        return sorted(mine[::-1], key=lambda one: one.first_at, reverse=True)

    def builds(self) -> dict[str, tuple[str | None, str | None]]:
        """Builds of the legacy and the concurrent path, by sub-pipeline."""
        with self._rows as rows:
            return {
                name: (
                    rows.builds.get((name, JobPath.LEGACY)),
                    rows.builds.get((name, JobPath.CONCURRENT)),
                )
                for name in rows.states
            }

    # Trials ------------------------------------------------------------------------------

    def trial_rows(self, names: Collection[str] | None = None) -> list[TrialRow]:
        """Read every trial, or those of these sub-pipelines, as a database would give it back."""
        with self._rows as rows:
            trials = [one for one in rows.trials.values() if names is None or one.name in names]
        return [
            TrialRow(
                {
                    "name": one.name,
                    "version": one.version,
                    "step": one.step,
                    "step_revision": one.step_revision,
                    "began_at": one.began_at,
                    "scored_to": one.scored_to,
                },
                json.loads(json.dumps(one.payload())),
            )
            for one in trials
        ]

    def profiles(self, names: Collection[str] | None = None) -> dict[str, LegacyProfile]:
        """Read what legacy showed, by sub-pipeline; of all, or of these."""
        with self._rows as rows:
            known = rows.profiles.items()
            return {name: one for name, one in known if names is None or name in names}

    def pass_time(self, now: datetime, days_s: Mapping[str, float]) -> dict[str, LegacyProfile]:
        """Close days and spans that are over, and note what runs on legacy."""
        with self._rows as rows:
            for name, day_s in days_s.items():
                running = sum(
                    job.state is JobState.STARTED and job.path is JobPath.LEGACY
                    for job in rows.open_jobs(name)
                )
                profiles = rows.profiles.get(name, LegacyProfile())
                rows.profiles[name] = profiles.pass_time(now, day_s, running)
            return {name: rows.profiles[name] for name in days_s}

    def save_trials(self, token: int, trials: Sequence[Trial]) -> None:
        """Write trials and raise their versions, in one transaction."""
        if not trials:
            return
        with self._rows as rows:
            for trial in trials:
                _must_hold(rows, token, trial)
            for trial in trials:
                rows.trials[trial.name] = replace(trial, version=trial.version + 1)

    # Decisions ---------------------------------------------------------------------------

    def decide(self, token: int, decision: NewDecision, trial: Trial) -> ControlState | None:
        """Record a decision, carry out its event and write the trial, in one transaction."""
        with self._rows as rows:
            _must_lead(rows, token)
            before = rows.known(decision.name)
            if (decision.name, decision.window) in rows.decided:
                return None
            _must_hold(rows, token, trial)
            after = before
            if decision.event is not None:
                after = apply(
                    before,
                    decision.event,
                    scope_bp=decision.to_bp,
                    seen_revision=decision.seen_revision,
                    effects=rows.effects[decision.name],
                )
            rows.decided.add((decision.name, decision.window))
            rows.decisions.append(_recorded(len(rows.decisions) + 1, decision, before.revision))
            rows.trials[trial.name] = replace(trial, version=trial.version + 1)
            if decision.notice:
                number = len(rows.notices) + 1
                name, action = decision.name, decision.action
                told = Notice(number, name, decision.at, action, decision.sentence, 0, frozenset())
                rows.notices[number] = (told, decision.at, False)
            if decision.event is not None:
                said, at = decision.sentence, decision.at
                record_change(rows, before, after, decision.event, "controller", said, at)
            return after

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the log of decisions, newest first, from before one on."""
        with self._rows as rows:
            older = rows.decisions if before is None else rows.decisions[: max(0, before - 1)]
            return [one for one in reversed(older) if name in (None, one.name)][:limit]

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision."""
        with self._rows as rows:
            if not 0 < decision_id <= len(rows.decisions):
                raise UnknownDecision(decision_id)
            return rows.decisions[decision_id - 1]

    # Notices -----------------------------------------------------------------------------

    def take_notice(self, now: datetime, again_at: datetime) -> Notice | None:
        """Take the oldest notice that is due; nobody else gets it before `again_at`."""
        with self._rows as rows:
            for number, (notice, next_at, closed) in rows.notices.items():
                if not closed and next_at <= now:
                    taken = replace(notice, tries=notice.tries + 1)
                    rows.notices[number] = (taken, again_at, False)
                    return taken
        return None

    def note_told(
        self, notice_id: int, told: Iterable[str], again_at: datetime | None, now: datetime
    ) -> None:
        """Note who was told; without `again_at` nobody is told any more."""
        with self._rows as rows:
            notice, next_at, _ = rows.notices[notice_id]
            noted = replace(notice, told=frozenset(told))
            rows.notices[notice_id] = (noted, again_at or next_at, again_at is None)

    def open_notices(self) -> list[Notice]:
        """Notices that were not sent to everybody yet, oldest first."""
        with self._rows as rows:
            return [notice for notice, _, closed in rows.notices.values() if not closed]

    # Recoveries --------------------------------------------------------------------------

    def add_recovery(self, recovery: Recovery) -> None:
        """Record how long a path took to heal."""
        with self._rows as rows:
            rows.recoveries.append(recovery)

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first; None: of all names."""
        with self._rows as rows:
            found = [one for one in rows.recoveries if name in (None, one.name)]
        return sorted((one for one in found if one.at >= since), key=lambda one: one.at)


def _must_lead(rows: Rows, token: int) -> None:
    if rows.lease is None or rows.lease.token != token:
        raise LeaseLost(token)


def _must_hold(rows: Rows, token: int, trial: Trial) -> None:
    """Refuse a trial that another controller has written since it was read."""
    _must_lead(rows, token)
    held = rows.trials.get(trial.name)
    if trial.version != (0 if held is None else held.version):
        raise LeaseLost(token)


def _recorded(number: int, decision: NewDecision, revision: int) -> DecisionRecord:
    return DecisionRecord(
        number,
        decision.name,
        decision.at,
        decision.window,
        decision.action,
        decision.sentence,
        revision,
        decision.inputs,
        decision.answer,
    )
