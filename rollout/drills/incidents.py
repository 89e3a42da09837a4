"""Watches both paths for incidents and times how long each takes to heal.

Once per window the leader takes what each path did, tells its watch, and stores watches and ended
incidents in one transaction. An incident that both paths have at the same time is the world's, not
the path's, and is recorded as common. Incidents are shown to people; no test of a trial reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from rollout.drills.incident import Incident
from rollout.drills.ports import WatchLedger
from rollout.drills.watch import Rules, Watch, observe
from rollout.evidence.errors import EvidenceError
from rollout.evidence.sample import PathSample
from rollout.pilot.ports import Recovery
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath

log = structlog.get_logger("rollout")

COMMON = "common: "
"""Begins the fault of an incident that both paths had at once."""

_BACK_S = 2.0
"""A window ends this long ago, so that jobs that finished in it have committed."""


class Incidents:
    """Watches every sub-pipeline.

    Args:
        ledger: Samples and watches.
        window: Length of a window.
        rules: When windows outside are an incident.
    """

    def __init__(self, ledger: WatchLedger, window: timedelta, rules: Rules) -> None:
        self._ledger = ledger
        self._window = window
        self._rules = rules
        self._watches: dict[tuple[str, JobPath], Watch] | None = None
        self._until: datetime | None = None
        self._token: int | None = None

    def turn(self, token: int, names: Sequence[str], now: datetime) -> list[str]:
        """Take in the window that has ended, if one has.

        Args:
            token: Of the leadership; under a new one everything is read anew.
            names: Sub-pipelines to watch.
            now: Aware time.

        Returns:
            Why something could not be taken in.

        Raises:
            LedgerUnreachable, LeaseLost: The window comes again.
        """
        if token != self._token:
            self._token, self._watches, self._until = token, None, None
        errors: list[str] = []
        until = now - timedelta(seconds=_BACK_S)
        if self._watches is None:
            self._watches = dict(self._ledger.watches())
            self._until = max(
                (watch.at for watch in self._watches.values() if watch.at is not None),
                default=until,
            )
        assert self._until is not None, "it was set with the watches"
        if until - self._until < self._window and self._watches:
            return errors
        samples = self._ledger.samples(self._until, until)
        after = dict(self._watches)
        ended: list[tuple[str, JobPath, Incident]] = []
        for name in names:
            for path in JobPath:
                sample = samples.get(name, {}).get(path) or PathSample.idle(until)
                self._one(after, (name, path), sample, ended, errors)
        healed = [_recovery(name, path, one, after, ended) for name, path, one in ended]
        self._ledger.save_watches(token, _changed(after, self._watches), healed)
        self._watches, self._until = after, until
        return errors

    def _one(
        self,
        watches: dict[tuple[str, JobPath], Watch],
        key: tuple[str, JobPath],
        sample: PathSample,
        ended: list[tuple[str, JobPath, Incident]],
        errors: list[str],
    ) -> None:
        try:
            watches[key], incident = observe(watches.get(key, Watch()), sample, self._rules)
        except EvidenceError as error:
            errors.append(f"{key[0]}.{key[1]}: {error}")
            return
        if incident is None:
            return
        if incident.lasts:
            log.warning("incident", name=key[0], path=str(key[1]), why=incident.sentence)
        else:
            ended.append((*key, incident))
            log.info("incident over", name=key[0], path=str(key[1]), why=incident.sentence)


def incidents_of(ledger: WatchLedger, default: Policy) -> Incidents:
    """Watch with windows of a minute and a week's memory, in days of the default policy.

    A rehearsal compresses the days, and with them these.
    """
    day = timedelta(seconds=default.day_s)
    window = max(day / 1440, timedelta(seconds=1))
    return Incidents(ledger, window, Rules(cap=day, settle=day, memory=7 * day))


def _recovery(
    name: str,
    path: JobPath,
    incident: Incident,
    watches: Mapping[tuple[str, JobPath], Watch],
    ended: list[tuple[str, JobPath, Incident]],
) -> Recovery:
    """An ended incident as it is recorded."""
    other = next(each for each in JobPath if each is not path)
    lasting = watches.get((name, other), Watch()).incident
    beside = [each for each_name, side, each in ended if (each_name, side) == (name, other)]
    shared = lasting is not None or any(_overlap(incident, each) for each in beside)
    end = incident.recovered_at or incident.gave_up_at or incident.detected_at
    seconds = incident.recovery_s or 0.0
    return Recovery(
        name=name,
        at=end,
        kind="incident",
        path=path,
        fault=f"{COMMON if shared else ''}{incident.sentence}"[:100],
        onset_at=incident.onset_at,
        seconds=seconds,
        cap_s=seconds if incident.recovered_at is None else max(seconds * 2, 86_400.0),
        detected_at=incident.detected_at,
        recovered_at=incident.recovered_at,
    )


def _overlap(incident: Incident, other: Incident) -> bool:
    end = other.recovered_at or other.gave_up_at
    return end is None or end > incident.onset_at


def _changed(
    after: Mapping[tuple[str, JobPath], Watch], before: Mapping[tuple[str, JobPath], Watch]
) -> dict[tuple[str, JobPath], Watch]:
    return {key: watch for key, watch in after.items() if watch != before.get(key)}
