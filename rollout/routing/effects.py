"""What a path does to the world, and therefore what rollout may do with its jobs."""

from enum import StrEnum

from rollout.errors import DeclarationError


class Effects(StrEnum):
    """Declared per sub-pipeline; there is no default, because a guess could run twice."""

    NONE = "none"
    """The path returns a result and touches nothing."""
    COMMIT = "commit"
    """The path touches the world only in the commit hook, which runs once."""
    IDEMPOTENT = "idempotent"
    """The path touches the world itself, keyed by job id, and is safe to repeat."""
    UNSAFE = "unsafe"
    """Anything else: never repeated by rollout, kept for a person instead."""

    @property
    def repeatable(self) -> bool:
        """Whether a job whose start was seen may be started again."""
        return self is not Effects.UNSAFE

    @property
    def shadowable(self) -> bool:
        """Whether a copy may run beside the real job."""
        return self in (Effects.NONE, Effects.COMMIT)

    @property
    def needs_ledger(self) -> bool:
        """Whether a run without a recorded claim could touch the world twice."""
        return self in (Effects.COMMIT, Effects.UNSAFE)

    @property
    def hooked(self) -> bool:
        """Whether a commit hook belongs to it."""
        return self is Effects.COMMIT

    @property
    def holds_order(self) -> bool:
        """Whether the jobs of a key wait behind one that failed, if nothing else is declared."""
        return self in (Effects.COMMIT, Effects.UNSAFE)


def read_effects(name: str, value: str | None) -> Effects:
    """Read the `effects=` of a declaration.

    Raises:
        DeclarationError: The word is not one of the four.
    """
    try:
        return Effects(value or "")
    except ValueError:
        words = ", ".join(repr(str(word)) for word in Effects)
        raise DeclarationError(
            f"effects of {name!r} must be one of {words}, got {value!r}",
            "declare what the paths do to the world; docs/architecture.md has the table",
        ) from None
