"""What a sub-pipeline declares that its jobs take of resources, and whether they can have it."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from rollout.errors import DeclarationError
from rollout.jobs.resources import Need

_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def read_resources(name: str, resources: object) -> Mapping[str, int]:
    """Read what was declared, before it is known how much there is. Raises DeclarationError."""
    if resources is None:
        return {}
    if not isinstance(resources, Mapping):
        raise DeclarationError(
            f"resources of {name!r} must be a dictionary, got {resources!r:.80}",
            'resources={"warehouse": 1} takes one of the warehouse for each job that runs',
        )
    for resource, weight in resources.items():
        if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
            raise DeclarationError(
                f"a resource of {name!r} must be named by a word, got {resource!r:.80}",
                "use letters, digits and . _ -",
            )
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
            raise DeclarationError(
                f"{name!r} must take at least 1 of {resource!r}, in whole numbers, "
                f"got {weight!r:.80}",
                "leave out what its jobs do not need",
            )
    return dict(resources)


def needs_of(
    name: str, resources: Mapping[str, int], capacities: Mapping[str, int]
) -> tuple[Need, ...]:
    """What a job takes, in order of name.

    Args:
        name: The sub-pipeline.
        resources: As it was declared.
        capacities: As `rollout.toml` says here.

    Raises:
        DeclarationError: A resource is declared nowhere, or a job wants more than there is.
    """
    for resource, weight in resources.items():
        capacity = capacities.get(resource)
        if capacity is None:
            close = get_close_matches(resource, list(capacities), n=1)
            guess = f", did you mean {close[0]!r}?" if close else ""
            raise DeclarationError(
                f"{name!r} takes {resource!r}, and rollout.toml declares no such resource{guess}",
                f"add a table [resource.{resource}] with capacity = {weight} or more to the "
                "rollout.toml of workers, producers and controller",
            )
        if weight > capacity:
            raise DeclarationError(
                f"a job of {name!r} takes {weight} of {resource!r}, and there are {capacity}",
                f"raise capacity in [resource.{resource}] of rollout.toml, or take less",
            )
    return tuple(Need(one, resources[one], capacities[one]) for one in sorted(resources))
