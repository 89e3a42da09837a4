"""How much a ledger grows by a committed job, with the table vacuumed as a server does by itself.

Kept are `keep_days` of committed jobs, and every failed one: that many jobs are on the disk at a
time, however long a pilot runs.
"""

from datetime import timedelta

from sqlalchemy import text

from ops.bench.servers import LEDGERS, Servers
from ops.bench.steps import Way
from rollout import JobPath, Runtime
from rollout.jobs.ports import Refused
from rollout.routing.effects import Effects

JOBS, ROUNDS = 500, 3
_SILENT = timedelta(seconds=30)


def measure(servers: Servers) -> dict[str, dict[str, float]]:
    """Bytes a job, and GB a million, for both ledgers; the envelope is that of a small job."""
    found = {}
    for ledger in LEDGERS:
        way = Way(servers.runtime(ledger), f"bench-bytes-{ledger}")
        _commit(way, JOBS)
        before = _bytes(way.runtime)
        for _ in range(ROUNDS):
            _commit(way, JOBS)
        grown = (_bytes(way.runtime) - before) / (JOBS * ROUNDS)
        way.runtime.close()
        found[ledger] = {"bytes_a_job": round(grown), "gb_a_million": round(grown / 1e3, 2)}
    return found


def _commit(way: Way, jobs: int) -> None:
    filings = [way.filing() for _ in range(jobs)]
    way.ledger.file(filings)
    for one in filings:
        claim = way.ledger.claim(
            one.name, one.job_id, JobPath.CONCURRENT, Effects.NONE, "bench:1", way.now(), _SILENT
        )
        assert not isinstance(claim, Refused), f"the claim said {claim}"
        way.ledger.commit(claim, Effects.NONE, lambda connect: "null", way.now())
    if way.runtime.database.is_postgresql:
        engine = way.runtime.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM job"))


def _bytes(runtime: Runtime) -> int:
    sqlite = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    postgresql = "SELECT pg_total_relation_size('job')"
    with runtime.database.read() as connection:
        query = text(postgresql if runtime.database.is_postgresql else sqlite)
        return int(connection.execute(query).scalar_one())
