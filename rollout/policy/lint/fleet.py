"""Rules about several sub-pipelines together: names, cohorts, shared resources, limits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from rollout.policy.lint.finding import Level, PolicyFinding
from rollout.policy.policy import Policies
from rollout.policy.tables import mistaken_for, named_in


def lint_fleet(
    policies: Policies, known: Collection[str] | None = None
) -> tuple[PolicyFinding, ...]:
    """Say what is wrong between sub-pipelines.

    Args:
        policies: All of them.
        known: Names that the ledger holds; None when nobody could tell.

    Returns:
        Findings by level; empty when there is nothing to say.
    """
    found = [
        *_unknown(named_in(policies), known),
        *_twice(policies),
        *_shared(policies, known or ()),
        *_limits(policies),
    ]
    order = list(Level)
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def lint_name(
    policies: Policies, name: str, known: Collection[str] | None = None
) -> Iterator[PolicyFinding]:
    """Say what is odd about a name that is asked about and that the file does not have.

    Args:
        policies: All of them.
        name: Who is asked about.
        known: Names that the ledger holds; None when nobody could tell.
    """
    if name not in named_in(policies):
        yield from _unknown([name], known)
    meant = mistaken_for(policies, name, known or ())
    if meant is not None:
        yield PolicyFinding(
            Level.WARNING,
            "unknown_name",
            f"No table of rollout.toml is for {name!r}, and one is for {meant!r}: nothing it says"
            f" holds for {name!r}.",
            "correct the name in the table, if it was meant",
            name,
        )


def _guess(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, [one for one in known if one != name], n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _unknown(names: Iterable[str], known: Collection[str] | None) -> Iterator[PolicyFinding]:
    """A name that nothing is declared under."""
    for name in names:
        if known is not None and name not in known:
            yield PolicyFinding(
                Level.WARNING,
                "unknown_name",
                f"The ledger holds no sub-pipeline named {name!r}{_guess(name, known) or '.'}",
                "correct the name; or submit its first job, which declares it",
                name,
            )


def _twice(policies: Policies) -> Iterator[PolicyFinding]:
    """A sub-pipeline enters with one cohort."""
    for name in named_in(policies):
        cohorts = [cohort.name for cohort in policies.cohorts if name in cohort.members]
        if len(cohorts) > 1:
            yield PolicyFinding(
                Level.ERROR,
                "two_cohorts",
                f"{name!r} is a member of the cohorts {' and '.join(cohorts)}: only the first"
                " would count.",
                "let it be a member of one",
                name,
            )


def _shared(policies: Policies, known: Collection[str]) -> Iterator[PolicyFinding]:
    """A resource is shared by several, and lets one of them change at a time."""
    names = list(dict.fromkeys([*named_in(policies), *known]))
    users: dict[str, list[str]] = {}
    for name in names:
        resource = policies.of(name).resource
        if resource is not None:
            users.setdefault(resource, []).append(name)
    for resource, sharing in users.items():
        if len(sharing) == 1 and policies.default.resource is None:
            yield PolicyFinding(
                Level.ADVICE,
                "resource_alone",
                f"Only {sharing[0]!r} names the resource {resource!r}"
                f"{_guess(resource, users) or '.'}",
                "give the others that use it the same resource",
                sharing[0],
            )
    for cohort in policies.cohorts:
        for resource, sharing in users.items():
            together = [name for name in cohort.members if name in sharing]
            if len(together) > 1:
                yield PolicyFinding(
                    Level.WARNING,
                    "cohort_shares",
                    f"{', '.join(together)} of cohort {cohort.name!r} share the resource"
                    f" {resource!r}: they change one at a time, so the cohort hardly doubles.",
                    "leave out the resource, or the cohort",
                )


def _limits(policies: Policies) -> Iterator[PolicyFinding]:
    splits_max = policies.fleet.splits_max
    for cohort in policies.cohorts:
        if splits_max is not None and len(cohort.members) > splits_max:
            yield PolicyFinding(
                Level.ADVICE,
                "cohort_waits",
                f"Cohort {cohort.name!r} has {len(cohort.members)} members and splits_max lets"
                f" {splits_max} be in a pilot at once: the others wait until one graduates.",
                "raise splits_max in [fleet], or wait",
            )
