"""A job's three statements as functions of PostgreSQL, planned once a session (decision 0027).

A function is never changed under its name: a release whose rules differ brings one of another name,
and workers of the release before go on calling theirs. `search_path` is part of each, so that it
finds the ledger's tables wherever its caller looks.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_FILE = """
rollout_file(
    p_job_id text, p_name text, p_key text, p_path text, p_reason text, p_revision bigint,
    p_at bigint, p_not_before bigint, p_envelope text, p_way text
) RETURNS boolean"""
_FILE_BODY = """
BEGIN
    INSERT INTO job (
        job_id, name, key, state, assigned_path, path, reason, revision, attempt, fence_revision,
        deaths, accepted_at, sent_at, not_before, folded, way, envelope
    ) VALUES (
        p_job_id, p_name, p_key, 'accepted', p_path, p_path, p_reason, p_revision, 0, 0,
        0, p_at, p_at, p_not_before, false, p_way, p_envelope
    ) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END"""
_CLAIM = """
rollout_claim(
    p_name text, p_job_id text, p_path text, p_worker text, p_nonce text, p_now bigint,
    p_heard bigint, p_before text, p_after text, p_fence_key bigint
) RETURNS bigint[]"""
_CLAIM_BODY = """
DECLARE
    granted bigint[];
BEGIN
    -- With an older snapshot the update would not see the kill that the lock has waited for.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN NULL;
    END IF;
    IF p_fence_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(p_fence_key);
    END IF;
    -- A claim that a crash of the database forgets can only be refused later.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE job SET
        state = 'started', path = p_path, attempt = job.attempt + 1,
        -- On legacy while it waits on concurrent: the ledger refused its claim there.
        moved_reason = CASE
            WHEN job.path <> p_path THEN coalesce(job.moved_reason, 'ledger_unreachable')
            ELSE job.moved_reason
        END,
        fence_revision = control.fence_revision, started_at = p_now,
        renewed_at = coalesce(
            p_heard, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
        ),
        worker = p_worker, nonce = p_nonce,
        way = job.way || p_before || CAST(job.attempt + 1 AS text) || p_after
    FROM sub_pipeline AS control
    WHERE job.name = p_name AND job.job_id = p_job_id AND control.name = p_name
        AND job.state = 'accepted'
        AND (p_fence_key IS NULL OR (job.path = 'concurrent' AND NOT control.killed))
    RETURNING ARRAY[
        job.attempt, job.fence_revision, CAST(job.fallback_reason IS NOT NULL AS integer)
    ] INTO granted;
    RETURN granted;
END"""
_COMMIT = """
rollout_commit(
    p_name text, p_job_id text, p_attempt integer, p_nonce text, p_now bigint, p_result text,
    p_step text, p_fence_key bigint, p_fence_revision bigint
) RETURNS boolean"""
_COMMIT_BODY = """
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN false;
    END IF;
    IF p_fence_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(p_fence_key);
    END IF;
    UPDATE job SET
        state = 'committed', finished_at = p_now, result = p_result, way = job.way || p_step
    FROM sub_pipeline AS control
    WHERE job.name = p_name AND job.job_id = p_job_id AND control.name = p_name
        AND job.state = 'started' AND job.attempt = p_attempt
        AND (job.nonce IS NULL OR job.nonce = p_nonce)
        AND (
            p_fence_key IS NULL
            OR (NOT control.killed AND control.fence_revision = p_fence_revision)
        );
    RETURN FOUND;
END"""


def upgrade() -> None:
    """Make them where the ledger's tables are; SQLite has no functions of its own."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    where = sa.text(
        "SELECT quote_ident(n.nspname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = CAST('job' AS regclass)"
    )
    schema = connection.execute(where).scalar_one()
    for head, body in ((_FILE, _FILE_BODY), (_CLAIM, _CLAIM_BODY), (_COMMIT, _COMMIT_BODY)):
        op.execute(
            f"CREATE FUNCTION {schema}.{head.strip()} LANGUAGE plpgsql "
            f"SET search_path = {schema}, pg_temp AS $${body}$$"
        )


def downgrade() -> None:
    """Drop them: jobs go the long way."""
    if op.get_bind().dialect.name == "postgresql":
        for name in ("rollout_commit", "rollout_claim", "rollout_file"):
            op.execute(f"DROP FUNCTION {name}")
