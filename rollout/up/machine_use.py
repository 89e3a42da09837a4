"""What the kernel says of processes and of the whole machine (Linux); None where it does not."""

import os
import platform
import resource
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_CALLS = {
    "x86_64": {
        0: "read", 7: "poll", 23: "poll", 35: "clock_nanosleep", 45: "recv", 47: "recv",
        61: "wait4", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fsync", 202: "futex",
        230: "clock_nanosleep", 232: "poll", 247: "wait4", 270: "poll", 271: "poll", 281: "poll",
    },
    "aarch64": {
        22: "poll", 25: "fcntl", 32: "flock", 63: "read", 72: "poll", 73: "poll", 82: "fsync",
        83: "fsync", 95: "wait4", 98: "futex", 101: "clock_nanosleep", 115: "clock_nanosleep",
        207: "recv", 212: "recv", 260: "wait4",
    },
}  # fmt: skip
"""Numbers of the calls that wait (the kernel's own tables of system calls)."""


@dataclass(frozen=True, slots=True)
class OwnUse:
    """What this process has used so far."""

    cpu_s: float
    runnable_s: float | None
    memory_bytes: int
    major_faults: int


def own_use() -> OwnUse:
    """Read it; children count once they have ended."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
    memory = max(mine.ru_maxrss, children.ru_maxrss) * 1024
    return OwnUse(cpu_s, _runnable_s(), memory, mine.ru_majflt + children.ru_majflt)


def _runnable_s() -> float | None:
    """Seconds that the threads of this process were ready to run and had no core."""
    total = 0
    try:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError):  # it has ended in between
                total += int((thread / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total / 1e9


def cores() -> float:
    """Cores that this process may use: of its affinity, and of its control group's quota."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    with suppress(OSError, ValueError, IndexError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, int(quota) / int(period))
    return count


def busy_s() -> float | None:
    """CPU seconds that all processes of the machine have used since it started."""
    try:
        with open("/proc/stat") as stat:
            numbers = [int(one) for one in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, _steal = numbers
    return (user + nice + system + irq + softirq) / _TICKS_A_SECOND


def memory_left_bytes() -> int | None:
    """Memory that can still be had without swapping."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def waiting_in(pids: Iterable[int]) -> Counter[str]:
    """Calls of the system in which the main threads of processes wait right now."""
    names = _CALLS.get(platform.machine(), {})
    calls: Counter[str] = Counter()
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
            if number.lstrip("-").isdigit():  # else it is "running"
                calls[names.get(int(number), f"call {number}")] += 1
    return calls
