"""Which tests stay on one process when several take what comes next: those that share a plant.

A plant takes ten seconds to start, so the tests of a module that has one are a unit, one for each
pool of its workers. All other tests are units of their own. xdist's groups would say the same, but
pytest 9 does not read the name that xdist 3.8 gives a test of a group.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
POOLS = ("prefork", "threads")


@cache
def shares_a_plant(module: str) -> bool:
    """Whether the module has a fixture that is made once for all of its tests."""
    return 'scope="module"' in (ROOT / module).read_text()


def unit_of(test: str) -> str:
    """The unit of a test, by its id."""
    module, _, name = test.partition("::")
    if not shares_a_plant(module):
        return test
    return f"{module} {next((pool for pool in POOLS if f'[{pool}' in name), '')}"


class PlantsBeside(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Gives a process one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
