"""Which events of the interpreter touch the world, and what source waits for other tasks."""

import os
from types import SimpleNamespace

import pytest

from rollout.preflight.facts import Touch, Touched
from rollout.preflight.waits import waits_in
from rollout.preflight.watch import Watch, statement_touch

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WATCH = Watch("/tmp/mine", WRITES, ("ffmpeg",))


@pytest.mark.parametrize(
    ("event", "args", "kind"),
    [
        ("open", ("/data/out", "w", 0), Touched.FILE),
        ("open", ("/data/out", "r+", 0), Touched.FILE),
        ("open", (b"/data/out", None, os.O_WRONLY), Touched.FILE),
        ("open", ("/data/in", "r", os.O_RDONLY), None),
        ("open", ("/data/in", None, os.O_RDONLY | os.O_CLOEXEC), None),
        ("open", (3, "w", 0), None),
        ("open", ("/dev/null", "w", 0), None),
        ("open", ("/tmp/mine/scratch", "w", 0), None),
        ("open", ("/app/shop/__pycache__/x.pyc", "wb", 0), None),
        ("os.remove", ("/data/out", -1), Touched.FILE),
        ("os.rename", ("/data/a", "/data/b", -1, -1), Touched.FILE),
        ("os.rename", ("/tmp/mine/scratch", "/data/b", -1, -1), Touched.FILE),
        ("os.rename", ("/tmp/mine/a", "/tmp/mine/b", -1, -1), None),
        ("os.link", ("/tmp/mine/scratch", "/data/b", -1, -1), Touched.FILE),
        ("os.link", ("/data/in", "/tmp/mine/in", -1, -1), None),
        ("os.symlink", ("/data/in", "/tmp/mine/in", -1), None),
        ("os.symlink", ("/tmp/mine/in", b"/data/in", -1), Touched.FILE),
        ("open", ("/tmp/mine/../out", "w", 0), Touched.FILE),
        ("open", ("/tmp/mine2/out", "w", 0), Touched.FILE),
        ("os.mkdir", ("/tmp/mine", 0o700, -1), None),
        ("os.truncate", (4, 0), None),
        ("subprocess.Popen", ("/bin/sh", ["sh", "-c", "x"], None, None), Touched.PROGRAM),
        ("subprocess.Popen", (None, ["sh"], None, None), Touched.PROGRAM),
        ("os.system", (b"rm x",), Touched.PROGRAM),
        ("socket.connect", (None, ("db", 5432)), Touched.CONNECTION),
        ("socket.connect", (None, "/run/pg.sock"), Touched.CONNECTION),
        ("smtplib.send", (None, b"MAIL FROM"), Touched.MAIL),
        ("ftplib.sendcmd", (None, "STOR a"), Touched.MAIL),
        ("ftplib.sendcmd", (None, "RETR a"), None),
        ("import", ("os", None, None, None, None), None),
    ],
)
def test_what_an_event_touches(event: str, args: tuple[object, ...], kind: Touched | None) -> None:
    """Writes are told from reads, and the world from a run's own scratch."""
    touch = WATCH.touch(event, args)
    assert (touch and touch.kind) == kind


def test_a_request_is_judged_by_its_method_and_shows_no_secret() -> None:
    """What follows the question mark may hold a token."""
    connection = SimpleNamespace(host="pay.example")
    post = WATCH.touch("http.client.send", (connection, b"POST /v1/x?token=s3cret HTTP/1.1\r\n"))
    assert post == Touch(Touched.REQUEST, "POST pay.example/v1/x")
    assert WATCH.touch("http.client.send", (connection, b"GET /v1/x HTTP/1.1\r\n")) is None
    assert WATCH.touch("http.client.send", (connection, b"POST me a letter")) is None


def test_what_is_let_through_by_name_is_not_refused() -> None:
    """A connection never is: a path has to read."""
    assert not WATCH.refuses(Touch(Touched.PROGRAM, "/usr/bin/ffmpeg"))
    assert WATCH.refuses(Touch(Touched.PROGRAM, "/usr/bin/rm"))
    assert not WATCH.refuses(Touch(Touched.CONNECTION, "db:5432"))


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("SELECT 1", False),
        ("  -- a word\n insert into t values (1)", True),
        ("/* update */ SELECT 1", False),
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False),
        ("SELECT * FROM updates", False),
        ("TRUNCATE t", True),
        ("SAVEPOINT a", False),
    ],
)
def test_statements_that_write(text: str, writes: bool) -> None:
    """By their first word, behind comments, and by what a WITH holds."""
    assert (statement_touch(text) is not None) is writes


@pytest.mark.parametrize(
    ("source", "waits"),
    [
        ("def f():\n    return other.delay(1).get()\n", 1),
        ("def f():\n    r = other.apply_async((1,))\n    return r.get(timeout=3)\n", 1),
        ("def f():\n    rs = [other.delay(n) for n in x]\n    return [r.get() for r in rs]\n", 1),
        ("def f():\n    r = group(other.s(1))()\n    r = r.apply_async()\n    r.join()\n", 1),
        ("def f(i):\n    return AsyncResult(i).get()\n", 1),
        ("def f():\n    with allow_join_result():\n        x()\n", 1),
        ("def f(r):\n    return r.get(disable_sync_subtasks=False)\n", 1),
        ("def f():\n    other.delay(1)\n", 0),
        ("def f(d):\n    return d.get('a')\n", 0),
        ("def f():\n    return requests.get('http://x')\n", 0),
        ("def f():\n    return ','.join(x)\n", 0),
    ],
)
def test_source_that_waits_for_another_task(source: str, waits: int) -> None:
    """A wait is one on what a submission gave; dictionaries and requests have a `get`, too."""
    found = waits_in(source, "shop.py", 10)
    assert len(found) == waits, found
    assert all(one.where.startswith("shop.py:1") for one in found)
