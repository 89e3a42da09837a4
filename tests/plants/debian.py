"""Debian's servers as plain child processes: installed when they are missing, started by hand.

Only this suite needs apt. Nothing is started as a service: each server has a folder and ports of
its own, and runs as whatever user its package made for it, because most refuse to run as root.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "/usr/lib/rabbitmq/bin/rabbitmq-server": "rabbitmq-server",
    "/usr/bin/redis-server": "redis-server",
    "/usr/bin/redis-sentinel": "redis-sentinel",
    "/usr/sbin/pgbouncer": "pgbouncer",
}
"""By a file that the package brings."""
NO_SERVICE = Path("/usr/sbin/policy-rc.d")


def install() -> None:
    """Install what is missing, and let apt start none of it as a service."""
    missing = [name for file, name in PACKAGES.items() if not Path(file).exists()]
    if not missing:
        return
    if os.getuid() != 0:
        raise RuntimeError(f"as root: apt-get install {' '.join(missing)}")
    made = not NO_SERVICE.exists()
    if made:
        NO_SERVICE.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        NO_SERVICE.chmod(0o755)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-qq"], ["install", "-qq", "--no-install-recommends", *missing]):
            subprocess.run(
                ["apt-get", "-y", *command],
                env=env, check=True, capture_output=True, text=True, timeout=400,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip()
        raise RuntimeError(
            f"could not install {', '.join(missing)}: apt-get said: {told}"
        ) from error
    finally:
        if made:
            NO_SERVICE.unlink()


def user_of(name: str) -> int | None:
    """A package's user, where we are root and have to be somebody else."""
    return pwd.getpwnam(name).pw_uid if os.getuid() == 0 else None


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started."""

    words: list[str]
    env: dict[str, str]
    user: int | None
    folder: Path


def owned(folder: Path, user: int | None) -> Path:
    """A folder for a server, and its user's."""
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, user, -1)
    return folder


def rabbitmq(folder: Path, port: int, inner: int, mapper: int, *more: str) -> Command:
    """RabbitMQ without its plugins: it listens on `port`, and needs two more for itself.

    `more` are lines of its configuration.

    One scheduler that does not spin: Erlang would else take both cores of a small machine.
    """
    user = user_of("rabbitmq")
    owned(folder, user)
    conf = folder / "rabbitmq.conf"
    conf.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n"
        "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 50MB\n"
        + "".join(f"{line}\n" for line in more),
        encoding="utf-8",
    )
    (folder / "enabled_plugins").write_text("[].", encoding="utf-8")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"plant{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(inner),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # It looks for messages that are not acknowledged in time every 2 s instead of minutes.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none "
        "-rabbit channel_tick_interval 2000 -kernel inet_dist_use_interface {127,0,0,1}",
    }
    return Command(["/usr/lib/rabbitmq/bin/rabbitmq-server"], env, user, folder)


def erlang_mapper(folder: Path, mapper: int) -> Command:
    """Erlang's port mapper, which RabbitMQ would else start as a daemon that outlives it."""
    user = user_of("rabbitmq")
    owned(folder, user)
    words = ["/usr/bin/epmd", "-port", str(mapper), "-address", "127.0.0.1"]
    return Command(words, {"PATH": os.environ["PATH"], "HOME": str(folder)}, user, folder)


def forget_messages(folder: Path) -> None:
    """Take RabbitMQ's memory away: queues, bindings, messages."""
    shutil.rmtree(folder / "mnesia", ignore_errors=True)


def pgbouncer(folder: Path, port: int, server_port: int, *, lent: str = "transaction") -> Command:
    """pgbouncer before a PostgreSQL on this machine; `lent` says for how long a session is."""
    user = user_of("postgres")
    owned(folder, user)
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        f"""[databases]
* = host=127.0.0.1 port={server_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {lent}
max_client_conn = 300
default_pool_size = 20
server_login_retry = 1
logfile = {folder}/log
pidfile = {folder}/pid
""",
        encoding="utf-8",
    )
    return Command(["/usr/sbin/pgbouncer", "-q", str(ini)], dict(os.environ), user, folder)


def redis(folder: Path, port: int, *more: str) -> Command:
    """Debian's Redis with an append-only file."""
    owned(folder, None)
    words = [
        "/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", *more,
    ]  # fmt: skip
    return Command(words, dict(os.environ), None, folder)


def sentinel(folder: Path, port: int, primary_port: int, name: str, quorum: int) -> Command:
    """One Sentinel that watches a primary and is quick to give it up."""
    owned(folder, None)
    conf = folder / "sentinel.conf"
    conf.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {name} 127.0.0.1 {primary_port} {quorum}\n"
        f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 4000\n",
        encoding="utf-8",
    )
    return Command(["/usr/bin/redis-sentinel", str(conf)], dict(os.environ), None, folder)
