"""What is refused as evidence. Every refusal leaves the state exactly as it was."""

from __future__ import annotations


class EvidenceError(ValueError):
    """The input cannot be evidence: hold, report it, and change nothing."""

    def __init__(self, expected: str, came: object, hint: str) -> None:
        """Build the message *what was expected, what came, what to do*.

        Args:
            expected: What would have been accepted.
            came: What was given instead.
            hint: What the caller can do now.
        """
        super().__init__(f"{expected}, got {came!r}; {hint}")
        self.expected = expected
        self.came = came
        self.hint = hint


class BadCounts(EvidenceError):
    """Numbers of jobs that cannot be: negative, fractional, or more failures than jobs."""


class BadDuration(EvidenceError):
    """A duration that cannot be: NaN, negative, infinite or beyond the longest one allowed."""


class BadRate(EvidenceError):
    """A share or rate outside 0..1, or a margin that no test can hold."""


class BadProcess(EvidenceError):
    """A test set up so that its guarantee would not hold."""


class BadState(EvidenceError):
    """Stored evidence that this version cannot read: start the window afresh, never guess."""
