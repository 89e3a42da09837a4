"""What the exit code says; `rollout --help` and `docs/cli.md` show this same table."""

from enum import IntEnum

from rollout.errors import (
    BrokerUnreachable,
    ControlStoreUnreachable,
    LedgerUnreachable,
    ProcessNotReady,
    RolloutError,
)


class ExitCode(IntEnum):
    """One number per way a script has to react."""

    FINE = 0
    """Everything asked for is done."""
    REFUSED = 1
    """Bad input, wrong settings, an unknown name or an illegal change."""
    USAGE = 2
    """Wrong options or arguments."""
    PARTLY = 3
    """One part is in force and the other is not yet."""
    UNANSWERED = 4
    """A server that is needed did not answer."""
    FOUND = 5
    """A check found something, or a replay disagrees."""


MEANINGS = {
    ExitCode.FINE: "done",
    ExitCode.REFUSED: "refused, nothing was changed: bad input, unknown name, illegal change",
    ExitCode.USAGE: "wrong options or arguments",
    ExitCode.PARTLY: "partly done; the output says what is missing and what closes the gap",
    ExitCode.UNANSWERED: "a server did not answer or has no tables, nothing was changed",
    ExitCode.FOUND: "doctor, policy check or preflight found something, or a replay disagrees",
}


_UNANSWERED = (LedgerUnreachable, ControlStoreUnreachable, BrokerUnreachable, ProcessNotReady)


def code_of(error: RolloutError) -> ExitCode:
    """Exit code of an error that ended a command."""
    if isinstance(error, _UNANSWERED):
        return ExitCode.UNANSWERED
    return ExitCode.REFUSED


def table() -> str:
    """The exit codes as lines of text."""
    return "\n".join(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items())
