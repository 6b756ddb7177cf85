"""Real servers for the tests: RabbitMQ, Redis and PostgreSQL as Debian packages them, each in a folder of its own, on loopback.

    with Redis(folder) as server:
        server.url          # redis://127.0.0.1:PORT/0
        server.kill()       # as SIGKILL ends it; server.start() starts it again on the same port and data

A server that is not installed raises NotInstalled, which names it: a test skips by that name (see `require`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import stop_group, wait_for

#: How long a server may take to start, in seconds: RabbitMQ needs some ten.
START_LIMIT = 90.0

#: The variable with which CI demands every server: what is missing is an error then, and no reason to skip.
DEMANDED = "TESTS_DEMAND_SERVERS"


class NotInstalled(Exception):
    """A program that a test needs is not there; the text names it and its Debian package."""


def require(name: str, package: str, *places: str) -> str:
    """Return the path of a program. Raises NotInstalled."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *places]))
    if found is None:
        raise NotInstalled(f"{name} is not installed (apt-get install {package})")
    return found


def unless_installed(program: str) -> Any:
    """Return the mark of a test that needs a program: it is skipped by that name, unless CI demands it."""
    import pytest

    missing = shutil.which(program) is None and not os.environ.get(DEMANDED)
    return pytest.mark.skipif(missing, reason=f"{program} is not installed")


def free_port() -> int:
    """Return a TCP port of loopback for a server to listen on.

    It is none of those that the system gives to whoever asks for any, clients too (32768 and more on Linux): in the time until
    the server listens, it would give it to somebody else.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """A server process in a process group of its own. Use it as a context manager; it is ended by its handle."""

    name = "server"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on the port and the data that it had before, and return when it answers."""
        raise NotImplementedError

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """End it and everything that it has started."""
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(signal.SIGKILL)

    def suspend(self) -> None:
        """Have it listen and say nothing (SIGSTOP), until `resume`."""
        for process in self.processes:
            stop_group(process.pid)

    def resume(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGCONT)

    def _spawn(self, *command: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )
        self.processes.append(process)
        return process

    def _await(self, process: subprocess.Popen[bytes], is_up: Any) -> None:
        def up() -> bool:
            assert process.poll() is None, f"{self.name} ended: {(self.folder / 'log').read_text()[-2000:]}"
            return bool(is_up())

        try:
            wait_for(up, START_LIMIT, self.name)
        except BaseException:
            self.stop()
            raise


class Redis(Server):
    """redis-server; every write is in its append-only file before it is answered, so that a kill loses nothing."""

    name = "redis-server"

    def __init__(self, folder: Path, *, tls: bool = False, user: tuple[str, str, str] | None = None) -> None:
        """With `tls` it listens on a TLS port alone. `user` is name, password and rules of the one user that may log in."""
        super().__init__(folder)
        self.program = require("redis-server", "redis-server")
        self.port = free_port()
        self.tls = tls
        self.user = user
        if tls:
            make_certificate(folder)

    @property
    def url(self) -> str:
        credentials = f"{self.user[0]}:{self.user[1]}@" if self.user else ""
        if self.tls:
            return (
                f"rediss://{credentials}127.0.0.1:{self.port}/0"
                f"?ssl_cert_reqs=required&ssl_ca_certs={self.folder / 'cert.pem'}"
            )
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        lines = [
            "bind 127.0.0.1",
            f"port {0 if self.tls else self.port}",
            f"dir {self.folder}",
            "appendonly yes",
            "appendfsync always",
            'save ""',
            "daemonize no",
        ]
        if self.tls:
            lines += [
                f"tls-port {self.port}",
                f"tls-cert-file {self.folder / 'cert.pem'}",
                f"tls-key-file {self.folder / 'key.pem'}",
                f"tls-ca-cert-file {self.folder / 'cert.pem'}",
                "tls-auth-clients no",
            ]
        if self.user:
            name, password, rules = self.user
            lines += ["user default off", f"user {name} on >{password} {rules}"]
        file = self.folder / "redis.conf"
        file.write_text("".join(f"{line}\n" for line in lines))
        process = self._spawn(self.program, str(file))
        self._await(process, self._answers)

    def client(self) -> Any:
        """Return a redis-py client of the server."""
        import redis

        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        import redis

        with self.client() as client:
            try:
                client.execute_command("ECHO", "up")
            except redis.exceptions.NoPermissionError:
                return True
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                return False
        return True


class Sentinel(Server):
    """One redis-server and a sentinel that names it as "mymaster". `url` and `transport_options` are Celery's."""

    name = "redis-sentinel"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.master = Redis(folder / "master")
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"sentinel://127.0.0.1:{self.port}/0"

    #: For broker_transport_options and result_backend_transport_options.
    transport_options = {"master_name": "mymaster"}

    def start(self) -> None:
        self.master.start()
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {self.folder}\n"
            f"sentinel monitor mymaster 127.0.0.1 {self.master.port} 1\n"
            "sentinel down-after-milliseconds mymaster 5000\n"
        )
        process = self._spawn(self.master.program, str(file), "--sentinel")
        self._await(process, lambda: listens(self.port))

    def stop(self, signum: int = signal.SIGTERM) -> None:
        super().stop(signum)
        self.master.stop(signum)


