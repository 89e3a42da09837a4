"""Random graphs for the tests: small, and with everything that a step can have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from rollout.execution import Barrier, FailurePolicy, Graph, Step

RESOURCES = {"disk": 3, "network": 2}


def nothing(*args: Any) -> None:
    """A step's work that does none."""


@dataclass(frozen=True)
class Drawn:
    """A drawn graph: its steps, which of them fail, and how long each takes, in units."""

    steps: tuple[Step | Barrier, ...]
    failing: frozenset[str]
    units: tuple[int, ...]

    def graph(self, **works: Any) -> Graph:
        """The graph; works by step name replace the empty ones."""
        steps = [
            replace(step, work=works.get(step.name, nothing)) if isinstance(step, Step) else step
            for step in self.steps
        ]
        return Graph("drawn", steps, resources=RESOURCES)


@st.composite
def drawn_graphs(draw: st.DrawFn, most: int = 20, fails: bool = True) -> Drawn:
    """A graph whose steps wait for some of those before them."""
    count = draw(st.integers(1, most))
    steps: list[Step | Barrier] = []
    failing = set()
    for number in range(count):
        name = f"s{number}"
        before: Sequence[str] = [step.name for step in steps]
        some = st.lists(st.sampled_from(before), max_size=4, unique=True)
        after = draw(some) if before else []
        policy = draw(st.sampled_from(FailurePolicy)) if fails else FailurePolicy.BLOCK
        if draw(st.integers(0, 6)) == 0:
            steps.append(Barrier(name, after=after, policy=policy))
            continue
        resources = draw(
            st.dictionaries(st.sampled_from(sorted(RESOURCES)), st.integers(1, 2), max_size=2)
        )
        needs = after[: draw(st.integers(0, len(after)))]
        steps.append(Step(name, nothing, needs, after=after, policy=policy, resources=resources))
        if fails and draw(st.integers(0, 4)) == 0:
            failing.add(name)
    units = tuple(draw(st.integers(0, 5)) for _ in range(count))
    return Drawn(tuple(steps), frozenset(failing), units)
