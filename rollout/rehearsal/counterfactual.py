"""What the other path would have made of a job: drawn from jobs that took it, near in time.

A ledger knows of each job only the path it took. For the other path the job borrows cycle time and
failure of one of the jobs that took that path, the nearest before it and after it in admission, so
that load and hour of the day stay alike. What it cannot know: whether this very job would have
been hard for the other path; and what a path does that few jobs took.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rollout.rehearsal.job_stream import Flags, JobStream, Positions, Shares, Whole

NEAR = 500
"""Donors on either side of a job's admission."""

FEW = 1000
"""Fewer donors than this say little: each of them stands for many jobs, its luck included."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of each job; a path it did not take has 0 and False.

    Attributes:
        on_legacy: The job ran on legacy to its end, by routing or as a fallback.
        on_concurrent: It ran on the concurrent path to its end or its failure there.
        legacy_us, concurrent_us: How long each took.
        legacy_failed, concurrent_failed: Whether it failed there.
    """

    on_legacy: Flags
    on_concurrent: Flags
    legacy_us: Whole
    concurrent_us: Whole
    legacy_failed: Flags
    concurrent_failed: Flags


def donors(at_us: Whole, took: Flags, chance: Shares, *, itself: bool = True) -> Whole:
    """Give each job one that took the path: a near one by chance, or itself if it took it.

    Args:
        at_us: Admissions, never falling.
        took: Which jobs took the path; at least one.
        chance: A number in [0, 1) for each job.
        itself: False draws for those that took it, too.

    Returns:
        Indices of jobs.
    """
    givers = np.flatnonzero(took)
    place = np.searchsorted(at_us[givers], at_us, side="left")
    low = np.clip(place - NEAR, 0, max(0, givers.size - 1))
    high = np.clip(place + NEAR, low + 1, givers.size)
    # Before the first and after the last of them none is near: then each is as good as any other.
    outside = (place == 0) | (place == givers.size)
    low, high = np.where(outside, 0, low), np.where(outside, givers.size, high)
    found: Whole = givers[low + np.floor(chance * (high - low)).astype(np.int64)]
    if itself:
        found[took] = givers
    return found


def complete(
    name: str,
    at_us: Whole,
    position: Positions,
    key: Whole | None,
    recorded: Recorded,
) -> JobStream:
    """Make a stream of jobs of which only the path they took is known.

    A path that no job took is taken to be as good as the other one: its times and failures are
    drawn from near jobs of that other path.

    Args:
        name: Sub-pipeline.
        at_us: Admissions, never falling; at least one.
        position: Where routing puts each job.
        key: A number for each distinct key, if keys are shared.
        recorded: What is known; at least one job took a path.

    Raises:
        BadStream: See `JobStream`.
    """
    nothing = np.zeros_like(at_us)
    bare = JobStream(name, at_us, position, key, nothing, nothing, at_us < 0, at_us < 0)
    one, both = recorded, (recorded.on_legacy, recorded.on_concurrent)
    legacy = (one.legacy_us, one.legacy_failed)
    concurrent = (one.concurrent_us, one.concurrent_failed)
    if not both[0].any():
        legacy = concurrent
    if not both[1].any():
        concurrent = legacy
    drawn = []
    for purpose, took, (taken_us, failed) in ((2, both[0], legacy), (3, both[1], concurrent)):
        known = bool(took.any())
        chance = bare.chances(purpose)
        givers = donors(at_us, took if known else both[0] | both[1], chance, itself=known)
        drawn.append((taken_us[givers], failed[givers]))
    return replace(
        bare,
        legacy_us=drawn[0][0],
        legacy_failed=drawn[0][1],
        concurrent_us=drawn[1][0],
        concurrent_failed=drawn[1][1],
    )
