"""How many connections a PostgreSQL database lets in, and how many are taken."""

from sqlalchemy import Engine, text

from rollout.preflight.facts import Room

_ASKED = text(
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int AS server,"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS of_role,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,"
    " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    "   AND backend_type = 'client backend') AS used_here,"
    " (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user"
    "   AND backend_type = 'client backend') AS used_by_role"
)


def database_name(engine: Engine) -> str:
    """A database as findings name it: without user and password."""
    url = engine.url
    where = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"{url.get_backend_name()} {url.database or ''}{f' at {where}' if where else ''}".strip()


def room_of(engine: Engine) -> Room:
    """Ask it; the narrowest of its limits counts.

    Raises:
        sqlalchemy.exc.DBAPIError: It does not answer.
    """
    with engine.connect() as connection:
        row = connection.execute(_ASKED).one()
    rooms = [(row.server, row.used)]
    # -1 is no limit of its own.
    rooms += [(row.of_database, row.used_here)] if row.of_database >= 0 else []
    rooms += [(row.of_role, row.used_by_role)] if row.of_role >= 0 else []
    allowed, used = min(rooms, key=lambda one: one[0] - one[1])
    return Room(database_name(engine), allowed, used)
