"""What can be done to a plant: each hits one target and gives back its recovery.

Which of them there are, what they may hit and for how long is the table in `faults.py`.
"""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import psutil
from sqlalchemy import create_engine, text

from rollout.adapters.sql.notice_rows import write_notice
from rollout.adapters.sql.tables import to_microseconds
from rollout.control.prune import prune
from rollout.errors import BrokerUnreachable, LedgerUnreachable
from rollout.jobs.ports import Handed
from rollout.routing.decision import Reason
from tests.crash.app import NAMES
from tests.crash.gone_rows import disregard
from tests.crash.history import label
from tests.crash.plant import OPERATORS, PRODUCERS, Plant
from tests.waiting import wait_until

Recovery = Callable[[], None]

_SENTINELS_DOUBT_NOT_S = 0.1
"""A Sentinel doubts 1 s after the last answer, which may be as old as that; then it takes steps."""
_PRUNED_AFTER = timedelta(seconds=6)
"""Longer than an ordinary delivery of the run takes, so that what is pruned can come again."""


def nothing() -> None:
    """Recover from a fault that the program itself has to recover from."""


def kill_child(plant: Plant, target: str, rng: random.Random) -> Recovery:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(plant.children.pid(target)).children()
        if children:
            rng.choice(children).kill()
    return nothing


def kill_role(plant: Plant, target: str, rng: random.Random) -> Recovery:
    for name in target.split():
        plant.children.kill(name)

    def again() -> None:
        for name in target.split():
            plant.start_role(name)

    return again


