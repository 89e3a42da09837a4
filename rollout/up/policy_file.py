"""Says in the controller's log that `rollout.toml` was changed and is not in force."""

from collections.abc import Callable
from pathlib import Path

from rollout.errors import WrongSettings
from rollout.log import Log
from rollout.policy.in_force import differences
from rollout.policy.policy import Policies
from rollout.settings import CONFIG_FILE

log = Log("rollout.controller")


class PolicyFile:
    """Looks at the file after each tick; reads it only when it was written since.

    Args:
        in_force: What this controller judges by.
        read: Reads the file; raises WrongSettings.
    """

    def __init__(self, in_force: Policies, read: Callable[[], Policies]) -> None:
        self._in_force = in_force
        self._read = read
        self._seen = _written()

    def look(self) -> None:
        """Warn once for each change of the file."""
        written = _written()
        if written == self._seen:
            return
        self._seen = written
        try:
            today = self._read()
            different = differences(self._in_force, today, today.sub_pipelines)
        except WrongSettings as error:
            different = [f"it cannot be read: {error.problem}"]
        if different:
            log.warning(
                "the policy file was changed and is not in force; restart this controller",
                file=CONFIG_FILE,
                differs=different,
            )
        else:
            log.info("the policy file says again what is in force", file=CONFIG_FILE)


def _written() -> tuple[int, int] | None:
    """When the file was written, and its length; None without one."""
    try:
        found = Path(CONFIG_FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