class RabbitMQ(Server):
    """rabbitmq-server with an epmd of its own. Queues and persistent messages outlive a kill."""

    name = "rabbitmq-server"
    _places = ("/usr/lib/rabbitmq/bin",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require("rabbitmq-server", "rabbitmq-server", *self._places)  # its name is that of Debian's wrapper too
        self.program = str(Path(*self._places, "rabbitmq-server"))
        if not Path(self.program).exists():
            self.program = require("rabbitmq-server", "rabbitmq-server")
        self.epmd = require("epmd", "erlang-base")
        self.port = free_port()
        self.distribution_port = free_port()
        self.epmd_port = free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which this server, and rabbitmqctl for it, are found."""
        folder = self.folder
        return {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }

    def start(self) -> None:
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (self.folder / "plugins").write_text("[].\n")
        self._spawn(self.epmd, "-port", str(self.epmd_port), "-address", "127.0.0.1", env=self.environment)
        process = self._spawn(self.program, env=self.environment)
        self._await(process, self._answers)

    def _answers(self) -> bool:
        import amqp

        if not listens(self.port):
            return False
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5, read_timeout=5):
                return True
        except (OSError, amqp.exceptions.AMQPError):
            return False

    def lengths(self) -> dict[str, tuple[int, int]]:
        """Return, for each queue, how many messages are ready and how many are taken and not acknowledged (rabbitmqctl)."""
        told = self.control(
            "-q", "list_queues", "name", "messages_ready", "messages_unacknowledged", "--no-table-headers"
        )
        rows = (line.split("\t") for line in told.splitlines() if line.count("\t") == 2)
        return {name: (int(ready), int(taken)) for name, ready, taken in rows}

    def clear(self) -> None:
        """Remove the queues whose names are those of several tests; the others have names of their own."""
        import amqp

        with amqp.Connection(f"127.0.0.1:{self.port}") as connection, connection.channel() as channel:
            for name in ("celery", "mails", "unread"):
                channel.queue_delete(name)

    def control(self, *words: str) -> str:
        """Run rabbitmqctl, and return what it prints."""
        program = Path(self.program).with_name("rabbitmqctl")
        ran = subprocess.run(
            [str(program), *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        return ran.stdout


class PostgreSQL(Server):
    """A PostgreSQL that keeps nothing safe, so that it starts in a second. Root cannot run one: it runs as `postgres` then.

    With `durable` it writes as one in production does, and is at a socket in its folder too: for measurements.
    """

    name = "postgres"

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        super().__init__(folder)
        self.durable = durable
        places = [str(each) for each in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
        self.program = require("postgres", "postgresql", *places)
        self.port = free_port()
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.user = account.pw_name
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            shutil.chown(folder, self.user)

    def start(self) -> None:
        data = self.folder / "data"
        if not data.exists():
            initdb = str(Path(self.program).with_name("initdb"))
            words = ["--auth=trust", "--locale=C", "--encoding=UTF8", f"--username={self.user}", str(data)]
            words += [] if self.durable else ["--no-sync"]
            subprocess.run([initdb, *words], check=True, capture_output=True, cwd=self.folder, **self._as_user)
        chosen = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder if self.durable else ''}"]
        chosen += [] if self.durable else ["fsync=off", "shared_buffers=16MB"]
        options = [word for each in chosen for word in ("-c", each)]
        process = self._spawn(self.program, "-D", str(data), "-p", str(self.port), *options, **self._as_user)
        self._await(process, self._answers)

    def stop(self, signum: int = signal.SIGQUIT) -> None:
        super().stop(signum)

    def _answers(self) -> bool:
        import psycopg

        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(host="127.0.0.1", port=self.port, user=self.user, dbname="postgres", connect_timeout=5),
        ):
            return True
        return False


#: The brokers that a script can be told by name; "private" is the private Valkey, which needs no settings.
BROKERS: dict[str, type[Redis] | type[RabbitMQ] | None] = {"private": None, "redis": Redis, "rabbitmq": RabbitMQ}


@contextlib.contextmanager
def broker(name: str, folder: Path) -> Iterator[str]:
    """Start the broker of this name, and yield the settings of a project that uses it and keeps its results."""
    kind = BROKERS[name]
    if kind is None:
        yield ""
        return
    with kind(folder) as server:
        results = server.url if isinstance(server, Redis) else f"file://{folder}"
        yield f"CELERY_BROKER_URL = {server.url!r}\nCELERY_RESULT_BACKEND = {results!r}\n"


def make_certificate(folder: Path) -> None:
    """Write key.pem and cert.pem, a certificate of its own for 127.0.0.1."""
    program = require("openssl", "openssl")
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def started(kind: type[Server], folder: Path, **options: Any) -> Iterator[Any]:
    """Start a server for a fixture. One that is not installed skips the test by its name, unless CI demands it."""
    import pytest

    try:
        server = kind(folder, **options)
    except NotInstalled as error:
        if os.environ.get(DEMANDED):
            raise
        pytest.skip(str(error))
    with server:
        yield server
