"""Who leads: which controller judges now, and who would take over."""

from dataclasses import dataclass
from datetime import timedelta

from rollout.desk.plain import Json
from rollout.pilot.ports import Leadership
from rollout.routing.clock import Clock


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads. `lease_age_s` is the time since it last said so; a `standby` waits for its end."""

    owner: str | None
    lease_age_s: float | None
    takeover_s: float
    standbys: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether somebody leads now."""
        return self.owner is not None and (self.lease_age_s or 0.0) <= self.takeover_s

    @property
    def sentence(self) -> str:
        """Who leads, how fresh that is, and who would take over."""
        waits = ", ".join(self.standbys) or "none"
        nobody = "NOBODY leads, nothing is judged: "
        if self.owner is None:
            return f"{nobody}start `rollout controller`; standby: {waits}"
        age_s = self.lease_age_s or 0.0
        if not self.alive:
            return (
                f"{nobody}{self.owner} was last heard of {age_s:.0f} s ago;"
                f" start `rollout controller`; standby: {waits}"
            )
        return f"{self.owner}, heard of {age_s:.1f} s ago; standby: {waits}"

    def to_json(self) -> Json:
        """What scripts read about the leader."""
        return {
            "owner": self.owner,
            "alive": self.alive,
            "lease_age_s": self.lease_age_s,
            "takeover_s": self.takeover_s,
            "standbys": list(self.standbys),
        }


def read_leader(leadership: Leadership, clock: Clock, ttl: timedelta) -> Leader:
    """Say who leads, and who waits to; `ttl` is how long a controller leads after its last word.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    now, takeover_s = clock.now(), ttl.total_seconds()
    held, standbys = leadership.leader(), tuple(leadership.standbys(now))
    if held is None or not held[0]:
        return Leader(None, None, takeover_s, standbys)
    owner, until = held
    age_s = max(0.0, (now - (until - ttl)).total_seconds())
    return Leader(owner, age_s, takeover_s, standbys)
