"""The commit hook writes once, and the comparison finds what does not match."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from rollout.demo.flights import (
    Comparison,
    compare,
    create,
    jobs,
    load_overlapped,
    reference_load,
    warehouse_flight,
    write,
)
from rollout.demo.warehouse import insert_rows


@dataclass
class Job:
    """What the ledger hands to a commit hook."""

    connection: Connection


def url(file: Path) -> str:
    """SQLAlchemy URL of a SQLite file."""
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def reference_url(source: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the reference load of the sample; tests only read it."""
    target = url(tmp_path_factory.mktemp("reference") / "reference.sqlite")
    assert reference_load(target, source) > 5_000
    return target


@pytest.fixture
def warehouse(folder: Path, tmp_path: Path) -> Engine:
    """A warehouse that the concurrent path and the commit hook filled."""
    engine = create_engine(url(tmp_path / "warehouse.sqlite"))
    with engine.begin() as connection:
        create(connection)
        for day, origin, records in jobs(folder):
            rows = load_overlapped(str(folder), day, origin)
            assert write(rows, Job(connection)) == records
    engine.dispose()
    return engine


def compared(warehouse: Engine, reference_url: str) -> Comparison:
    """The comparison of a test's warehouse."""
    return compare(str(warehouse.url), reference_url)


def test_paths_and_hook_give_the_reference(warehouse: Engine, reference_url: str) -> None:
    """Everything matches, row for row."""
    comparison = compared(warehouse, reference_url)
    assert comparison.matches
    assert comparison.rows_expected == comparison.rows_found > 5_000
    assert comparison.examples == ()


Change = Callable[[Connection], None]


def remove_two(connection: Connection) -> None:
    """The first and the last row go."""
    keys = ["2013-01-01/EWR/0001", "2013-12-31/LGA/0100"]
    connection.execute(delete(warehouse_flight).where(warehouse_flight.c.record.in_(keys)))


def add_three(connection: Connection) -> None:
    """Rows before, between and after all others."""
    row = list(connection.execute(select(warehouse_flight)).first() or ())
    keys = ("2012-12-31/EWR/0001", "2013-01-01/EWR/0001x", "2014-01-01/EWR/0001")
    insert_rows([[key, *row[1:]] for key in keys], connection)


def alter_one(connection: Connection) -> None:
    """One minute more in one row."""
    change = update(warehouse_flight).where(warehouse_flight.c.record == "2013-02-08/JFK/0007")
    connection.execute(change.values(distance_mi=warehouse_flight.c.distance_mi + 1))


def forget_one(connection: Connection) -> None:
    """A value that became unknown."""
    change = update(warehouse_flight).where(warehouse_flight.c.record == "2013-02-08/JFK/0007")
    connection.execute(change.values(carrier=None))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (remove_two, (2, 0, 0)),
        (add_three, (0, 3, 0)),
        (alter_one, (0, 0, 1)),
        (forget_one, (0, 0, 1)),
    ],
)
def test_comparison_finds(
    warehouse: Engine, reference_url: str, change: Change, found: tuple[int, int, int]
) -> None:
    """Missing, extra and different rows are counted apart and named."""
    with warehouse.begin() as connection:
        change(connection)
    warehouse.dispose()
    comparison = compared(warehouse, reference_url)
    assert (comparison.missing, comparison.extra, comparison.different) == found
    assert not comparison.matches
    assert len(comparison.examples) == sum(found)
    assert comparison.rows_found == comparison.rows_expected - found[0] + found[1]


def test_examples_are_few(tmp_path: Path, reference_url: str) -> None:
    """An empty warehouse names five of its thousands of missing rows."""
    engine = create_engine(url(tmp_path / "empty.sqlite"))
    with engine.begin() as connection:
        create(connection)
    engine.dispose()
    comparison = compared(engine, reference_url)
    assert comparison.missing == comparison.rows_expected
    assert len(comparison.examples) == 5


def test_nothing_compared_with_nothing_is_no_match(tmp_path: Path) -> None:
    """Two empty databases prove nothing."""
    engine = create_engine(url(tmp_path / "empty.sqlite"))
    with engine.begin() as connection:
        create(connection)
    engine.dispose()
    assert not compared(engine, str(engine.url)).matches


def test_second_commit_is_loud(warehouse: Engine, folder: Path) -> None:
    """The primary key refuses the rows of a job that was committed already."""
    rows = load_overlapped(str(folder), "2013-01-01", "EWR")
    with pytest.raises(IntegrityError), warehouse.begin() as connection:
        write(rows, Job(connection))
    warehouse.dispose()


def test_hook_leaves_the_commit_to_the_ledger(folder: Path, tmp_path: Path) -> None:
    """When the ledger rolls back, no row stays."""
    engine = create_engine(url(tmp_path / "rolled.sqlite"))
    with engine.begin() as connection:
        create(connection)
    with engine.connect() as connection:
        write(load_overlapped(str(folder), "2013-01-01", "EWR"), Job(connection))
        connection.rollback()
        count = connection.scalar(select(func.count()).select_from(warehouse_flight))
    engine.dispose()
    assert count == 0


def test_no_rows_insert_nothing(tmp_path: Path) -> None:
    """An empty job is no row of defaults."""
    engine = create_engine(url(tmp_path / "none.sqlite"))
    with engine.begin() as connection:
        create(connection)
        assert write([], Job(connection)) == 0
        assert connection.scalar(select(func.count()).select_from(warehouse_flight)) == 0
    engine.dispose()


def test_reference_load_wants_an_empty_database(source: Path, reference_url: str) -> None:
    """A second load fails instead of comparing with a mixture."""
    with pytest.raises(IntegrityError):
        reference_load(reference_url, source)
