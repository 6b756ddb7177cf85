"""taskdoctor --live against what goes wrong: each fault is named, in time, and the password is in no line."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_broker_down import redis_that_swallows
from tests.servers import RabbitMQ, Redis, started
from tests.support import Site, refusing_port, silent_port, stop, wait_for

#: How long the command may take, in seconds, whatever is silent; the machine may be busy.
WITHIN = 40.0


@dataclass(frozen=True)
class Told:
    """What the doctor has said."""

    lines: list[dict[str, Any]]
    text: str
    code: int

    def errors(self) -> list[tuple[str, str]]:
        return [(line["section"], line["text"]) for line in self.lines if line["status"] == "error"]

    def line(self, section: str, name: str) -> dict[str, Any]:
        (found,) = (line for line in self.lines if (line["section"], line["name"]) == (section, name))
        return found


def is_measured(line: dict[str, Any]) -> bool:
    return line["status"] == "ok" and isinstance(line["seconds"], float) and line["seconds"] > 0


def doctor(site: Site) -> Told:
    began = time.monotonic()
    ran = site.manage("taskdoctor", "--live", "--json")
    assert time.monotonic() - began < WITHIN
    assert "Traceback" not in ran.stderr, ran.stderr
    assert "secret" not in ran.stdout + ran.stderr
    document = json.loads(ran.stdout)
    lines = [{**line, "section": each["name"]} for each in document["sections"] for line in each["lines"]]
    return Told(lines, ran.stdout + ran.stderr, ran.returncode)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with started(Redis, tmp_path / "redis") as server:
        yield server


def using(url: str, more: str = "") -> str:
    return f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {url!r}\n{more}"


@pytest.mark.parametrize("own", [False, True], ids=["private", "own redis"])
def test_all_is_well__nothing_is_wrong(site: Site, redis_server: Redis, own: bool) -> None:
    site.minimal(settings=using(redis_server.url) if own else "")
    site.start_worker()
    told = doctor(site)
    assert (told.errors(), told.code) == ([], 0)
    warned = [line["remedy"] for line in told.lines if line["status"] == "warning"]
    assert warned == ["python manage.py migrate tasktools"]  # the site has no tables
    assert told.line("queues", "celery")["text"] == "1 consumer, 0 waiting"
    assert is_measured(told.line("queues", "celery stopwatch"))
    assert (
        told.line("workers", told.line("queues", "clock") and _worker(told))["text"] == "takes from celery, 2 at once"
    )
    assert told.line("queues", "clock")["text"] == "that of the worker that takes from celery is as here"


def _worker(told: Told) -> str:
    return next(str(line["name"]) for line in told.lines if line["section"] == "workers")


def test_no_broker__is_named(site: Site) -> None:
    site.minimal(settings="DEBUG = False\nALLOWED_HOSTS = ['*']")
    told = doctor(site)
    assert (told.errors(), told.code) == (
        [("broker", "No broker is configured, and with DEBUG off there is no private one.")],
        1,
    )


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_refusing__is_named(site: Site, scheme: str) -> None:
    port = refusing_port()
    site.minimal(settings=f"CELERY_BROKER_URL = '{scheme}://me:secret@127.0.0.1:{port}//'")
    told = doctor(site)
    ((section, text),) = told.errors()
    assert (section, told.code) == ("broker", 1)
    assert text.startswith(f'The broker "{scheme}://me:**@127.0.0.1:{port}//" cannot be reached: ')


def test_refusing__backend_too(site: Site) -> None:
    port = refusing_port()
    site.minimal(settings=using(f"redis://127.0.0.1:{port}/0"))
    told = doctor(site)
    assert [(section, text.partition(" cannot be reached: ")[0]) for section, text in told.errors()] == [
        ("broker", f'The broker "redis://127.0.0.1:{port}/0"'),
        ("backend", f'The result backend "redis://127.0.0.1:{port}/0"'),
    ]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_silent__is_named_and_the_backend_is_still_asked(site: Site, scheme: str) -> None:
    with silent_port() as port:
        site.minimal(
            settings=f"CELERY_BROKER_URL = '{scheme}://127.0.0.1:{port}//'\nCELERY_RESULT_BACKEND = 'file://{site.root}'"
        )
        told = doctor(site)
    ((section, text),) = told.errors()
    assert (section, told.code) == ("broker", 1)
    assert text.startswith(f'The broker "{scheme}://127.0.0.1:{port}//" ')
    assert told.line("backend", "backend")["status"] == "ok"


def test_silent_backend__is_named_and_the_broker_is_still_asked(site: Site) -> None:
    with silent_port() as port:
        site.minimal(settings=f"CELERY_RESULT_BACKEND = 'redis://127.0.0.1:{port}/0'")
        site.start_worker()
        told = doctor(site)
    ((section, text),) = told.errors()
    assert (section, text) == ("backend", f'The result backend "redis://127.0.0.1:{port}/0" does not answer.')
    assert told.line("broker", "message")["text"] == "written and read"


def test_broker_that_falls_silent__is_named_in_time(site: Site) -> None:
    with redis_that_swallows(b"LPUSH", site.data) as port:
        site.minimal(settings=f"CELERY_BROKER_URL = 'redis://127.0.0.1:{port}/0'")
        told = doctor(site)
    (section, text), *_ = told.errors()
    assert section == "broker"
    assert text == f'The broker "redis://127.0.0.1:{port}/0" does not answer.'


def test_wrong_password__is_named(site: Site, tmp_path: Path) -> None:
    with started(Redis, tmp_path / "redis", user=("shop", "right", "~* &* +@all")) as server:
        site.minimal(settings=using(server.url.replace("right", "secret")))
        told = doctor(site)
    (_, broker), (_, backend) = told.errors()
    assert broker.startswith(f'The broker "redis://shop:**@127.0.0.1:{server.port}/0" refuses: ')
    assert backend.startswith(f'The result backend "redis://shop:**@127.0.0.1:{server.port}/0" refuses: ')
    assert "refuses the user or the password" in told.line("broker", "connected")["remedy"]


def test_tls_needed__is_named(site: Site, tmp_path: Path) -> None:
    with started(Redis, tmp_path / "redis", tls=True) as server:
        site.minimal(settings=f"CELERY_BROKER_URL = 'redis://127.0.0.1:{server.port}/0'")
        told = doctor(site)
    ((section, _),) = told.errors()
    assert section == "broker"
    assert "rediss://" in told.line("broker", "connected")["remedy"]


def test_read_only_replica__is_named(site: Site, redis_server: Redis, tmp_path: Path) -> None:
    with started(Redis, tmp_path / "replica") as replica:
        replica.client().replicaof("127.0.0.1", redis_server.port)
        site.minimal(settings=f"CELERY_BROKER_URL = {replica.url!r}")
        told = doctor(site)
    assert ("broker", told.line("broker", "message")["text"]) in told.errors()
    primary = f"127.0.0.1:{redis_server.port}"
    assert ("server", f"The server is a read-only replica of {primary}: nothing can be sent to it.") in told.errors()
    assert told.line("server", "role")["remedy"] == f"name the primary server in the settings: {primary}"


def test_full_memory__is_named(site: Site, redis_server: Redis) -> None:
    redis_server.client().config_set("maxmemory", "1mb")
    redis_server.client().config_set("maxmemory-policy", "noeviction")
    site.minimal(settings=f"CELERY_BROKER_URL = {redis_server.url!r}")
    told = doctor(site)
    assert told.line("server", "memory")["status"] == "error"
    assert told.line("server", "memory")["text"].endswith("it is full, and the server refuses every message.")
    assert told.line("broker", "message")["remedy"] == "free memory on that server, or raise its maxmemory"
    assert "workers" not in [line["section"] for line in told.lines]  # nobody can ask them


def test_no_worker__is_named(site: Site) -> None:
    site.minimal()
    told = doctor(site)
    assert told.errors() == [("workers", "No worker answers within 1 s: what is sent waits until one starts.")]


def test_worker_of_another_version__is_named(site: Site) -> None:
    site.minimal()
    tasks = site.root / "shop" / "tasks.py"
    before = tasks.read_text()
    tasks.write_text(before.replace("def note(", "def old("))
    site.start_worker()
    tasks.write_text(before)
    told = doctor(site)
    name = _worker(told)
    text = f"The worker {name} does not know shop.tasks.note, and throws such messages away."
    assert told.errors() == [("workers", text)]
    assert f"The worker {name} knows tasks that this process does not: shop.tasks.old." in told.text


def test_worker_on_another_database__is_named(site: Site, redis_server: Redis) -> None:
    site.minimal(settings="import os\n" + using("URL").replace("'URL'", "os.environ['URL']"))
    site.environment["URL"] = redis_server.url.replace("/0", "/3")
    site.start_worker("-n", "away@host")
    site.environment["URL"] = redis_server.url.replace("/0", "/1")
    told = doctor(site)
    ((section, text),) = told.errors()
    assert section == "workers"
    assert text == (
        "No worker answers on database 1, to which this process sends. Workers listen on database 3 (away@host)."
    )


def test_worker_without_remote_control__is_seen(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=using(redis_server.url, "CELERY_WORKER_ENABLE_REMOTE_CONTROL = False"))
    site.start_worker()
    told = doctor(site)
    assert told.errors() == []
    assert told.line("workers", "workers")["text"] == "No worker answers, but somebody takes messages from this broker."


@pytest.mark.parametrize("has_backend", [True, False])
def test_frozen_worker__is_an_error(site: Site, redis_server: Redis, has_backend: bool) -> None:
    url = redis_server.url
    site.minimal(settings=using(url) if has_backend else f"CELERY_BROKER_URL = {url!r}")
    worker = site.start_worker("-c", "1")
    wait_for(lambda: any(each["cmd"] == "brpop" for each in redis_server.client().client_list()))
    stop(worker.process.pid)
    try:
        told = doctor(site)
    finally:
        worker.process.send_signal(signal.SIGCONT)
    ((section, text),) = told.errors()
    assert section == "workers"
    assert text.startswith("No worker answers or takes a message, although somebody is connected to do so")


def test_worker_that_keeps_results_elsewhere__is_named(site: Site, redis_server: Redis) -> None:
    url = redis_server.url
    site.minimal(
        settings=f"import os\nCELERY_BROKER_URL = {url!r}\nCELERY_RESULT_BACKEND = {url[:-1]!r} + os.environ['DATABASE']"
    )
    site.environment["DATABASE"] = "5"
    site.start_worker()
    site.environment["DATABASE"] = "4"
    told = doctor(site)
    text = f'A worker has taken a message from the queue "celery", and its result is not in the result backend "{url[:-1]}4".'
    assert told.errors() == [("queues", text)]


def test_worker_that_drops_results__is_measured_all_the_same(site: Site) -> None:
    site.minimal(settings="CELERY_TASK_IGNORE_RESULT = True")
    site.start_worker()
    told = doctor(site)
    assert told.errors() == []
    assert is_measured(told.line("queues", "celery stopwatch"))


@pytest.mark.parametrize(("hours", "how"), [(1, "ahead of"), (-1, "behind")])
def test_worker_with_another_clock__is_named(site: Site, hours: int, how: str) -> None:
    site.minimal()
    skewed = """
        import datetime, os
        from celery import Celery, shared_task
        now = Celery.now
        Celery.now = lambda self: now(self) + datetime.timedelta(hours=int(os.environ["HOURS"]))

        @shared_task
        def add(x, y):
            return x + y
        """
    site.write("shop/tasks.py", skewed)
    site.environment["HOURS"] = str(hours)
    site.start_worker()
    site.environment["HOURS"] = "0"
    ((section, text),) = doctor(site).errors()
    assert section == "queues"
    assert text.startswith(f"The clock of the worker that takes from celery is 1 h {how} that of this machine.")


def test_queue_without_consumer__is_named(site: Site) -> None:
    site.minimal(settings="CELERY_TASK_ROUTES = {'shop.tasks.note': 'slow'}")
    site.start_worker()
    told = doctor(site)
    assert told.errors() == [("queues", 'No worker takes from the queue "slow", 0 waiting.')]
    assert "slow stopwatch" not in told.text


def test_many_queues_with_a_prefix__are_counted(site: Site, redis_server: Redis) -> None:
    more = "CELERY_TASK_CREATE_MISSING_QUEUES = True\nCELERY_TASK_ROUTES = {'shop.tasks.note': 'slow'}\n"
    site.minimal(
        settings=using(redis_server.url, more + "CELERY_BROKER_TRANSPORT_OPTIONS = {'global_keyprefix': 'p:'}")
    )
    redis_server.client().rpush("p:slow", "1", "2")
    redis_server.client().rpush("p:slow\x06\x163", "1")
    told = doctor(site)
    assert told.line("queues", "slow")["text"].endswith(", 3 waiting")
    assert told.line("queues", "celery")["text"].endswith(", 0 waiting")


def test_busy_worker__the_message_is_taken_back(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=using(redis_server.url))
    site.write(
        "shop/tasks.py", "import time\nfrom celery import shared_task\n\n@shared_task\ndef doze():\n    time.sleep(8)\n"
    )
    site.start_worker("-c", "1", "--prefetch-multiplier", "1")
    for _ in range(4):
        assert site.manage("enqueue", "doze").returncode == 0
    told = doctor(site)
    assert told.errors() == []
    text = 'A message to the queue "celery" has not been run in time: its workers are busy, or keep to a rate limit.'
    assert told.line("queues", "celery stopwatch")["text"] == text
    assert told.line("queues", "taken")["status"] == "ok"
    assert b"celery.accumulate" not in b"".join(redis_server.client().lrange("celery", 0, -1))


def test_beat__its_last_round_and_its_absence(site: Site) -> None:
    entry = "{'task': 'shop.tasks.add', 'schedule': 1, 'args': (1, 2)}"
    site.minimal(settings=f"CELERY_BEAT_SCHEDULE = {{'nightly': {entry}}}")
    site.start_worker()
    assert doctor(site).errors() == [("beat", "No beat is in charge: the entry is not sent.")]
    beat = site.start_manage("runbeat", "--noreload", "-l", "INFO")
    beat.wait_for_output("nightly")
    told = doctor(site)
    assert told.errors() == []
    assert f"(pid {beat.process.pid})" in told.line("beat", "in charge")["text"]
    assert told.line("beat", "last run")["text"].startswith("nightly, ")


def on_rabbitmq(server: RabbitMQ, site: Site) -> str:
    return f"CELERY_BROKER_URL = {server.url!r}\nCELERY_TASK_DEFAULT_QUEUE = 'q{site.root.name}'\n"


def test_rabbitmq__with_and_without_a_worker(site: Site, rabbitmq: RabbitMQ) -> None:
    site.minimal(settings=on_rabbitmq(rabbitmq, site) + f"CELERY_RESULT_BACKEND = 'file://{site.root}'")
    queue = f"q{site.root.name}"
    assert doctor(site).errors() == [
        ("workers", "No worker answers within 1 s: what is sent waits until one starts."),
        ("queues", f'No worker takes from the queue "{queue}", 0 waiting.'),
    ]
    site.start_worker()
    told = doctor(site)
    assert told.errors() == []
    assert told.line("queues", queue)["text"] == "1 consumer, 0 waiting"
    assert is_measured(told.line("queues", f"{queue} stopwatch"))
    assert [name for name in rabbitmq.lengths() if name.startswith("tasktools.doctor.")] == []


def test_rabbitmq__wrong_password(site: Site, rabbitmq: RabbitMQ) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = {rabbitmq.url.replace(':guest@', ':secret@')!r}")
    ((section, text),) = doctor(site).errors()
    assert section == "broker"
    assert "ACCESS_REFUSED" in text


def test_rabbitmq__that_takes_no_messages(site: Site, rabbitmq: RabbitMQ) -> None:
    """As in a memory alarm: it accepts what is sent, and confirms nothing."""
    site.minimal(settings=on_rabbitmq(rabbitmq, site))
    rabbitmq.control("set_vm_memory_high_watermark", "0")
    try:
        told = doctor(site)
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.6")
    (section, text), *_ = told.errors()
    assert section == "broker"
    assert text.startswith(f'The broker "{rabbitmq.url.replace(":guest@", ":**@")}" takes no messages: ')


def test_redis__the_doctor_leaves_nothing(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=using(redis_server.url))
    doctor(site)
    assert [key for key in redis_server.client().keys("*") if b"doctor" in key or b"celery-task-meta" in key] == []


def test_redis__without_backend_is_not_measured(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = {redis_server.url!r}")
    site.start_worker()
    told = doctor(site)
    assert told.errors() == []
    assert told.line("queues", "stopwatch")["text"] == "not measured: it needs a result backend"


def test_worker_that_was_killed__is_not_taken_for_one_that_listens(site: Site, redis_server: Redis) -> None:
    site.minimal(settings="import os\n" + using("URL").replace("'URL'", "os.environ['URL']"))
    site.environment["URL"] = redis_server.url.replace("/0", "/3")
    worker = site.start_worker()
    worker.end(signal.SIGKILL)
    site.environment["URL"] = redis_server.url
    assert doctor(site).errors() == [("workers", "No worker answers within 1 s: what is sent waits until one starts.")]


@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        ("time", "error", "No beat is in charge: the entry is not sent."),
        ("pttl", "warning", "Beat could not be asked for. The broker "),
    ],
)
def test_user_that_may_not_ask__for_beat(site: Site, tmp_path: Path, command: str, status: str, text: str) -> None:
    entry = "{'task': 'shop.tasks.add', 'schedule': 1, 'args': (1, 2)}"
    with started(Redis, tmp_path / "redis", user=("shop", "secret", f"~* &* +@all -{command}")) as server:
        site.minimal(settings=using(server.url, f"CELERY_BEAT_SCHEDULE = {{'nightly': {entry}}}"))
        line = doctor(site).line("beat", "in charge")
    assert (line["status"], line["text"][: len(text)]) == (status, text)
