"""A batch that is sent in part: what is said of it, and what is kept of it, is what the broker has."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from amqp.channel import Channel as AmqpChannel
from amqp.exceptions import RecoverableConnectionError
from celery import Celery, Task
from celery.signals import before_task_publish
from kombu import Producer
from kombu.exceptions import EncodeError
from kombu.transport.virtual import Channel

from tasktools import conf
from tasktools.arguments.call import Call
from tasktools.brokers.transactions import Mark
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ArgumentError, InDoubt, ProjectError, TasktoolsError, Unreachable
from tasktools.project import Project
from tasktools.publishing import batch
from tasktools.publishing.batch import Publisher, enqueue_many
from tasktools.publishing.one_by_one import Applier, Tally
from tests.conftest import Ran

Run = Callable[..., Ran]


class Second(Task):
    """Raises `error` for the argument 2, ahead of sending or after it; None for nothing."""

    abstract = True
    error: BaseException | None = ValueError("no such customer")
    after = False

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if args[0] != 2 or self.error is None:
            return super().apply_async(args, kwargs, **options)
        if self.after:
            super().apply_async(args, kwargs, **options)
        raise self.error


@pytest.fixture
def shop(tmp_path: Path, project: Project) -> Iterator[Celery]:
    """An app whose messages are files: no transactions."""
    folders = dict.fromkeys(["data_folder_in", "data_folder_out", "control_folder"], str(tmp_path / "messages"))
    (tmp_path / "messages").mkdir()
    made = Celery("partly", broker="filesystem://", set_as_current=False)
    made.conf.broker_transport_options = folders
    made.task(name="partly.add", base=Second, shared=False)(_add)
    project.found = Found(app=made)
    yield made
    made.close()


def _add(x: int) -> int:
    return x


def messages(tmp_path: Path) -> int:
    return len(list((tmp_path / "messages").glob("*.msg")))


@pytest.fixture
def enqueue(run_command: Run, tmp_path: Path) -> Run:
    (tmp_path / "calls.jsonl").write_text("[1]\n[2]\n[3]\n")

    def run(**options: Any) -> Ran:
        path = str(tmp_path / "calls.jsonl")
        return run_command("enqueue", "partly.add", from_file=path, ids=str(tmp_path / "ids"), **options)

    return run


ERRORS = [
    (ValueError("no such customer"), "partly.add could not be sent: ValueError: no such customer.", 2),
    (KeyError("europe"), "partly.add could not be sent: KeyError: 'europe'.", 2),
    (EncodeError("no JSON"), "partly.add could not be sent: EncodeError: no JSON.", 2),
    (ProjectError("It is not ready."), "It is not ready.", 2),
    (SystemExit("no licence"), "partly.add could not be sent: SystemExit: no licence.", 2),
]


@pytest.mark.parametrize(("error", "told", "code"), ERRORS, ids=[type(each[0]).__name__ for each in ERRORS])
@pytest.mark.parametrize("after", [False, True], ids=["unsent", "sent"])
def test_call_that_fails__is_named_and_what_was_sent_before_counts(
    enqueue: Run,
    shop: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    told: str,
    code: int,
    after: bool,
) -> None:
    monkeypatch.setattr(Second, "error", error)
    monkeypatch.setattr(Second, "after", after)
    done = enqueue()
    sent = 2 if after else 1
    assert messages(tmp_path) == sent
    assert len((tmp_path / "ids").read_text().split()) == sent
    assert done.err.startswith(f"{sent} sent in ")
    assert f" This is line 2. Nothing after line {sent} was sent." in done.err
    assert f"To go on: the same command with --start {sent + 1}" in done.err
    assert "in doubt" not in done.err
    if after:
        assert done.code == 1
        assert "partly.add was sent, and code of the project failed then: " in done.err
    else:
        assert done.code == code
        assert told in done.err


def test_error_of_tasktools_that_a_task_raises__keeps_what_was_sent(
    enqueue: Run, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Second, "error", ArgumentError("It is closed."))
    done = enqueue()
    assert done.code == 2
    assert done.err.startswith("1 sent in ")
    assert len((tmp_path / "ids").read_text().split()) == messages(tmp_path) == 1


def test_run_that_fails__goes_on_at_the_call_that_failed(
    enqueue: Run, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    name = f"run-{uuid.uuid4()}"
    assert enqueue(resume=name).code == 2
    monkeypatch.setattr(Second, "after", True)
    failed = enqueue(resume=name)
    assert f'The run "{name}" goes on after line 1.' in failed.err
    assert "in doubt" not in failed.err
    assert failed.code == 1
    monkeypatch.undo()
    project.found = Found(app=shop)
    assert enqueue(resume=name).code == 0
    assert messages(tmp_path) == 3
    assert len(set((tmp_path / "ids").read_text().split())) == 3


def test_broker_that_breaks_off__is_in_doubt_up_to_the_call_in_hand(
    enqueue: Run, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line 3 was not begun: nobody may be told to start after it."""
    monkeypatch.setattr(Second, "error", None)
    publish, calls = Channel.basic_publish, []

    def fail_second(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return publish(*args, **options) if len(calls) == 1 else _through("kombu.transport.some", OSError("gone"))

    monkeypatch.setattr(Channel, "basic_publish", fail_second)
    done = enqueue()
    assert done.code == 69
    assert "broke off: gone. Lines 1 to 2 are in doubt: whether they were sent cannot be known." in done.err
    assert "(CELERY_BROKER_URL, CELERY_RESULT_BACKEND). To go on: the same command with --start 3" in done.err
    assert len((tmp_path / "ids").read_text().split()) == 2


def test_interrupt__leaves_in_doubt_the_call_in_hand_alone(
    enqueue: Run, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Second, "error", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        enqueue()
    assert len((tmp_path / "ids").read_text().split()) == 2
    name = f"run-{uuid.uuid4()}"
    with pytest.raises(KeyboardInterrupt):
        enqueue(resume=name)
    mark = json.loads((conf.data_dir() / "runs" / f"{name}.json").read_text())
    assert (mark["line"], mark["begun"]) == ("1", "2")


def test_interrupt_before_anything_is_sent__leaves_no_ids(
    enqueue: Run, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasktools.publishing.append_file import Outputs

    add = Outputs.add

    def interrupted(*args: Any) -> None:
        add(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Outputs, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        enqueue()
    assert (tmp_path / "ids").read_text() == ""


def _through(module: str, error: BaseException) -> Any:
    """Raise `error` in code that seems to stand in a module of this name."""
    scope = {"__name__": module, "error": error}
    exec("def fail():\n    raise error\n", scope)
    return scope["fail"]()


class Batching(Producer):
    """A producer, as of kombu 5.7, that gathers what is published."""

    supports_batch_publish = True
    held = flushed = 0

    def publish(self, *args: Any, **options: Any) -> None:
        self.held += 1

    @contextlib.contextmanager
    def batch(self, max_size: int) -> Iterator[Batching]:
        yield self
        self.flush()

    def flush(self) -> None:
        self.flushed, self.held = self.flushed + self.held, 0


def test_batch_of_kombu__is_flushed_before_the_error_of_a_call_goes_on(shop: Any) -> None:
    producer, tally = Batching(Publisher(shop).open(), auto_declare=False), Tally()
    applier = Applier(shop, producer, (OSError,), Publisher(shop).declined)
    calls = [Call(task="partly.add", args=(n,)) for n in (1, 2, 3)]
    with pytest.raises(ProjectError, match="no such customer"):
        applier.each(calls, ["a", "b", "c"], tally, applier.apply)
    assert (producer.flushed, producer.held) == (1, 0)
    assert tally == Tally(sent=1, begun=1, failed=1)


@pytest.mark.parametrize(
    ("module", "error", "caught"),
    [
        ("amqp.channel", RecoverableConnectionError("gone"), InDoubt),
        ("kombu.transport.some", OSError("gone"), InDoubt),
        ("kombu.transport.some", TypeError("not JSON"), ProjectError),
        ("shop.routers", OSError("gone"), ProjectError),
    ],
)
def test_error__is_the_broker_s_by_class_and_by_place(
    shop: Any, monkeypatch: pytest.MonkeyPatch, module: str, error: Exception, caught: type[TasktoolsError]
) -> None:
    assert AmqpChannel.__module__ == "amqp.channel"  # py-amqp publishes with no code of kombu.transport in between
    errors = [*Publisher(shop).open().connection_errors, RecoverableConnectionError]
    monkeypatch.setattr("kombu.connection.Connection.connection_errors", tuple(errors))
    monkeypatch.setattr(Producer, "publish", lambda *_, **__: _through(module, error))
    with pytest.raises(TasktoolsError) as found:
        list(enqueue_many(shop, [Call(task="partly.add", args=(1,))]))
    assert type(found.value) is caught


@pytest.fixture
def server(app: Any) -> Path:
    """The socket of the private Valkey, which runs."""
    with app.connection_for_write() as connection:
        connection.default_channel.client.ping()
    return conf.data_dir() / "valkey.sock"


@pytest.fixture
def client(server: Path) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(server), db=9) as made:
        made.flushdb()
        yield made
        made.flushdb()


@pytest.fixture
def stock(server: Path, client: redis.Redis, project: Project) -> Iterator[Celery]:
    """An app on an empty database of the private Valkey."""
    made = Celery("stock", broker=f"redis+socket://{server}?virtual_host=9", set_as_current=False)
    made.task(name="partly.add", shared=False)(_add)
    project.found = Found(app=made)
    yield made
    made.close()


def mixed(tmp_path: Path, *queues: str) -> str:
    path = tmp_path / "mixed.jsonl"
    lines = ({"task": "partly.add", "args": [1], "options": {"queue": queue}} for queue in queues)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


@pytest.fixture
def reports(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the key "reports" hold a string when a batch goes out: kombu looks at a queue only when it is declared."""
    transact = batch.transact

    def spoil(keys: Any, outgoing: Any, mark: Any) -> None:
        if "reports" in outgoing.lists:
            client.set("reports", "text")
        transact(keys, outgoing, mark)

    monkeypatch.setattr(batch, "transact", spoil)


@pytest.mark.parametrize("resume", [None, "run"])
def test_queue_that_is_no_list__the_rest_of_the_batch_is_known_to_be_sent(
    run_command: Run, stock: Any, client: redis.Redis, reports: None, tmp_path: Path, resume: str | None
) -> None:
    ids = tmp_path / "ids"
    done = run_command("enqueue", from_file=mixed(tmp_path, "celery", "reports"), ids=str(ids), resume=resume)
    assert done.code == 69
    assert client.llen("celery") == 1, done.err
    assert "refuses: WRONGTYPE" in done.err
    assert (
        'What was for "reports" was not sent, the rest of this batch was. It is made of the lines 1 to 2.' in done.err
    )
    assert "not at all" not in done.err
    assert len(ids.read_text().split()) == 2
    if resume:
        again = run_command("enqueue", from_file=mixed(tmp_path, "celery", "reports"), resume=resume)
        assert again.code == 0
        assert client.llen("celery") == 1


def test_queue_that_is_no_list__moves_no_mark_when_nothing_else_is_sent(
    run_command: Run,
    stock: Any,
    client: redis.Redis,
    reports: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    project: Project,
) -> None:
    path, ids = mixed(tmp_path, "celery", "reports"), tmp_path / "ids"
    words = {"from_file": path, "ids": str(ids), "resume": "run", "batch_size": "1"}
    done = run_command("enqueue", **words)
    assert done.code == 69
    assert "refuses: WRONGTYPE" in done.err
    assert "This batch was not sent." in done.err
    assert client.hget("tasktools:run:run", "line") == b"1"
    assert len(ids.read_text().split()) == 1
    monkeypatch.undo()
    project.found = Found(app=stock)
    client.delete("reports")
    assert run_command("enqueue", **words).code == 0
    assert (client.llen("celery"), client.llen("reports")) == (1, 1)
    assert len(ids.read_text().split()) == 2


def test_queue_that_is_no_list_from_the_beginning__is_refused(
    run_command: Run, stock: Any, client: redis.Redis, tmp_path: Path
) -> None:
    client.set("reports", "text")
    done = run_command("enqueue", from_file=mixed(tmp_path, "celery", "reports"))
    assert done.code == 69
    assert " refuses: " in done.err
    assert "This batch was not sent." in done.err
    assert client.llen("celery") == 0


def test_header_that_cannot_be_sent__is_the_project_s_fault(
    run_command: Run, stock: Any, client: redis.Redis, tmp_path: Path
) -> None:
    def receive(headers: dict[str, Any], **_: Any) -> None:
        headers["tenant"] = object()

    before_task_publish.connect(receive)
    try:
        done = run_command("enqueue", from_file=mixed(tmp_path, "celery", "celery"))
    finally:
        before_task_publish.disconnect(receive)
    assert done.code == 2
    assert "partly.add could not be sent: TypeError: Object of type object is not JSON serializable." in done.err
    assert "Nothing after line 0 was sent." in done.err
    assert client.llen("celery") == 0


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("task_routes", ("nosuch.module.route",), "partly.add could not be sent: "),
        ("result_backend", "nosuch://", 'The result backend "nosuch://" cannot be used: '),
    ],
)
def test_setting_that_cannot_be_read__is_the_project_s_fault(
    run_command: Run, stock: Any, tmp_path: Path, setting: str, value: Any, sentence: str
) -> None:
    stock.conf[setting] = value
    done = run_command("enqueue", from_file=mixed(tmp_path, "celery"))
    assert done.code == 2
    assert sentence in done.err


@pytest.mark.parametrize("error", [redis.exceptions.ConnectionError("gone"), redis.exceptions.TimeoutError("slow")])
def test_mark_that_cannot_be_written_alone__is_the_broker_s_fault(
    run_command: Run, stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(keys: Any, outgoing: Any, mark: Any) -> None:
        if not outgoing.lists:
            raise error
        transact(keys, outgoing, mark)

    transact = batch.transact
    monkeypatch.setattr(batch, "transact", fail)
    done = run_command("enqueue", from_file=mixed(tmp_path, "celery"), resume="run")
    assert done.code == 69
    assert f"broke off: {error}. All lines are done with; whether the run is marked as complete" in done.err
    assert done.err.startswith("1 sent in ")
    with Publisher(stock) as publisher, pytest.raises(Unreachable, match="broke off"):
        publisher.write(Mark(key="k", values={"line": "1"}))
