"""What is said of runs on one input."""

from collections.abc import Sequence

from rollout.routing.decision import JobPath
from rollout.shadow.compare import Comparison
from rollout.shadow.determinism import ALONE, LOAD, InputRun, Runs, judge_runs

L, C = JobPath.LEGACY, JobPath.CONCURRENT


def runs(**values: Sequence[object]) -> Runs:
    """Runs by path and condition; what is left out gave the same each time."""
    keys = {
        "legacy_alone": (L, ALONE), "legacy_load": (L, LOAD),
        "concurrent_alone": (C, ALONE), "concurrent_load": (C, LOAD),
    }  # fmt: skip
    return {
        key: [
            value if isinstance(value, InputRun) else InputRun(value, seconds=0.5)
            for value in values.get(name, [{"total": 1}] * 3)
        ]
        for name, key in keys.items()
    }


def test_steady_paths_that_agree() -> None:
    """Nothing to say."""
    found = judge_runs("invoices", Comparison(), runs())
    assert found.steady
    assert [one.runs for one in found.paths] == [3] * 4
    assert found.paths[0].median_s == 0.5


def test_a_field_that_varies_is_named_with_its_condition() -> None:
    """Here only under load, and only on the concurrent path."""
    varying = [{"total": 1}, {"total": 2}, {"total": 3}]
    found = judge_runs("invoices", Comparison(), runs(concurrent_load=varying))
    unsteady = [one for one in found.paths if not one.steady]
    assert [(one.path, one.condition, one.fields) for one in unsteady] == [(C, LOAD, {"total": 2})]
    assert unsteady[0].example == "total: 1 -> 2"
    assert not found.steady


def test_paths_that_differ_steadily_are_told_apart_from_noise() -> None:
    """A field that varies by itself says nothing about the difference between the paths."""
    legacy = [{"at": number, "total": 1} for number in range(3)]
    concurrent = [{"at": number, "total": 2} for number in range(5, 8)]
    found = judge_runs("invoices",
        Comparison(),
        runs(
            legacy_alone=legacy, legacy_load=legacy,
            concurrent_alone=concurrent, concurrent_load=concurrent,
        ),
    )  # fmt: skip
    assert found.between == ["total"]
    assert found.between_example == "total: 1 -> 2"


def test_errors_are_counted_by_what_they_say() -> None:
    """A path that fails in some runs is not steady."""
    boom = InputRun(error="ValueError: boom")
    found = judge_runs("invoices", Comparison(), runs(legacy_alone=[boom, boom, {"total": 1}]))
    assert found.paths[0].errors == {"ValueError: boom": 2}
    assert not found.steady
    hopeless = judge_runs("invoices", Comparison(), runs(legacy_alone=[boom], legacy_load=[boom]))
    assert hopeless.paths[0].median_s is None
    assert hopeless.between == []


def test_a_path_that_always_fails_does_not_vary() -> None:
    """The same error each time is a wrong input or a broken path, and no noise."""
    boom = [InputRun(error="TypeError: missing argument")] * 3
    both = runs(legacy_alone=boom, legacy_load=boom, concurrent_alone=boom, concurrent_load=boom)
    assert (
        "every run raised an error, so nothing was compared"
        in judge_runs("invoices", Comparison(), both).verdict
    )
    one = judge_runs("invoices", Comparison(), runs(concurrent_alone=boom, concurrent_load=boom))
    assert one.verdict == "every run of the concurrent path raised the same error"
    load = judge_runs("invoices", Comparison(), runs(concurrent_load=boom))
    assert load.verdict == "results vary on one and the same input"
    mixed = runs(concurrent_alone=boom, concurrent_load=boom, legacy_load=[1, 2, 3])
    assert judge_runs("invoices", Comparison(), mixed).verdict.startswith("results vary")


def test_the_declared_leniency_holds() -> None:
    """Ignored fields may vary; a compare function names no fields and is left out."""
    varying = [{"total": 1, "at": number} for number in range(3)]
    lenient = Comparison(ignore=("at",), function=lambda legacy, concurrent: False)
    same = [{"total": 1, "at": 9}] * 3
    given = runs(legacy_alone=varying, legacy_load=same, concurrent_alone=same)
    assert judge_runs("invoices", lenient, given).paths[0].steady
