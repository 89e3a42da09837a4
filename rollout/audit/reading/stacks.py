"""Collapsed stacks of py-spy: the inside of a step, by where its samples were."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_LINE = re.compile(r"^(?P<frames>.+) (?P<count>\d+)$")
KINDS = {
    "waits for a lock": re.compile(
        r"\b(acquire|_wait_for_tstate_lock|lockf|flock|futex|sem_wait)\b"
    ),
    "waits for the network or a server": re.compile(
        r"\b(recv\w*|read_response|sock\w*|ssl|urlopen|select|poll|epoll|getresponse|send\w*|connect)\b"
    ),
    "sleeps": re.compile(r"\bsleep\b"),
    "reads or writes files": re.compile(r"\b(fsync|write|read|readline|readinto|open)\b"),
}
"""What the innermost frame of a sample says it was doing; everything else counts as computing."""


@dataclass(slots=True)
class Stacks:
    """Samples of a program.

    Attributes:
        samples: How many.
        by_kind: How many of each kind of `KINDS`, "computes" for the rest.
        top: Innermost frames, the most frequent first.
        stacks: Each stack, outermost frame first, with its samples.
    """

    samples: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    top: Counter[str] = field(default_factory=Counter)
    stacks: Counter[tuple[str, ...]] = field(default_factory=Counter)
    unreadable: int = 0


def read_stacks(lines: Iterable[str]) -> Stacks:
    """Read `frame;frame;frame COUNT` lines (`py-spy record -f raw`)."""
    stacks = Stacks()
    for line in lines:
        found = _LINE.match(line.strip())
        if found is None:
            stacks.unreadable += bool(line.strip())
            continue
        frames, count = tuple(found["frames"].split(";")), int(found["count"])
        inner = frames[-1]
        kind = next((kind for kind, words in KINDS.items() if words.search(inner)), "computes")
        stacks.samples += count
        stacks.by_kind[kind] += count
        stacks.top[inner] += count
        stacks.stacks[frames] += count
    return stacks
