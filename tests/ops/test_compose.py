"""The compose file and the image: checked without Docker, which is not at hand in the tests."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ops.controller_health import AGE_S_MAX, tick_age_s
from rollout.adapters.celery.marks import queue_of
from rollout.adapters.celery.shadow_queue import shadow_queue_of
from rollout.demo.app import NAME
from rollout.routing.decision import JobPath
from rollout.settings import Settings
from rollout.web import alive

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "ops" / "Dockerfile"
ROLES = ("migrations", "legacy", "concurrent", "shadow", "controller", "web")


def read_yaml(path: Path) -> Any:
    """Read a YAML file as Docker and Prometheus do, merge keys included."""
    return YAML(typ="safe", pure=True).load(path.read_text())


@pytest.fixture(name="services", scope="module")
def services_fixture() -> dict[str, Any]:
    """The services of the compose file."""
    services: dict[str, Any] = read_yaml(COMPOSE)["services"]
    return services


def test_the_compose_file_follows_the_compose_specification() -> None:
    """The schema that check-jsonschema ships accepts the file."""
    command = [
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
        str(COMPOSE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_role_runs_the_same_image(services: dict[str, Any]) -> None:
    """One image serves all roles, and nothing else is built."""
    assert {services[role]["image"] for role in ROLES} == {"rollout:local"}
    assert {name for name, service in services.items() if "build" in service} == set(ROLES)


def test_commands_exist(services: dict[str, Any]) -> None:
    """Each role starts a command that the package or Celery has."""
    for role in ROLES:
        program, *rest = shlex.split(services[role]["command"])
        if program == "rollout":
            assert rest[0] in cli_commands(), role
        else:
            assert program == "celery"
            assert rest[:3] == ["-A", "rollout.demo.app", "worker"]


@cache
def cli_commands() -> frozenset[str]:
    """Commands of the program, as its help lists them."""
    command = [sys.executable, "-m", "rollout", "--help"]
    wide = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env=wide
    )
    found = frozenset(re.findall(r"^\W*([a-z][a-z-]*)\s{2,}", shown.stdout, re.MULTILINE))
    assert {"up", "controller"} <= found, shown.stdout
    return found


def test_workers_listen_on_the_queues_of_the_demo(services: dict[str, Any]) -> None:
    """Each worker takes exactly the queue of its path, with one message prefetched a process."""
    queues = {
        **{str(path): queue_of(NAME, path) for path in JobPath},
        "shadow": shadow_queue_of(NAME),
    }
    for role, queue in queues.items():
        words = shlex.split(services[role]["command"])
        assert words[words.index("-Q") + 1] == queue
        assert words[words.index("--prefetch-multiplier") + 1] == "1"
        assert words[words.index("--hostname") + 1].endswith("@%h")


def test_the_legacy_worker_is_sequential(services: dict[str, Any]) -> None:
    """Legacy is what runs today: one job at a time."""
    words = shlex.split(services["legacy"]["command"])
    assert words[words.index("--concurrency") + 1] == "1"


def test_workers_can_be_scaled(services: dict[str, Any]) -> None:
    """No fixed name or port keeps a second worker from starting."""
    for role in ("legacy", "concurrent"):
        assert not {"container_name", "hostname", "ports"} & set(services[role])


def test_variables_are_settings(services: dict[str, Any]) -> None:
    """Each ROLLOUT_ variable is a setting, and all values together are valid ones."""
    for role in ROLES:
        given = {
            name.removeprefix("ROLLOUT_").lower(): value
            for name, value in services[role]["environment"].items()
            if name.startswith("ROLLOUT_")
        }
        assert given
        assert set(given) <= set(Settings.model_fields)
        Settings.model_validate(given)


def test_addresses_are_services(services: dict[str, Any]) -> None:
    """Each address in a setting names a service of the file."""
    text = str([services[role]["environment"] for role in ROLES])
    hosts = set(re.findall(r"://(?:\w+:\w+@)?(\w+):\d+", text))
    assert hosts == {"redis", "postgres"}


def test_the_control_store_neither_evicts_nor_forgets(services: dict[str, Any]) -> None:
    """A kill latch must survive memory pressure and a restart."""
    command = services["redis"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "healthcheck" in services["redis"]


def test_roles_wait_for_the_migrations(services: dict[str, Any]) -> None:
    """No worker and no controller starts before the ledger has its tables."""
    for role in ("legacy", "concurrent", "shadow", "controller"):
        waits = services[role]["depends_on"]
        assert waits["migrations"]["condition"] == "service_completed_successfully"
        assert waits["postgres"]["condition"] == "service_healthy"
        assert waits["redis"]["condition"] == "service_healthy"
    assert services["migrations"]["restart"] == "no"


def test_metrics_are_reachable(services: dict[str, Any]) -> None:
    """The controller listens where the port mapping, Prometheus and the health check look."""
    controller = services["controller"]
    assert controller["environment"]["ROLLOUT_METRICS_HOST"] == "0.0.0.0"
    port = controller["environment"]["ROLLOUT_METRICS_PORT"]
    assert controller["ports"] == [f"127.0.0.1:{port}:{port}"]
    scraped = read_yaml(ROOT / "ops" / "prometheus.yml")["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == [f"controller:{port}"]
    assert f":{port}/metrics" in (ROOT / "ops" / "controller_health.py").read_text()


def test_the_page_is_reachable_and_asks_who_it_is(services: dict[str, Any]) -> None:
    """It listens beyond its container, where the port and the probe look, behind a sign-in."""
    web = services["web"]
    assert web["environment"]["ROLLOUT_WEB_HOST"] == "0.0.0.0"
    assert web["environment"]["ROLLOUT_WEB_SIGN_IN"] == "token"
    port = Settings.model_fields["web_port"].default
    assert web["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}{alive.PATH}" in web["healthcheck"]["test"][-1]
    assert "web" in re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)[0]


def test_mounted_files_exist(services: dict[str, Any]) -> None:
    """Each file of this repository that a service mounts is there."""
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    for path in mounted:
        assert (ROOT / path).exists(), path


def test_the_image_copies_what_exists() -> None:
    """Each path the Dockerfile copies is in the repository and passes .dockerignore."""
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
        for path in line.split()[:-1]
    ]
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"rollout", "migrations", "pyproject.toml"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in let_through


def test_the_image_runs_without_rights() -> None:
    """The last user of the image is not root."""
    assert re.findall(r"^USER (\w+)$", DOCKERFILE.read_text(), re.MULTILINE) == ["rollout"]


@pytest.mark.parametrize(("age_s", "healthy"), [(1.0, True), (29.0, True), (31.0, False)])
def test_health_follows_the_age_of_the_tick(age_s: float, healthy: bool) -> None:
    """The controller is healthy while its last tick is young."""
    metrics = "# HELP x\nrollout_last_tick_timestamp_seconds 1000.0\nrollout_tick_errors 0.0\n"
    assert (tick_age_s(metrics, 1000.0 + age_s) <= AGE_S_MAX) is healthy


def test_a_controller_without_a_tick_is_not_healthy() -> None:
    """Before the first tick there is no metric, and no health."""
    assert tick_age_s("", 1000.0) > AGE_S_MAX
