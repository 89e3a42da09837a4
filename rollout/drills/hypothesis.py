"""Our steady state as a Chaos Toolkit hypothesis, for teams that have experiments of their own."""

from typing import Any

from rollout.drills.drill import Drill, read_drill
from rollout.drills.ports import DrillLedger
from rollout.drills.steady import learn
from rollout.routing.clock import Clock

PROBES = "rollout.chaos"
"""Module whose functions the probes call."""


def hypothesis(
    ledger: DrillLedger, clock: Clock, name: str, window_s: float, windows_before: int = 20
) -> dict[str, Any]:
    """Give the `steady-state-hypothesis` of a sub-pipeline as it is now.

    Raises:
        DrillRefused: Too little traffic to say what is normal, or it is not steady now.
        UnknownSubPipeline, LedgerUnreachable.
    """
    ledger.effects(name)  # an unknown name is an error, and not a lack of traffic
    normal = learn(ledger, _any_drill(name, window_s, windows_before), clock.now())
    return {
        "title": f"{name} is in its steady state",
        "probes": [
            {
                "type": "probe",
                "name": f"{name}: {path} is inside its band",
                "tolerance": True,
                "provider": {
                    "type": "python",
                    "module": PROBES,
                    "func": "path_is_inside",
                    "arguments": {
                        "name": name,
                        "path": str(path),
                        "window_s": window_s,
                        "error_rate_max": band.error_rate_max,
                        "p95_s_max": band.p95_s_max,
                        "oldest_s_max": band.oldest_s_max,
                    },
                },
            }
            for path, band in normal.bands.items()
        ],
    }


def _any_drill(name: str, window_s: float, windows_before: int) -> Drill:
    """A drill that is never run: its windows say what is normal."""
    return read_drill(
        {
            "name": "hypothesis",
            "sub_pipeline": name,
            "path": "both",
            "fault": "raise",
            "duration_s": window_s,
            "blast_radius_jobs": 1,
            "deadline_s": 10 * window_s,
            "window_s": window_s,
            "windows_before": windows_before,
            "windows_with_jobs_min": min(6, windows_before),
        }
    )