def stop_worker(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Pause a worker; the others take its jobs over, and it wakes up with stale attempts."""
    name = target.split()[0]
    plant.children.signal(name, signal.SIGSTOP)
    return lambda: plant.children.signal(name, signal.SIGCONT)


def kill_producer(plant: Plant, target: str, rng: random.Random) -> Recovery:
    plant.children.kill(target)
    return nothing  # the driver starts a producer again until its share is submitted


def kill_producer_between(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """It kills itself after its next ledger row and before the message."""
    (plant.flags / f"die-{target}").touch()
    return nothing


def submit_poison(what: str) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        (plant.flags / f"poison-{rng.choice(PRODUCERS)}").write_text(what)
        return nothing

    return hit


def kill_valkey(*, empty: bool) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        plant.children.kill(target)
        if target == "control":
            plant.history.write("store gone", worker=None)

        def again() -> None:
            if target == "control":
                plant.history.write("store back", worker=None)
            plant.start_server(target, empty=empty)

        return again

    return hit


def fail_over(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Kill the store's primary; a Sentinel promotes the replica, which may lack the last writes.

    Nobody can be asked until a Sentinel begins to doubt; from then on the replica may answer.
    """
    gone = plant.primary
    plant.children.kill(gone)
    plant.history.write("store gone", worker=None)
    time.sleep(_SENTINELS_DOUBT_NOT_S)
    plant.history.write("store back", worker=None)
    plant.primary = "replica" if gone == "control" else "control"
    return lambda: plant.start_server(gone, follows=plant.primary)


def kill_pooler(plant: Plant, target: str, rng: random.Random) -> Recovery:
    plant.children.kill("pool")
    return lambda: plant.start_server("pool")


def quit_postgres(plant: Plant, target: str, rng: random.Random) -> Recovery:
    plant.children.quit(target)
    return lambda: plant.start_server(target)


def link(mode: str) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        name = target.split()[0].removesuffix("-link")
        slow = f" {rng.uniform(0.02, 0.3):.3f}" if mode == "slow" else ""
        gone = name == "control" and mode not in ("slow", "answers")
        plant.turn_link(name, mode + slow)
        if gone:
            plant.history.write("store gone", worker=plant.linked)

        def again() -> None:
            if gone:
                plant.history.write("store back", worker=plant.linked)
            plant.turn_link(name, "open")

        return again

    return hit


def turn_clock(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Move a process's wall clock by seconds to hours, ahead or back."""
    offset_s = rng.choice((-1, 1)) * 10 ** rng.uniform(0.5, 3.9)
    plant.turn_clock(target, offset_s)
    return lambda: plant.turn_clock(target, None)


def turn_clock_by(seconds: float) -> Callable[[Plant, str, random.Random], Recovery]:
    """Set a process's wall clock ahead or back by so much: far more than a worker may be silent."""

    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        plant.turn_clock(target, rng.choice((-1, 1)) * seconds)
        return lambda: plant.turn_clock(target, None)

    return hit


def tell_to_stop(seconds: float) -> Callable[[Plant, str, random.Random], Recovery]:
    """SIGTERM to a worker's main process, as a pod gets it; SIGKILL when its grace is over.

    Two unsafe jobs of so many seconds are under way, if the scope lets them: they may finish within
    the grace, and have to be renewed until then.
    """

    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        (plant.flags / f"poison-{rng.choice(PRODUCERS)}").write_text(f"wire {seconds}")
        with suppress(AssertionError):
            _wait_for(lambda: plant.runs_unsafe(target), "an unsafe job runs there")
        with suppress(psutil.NoSuchProcess):
            psutil.Process(plant.children.pid(target)).terminate()

        def again() -> None:
            plant.children.kill(target)
            plant.start_role(target)

        return again

    return hit


def hang_child(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Hang a job, kill its sub-pipeline, and kill the worker on which legacy runs it then.

    The hung child's worker goes on renewing what it runs; the dead legacy attempt is none of it.
    """
    before = {path: plant.hangs_on(path) for path in ("concurrent", "legacy")}
    (plant.flags / f"poison-{rng.choice(PRODUCERS)}").write_text("hangs")
    with suppress(AssertionError):
        _wait_for(lambda: plant.hangs_on("concurrent") > before["concurrent"], "it hangs")
        (plant.flags / f"kill-{rng.choice(OPERATORS)}").touch()
        _wait_for(lambda: plant.hangs_on("legacy") > before["legacy"], "legacy runs it")
    return kill_role(plant, target, rng)


def _wait_for(condition: Callable[[], bool], description: str) -> None:
    """Wait a moment; where it does not come so far, as while killed, go on all the same."""
    wait_until(condition, description, 6)


def has_stopped(plant: Plant, target: str) -> bool:
    """Whether a worker that was told to stop has ended before its grace."""
    return plant.children.exit_code(target) is not None


def lose_rows(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Take rows from under running attempts, as a failover to a copy that lags behind does.

    Unsafe ones are spared: should the worker die, nobody could say that it has begun.
    """
    with suppress(Exception), plant.runtime.database.write() as connection:
        found = connection.execute(
            text(
                "SELECT job_id, name FROM job WHERE state = 'started' AND name <> 'wires'"
                " AND deaths = 0 AND envelope <> '' AND accepted_at > :pruned LIMIT 3"
            ),
            {"pruned": plant.pruned_before},
        ).all()
        gone = []
        for job_id, name in found:
            given = {"job_id": job_id, "name": name}
            # One that has committed since it was looked at would be lost by the harm itself.
            query = "DELETE FROM job WHERE job_id = :job_id AND name = :name AND state = 'started'"
            if connection.execute(text(query), given).rowcount:
                disregard(connection, name, job_id)
                gone.append(label(name, job_id))
        # Before it is true, so that no claim comes before its reason.
        plant.history.write("rows gone", jobs=gone)
    return nothing


def prune_jobs(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Prune what has its outcome, and deliver messages of such jobs again, as a broker may.

    A job dated by a clock ahead is left out: its message looks younger than what is pruned.
    """
    before = plant.runtime.clock.now() - _PRUNED_AFTER
    given = {"before": to_microseconds(before)}
    plant.pruned_before = given["before"]
    plant.history.write("pruning", before=given["before"])
    leftovers = []
    with suppress(LedgerUnreachable):
        with plant.runtime.database.read() as connection:
            rows = connection.execute(
                text(
                    "SELECT job_id, name, envelope FROM job WHERE state = 'committed' AND folded"
                    " AND finished_at < :before AND accepted_at < :before AND envelope <> ''"
                    " ORDER BY finished_at DESC LIMIT 5"
                ),
                given,
            )
            leftovers = [Handed(job_id, name, envelope, Reason.LOST_MESSAGE)
                         for job_id, name, envelope in rows]  # fmt: skip
        prune(plant.runtime.ledger, before)
        with suppress(BrokerUnreachable):
            plant.runtime.queues.send_jobs(leftovers)
    return nothing


def fill_disk(plant: Plant, target: str, rng: random.Random) -> Recovery:
    flag = plant.flags / "ledger_full"
    flag.touch()
    return lambda: flag.unlink(missing_ok=True)


def lock_ledger(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Hold what every writer needs for longer than SQLite's busy timeout."""
    engine = create_engine(_direct(plant), connect_args=_patience(plant))
    connection = engine.connect()
    with suppress(Exception):  # the ledger may be away: then there is nothing to lock
        if plant.is_postgresql:
            connection.execute(text("SET lock_timeout = '3s'"))
            # Readers pass, or the driver would wait for itself.
            connection.execute(text("LOCK TABLE job IN EXCLUSIVE MODE"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def unlock() -> None:
        with suppress(Exception):  # its server may have been killed meanwhile
            connection.close()
        engine.dispose()

    return unlock


def hold_row(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Hold a control row as a forgotten psql does: no kill, change or decision of it comes by."""
    engine = create_engine(
        _direct(plant), connect_args={"connect_timeout": 2, "application_name": "psql"}
    )
    connection = None
    with suppress(Exception):  # the ledger may be away: then there is nothing to hold
        connection = engine.connect()
        connection.execute(text("SET lock_timeout = '1s'"))
        connection.execute(
            text("SELECT 1 FROM sub_pipeline WHERE name = :name FOR UPDATE"),
            {"name": rng.choice(NAMES)},
        )

    def release() -> None:
        with suppress(Exception):  # its server may have been killed meanwhile
            if connection is not None:
                connection.close()
        engine.dispose()

    return release


def tighten_timeouts(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Be an administrator who gives the database timeouts of milliseconds, and ends all sessions.

    Transactions of rollout set their own; a commit hook has these.
    """
    timeouts = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def alter(how: str) -> None:
        # The administrator's own session has none of them, or could not take them back.
        without = " ".join(f"-c {name}=0" for name in timeouts)
        engine = create_engine(
            _direct(plant), connect_args={"connect_timeout": 2, "options": without}
        )
        with suppress(Exception), engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            database = connection.execute(text("SELECT current_database()")).scalar_one()
            for name in timeouts:
                connection.execute(text(f"ALTER DATABASE {database} {how.format(name=name)}"))
            ended = "pg_terminate_backend(pid)"
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"SELECT {ended} FROM pg_stat_activity WHERE {others}"))
        engine.dispose()

    alter(f"SET {{name}} = '{rng.choice((1, 2, 5))}ms'")
    return lambda: alter("RESET {name}")


def write_notices(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Leave notices for a web hook that takes connections and never answers."""
    now = plant.runtime.clock.now()
    with suppress(LedgerUnreachable), plant.runtime.database.write() as connection:
        for _ in range(rng.randint(1, 20)):
            write_notice(connection, rng.choice(NAMES), "revert", "drawn by the seed", now)
    return nothing


def restart_release(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Restart a worker: a straggler with the release it had, or with the next one."""
    newest = max(plant.releases.values())
    if rng.random() < 0.5:
        mine = plant.releases[target]
        plant.releases[target] = newest + 1 if mine == newest else newest
    return kill_role(plant, target, rng)


def long_queue(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Submit many jobs at once; a person kills their sub-pipeline while they wait."""
    (plant.flags / f"burst-{rng.choice(PRODUCERS)}").write_text(str(plant.burst))

    def kill_it() -> None:
        (plant.flags / f"kill-{rng.choice(OPERATORS)}").touch()

    return kill_it


def is_queued(plant: Plant, target: str) -> bool:
    """Whether the long queue has been submitted to its end."""
    return not any(plant.flags.glob("burst-*"))


def _direct(plant: Plant) -> str:
    """The ledger without a pooler: a person's psql has a session of its own."""
    return plant.postgres.url() if plant.is_postgresql else plant.settings.ledger_url


def _patience(plant: Plant) -> dict[str, float]:
    return {"connect_timeout": 2} if plant.is_postgresql else {"timeout": 3}
