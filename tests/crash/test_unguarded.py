"""Jobs that wait for each other, in real processes with the guard taken out: the checker finds it.

What the other guards need to be found is a race that not every run meets; docs/reliability.md has
their commands.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.crash.checker import check
from tests.crash.run import Order, run

pytestmark = [pytest.mark.acceptance, pytest.mark.long]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("guard", "kind"), [("order", "out of order"), ("room", "capacity exceeded")]
)
def test_without_its_guard_a_short_run_fails(guard: str, kind: str) -> None:
    """Most of its jobs share a key or a resource; nothing is hurt but the program."""
    order = Order(81, 200, 0, "sqlite", deadline_s=240, without=guard, long_share=0.5, sharing=0.8)
    folder = Path(tempfile.mkdtemp(prefix=f"crash-{guard}-"))
    result = run(order, folder)
    assert kind in {one.kind for one in check(result.evidence)}, f"kept: {folder}"
    shutil.rmtree(folder)
