"""Errors of drills: nothing was started, or what was started has been taken back."""

from rollout.errors import RolloutError


class DrillFault(RolloutError):
    """The error that a drill raises in a job on purpose."""

    def __init__(self, drill_id: str, fault: str) -> None:
        self.drill_id = drill_id
        self.fault = fault
        super().__init__(
            f"drill {drill_id} broke this job on purpose: {fault}",
            "there is nothing to do: the job runs again, `rollout drill journal` has the rest",
        )


class BadDrill(RolloutError):
    """A drill that cannot be run as it is declared."""


class DrillRefused(RolloutError):
    """A drill that may not run now; nothing was started."""

    def __init__(self, name: str, because: str, hint: str) -> None:
        self.name = name
        super().__init__(f"no drill on {name!r} now: {because}", hint)
