"""Places of keys: who waits by an index, and two functions of PostgreSQL, planned once a session.

Whether somebody of a key waits was read from all its places: as many as its queue is long. As of
those of 0016, no function is ever changed under its name.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_FIRST = """
rollout_is_first(p_name text, p_key text, p_job_id text) RETURNS boolean"""
_FIRST_BODY = """
BEGIN
    RETURN coalesce((
        SELECT place.job_id = p_job_id AND NOT place.waits
        FROM key_place AS place
        WHERE place.name = p_name AND place.key = p_key
        ORDER BY place.id
        LIMIT 1
    ), false);
END"""
_LEAVE = """
rollout_leave(p_name text, p_key text, p_key_lock bigint) RETURNS boolean"""
_LEAVE_BODY = """
DECLARE
    front record;
BEGIN
    -- With an older snapshot one that was put to wait while the lock was not ours is missed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(p_key_lock);
    IF EXISTS (
        SELECT FROM key_place AS place
        WHERE place.name = p_name AND place.key = p_key AND place.waits
    ) THEN
        RETURN false;
    END IF;
    SELECT place.id, place.job_id, place.on_failure INTO front
    FROM key_place AS place
    WHERE place.name = p_name AND place.key = p_key
    ORDER BY place.id
    LIMIT 1;
    IF NOT EXISTS (
        SELECT FROM job
        WHERE job.name = p_name AND job.job_id = front.job_id AND (
            job.state IN ('committed', 'cancelled', 'expired')
            OR (job.state = 'failed' AND front.on_failure = 'skip')
        )
    ) THEN
        RETURN false;
    END IF;
    -- A place that a crash of the database brings back is given up by the next job, or the sweep.
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM key_place WHERE key_place.id = front.id;
    RETURN FOUND;
END"""


def upgrade() -> None:
    """Add the index, and the functions where the ledger's tables are."""
    op.create_index(
        "key_place_waits",
        "key_place",
        ["name", "key"],
        sqlite_where=sa.text("waits = 1"),
        postgresql_where=sa.text("waits"),
    )
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    where = sa.text(
        "SELECT quote_ident(n.nspname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = CAST('key_place' AS regclass)"
    )
    schema = connection.execute(where).scalar_one()
    for head, body in ((_FIRST, _FIRST_BODY), (_LEAVE, _LEAVE_BODY)):
        # The table is empty at most times: a plan of then must not read a long queue to its end.
        op.execute(
            f"CREATE FUNCTION {schema}.{head.strip()} LANGUAGE plpgsql "
            f"SET search_path = {schema}, pg_temp SET enable_seqscan = off AS $${body}$$"
        )


def downgrade() -> None:
    """Drop them: places are asked and given up the long way."""
    if op.get_bind().dialect.name == "postgresql":
        for name in ("rollout_leave", "rollout_is_first"):
            op.execute(f"DROP FUNCTION {name}")
    op.drop_index("key_place_waits", "key_place")
