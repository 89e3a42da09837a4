"""A tenth of a million rows within a fifth of what a million may take, memory included."""

import subprocess
import sys
from pathlib import Path

from tests.audit.systems import MONDAY

ROWS = 100_000
CPU_S_MAX = 6.0
"""A million rows may take 30 s; start-up and a busy machine's caches are in it."""
MEMORY_KB_MAX = 300_000
PROGRAM = """
import os, re, sys
from pathlib import Path
from rollout.cli import main
try:
    main()
finally:
    # Not `ru_maxrss`: on Linux it begins with the size of the process that forked this one.
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
    print(os.times().user, peak, file=sys.stderr)
"""


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    """CPU seconds and the largest size of a fresh process: a loaded machine fails nothing."""
    file = tmp_path / "jobs.csv"
    with file.open("w") as opened:
        opened.write("run_id,step,queued_at,started_at,ended_at,status,worker\n")
        for number in range(ROWS):
            at = MONDAY + number * 0.25
            opened.write(
                f"r{number},load,{at},{at + 0.01},{at + 0.5 + number % 7},ok,w{number % 16}\n"
            )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "audit", str(file), "--brief"],
        capture_output=True, text=True, check=True, timeout=170,
    )  # fmt: skip
    assert done.stdout.startswith("Nothing is jammed")
    cpu_s, memory_kb = (float(word) for word in done.stderr.split()[-2:])
    assert cpu_s <= CPU_S_MAX, f"{cpu_s:.1f} s of CPU"
    assert memory_kb <= MEMORY_KB_MAX
