"""The controller's trials on a database: windows, totals, decisions."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    case,
    func,
    literal,
    select,
    type_coerce,
)

from rollout.adapters.sql.control_rows import ControlRows, effects_of, record_change
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.lease_rows import must_lead
from rollout.adapters.sql.notice_rows import write_notice
from rollout.adapters.sql.outcomes import IN_DRILL
from rollout.adapters.sql.pilot_tables import decision, pilot
from rollout.adapters.sql.pilot_values import decision_of, row_of, sums, window_of
from rollout.adapters.sql.profile_rows import read_profiles, write_profiles
from rollout.adapters.sql.step_counts import (
    DRAWN,
    read_counts,
    read_hours,
    read_open_slow,
)
from rollout.adapters.sql.tables import OPEN, job, to_microseconds
from rollout.errors import LeaseLost, UnknownDecision
from rollout.jobs.claims import JobState
from rollout.pilot.ports import (
    DecisionRecord,
    HourRow,
    KeySpread,
    NewDecision,
    OpenSlow,
    TrialRow,
    WindowRow,
)
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Event, apply

_COLUMNS = ("name", "version", "step", "step_revision", "began_at", "scored_to")


class PilotRows:
    """The part of the ledger that remembers trials."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert

    # Evidence ----------------------------------------------------------------------------

    def trial_rows(self, names: Collection[str] | None = None) -> list[TrialRow]:
        """Read every trial, or those of these sub-pipelines."""
        query = select(pilot)
        if names is not None:
            query = query.where(pilot.c.name.in_(list(names)))
        with self._db.read() as connection:
            return [
                TrialRow({key: row[key] for key in _COLUMNS}, json.loads(row["payload"]))
                for row in connection.execute(query).mappings()
            ]

    def profiles(self, names: Collection[str] | None = None) -> dict[str, LegacyProfile]:
        """Read what legacy showed, by sub-pipeline; of all, or of these."""
        with self._db.read() as connection:
            return read_profiles(connection, names, lock=False)

    def pass_time(self, now: datetime, days_s: Mapping[str, float]) -> dict[str, LegacyProfile]:
        """Close days and spans that are over, and note what runs on legacy."""
        running = (
            select(job.c.name, func.count())
            .where(OPEN, job.c.state == JobState.STARTED, job.c.path == JobPath.LEGACY)
            .group_by(job.c.name)
        )
        with self._db.write() as connection:
            profiles = read_profiles(connection, None)
            now_running = {name: jobs for name, jobs in connection.execute(running)}
            after = {
                name: profiles.get(name, LegacyProfile()).pass_time(
                    now, day_s, now_running.get(name, 0)
                )
                for name, day_s in days_s.items()
            }
            changed = {name: one for name, one in after.items() if one != profiles.get(name)}
            write_profiles(connection, self._insert, changed)
            return after

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of admission that are old enough and not yet in a trial, oldest first."""
        at = type_coerce(job.c.accepted_at, BigInteger)
        length = pilot.c.window_us
        number = (at // length).label("number")
        ripe = ((to_microseconds(now) - pilot.c.settle_us) // length) * length
        taken = func.coalesce(type_coerce(job.c.finished_at, BigInteger), to_microseconds(now)) - at
        legacy = job.c.assigned_path == JobPath.LEGACY
        median = case((legacy, pilot.c.median_us), else_=pilot.c.median_shifted_us)
        tail = case((legacy, pilot.c.tail_us), else_=pilot.c.tail_shifted_us)
        query = (
            select(
                job.c.name,
                number,
                length.label("length"),
                job.c.assigned_path,
                func.count().label("admitted"),
                *sums(taken, median, tail),
            )
            .join(pilot, pilot.c.name == job.c.name)
            .where(
                pilot.c.on_trial == 1,
                job.c.accepted_at >= pilot.c.scored_to,
                at < ripe,
                job.c.revision >= pilot.c.step_revision,
                DRAWN,
                ~IN_DRILL,
            )
            .group_by(job.c.name, number, length, job.c.assigned_path)
            .order_by(number, job.c.name)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [window_of(row) for row in connection.execute(query)]

    def early_windows(self, trial: Trial, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of one trial that are old enough for its fast path and not yet in it."""
        since = trial.early_from()
        if since is None:
            return []
        length = round(trial.window_s * 1_000_000)
        settle = round(trial.early_settle_s() * 1_000_000)
        ripe = (to_microseconds(now) - settle) // length * length
        at = type_coerce(job.c.accepted_at, BigInteger)
        number = (at // length).label("number")
        taken = func.coalesce(type_coerce(job.c.finished_at, BigInteger), to_microseconds(now)) - at
        old_median, old_tail, new_median, new_tail = trial.edges_us() or (2**62,) * 4
        legacy = job.c.assigned_path == JobPath.LEGACY
        median = case((legacy, literal(old_median)), else_=literal(new_median))
        tail = case((legacy, literal(old_tail)), else_=literal(new_tail))
        query = (
            select(
                job.c.name,
                number,
                literal(length).label("length"),
                job.c.assigned_path,
                func.count().label("admitted"),
                *sums(taken, median, tail),
            )
            .where(
                job.c.name == trial.name,
                job.c.accepted_at >= since,
                at < ripe,
                job.c.revision >= trial.step_revision,
                DRAWN,
                ~IN_DRILL,
            )
            .group_by(job.c.name, number, job.c.assigned_path)
            .order_by(number)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [window_of(row) for row in connection.execute(query)]

    def save_trials(self, token: int, trials: Sequence[Trial]) -> None:
        """Write trials and raise their versions, in one transaction."""
        if not trials:
            return
        with self._db.write() as connection:
            must_lead(connection, token)
            self._save(connection, token, trials)

    def _save(self, connection: Connection, token: int, trials: Sequence[Trial]) -> None:
        """Write trials over the versions they were read at, all or none."""
        names = [one.name for one in trials]
        held = select(pilot.c.name, pilot.c.version).where(pilot.c.name.in_(names))
        rows = connection.execute(held.order_by(pilot.c.name).with_for_update())
        versions = {name: version for name, version in rows}
        if any(versions.get(one.name, 0) != one.version for one in trials):
            raise LeaseLost(token)
        added = self._insert(pilot)
        changes = {one.name: added.excluded[one.name] for one in pilot.c if one.name != "name"}
        written = added.on_conflict_do_update(
            index_elements=["name"],
            set_=changes,
            where=pilot.c.version == added.excluded.version - 1,
        )
        # What a statement returns says on every driver whether it wrote; a row count does not. A
        # row that was not there to be held may have been added since.
        values = [row_of(one) | {"version": one.version + 1} for one in trials]
        if len(connection.execute(written.returning(pilot.c.name), values).all()) < len(trials):
            raise LeaseLost(token)

    def hours(self, name: str, step: int) -> list[HourRow]:
        """Read the totals of a step."""
        with self._db.read() as connection:
            return read_hours(connection, name, step)

    def open_slow(self, trial: Trial, now: datetime) -> list[OpenSlow]:
        """Count unfinished jobs of the trial's step that are slow already, as its totals do."""
        if trial.thresholds is None:
            return []
        with self._db.read() as connection:
            return read_open_slow(connection, trial, now)

    def counts_of(
        self, trials: Sequence[Trial], now: datetime
    ) -> dict[str, tuple[list[HourRow], list[OpenSlow]]]:
        """Read the totals and the slow jobs of many trials, in two statements."""
        with self._db.read() as connection:
            return read_counts(connection, trials, now)

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Measure how the newest `limit` jobs spread over keys."""
        newest = (
            select(job.c.key)
            .where(job.c.name == name)
            .order_by(job.c.accepted_at.desc())
            .limit(limit)
            .subquery()
        )
        groups = select(newest.c.key, func.count().label("jobs")).group_by(newest.c.key).subquery()
        query = select(
            func.coalesce(func.sum(groups.c.jobs), 0),
            func.count(),
            func.coalesce(func.sum(groups.c.jobs * groups.c.jobs), 0),
        )
        with self._db.read() as connection:
            jobs, keys, squares = connection.execute(query).one()
        return KeySpread(int(jobs), keys, float(squares) / float(jobs) if jobs else 1.0)

    def routed_since(self, name: str, since: datetime) -> dict[JobPath, int]:
        """Count jobs admitted since then by the path that routing chose."""
        query = (
            select(job.c.assigned_path, func.count())
            .where(job.c.name == name, job.c.accepted_at > since)
            .group_by(job.c.assigned_path)
        )
        with self._db.read() as connection:
            return {JobPath(path): jobs for path, jobs in connection.execute(query)}

    # Decisions ---------------------------------------------------------------------------

    def decide(self, token: int, made: NewDecision, trial: Trial) -> ControlState | None:
        """Record a decision, carry out its event and write the trial, in one transaction."""
        with self._db.write() as connection:
            must_lead(connection, token)
            before = ControlRows(self._db).read_locked(connection, made.name)
            added = self._insert(decision).values(
                name=made.name,
                at=made.at,
                window=made.window,
                action=made.action,
                sentence=made.sentence,
                revision=before.revision,
                inputs=made.inputs,
                answer=made.answer,
            )
            new = added.on_conflict_do_nothing(index_elements=["name", "window"])
            if connection.execute(new.returning(decision.c.id)).first() is None:
                return None
            self._save(connection, token, [trial])
            if made.notice:
                write_notice(connection, made.name, made.action, made.sentence, made.at)
            if made.event is None:
                return before
            shadow = made.event is Event.SHADOW
            after = apply(
                before,
                made.event,
                scope_bp=made.to_bp,
                seen_revision=made.seen_revision,
                effects=effects_of(connection, [made.name])[made.name] if shadow else None,
            )
            record_change(
                connection, before, after, made.event, "controller", made.sentence, made.at
            )
            return after

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the log of decisions, newest first, from before one on."""
        query = select(decision).order_by(decision.c.id.desc()).limit(limit)
        if name is not None:
            query = query.where(decision.c.name == name)
        if before is not None:
            query = query.where(decision.c.id < before)
        with self._db.read() as connection:
            return [decision_of(row) for row in connection.execute(query)]

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision."""
        with self._db.read() as connection:
            row = connection.execute(select(decision).where(decision.c.id == decision_id)).first()
        if row is None:
            raise UnknownDecision(decision_id)
        return decision_of(row)
