"""`Graph`: declared steps, checked once, as arrays that a run can count on.

A graph that could never run is refused here: a cycle, a name nobody has, a resource that is too
small or not declared. So a run never waits for something that cannot come.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from typing import Any

from rollout.execution.declaration import Barrier, Declared, Mapped, Step, shortened
from rollout.execution.errors import UnknownStep, WrongDeclaration
from rollout.execution.policies import FailurePolicy


class Graph:
    """Steps and barriers with what they wait for.

    Args:
        name: Says in reports what ran.
        steps: In any order; results are in this order where order counts.
        resources: Capacity of each named resource; steps take weights of it while they run.

    Attributes:
        nodes: One step or barrier per place; a mapped step has one per item.
        index: Place by name; groups: places of a mapped step by its name.
        parents, children: Places, each once.
        order: Places so that parents come first.
        last: Name of the last one declared.

    Raises:
        WrongDeclaration: It could never run; says why.
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[Declared],
        *,
        resources: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.capacities = dict(resources or {})
        for resource, capacity in self.capacities.items():
            _at_least(1, capacity, f"capacity of resource {resource!r}")
        self.nodes: list[Step | Barrier] = []
        self.index: dict[str, int] = {}
        self.groups: dict[str, list[int]] = {}
        self._before_empty: dict[str, tuple[str, ...]] = {}
        self._unnamed: dict[int, set[int]] = {}
        self.last = ""
        for declared in steps:
            self._add(declared)
            self.last = declared.name
        self.policies = [_policy(node) for node in self.nodes]
        self.needs = [
            [self._places(name, node.name) for name in _needed(node)] for node in self.nodes
        ]
        for empty, names in self._before_empty.items():
            for name in names:
                self._places(name, empty)
        self.parents = [self._parents(place) for place in range(len(self.nodes))]
        self.children: list[list[int]] = [[] for _ in self.nodes]
        for place, parents in enumerate(self.parents):
            for parent in parents:
                self.children[parent].append(place)
        self.order = self._sorted()
        for node in self.nodes:
            self._check_resources(node)

    @property
    def names(self) -> list[str]:
        """Names of all steps and barriers, in order of declaration."""
        return [node.name for node in self.nodes]

    def fingerprint(self) -> list[Any]:
        """What makes receipts of this graph its own: names, edges, fixed arguments, as JSON.

        Without the arguments a run over the same items in another order would take `load[1]` for
        done, whichever item that was.
        """
        return [
            [node.name, sorted(self.nodes[parent].name for parent in parents), _given(node)]
            for node, parents in zip(self.nodes, self.parents, strict=True)
        ]

    def _add(self, declared: Declared) -> None:
        if not isinstance(declared, Mapped):
            self._place(declared)
            return
        if declared.limit is not None:
            _at_least(1, declared.limit, f"limit of {declared.name!r}")
            self.capacities[f"limit of {declared.name}"] = declared.limit
        resources = dict(declared.resources)
        if declared.limit is not None:
            resources[f"limit of {declared.name}"] = 1
        self._new(declared.name)
        self.groups[declared.name] = []
        if not len(declared.over):
            self._before_empty[declared.name] = (*declared.needs, *declared.after)
        for number, item in enumerate(declared.over):
            self.groups[declared.name].append(len(self.nodes))
            self._place(
                Step(
                    f"{declared.name}[{number}]",
                    declared.work,
                    declared.needs,
                    (item,),
                    declared.kwargs,
                    after=declared.after,
                    timeout_s=declared.timeout_s,
                    retries=declared.retries,
                    retry_wait_s=declared.retry_wait_s,
                    policy=declared.policy,
                    resources=resources,
                )
            )

    def _place(self, node: Step | Barrier) -> None:
        self._new(node.name)
        _at_least(0, node.retries, f"retries of {node.name!r}")
        _at_least(0, node.retry_wait_s, f"retry_wait_s of {node.name!r}")
        if isinstance(node, Step) and not callable(node.work):
            raise WrongDeclaration(
                f"work of {node.name!r} must be a function, got {node.work!r}",
                "pass the function itself",
            )
        if node.timeout_s is not None and not node.timeout_s > 0:
            raise WrongDeclaration(
                f"timeout_s of {node.name!r} must be over 0, got {node.timeout_s!r}",
                "None is no limit",
            )
        self.index[node.name] = len(self.nodes)
        self.nodes.append(node)

    def _new(self, name: str) -> None:
        if name in self.index or name in self.groups:
            raise WrongDeclaration(f"two steps are named {name!r}", "give one another name")

    def _places(self, name: str, asked_by: str) -> int | list[int]:
        if name in self.groups:
            return self.groups[name]
        if name not in self.index:
            raise UnknownStep(name, [*self.index, *self.groups], asked_by)
        return self.index[name]

    def _parents(self, place: int) -> list[int]:
        node = self.nodes[place]
        named = [*_needed(node), *node.after]
        found: dict[int, None] = {}
        for name in self._through_empty(named):
            places = self._places(name, node.name)
            new = places if isinstance(places, list) else [places]
            if name not in named:
                self._unnamed.setdefault(place, set()).update(set(new) - found.keys())
            found |= dict.fromkeys(new)
        return list(found)

    def named_parents(self, place: int) -> list[int]:
        """Its parents without those that stand behind a mapped step without items."""
        unnamed = self._unnamed.get(place, ())
        return [parent for parent in self.parents[place] if parent not in unnamed]

    def _through_empty(self, names: Sequence[str]) -> list[str]:
        """These names, and what a mapped step among them waits for that has no items.

        Who waits for it would else wait for nothing, and run before or without what it needs.
        """
        through = dict.fromkeys(names)
        ahead = list(names)
        while ahead:
            more = [name for name in self._before_empty.get(ahead.pop(), ()) if name not in through]
            through |= dict.fromkeys(more)
            ahead += more
        return list(through)

    def _sorted(self) -> list[int]:
        sorter = TopologicalSorter(dict(enumerate(self.parents)))
        try:
            return list(sorter.static_order())
        except CycleError as error:
            # graphlib gives the cycle with its first node repeated at the end.
            circle = " > ".join(shortened([self.nodes[place].name for place in error.args[1]]))
            raise WrongDeclaration(
                f"steps must not wait for themselves, got the cycle {circle}",
                "take one of these needs away",
            ) from None

    def _check_resources(self, node: Step | Barrier) -> None:
        for resource, weight in node.resources.items():
            if resource not in self.capacities:
                raise WrongDeclaration(
                    f"{node.name!r} takes of resource {resource!r}, which nobody declared",
                    f"declare Graph(..., resources={{{resource!r}: capacity}})",
                )
            _at_least(1, weight, f"weight of {resource!r} in {node.name!r}")
            if weight > self.capacities[resource]:
                raise WrongDeclaration(
                    f"{node.name!r} takes {weight} of resource {resource!r}, which has "
                    f"{self.capacities[resource]}",
                    "take less, or raise the capacity",
                )


def _needed(node: Step | Barrier) -> Sequence[str]:
    return node.needs if isinstance(node, Step) else ()


def _given(node: Step | Barrier) -> str | None:
    """A digest of a step's fixed arguments; None of those that are no JSON."""
    if not isinstance(node, Step):
        return None
    try:
        text = json.dumps([list(node.args), dict(node.kwargs)], sort_keys=True)
    except (TypeError, ValueError):
        return None
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _policy(node: Step | Barrier) -> FailurePolicy:
    try:
        return FailurePolicy(node.policy)
    except ValueError:
        raise WrongDeclaration(
            f"policy of {node.name!r} must be one of {[str(one) for one in FailurePolicy]}, "
            f"got {node.policy!r}",
            "the table in docs/execution.md says what each does",
        ) from None


def _at_least(least: int, came: float, what: str) -> None:
    if not came >= least:
        raise WrongDeclaration(f"{what} must be at least {least}, got {came!r}", "raise it")
