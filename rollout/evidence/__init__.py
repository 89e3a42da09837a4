"""Evidence: when to revert, promote or hold, drawn from counts alone.

Who is authoritative: the caller's ledger. This package keeps a few numbers per metric, takes the
counts of one tick, and gives back new numbers and a `Finding`. It reads no clock and no store.

One tick, in order: `Counts` of the tick go into a `BlockBuilder` until both paths have a job; the
closed block multiplies the wealth of every bet of a `BettingProcess` (`ErrorRate`, `CycleTime`)
or of a `SinglePathProcess` (`FastPath`, `RecoveryWatch`); wealth at the limit latches
REGRESS. Once a week `promotion` scores the totals of the step instead.

What can go wrong: input that is no count or no duration raises an `EvidenceError` and leaves the
state as it was; no data is INSUFFICIENT and never PASS.
"""
