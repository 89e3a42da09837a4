"""Incidents: when a path left what is normal for it, and how long it took to come back.

Who is authoritative: the ledger. Once per window the caller takes what each path did since the
last window (`PathSample`), gives it to `observe` with the path's `Watch`, and stores the new
`Watch` and, when one began or ended, the `Excursion`. Nothing here reads a clock or a store.

A watch learns what is normal from windows inside the band only (`Baseline`, `Band`). Three of
five windows outside are an incident; its onset is the start of the first of them. From the first
window outside on nothing is learnt. Five windows in a row inside end it; the path recovered when
the first of them began. An incident that reaches the cap is given up on: its recovery time is
censored, the level is taken for the new normal, and the watch begins afresh.

What can go wrong: a window that cannot be (NaN, a negative time, a clock that went backwards)
raises an `EvidenceError` and leaves the watch as it was. A path with hardly any jobs has no band,
and no incident is seen on it.

The ledger imports this package, and workers the ledger, so it must load nothing heavy.
"""

from rollout.core.excursion.band import Band, band_from
from rollout.core.excursion.incident import Excursion
from rollout.core.excursion.sample import BadTime, PathSample
from rollout.core.excursion.watch import Rules, Watch, observe

__all__ = [
    "BadTime",
    "Band",
    "Excursion",
    "PathSample",
    "Rules",
    "Watch",
    "band_from",
    "observe",
]
