"""pausequeue and resumequeue keep what is paused, tell the workers, and say who has confirmed it."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.management import call_command

from tasktools.control import pause as use_case
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.control.workers import Look, Worker
from tasktools.exceptions import Unreachable
from tasktools.management import pause_options
from tasktools.queues import aside
from tasktools.queues.database_pauses import DatabasePauses
from tests.conftest import Ran
from tests.hostile import HOSTILE, active
from tests.servers import Redis
from tests.support import refusing_port, silent_port, wait_for

Run = Callable[..., Ran]
Fleet = Callable[..., str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Answering:
    """What a worker answers, and what it was told."""

    def __init__(self, *queues: str, ahead: float = 0.0) -> None:
        self.ahead = timedelta(seconds=ahead)
        self.told: list[dict[str, Any]] = []
        self.functions = {
            LOOK_AT_PAUSES: self.look,
            "active_queues": lambda: [{"name": each} for each in queues],
            "stats": dict,
            "active": list,
            "registered": list,
            "reserved": list,
            "scheduled": list,
        }

    def look(self, **told: Any) -> dict[str, Any]:
        self.told.append(told)
        return {"queues": [], "tasks": [], "now": (datetime.now(timezone.utc) + self.ahead).isoformat()}


def test_pause__is_kept_and_told(fleet: Fleet, typed: Run, server: Redis) -> None:
    one, two = Answering("celery", "mails"), Answering("celery")
    app = fleet(one=one.functions, two=two.functions)
    ran = typed("pausequeue", "-A", app, "mails", "celery", "mails", "--for", "30m", "--reason", "new database")
    assert ran.code == 0
    assert ran.err == "Confirmed by 2 workers: one@h, two@h.\nA worker that starts later knows it too.\n"
    head, *rows = ran.out.splitlines()
    assert head.split() == ["PAUSED", "WHAT", "SINCE", "UNTIL", "BY", "REASON"]
    assert [re.split(r"\s{2,}", row)[0] for row in rows] == ["mails", "celery"]
    assert rows[0].endswith("new database")
    [told] = one.told
    assert told["removed"] == []
    assert [(each["what"], each["name"]) for each in told["put"]] == [("queue", "mails"), ("queue", "celery")]
    assert two.told == one.told
    kept = {key.decode(): json.loads(value) for key, value in server.client().hgetall("tasktools:paused").items()}
    assert [kept.pop("queue:mails"), kept.pop("queue:celery")] == told["put"]
    assert not kept


def test_pause__by_json(fleet: Fleet, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause_options, "_who", lambda: "me@web1")
    app = fleet(one=Answering("celery").functions)
    document = json.loads(typed("pausequeue", "-A", app, "celery", "--json").out)
    [paused] = document.pop("paused")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)", paused.pop("since"))
    assert paused == {"what": "queue", "name": "celery", "until": None, "by": "me@web1", "reason": ""}
    assert document == {
        "resumed": [],
        "confirmed_by": ["one@h"],
        "failed": {},
        "silent": [],
        "more_silent": 0,
        "others_known": True,
    }
    listed = json.loads(typed("pausequeue", "-A", app, "--json").out)
    assert listed["paused"][0]["name"] == "celery"
    assert listed.keys() == {"paused"}


def test_pause__nothing_is_paused(fleet: Fleet, typed: Run) -> None:
    app = fleet()
    assert typed("pausequeue", "-A", app) == Ran("", "Nothing is paused.\n", 0)
    assert json.loads(typed("pausequeue", "-A", app, "--json").out) == {"paused": []}


def test_pause__without_a_worker_is_kept(fleet: Fleet, typed: Run) -> None:
    app = fleet()
    ran = typed("pausequeue", "-A", app, "celery")
    assert (ran.code, ran.err) == (0, "No worker answers.\nA worker that starts later knows it too.\n")
    assert "celery" in typed("pausequeue", "-A", app).out


def test_pause__workers_that_do_not_confirm_are_named(fleet: Fleet, typed: Run) -> None:
    other = {"active_queues": lambda: [{"name": "celery"}]}
    app = fleet(one=Answering("celery").functions, other=other, silent=None)
    ran = typed("pausequeue", "-A", app, "celery")
    assert ran.code == 3
    assert "Confirmed by 1 worker: one@h." in ran.err
    assert "silent@h has not confirmed within 2 s." in ran.err
    assert "other@h cannot pause and goes on: tasktools is not in use there" in ran.err
    document = json.loads(typed("pausequeue", "-A", app, "celery", "--json").out)
    assert (document["silent"], list(document["failed"])) == (["silent@h"], ["other@h"])


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (("mials",), '"mials" is paused, but nobody knows a queue of this name.', "did you mean mails?"),
        (
            ("--task", "shop.nosuch"),
            '"shop.nosuch" is paused, but nobody knows a task of this name.',
            "there are: ",
        ),
    ],
)
def test_pause__of_an_unknown_name_is_possible_with_a_warning(
    words: tuple[str, ...], sentence: str, hint: str, fleet: Fleet, typed: Run
) -> None:
    ran = typed("pausequeue", "-A", fleet(one=Answering("mails").functions), *words)
    assert ran.code == 0
    assert sentence in ran.err
    assert f"Hint: {hint}" in ran.err


def test_clocks__a_worker_for_which_the_pause_is_over_has_not_confirmed(fleet: Fleet, typed: Run) -> None:
    app = fleet(fast=Answering("celery", ahead=3600).functions, good=Answering("celery").functions)
    ran = typed("pausequeue", "-A", app, "celery", "--for", "30m")
    assert ran.code == 3
    assert "Confirmed by 1 worker: good@h." in ran.err
    assert "fast@h does not pause: its clock is about 1 h ahead of this one, past the end of --for." in ran.err
    ran = typed("pausequeue", "-A", app, "celery")
    assert (ran.code, "clock" in ran.err) == (0, False)


def test_clocks__a_worker_for_which_the_pause_is_over_has_answered(fleet: Fleet, typed: Run) -> None:
    app = fleet(fast=Answering("celery", ahead=3600).functions)
    ran = typed("pausequeue", "-A", app, "celery", "--for", "30m")
    assert "fast@h does not pause" in ran.err
    assert "No worker answers" not in ran.err


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (600, "ahead of this one: the pause ends so much earlier there."),
        (-600, "behind this one: the pause ends so much later there."),
        (2, ""),
    ],
)
def test_clocks__a_pause_that_ends_at_another_time_there_has_a_warning(
    ahead: float, words: str, fleet: Fleet, typed: Run
) -> None:
    app = fleet(one=Answering("celery", ahead=ahead).functions)
    ran = typed("pausequeue", "-A", app, "celery", "--for", "30m")
    assert ran.code == 0
    assert "Confirmed by 1 worker: one@h." in ran.err
    assert "The clock of one@h is " in ran.err if words else "clock" not in ran.err
    assert words in ran.err


def test_task__by_a_short_name(fleet: Fleet, typed: Run) -> None:
    worker = Answering("celery")
    app = fleet(one=worker.functions)
    ran = typed("pausequeue", "-A", app, "--task", "chord_unlock")
    assert (ran.code, worker.told[0]["put"][0]["name"]) == (0, "celery.chord_unlock")
    ran = typed("resumequeue", "-A", app, "--task", "unlock")
    assert ran.code == 4
    assert 'The task "unlock" is not paused.' in ran.err
    ran = typed("resumequeue", "-A", app, "--task", "chord_unlock")
    assert (ran.code, worker.told[1]["removed"][0]["name"]) == (0, "celery.chord_unlock")
    assert typed("pausequeue", "-A", app).err == "Nothing is paused.\n"


def test_task__that_nobody_knows_is_refused_unless_its_name_is_full(fleet: Fleet, typed: Run) -> None:
    worker = Answering("celery")
    app = fleet(one=worker.functions)
    ran = typed("pausequeue", "-A", app, "celery", "--task", "nope")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith('No task is called "nope".\nHint: ')
    assert "celery." not in ran.err
    assert worker.told == []
    ran = typed("pausequeue", "-A", app, "--task", "shop.nope")
    assert ran.code == 0
    assert '"shop.nope" is paused, but nobody knows a task of this name.' in ran.err
    assert "celery." not in ran.err


def test_resume__of_a_name_of_the_other_kind_has_a_hint(fleet: Fleet, typed: Run) -> None:
    app = fleet(one=Answering("celery").functions)
    typed("pausequeue", "-A", app, "mails", "--task", "chord_unlock")
    ran = typed("resumequeue", "-A", app, "chord_unlock")
    hint = "Hint: the task of this name is paused: manage.py resumequeue --task chord_unlock\n"
    assert (ran.code, ran.err.endswith(hint)) == (4, True)
    ran = typed("resumequeue", "-A", app, "--task", "mails")
    assert ran.err.endswith("Hint: the queue of this name is paused: manage.py resumequeue mails\n")
    ran = typed("resumequeue", "-A", app, "--all")
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == [
        "Resumed mails",
        "Resumed task celery.chord_unlock",
    ]


@pytest.mark.parametrize("words", [("--task", "chord_unlock"), ("--all",)])
@pytest.mark.parametrize("has_ended", [False, True])
def test_resume__brings_back_what_is_aside_although_the_pause_is_over(
    has_ended: bool, words: tuple[str, ...], fleet: Fleet, typed: Run, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, client = "celery.chord_unlock", server.client()
    app = fleet(one=Answering("mails").functions)
    client.lpush(aside.aside_name("bills", task), "one")
    client.sadd(aside.KEY, json.dumps(["bills", task]))
    if has_ended:
        typed("pausequeue", "-A", app, "--task", task, "--for", "0.01s")
        wait_for(lambda: typed("pausequeue", "-A", app).err == "Nothing is paused.\n")
    else:
        typed("pausequeue", "-A", app, "--task", task)
        with monkeypatch.context() as silent:
            silent.setattr(use_case, "tell", lambda *_, **__: use_case.Heard(silent=["two@h"]))
            assert typed("resumequeue", "-A", app, "--task", task).code == 3
    ran = typed("resumequeue", "-A", app, *words)
    text = f"Resumed task {task}: its pause was over, and messages were still aside.\n"
    assert (ran.code, ran.out) == (0, text)
    assert client.lrange("bills", 0, -1) == [b"one"]
    assert typed("resumequeue", "-A", app, "--all").err == "Nothing is paused: nothing was resumed.\n"


def test_table__a_pause_without_an_end_has_none(fleet: Fleet, typed: Run) -> None:
    app = fleet()
    typed("pausequeue", "-A", app, "mails", "--reason", "x" * 120)
    [_, row] = typed("pausequeue", "-A", app).out.splitlines()
    cells = re.split(r"\s{2,}", row)
    assert (cells[3], cells[5]) == ("-", "x" * 120)


def test_table__a_narrow_terminal_has_the_whole_reason_below(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app, screen, notes = fleet(), Terminal(), io.StringIO()
    why = "the service of the postmaster is down, and each mail would fail: ticket 4711"
    call_command("pausequeue", "mails", app=app, reason=why, stdout=io.StringIO(), stderr=io.StringIO())
    call_command("pausequeue", app=app, stdout=screen, stderr=notes)
    lines = screen.getvalue().splitlines()
    assert lines[1].split()[:2] == ["mails", "queue"]
    assert f"  REASON {why}" in lines
    assert "Not shown" not in notes.getvalue()


def test_resume__some_and_all(fleet: Fleet, typed: Run) -> None:
    worker = Answering("a", "b", "c")
    app = fleet(one=worker.functions)
    typed("pausequeue", "-A", app, "a", "b", "c")
    ran = typed("resumequeue", "-A", app, "a", "aa")
    assert ran.code == 4
    assert ran.err.endswith('The queue "aa" is not paused.\nHint: paused are: a, b, c\n')
    assert re.fullmatch(r"Resumed a: paused since \d{4}-\S+ \S+ by \S+\.\n", ran.out)
    assert [each["name"] for each in worker.told[1]["removed"]] == ["a"]
    document = json.loads(typed("resumequeue", "-A", app, "--all", "--json").out)
    assert [each["name"] for each in document["resumed"]] == ["b", "c"]
    assert (document["paused"], document["confirmed_by"]) == ([], ["one@h"])
    assert typed("resumequeue", "-A", app, "--all") == Ran("", "Nothing is paused: nothing was resumed.\n", 0)
    assert len(worker.told) == 3
    hint = "Hint: nothing is paused; manage.py showqueues shows what waits and who reads it\n"
    assert typed("resumequeue", "-A", app, "a") == Ran("", f'The queue "a" is not paused.\n{hint}', 4)
    typed("pausequeue", "-A", app, "--task", "chord_unlock")
    hint = "Hint: no queue is paused, but a task is: manage.py pausequeue shows what is paused\n"
    assert typed("resumequeue", "-A", app, "a").err == f'The queue "a" is not paused.\n{hint}'
    typed("resumequeue", "-A", app, "--all")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("resumequeue",), "Which queues?"),
        (("resumequeue", "a", "--all"), "Which queues?"),
        (("pausequeue", "--for", "5m"), "Which queue?"),
        (("pausequeue", "--reason", "why"), "Which queue?"),
        (("pausequeue", "a", "--for", "0"), '--for is "0".'),
        (("pausequeue", "a", "--for", "400d"), '--for is "400d".'),
        (("pausequeue", "a", "--for", "soon"), '"soon" is no duration.'),
        (("pausequeue", ""), '"" is no name.'),
        (("pausequeue", "a\udc80"), r'"a\udc80" is no name.'),
    ],
)
def test_usage__is_refused(words: tuple[str, ...], sentence: str, typed: Run) -> None:
    ran = typed(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(sentence)


def test_broker__does_not_answer(elsewhere: Callable[..., str], typed: Run) -> None:
    assert typed("pausequeue", "-A", elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0"), "a").code == 69
    with silent_port() as port:
        assert typed("resumequeue", "-A", elsewhere(broker_url=f"redis://127.0.0.1:{port}/0"), "a").code == 69


@pytest.mark.django_db
def test_other_brokers__keep_it_in_the_database_and_know_no_tasks(elsewhere: Callable[..., str], typed: Run) -> None:
    from tasktools.models import Paused

    app = elsewhere(broker_url="memory://")
    ran = typed("pausequeue", "-A", app, "celery", "--reason", "why")
    assert ran.code == 0
    assert "Whether other workers listen is not known: the broker does not say." in ran.err
    assert [(each.what, each.name, each.reason) for each in Paused.objects.all()] == [("queue", "celery", "why")]
    ran = typed("pausequeue", "-A", app, "--task", "chord_unlock")
    assert (ran.code, ran.err) == (
        2,
        "This broker cannot keep the messages of one task apart.\n"
        "Hint: pause its queue; --task needs Redis or Valkey, and a user that may use scripts (EVAL)\n",
    )
    assert typed("resumequeue", "-A", app, "celery").code == 0
    assert not Paused.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["pausequeue", "resumequeue"])
def test_other_brokers__a_database_that_is_silent_is_not_waited_for(
    command: str, elsewhere: Callable[..., str], typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "LIMIT", 0.2)
    monkeypatch.setattr(DatabasePauses, "_all", lambda _: threading.Event().wait(20))
    monkeypatch.setattr(DatabasePauses, "put", lambda *_: threading.Event().wait(20))
    ran = typed(command, "-A", elsewhere(broker_url="memory://"), "celery")
    assert ran.code == 69
    assert ran.err.startswith("The database, which keeps what is paused, does not answer.")


def test_others__are_not_known_if_the_broker_cannot_be_asked(
    fleet: Fleet, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Unreachable("away")

    monkeypatch.setattr(use_case, "presence", fail)
    app = fleet(one=Answering("celery").functions)
    ran = typed("pausequeue", "-A", app, "celery")
    assert ran.code == 0
    assert "Whether other workers listen is not known" in ran.err
    assert json.loads(typed("pausequeue", "-A", app, "celery", "--json").out)["others_known"] is False


def test_hostile__texts_of_others_are_escaped(fleet: Fleet, typed: Run) -> None:
    app = fleet(one=Answering("celery").functions)
    typed("pausequeue", "-A", app, "celery", "--reason", HOSTILE)
    ran = typed("pausequeue", "-A", app)
    assert not active(ran.out)
    assert not active(ran.err)


def test_marked__the_queues_of_workers(fleet: Fleet, typed: Run) -> None:
    app = fleet(one=Answering("mails", "celery").functions)
    typed("pausequeue", "-A", app, "mails")
    [worker] = json.loads(typed("showworkers", "-A", app, "--json").out)["workers"]
    assert (worker["queues"], worker["paused"]) == (["mails", "celery"], ["mails"])
    assert "celery, mails (paused)" in typed("showworkers", "-A", app).out
    found = {each["name"]: each for each in json.loads(typed("showqueues", "-A", app, "--json").out)["queues"]}
    assert found["celery"]["paused"] is None
    assert found["mails"]["paused"]["what"] == "queue"
    assert re.search(r"^mails .* paused", typed("showqueues", "-A", app).out, re.MULTILINE)
    assert "paused 0 s ago by " in re.sub(r"paused \d+", "paused 0", typed("showqueues", "-A", app, "-v", "2").out)


@pytest.mark.parametrize("command", ["showqueues", "showworkers"])
def test_looks__say_who_has_paused_what_when_and_why(command: str, fleet: Fleet, typed: Run) -> None:
    app = fleet(one=Answering("mails").functions)
    typed("pausequeue", "-A", app, "mails", "--for", "30m", "--reason", "new database")
    typed("pausequeue", "-A", app, "--task", "tests.site.tasks.total", "--reason", "service is down")
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    told = typed(command, "-A", app).err
    assert re.search(
        rf'^The queue "mails" is paused since {time} until {time} by \S+: new database\.$', told, re.MULTILINE
    )
    task = rf'^The task "tests\.site\.tasks\.total" is paused since {time} by \S+: service is down\.$'
    assert re.search(task, told, re.MULTILINE)
    ran = typed(command, "-A", app, "--json")
    assert "is paused" not in ran.err
    document = json.loads(ran.out)
    tasks = document["paused_tasks"] if command == "showqueues" else document["paused"]
    assert [each["reason"] for each in tasks if each["what"] == "task"] == ["service is down"]


def test_looks__say_of_a_queue_once_by_whom_it_is_paused(fleet: Fleet, typed: Run) -> None:
    app = fleet(one=Answering("mails").functions)
    typed("pausequeue", "-A", app, "mails")
    ran = typed("showqueues", "-A", app, "-v", "2")
    assert re.search(r"^mails .* paused \d+ s ago by ", ran.out, re.MULTILINE)
    assert "is paused" not in ran.err


def test_marked__not_where_it_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Unreachable("away")

    monkeypatch.setattr(use_case, "_kept", fail)
    seen = Look(workers=[Worker(name="one", state="online", queues=["a"])])
    assert use_case.marked("app", seen) is seen  # type: ignore[arg-type]
