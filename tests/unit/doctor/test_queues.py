from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers import listeners
from tasktools.doctor import databases, queues
from tasktools.doctor.queues import lines, oldest_taken, paused_lines
from tasktools.queues.depth import Depth
from tasktools.queues.pauses import Pause


@pytest.mark.parametrize(
    ("depth", "consumers", "status", "text"),
    [
        (Depth(waiting=1200), {"mails": 2}, "ok", "2 consumers, 1,200 waiting"),
        (Depth(waiting=0), {"mails": 1}, "ok", "1 consumer, 0 waiting"),
        (Depth(), {"mails": 1}, "ok", "1 consumer"),
        (Depth(waiting=3), {"celery": 1}, "error", 'No worker takes from the queue "mails", 3 waiting.'),
        (Depth(waiting=0), {"celery": 1}, "error", 'No worker takes from the queue "mails", 0 waiting.'),
        (Depth(waiting=3), {"mails": None}, "ok", "its consumers are not known, 3 waiting"),
        (Depth(waiting=3), None, "ok", "its consumers are not known, 3 waiting"),
        (Depth(waiting=3, consumers=0), {"mails": 1}, "error", 'No worker takes from the queue "mails", 3 waiting.'),
        (Depth(waiting=3, consumers=1), None, "ok", "1 consumer, 3 waiting"),
    ],
)
def test_lines__who_takes_from_a_queue(depth: Depth, consumers: Any, status: str, text: str) -> None:
    (line,) = lines(["mails"], ["mails"], {"mails": depth}, consumers)
    assert (line.status, line.name, line.text) == (status, "mails", text)
    assert ("-Q mails" in line.remedy) is (status == "error")


@pytest.mark.parametrize(("waiting", "status"), [(None, "warning"), (0, "warning"), (1, "error")])
def test_lines__of_a_queue_to_which_no_task_goes(waiting: int | None, status: str) -> None:
    (line,) = lines(["celery"], ["mails"], {"celery": Depth(waiting=waiting)}, {"mails": 1})
    assert line.status == status


def test_lines__a_paused_queue_has_a_line_of_its_own() -> None:
    assert list(lines(["mails"], ["mails"], {"mails": Depth(waiting=3)}, {"mails": 0}, {"mails"})) == []
    since = datetime(2030, 1, 31, 18, tzinfo=timezone.utc)
    pauses = [
        Pause(what="queue", name="mails", since=since, by="me@web1", reason="why"),
        Pause(what="task", name="add", since=since),
    ]
    depths = {"mails": Depth(waiting=3), "add": Depth(waiting=5)}
    queue, task = paused_lines(pauses, depths, timezone.utc)
    assert (queue.status, task.status) == ("warning", "warning")
    assert queue.text == 'The queue "mails" is paused since 2030-01-31 18:00:00 by me@web1: why, 3 waiting.'
    assert task.text == 'The task "add" is paused since 2030-01-31 18:00:00.'
    assert (queue.remedy, task.remedy) == ("manage.py resumequeue mails", "manage.py resumequeue --task add")


def test_lines__each_queue_in_order() -> None:
    assert [line.name for line in lines({"b", "a"}, (), {}, None)] == ["a", "b"]


class Keys:
    """The keys of a channel whose oldest message was taken at 1,000."""

    def __init__(self, *taken: Any) -> None:
        def asked(*what: Any) -> Any:
            return taken if what == ("full:index", 0, 0, True) else ()

        self.channel = SimpleNamespace(unacked_index_key="index")
        self.client = SimpleNamespace(zrange=lambda *words, withscores: asked(*words, withscores))

    def full(self, name: str) -> str:
        return f"full:{name}"


@pytest.mark.parametrize(("now", "status"), [(1000, "ok"), (4599, "ok"), (4600, "warning"), (900, "ok")])
def test_taken__is_late_after_the_visibility_timeout(now: float, status: str) -> None:
    line = oldest_taken(Keys((b"tag", 1000.0)), 3600, now)  # type: ignore[arg-type]
    assert line is not None
    assert line.status == status


def test_taken__its_age() -> None:
    line = oldest_taken(Keys((b"tag", 1000.0)), 3600, 1090)  # type: ignore[arg-type]
    assert line is not None
    assert line.text == "The oldest message that a worker has taken and not acknowledged is 1 min 30 s old"
    assert oldest_taken(Keys(), 3600, 1090) is None  # type: ignore[arg-type]


def test_names__those_that_are_declared_and_those_of_the_tasks() -> None:
    app: Any = SimpleNamespace(amqp=SimpleNamespace(queues={"celery": object()}))
    assert queues.names(app, {"a": "mails", "b": "", "c": "celery"}) == {"celery", "mails"}


def test_listening__the_databases_of_clients_that_wait() -> None:
    clients = [{"db": "3", "cmd": "brpop"}, {"db": "4", "cmd": "get"}, {"db": 5, "cmd": "BRPOP"}, {}]
    assert listeners.listening(clients) == {3, 5}
    assert listeners.listening(None) is None
    assert listeners.listening([]) == set()


def test_databases__are_named_with_their_workers() -> None:
    line = databases.line(1, {3: {"b@h", "a@h"}, 4: {"c@h"}})
    assert line.text == (
        "No worker answers on database 1, to which this process sends. "
        "Workers listen on database 3 (a@h, b@h); database 4 (c@h)."
    )


@pytest.mark.parametrize(("is_cheap", "depth"), [(True, Depth(waiting=7)), (False, Depth())])
def test_ask__where_a_look_is_billed_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, is_cheap: bool, depth: Depth
) -> None:
    found: Any = SimpleNamespace(connection="kombu's", is_cheap=is_cheap)

    def read(connection: Any, names: Any, into: dict[str, Depth]) -> None:
        assert connection == "kombu's"
        into.update(dict.fromkeys(names, Depth(waiting=7)))

    monkeypatch.setattr(queues, "read", read)
    depths = dict[str, Depth]()
    queues.ask(found, ["mails"], depths)
    assert depths == {"mails": depth}
