"""An app whose paths do what a test tells them; run in processes of their own."""

import os
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import NullPool, create_engine, text

from rollout import SubPipeline

FOLDER = Path(os.environ.get("SHOP_FOLDER", "/nowhere"))
URL = os.environ.get("SHOP_URL", "")
DATABASE = os.environ.get("SHOP_DATABASE", "")
app = Celery("shop", broker="redis://127.0.0.1:1/0", backend="cache+memory://")
app.conf.task_time_limit = 60
invoices = SubPipeline("invoices", app=app, effects="none", key="customer")
written = SubPipeline("written", app=app, effects="commit")
waiting = SubPipeline("waiting", app=app, effects="none")
payments = SubPipeline("payments", app=app, effects="unsafe")
served: list[int] = []


@app.task(name="shop.other", shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
def other(number: int) -> int:
    """A task that is no sub-pipeline."""
    return number


def result_of_other() -> Any:
    """A function of the path that waits."""
    result = other.delay(1)
    return result.get(timeout=5)


def count(customer: int) -> dict[str, Any]:
    """Give what depends on the jobs before."""
    served.append(customer)
    return {"served": len(served), "at": time.time()}


def driver_writes() -> None:
    """Write past SQLAlchemy, so that the server itself has to refuse."""
    import psycopg

    with psycopg.connect(DATABASE.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE written (number int)")


def sqlite_writes() -> None:
    """Write to a database that is there."""
    connection = sqlite3.connect(FOLDER / "there.db")
    connection.execute("CREATE TABLE written (number int)")


def sqlalchemy_writes() -> None:
    """Write through an engine."""
    mine = create_engine(f"sqlite:///{FOLDER}/there.db", poolclass=NullPool)
    with mine.begin() as connection:
        connection.execute(text("CREATE TABLE written (number int)"))


def posts() -> None:
    """Send something to a service."""
    urllib.request.urlopen(urllib.request.Request(f"{URL}/orders?token=1", data=b"{}"))


ACTS: dict[str, Callable[[], object]] = {
    "file": lambda: (FOLDER / "out.txt").write_text("x"),
    "moved": lambda: (FOLDER / "there.db").rename(FOLDER / "moved.db"),
    "program": lambda: subprocess.run(["touch", FOLDER / "touched"], check=True),
    "sqlite": sqlite_writes,
    "sqlalchemy": sqlalchemy_writes,
    "new sqlite": lambda: sqlite3.connect(FOLDER / "new.db"),
    "driver": driver_writes,
    "post": posts,
    "get": lambda: urllib.request.urlopen(f"{URL}/orders").read(),
    "hang": lambda: time.sleep(600),
    "die": lambda: os._exit(3),
    "scratch": lambda: Path(os.environ["TMPDIR"], "scratch").write_text("x"),
}


@invoices.legacy
def one_by_one(customer: int, what: str = "") -> Any:
    """The path of today."""
    return {"total": customer}


@invoices.concurrent
def together(customer: int, what: str = "") -> Any:
    """The path on trial."""
    if what == "count":
        return count(customer)
    if what == "raise":
        raise ValueError("boom")
    if what in ACTS:
        ACTS[what]()
    return {"total": customer, "at": time.time()}


@waiting.legacy
def alone(number: int) -> int:
    """The path of today."""
    return number


@waiting.concurrent
def wait(number: int) -> Any:
    """A path that waits for another task."""
    return result_of_other()


@written.legacy
def prepare(number: int) -> int:
    """The path of today."""
    return number


@written.concurrent
def prepare_faster(number: int) -> int:
    """The path on trial."""
    return number


@written.commit
def write(value: int, job: Any) -> int:
    """Write through the ledger's transaction; a negative number is a mistake."""
    job.connection.execute(text("CREATE TABLE IF NOT EXISTS written (number int)"))
    job.connection.execute(text("INSERT INTO written VALUES (:number)"), {"number": value})
    if value < 0:
        raise ValueError("a negative number")
    if value == 0:
        (FOLDER / "out.txt").write_text("x")
    return value


@payments.legacy
def pay(number: int) -> int:
    """Touches the world."""
    raise AssertionError("a preflight never runs what is unsafe")


@payments.concurrent
def pay_faster(number: int) -> int:
    """Touches the world."""
    raise AssertionError("a preflight never runs what is unsafe")
