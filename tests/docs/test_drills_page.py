"""`docs/drills.md`: its table is the code's, its example is a drill."""

import re
import tomllib

from rollout.drills.drill import _NAMES, read_drill
from rollout.drills.fault import Fault
from tests.docs.tables import DRILL_TABLES, DRILLS, filled

TEXT = DRILLS.read_text()


def test_faults_are_those_of_the_code() -> None:
    """The table is what `python -m tests.docs.tables` would write."""
    assert filled(TEXT, DRILL_TABLES) == TEXT
    assert all(f"| `{fault}` |" in TEXT for fault in Fault)


def test_every_key_is_there() -> None:
    """The table has what a declaration may have: the reader refuses every other name."""
    for name in (
        *(_NAMES - {"paths", "experiment"}),
        "path",
        "target.jobs",
        "abort.waiting_jobs_max",
    ):
        assert f"| `{name}` |" in TEXT, name


def test_the_example_is_a_drill() -> None:
    """Each TOML block of the page that declares one is read without an error."""
    blocks = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        values = tomllib.loads(block)
        for one in values.get("drill", [values]):
            assert read_drill(one).name
