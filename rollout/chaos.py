"""Probes and actions for Chaos Toolkit experiments, and our steady state as a hypothesis.

    {"type": "probe", "name": "invoices are well", "tolerance": true,
     "provider": {"type": "python", "module": "rollout.chaos", "func": "path_is_inside",
                  "arguments": {"name": "invoices", "path": "concurrent", "window_s": 60,
                                "error_rate_max": 0.02, "p95_s_max": 4.0, "oldest_s_max": 30.0}}}

Each opens the services from the settings (ROLLOUT_* or rollout.toml) and closes them after it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rollout.control.access import Caller, Role
from rollout.drills.band import Band
from rollout.drills.errors import DrillRefused
from rollout.drills.fault import Fault, FaultPlan
from rollout.evidence.sample import PathSample
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.wiring import Runtime, build

__all__ = [
    "failed_share",
    "hypothesis",
    "is_killed",
    "kill",
    "open_jobs",
    "p95_s",
    "path_is_inside",
    "plant_fault",
    "rearm",
    "unplant_fault",
]


_CALLER = Caller("chaos toolkit", Role.ADMIN)
"""Whoever may run an experiment here may run any command here, too."""


@contextmanager
def _opened() -> Iterator[Runtime]:
    from rollout.settings import read_settings
    from rollout.wiring import load_app

    app = read_settings().app
    runtime = build(app_broker_url=load_app(app).conf.broker_url if app else None)
    try:
        yield runtime
    finally:
        runtime.close()


def _sample(runtime: Runtime, name: str, path: str, window_s: float) -> PathSample:
    now = runtime.clock.now()
    return runtime.ledger.window(name, now - timedelta(seconds=window_s), now)[JobPath(path)]


# Probes --------------------------------------------------------------------------------------


def path_is_inside(
    name: str,
    path: str,
    error_rate_max: float,
    p95_s_max: float,
    oldest_s_max: float,
    window_s: float = 60.0,
) -> bool:
    """Whether a path's last window is inside these limits."""
    band = Band(error_rate_max, p95_s_max, oldest_s_max)
    with _opened() as runtime:
        return band.why_outside(_sample(runtime, name, path, window_s)) is None


def failed_share(name: str, path: str, window_s: float = 60.0) -> float:
    """Share of a path's jobs that failed or fell back in the last window, 0 without jobs."""
    with _opened() as runtime:
        sample = _sample(runtime, name, path, window_s)
    return sample.failed / sample.jobs if sample.jobs else 0.0


def p95_s(name: str, path: str, window_s: float = 60.0) -> float | None:
    """95th percentile of a path's cycle times in the last window, in seconds."""
    with _opened() as runtime:
        return _sample(runtime, name, path, window_s).p95_s


def open_jobs(name: str) -> int:
    """Unfinished jobs of a sub-pipeline."""
    with _opened() as runtime:
        return sum(count.jobs for count in runtime.ledger.open_counts() if count.name == name)


def is_killed(name: str) -> bool:
    """Whether the kill switch is latched."""
    with _opened() as runtime:
        return runtime.ledger.control(name).killed


# Actions -------------------------------------------------------------------------------------


def plant_fault(
    name: str, path: str, fault: str, duration_s: float, jobs_max: int, **more: Any
) -> str:
    """Plant a fault that expires by itself after `duration_s`, at most a day; gives its drill id.

    Args:
        more: `share_bp`, `worker`, `fault_s`, `memory_mb` as in a drill.

    Raises:
        BadDrill: No drill could be declared so.
        RolloutError: It cannot be planted; nothing was changed.
    """
    from rollout.drills.drill import SECONDS_MAX, Drill
    from rollout.drills.experiments import id_of_plan
    from rollout.drills.planting import may_plant

    amounts = {one: more[one] for one in ("fault_s", "memory_mb") if one in more}
    paths = (JobPath(path),)
    Drill(fault, name, paths, Fault(fault), duration_s, jobs_max, SECONDS_MAX, **amounts)

    with _opened() as runtime:

        def plant() -> str:
            may_plant(runtime.database_ledger, runtime.control, name, JobPath(path), Fault(fault))
            until = runtime.clock.now() + timedelta(seconds=duration_s)
            plan = FaultPlan(
                id_of_plan(), name, (JobPath(path),), Fault(fault), until, jobs_max, **more
            )
            if not runtime.plans.plant(plan, timedelta(seconds=duration_s)):
                raise DrillRefused(name, "a fault is planted here", "`rollout drill stop` ends it")
            return plan.drill_id

        said = f"{fault} on up to {jobs_max} jobs of the {path} path for {duration_s:g} s"
        return runtime.door.drill(_CALLER, name, said, plant)


def unplant_fault(name: str) -> bool:
    """Take a planted fault away, whoever planted it; a rollback of `plant_fault`."""
    with _opened() as runtime:
        said = "a planted fault is taken away"
        return runtime.door.drill(_CALLER, name, said, lambda: runtime.plans.unplant(name, None))


def kill(name: str, reason: str) -> bool:
    """Throw the kill switch; true when both halves hold."""
    with _opened() as runtime:
        return runtime.door.kill(_CALLER, name, reason).complete


def rearm(name: str, reason: str) -> bool:
    """Lift the experiment's own kill; true when the store says so, too.

    Raises:
        DrillRefused: A person's kill holds, as a rollback that always runs may find it.
        RolloutError: It is not killed, or cannot be rearmed; nothing was changed.
    """
    from rollout.drills.kill import CHANGES_MAX, kill_of_others

    with _opened() as runtime:
        ledger = runtime.database_ledger
        state = ledger.control(name)
        own = (
            record.after.kill_id
            for record in ledger.transitions(name, CHANGES_MAX)
            if record.event is Event.KILL and record.actor == _CALLER.actor
        )
        others = kill_of_others(ledger, state, next(own, None)) if state.killed else None
        if others is not None:
            raise DrillRefused(name, others, f"`rollout rearm {name}` is for a person to say")
        changed = runtime.door.rearm(_CALLER, name, reason, seen_revision=state.revision)
        return all(one.not_projected is None for one in changed)


# Our steady state as theirs ------------------------------------------------------------------


def hypothesis(name: str, window_s: float = 10.0, windows_before: int = 20) -> dict[str, Any]:
    """Give the `steady-state-hypothesis` of a sub-pipeline as it is now.

    Raises:
        DrillRefused: Too little traffic to say what is normal, or it is not steady now.
    """
    from rollout.drills.hypothesis import hypothesis as made

    with _opened() as runtime:
        return made(runtime.database_ledger, runtime.clock, name, window_s, windows_before)
