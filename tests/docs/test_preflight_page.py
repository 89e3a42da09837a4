"""`docs/preflight.md`: its tables are the code's, and its example says what the program says."""

import re

from rollout.preflight.findings import Check
from tests.docs.tables import PREFLIGHT, PREFLIGHT_TABLES, filled

TEXT = PREFLIGHT.read_text()


def test_tables_are_those_of_the_code() -> None:
    """They are what `python -m tests.docs.tables` would write."""
    assert filled(TEXT, PREFLIGHT_TABLES) == TEXT


def test_the_example_names_checks_that_exist() -> None:
    """Each line of a finding, a pass or a gap begins with its check."""
    named = re.findall(r"^(?:found|fine|not checked) +(\w+)", TEXT, re.MULTILINE)
    assert len(named) >= 6
    assert set(named) <= {str(one) for one in Check}
