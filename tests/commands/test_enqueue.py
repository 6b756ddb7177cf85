from __future__ import annotations

import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from celery import Task
from django.contrib.contenttypes.models import ContentType

from tasktools import startup
from tasktools.brokers import broker_of
from tasktools.brokers.base import Trace
from tasktools.exceptions import ProjectError, Unreachable
from tasktools.management import awaiting, result_output
from tasktools.publishing import single
from tasktools.queues import position
from tests.conftest import Ran
from tests.support import Running, Site, refusing_port, silent_port

Run = Callable[..., Ran]

TOTAL = "tests.site.tasks.total is called with (x: int, y: int = 2, *, factor: float = 1.0)"


pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def eager(app: Any) -> Iterator[Any]:
    app.conf.task_always_eager = True
    yield app
    app.conf.task_always_eager = app.conf.task_eager_propagates = False


def message_in(app: Any, queue: str) -> Any:
    """Take the one message of a queue."""
    with broker_of(app).publishing_connection(5) as connection:
        message = connection.default_channel.basic_get(queue, no_ack=True)
        assert connection.default_channel.basic_get(queue, no_ack=True) is None
    return message


def refused(done: Ran, sentence: str, hint: str) -> None:
    assert (done.out, done.err, done.code) == ("", f"{sentence}\nHint: {hint}", 2)


# What a call prints.


def test_enqueue__prints_the_id_alone(app: Any, run_command: Run, queue: str) -> None:
    done = run_command("enqueue", "echo", "1", "--queue", queue)
    assert (done.err, done.code) == ("", 0)
    assert str(uuid.UUID(done.out.strip())) + "\n" == done.out
    assert position.find(broker_of(app), [done.out.strip()]).traces == {
        done.out.strip(): Trace(place="queued", queue=queue, task="tests.site.tasks.echo", position=1)
    }


def test_enqueue__json(run_command: Run, queue: str) -> None:
    done = run_command("enqueue", "echo", "1", "--queue", queue, "--json", "--task-id", "my id")
    assert (done.out, done.err, done.code) == ('{"id": "my id", "task": "tests.site.tasks.echo"}\n', "", 0)


def test_word_that_looks_like_a_keyword__is_text_after_two_dashes(run_command: Run) -> None:
    done = run_command("enqueue", "echo", "vlue=1", "--dry-run")
    assert (done.out, done.code) == ("", 2)
    assert done.err.splitlines() == [
        '"vlue=1" names no parameter of tests.site.tasks.echo.',
        "Hint: did you mean value=...? (value) is what it takes; as text, write it after two dashes: -- vlue=1",
    ]
    done = run_command("enqueue", "echo", "--dry-run", "--", "vlue=1")
    assert json.loads(done.out)["args"] == ["vlue=1"]


def test_words_after_two_dashes__are_plain_text(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        single, "prepare", lambda app, name, words, **options: seen.extend([name, *words]) or {}["stop"]
    )
    with pytest.raises(KeyError):
        typed("enqueue", "--", "echo", "a=b")
    assert type(seen[0]) is str


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("tasks.total", "1", "2"), "3.0\n"),
        (("tests.site.tasks.total", "x=3", "factor=2"), "10.0\n"),
        (("elsewhere.total",), "another\n"),
        (("echo", "007"), "007\n"),
        (("echo", '{"a": [1]}'), '{"a": [1]}\n'),
        (("echo", "-5"), "-5\n"),
        (("nothing",), "null\n"),
        (("gather", "1", "2", "a=b"), '[[1, 2], {"a": "b"}]\n'),
        (("echo", "--args", "[[1, 2]]"), "[1, 2]\n"),
        (("echo", "--kwargs", '{"value": "grün"}'), "grün\n"),
        (("bound", "word"), "tests.site.tasks.bound word\n"),
    ],
)
def test_wait__prints_exactly_the_result(
    worker: Running, run_command: Run, words: tuple[str, ...], printed: str
) -> None:
    done = run_command("enqueue", *words, "--wait", "--timeout", "60s")
    assert (done.out, done.code) == (printed, 0), done.err
    assert re.fullmatch(r"[0-9a-f-]{36} (tests\.site\.tasks|elsewhere)\.\w+\n", done.err)


def test_wait__every_type_arrives_as_it_was_meant(worker: Running, run_command: Run) -> None:
    key, at = "00000000-0000-0000-0000-000000000001", "2030-01-31T18:00+01:00"
    words = ["007", "7", "yes", "1.10", key, "2030-01-31", at, "colour=BLUE", "size=3", "items=[1, 2]"]
    done = run_command("enqueue", "typed", *words, "--wait", "--timeout", "60s")
    zone = "datetime.timezone(datetime.timedelta(seconds=3600))"
    assert done.out == (
        f"('007', 7, True, Decimal('1.10'), UUID('{key}'), datetime.date(2030, 1, 31), "
        f"datetime.datetime(2030, 1, 31, 18, 0, tzinfo={zone}), 'b', 3, [1, 2])\n"
    )


def test_wait__options_may_stand_anywhere(worker: Running, run_command: Run) -> None:
    done = run_command("enqueue", "--wait", "tasks.total", "1", "--timeout", "60s", "5")
    assert (done.out, done.code) == ("6.0\n", 0), done.err


def test_wait__json_tells_the_whole_outcome(worker: Running, run_command: Run) -> None:
    done = run_command("enqueue", "tasks.total", "1", "--wait", "--timeout", "60s", "--json", "--task-id", "as json")
    outcome = json.loads(done.out)
    assert datetime.fromisoformat(outcome.pop("date_done")).utcoffset() is not None
    assert outcome.pop("worker").startswith("celery@")
    assert outcome == {
        "id": "as json",
        "state": "SUCCESS",
        "result": 3.0,
        "error": None,
        "traceback": None,
        "task": "tests.site.tasks.total",
        "retries": 0,
        "place": None,
        "queue": None,
        "position": None,
        "paused": False,
        "started": None,
        "eta": None,
        "parent": None,
    }


def test_wait__a_task_that_fails(worker: Running, run_command: Run) -> None:
    done = run_command("enqueue", "fail", "all is lost", "--wait", "--timeout", "60s", "--task-id", "fails")
    assert (done.out, done.code) == ("", 1)
    assert done.err.splitlines() == [
        "fails tests.site.tasks.fail",
        "fails (tests.site.tasks.fail) failed: ValueError: all is lost",
        "Hint: manage.py taskresult fails --traceback",
    ]


def test_wait__a_task_that_fails_with_its_remote_traceback(worker: Running, run_command: Run) -> None:
    done = run_command("enqueue", "fail", "--wait", "--timeout", "60s", "--task-id", "traced", traceback=True)
    lines = done.err.splitlines()
    assert (done.out, done.code) == ("", 1)
    assert lines[:2] == ["traced tests.site.tasks.fail", "Traceback (most recent call last):"]
    assert lines[-3:] == [
        "    raise ValueError(message)",
        "ValueError: broken",
        "traced (tests.site.tasks.fail) failed: ValueError: broken",
    ]


def test_wait__a_task_that_fails_as_json(worker: Running, typed: Run) -> None:
    done = typed("enqueue", "fail", "--wait", "--timeout", "60s", "--json", "--task-id", "fails as json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["result"]) == ("FAILURE", None)
    assert outcome["error"] == {"type": "ValueError", "message": "broken"}
    assert outcome["traceback"].endswith("ValueError: broken\n")
    assert json.loads(done.err.splitlines()[-1]) == {
        "error": "fails as json (tests.site.tasks.fail) failed: ValueError: broken",
        "hint": "manage.py taskresult fails as json --traceback",
    }
    assert done.code == 1


def test_wait__a_result_that_json_cannot_carry(worker: Running, run_command: Run) -> None:
    done = run_command("enqueue", "unsendable", "--wait", "--timeout", "60s", "--task-id", "unsendable")
    assert (done.out, done.code) == ("", 1)
    sentence, hint = done.err.splitlines()[1:]
    assert sentence.startswith("unsendable (tests.site.tasks.unsendable) failed: EncodeError: ")
    assert "Object of type object is not JSON serializable" in sentence
    assert hint == (
        "Hint: return plain values (numbers, text, lists, dictionaries), or set another CELERY_RESULT_SERIALIZER"
    )


def test_wait__a_task_that_was_revoked(worker: Running, run_command: Run, app: Any) -> None:
    assert app.control.revoke("revoked at once", reply=True, timeout=30, limit=1)
    done = run_command("enqueue", "echo", "1", "--wait", "--timeout", "60s", "--task-id", "revoked at once")
    assert (done.out, done.code) == ("", 1)
    (sentence,) = done.err.splitlines()[1:]
    # The worker notes it once as told, and once more, with the task's name, when the message comes.
    assert re.fullmatch(r"revoked at once( \(tests\.site\.tasks\.echo\))? was revoked\.", sentence)


def test_wait__in_a_queue_that_nobody_reads(worker: Running, run_command: Run, queue: str) -> None:
    done = run_command("enqueue", "echo", "1", "--queue", queue, "--wait", "--timeout", "1s", "--task-id", "unread")
    assert (done.out, done.code) == ("", 3)
    assert done.err.splitlines() == [
        "unread tests.site.tasks.echo",
        f'unread (tests.site.tasks.echo) is PENDING after 1 s: it waits at position 1 of the queue "{queue}".',
        f"Hint: is a worker running (manage.py runworker -Q {queue})? Ask again: manage.py taskresult unread --wait",
    ]


def test_wait__as_json_not_finished_in_time(typed: Run, queue: str) -> None:
    sent = "too late (tests.site.tasks.echo)"
    words = ("--queue", queue, "--wait", "--timeout", "0", "--task-id", "too late", "--json")
    done = typed("enqueue", "echo", "1", *words)
    assert (json.loads(done.out)["state"], done.code) == ("PENDING", 3)
    place = f'it waits at position 1 of the queue "{queue}"'
    assert json.loads(done.err.splitlines()[-1])["error"] == f"{sent} is PENDING after 0 s: {place}."


def test_wait__as_json_whose_broker_is_away_meanwhile_names_no_queue(
    typed: Run, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows where it has sent the task. Nobody has found it there."""

    def fail(*_: Any, **__: Any) -> Any:
        raise Unreachable("The broker is away.")

    monkeypatch.setattr(result_output, "locate", fail)
    done = typed("enqueue", "add", "2", "2", "--queue", queue, "--wait", "--timeout", "0.1s", "--json")
    found = json.loads(done.out)
    assert (found["state"], found["place"], found["queue"]) == ("PENDING", None, None)
    assert "The broker is away." in done.err


def test_wait__says_after_a_moment_what_it_waits_for(
    worker: Running, run_command: Run, queue: str, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was silent until its limit."""
    monkeypatch.setattr(awaiting, "PATIENCE", 0.0)
    monkeypatch.setattr(awaiting, "MOST", 0.0)
    done = run_command("enqueue", "nothing", "--queue", queue, "--wait", "--timeout", "2s")
    [_, waiting, *_] = done.err.splitlines()
    assert waiting == (
        f'Waiting: the task is in the queue "{queue}" of {broker_of(app).uri()}; '
        f"no worker answers that takes from it (manage.py runworker -Q {queue} starts one; "
        "a busy one of the solo pool does not answer)."
    )


def test_wait__interrupted(suite_site: Site, queue: str) -> None:
    words = ("enqueue", "echo", "1", "--wait", "--timeout", "1m", "--queue", queue)
    waiting = suite_site.start(sys.executable, "-m", "django", *words)
    waiting.wait_for_output(" tests.site.tasks.echo")
    assert waiting.end(signal.SIGINT) == 130
    assert "Traceback" not in waiting.output
    assert "The task goes on. Ask again: manage.py taskresult " in waiting.output


# What it sends.


@pytest.mark.parametrize(
    ("words", "spread"),
    [(("--countdown", "1h30m"), timedelta(minutes=90)), (("--countdown", "90"), timedelta(seconds=90))],
)
def test_countdown__is_a_duration(
    run_command: Run, app: Any, queue: str, words: tuple[str, ...], spread: timedelta
) -> None:
    before = datetime.now(timezone.utc)
    assert run_command("enqueue", "echo", "1", "--queue", queue, *words).code == 0
    eta = datetime.fromisoformat(message_in(app, queue).headers["eta"])
    assert before + spread <= eta <= datetime.now(timezone.utc) + spread


@pytest.mark.parametrize("typed_time", ["2050-01-31T18:00", "2050-01-31 18:00:00", "2050-01-31T12:00-05:00"])
def test_eta__without_offset_is_in_the_project_s_time_zone(
    run_command: Run, app: Any, queue: str, typed_time: str
) -> None:
    assert run_command("enqueue", "echo", "1", "--queue", queue, "--eta", typed_time).code == 0
    eta = datetime.fromisoformat(message_in(app, queue).headers["eta"])
    assert eta == datetime(2050, 1, 31, 17, 0, tzinfo=timezone.utc)


def test_expires__is_a_duration(run_command: Run, app: Any, queue: str) -> None:
    before = datetime.now(timezone.utc)
    assert run_command("enqueue", "echo", "1", "--queue", queue, "--expires", "5m").code == 0
    expires = datetime.fromisoformat(message_in(app, queue).headers["expires"])
    assert before + timedelta(minutes=5) <= expires <= datetime.now(timezone.utc) + timedelta(minutes=5)


def test_expires__is_a_time(run_command: Run, app: Any, queue: str) -> None:
    assert run_command("enqueue", "echo", "1", "--queue", queue, "--expires", "2050-01-31T18:00").code == 0
    expires = datetime.fromisoformat(message_in(app, queue).headers["expires"])
    assert expires == datetime(2050, 1, 31, 17, 0, tzinfo=timezone.utc)


def test_priority_and_ignore_result__are_handed_on(run_command: Run, app: Any, queue: str) -> None:
    done = run_command("enqueue", "echo", "1", "--queue", queue, "--priority", "0", "--ignore-result")
    message = message_in(app, queue)
    assert message.properties["priority"] == 0
    assert (message.headers["ignore_result"], message.headers["id"]) == (True, done.out.strip())


def test_unregistered__sends_the_name_as_it_is(run_command: Run, app: Any, queue: str) -> None:
    words = ("their.app.add", "2", "x", "k=[1]", "--unregistered", "--queue", queue, "--task-id", "theirs")
    assert run_command("enqueue", *words) == Ran("theirs\n", "", 0)
    message = message_in(app, queue)
    assert (message.headers["id"], message.headers["task"]) == ("theirs", "their.app.add")
    assert message.decode()[:2] == [[2, "x"], {"k": [1]}]


def test_dry_run__prints_the_call_and_sends_nothing(run_command: Run, app: Any, queue: str) -> None:
    words = ("--queue", queue, "--task-id", "dry", "--countdown", "1h30m", "--priority", "3", "--expires", "5m")
    done = run_command("enqueue", "tasks.total", "1", "factor=2", *words, "--dry-run")
    assert (done.err, done.code) == ("", 0)
    assert json.loads(done.out) == {
        "task": "tests.site.tasks.total",
        "args": [1],
        "kwargs": {"factor": 2.0},
        "options": {"queue": queue, "countdown": 5400.0, "expires": 300.0, "priority": 3, "task_id": "dry"},
    }
    assert message_in(app, queue) is None


def test_dry_run__needs_no_broker(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0")
    done = run_command("enqueue", "-A", name, "echo", "1", "--dry-run", "--eta", "2050-07-31T18:00")
    assert json.loads(done.out)["options"] == {"eta": "2050-07-31T18:00:00Z"}
    assert (done.err, done.code) == ("", 0)


@pytest.mark.parametrize("words", [("echo", "1", "--dry-run"), ("echo", "--from", "{}", "--check")])
def test_serializer__that_no_worker_accepts(
    run_command: Run, elsewhere: Callable[..., str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("[1]\n")
    name = elsewhere(broker_url="memory://", task_serializer="pickle")
    done = run_command("enqueue", "-A", name, *(word.format(lines) for word in words))
    assert done.err.splitlines() == [
        'No worker of this project reads tests.site.tasks.echo: the serializer is "pickle", and json is accepted.',
        'Hint: CELERY_ACCEPT_CONTENT = ["json", "pickle"], or choose a serializer that is accepted',
    ]
    assert (done.out, done.code) == ("", 2)


def test_serializer__that_another_project_s_workers_may_accept(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", task_serializer="pickle")
    done = run_command("enqueue", "-A", name, "echo", "1", "--dry-run", "--unregistered")
    assert (done.err, done.code) == ("", 0)


def test_dry_run__of_what_celery_does_not_check(run_command: Run, elsewhere: Callable[..., str]) -> None:
    class Post(Task):
        name = "shop.post"

        def run(self, word: str) -> None: ...

    name = elsewhere(broker_url="memory://")
    sys.modules[name.partition(":")[0]].app.register_task(Post())
    done = run_command("enqueue", "-A", name, "post", "a", "b", "--dry-run")
    assert json.loads(done.out)["args"] == ["a", "b"]
    assert done.err == "shop.post takes (word: str): too many positional arguments. Celery does not check it.\n"
    assert done.code == 0


def test_words__behind_two_dashes_look_like_options(run_command: Run) -> None:
    done = run_command("enqueue", "--dry-run", "gather", "--", "-5", "-1")
    assert json.loads(done.out)["args"] == [-5, -1]


# task_always_eager.


def test_eager__the_task_runs_here(eager: Any, run_command: Run) -> None:
    done = run_command("enqueue", "tasks.total", "1", "--wait", "--task-id", "eager")
    assert (done.out, done.code) == ("3.0\n", 0)
    assert done.err.splitlines() == [
        "task_always_eager is set: the task ran here, no worker was asked.",
        "eager tests.site.tasks.total",
    ]


def test_eager__without_wait_the_id(eager: Any, run_command: Run) -> None:
    done = run_command("enqueue", "pid", "--task-id", "eager")
    assert done == Ran("eager\n", "task_always_eager is set: the task ran here, no worker was asked.\n", 0)


def test_eager__runs_in_this_process(eager: Any, run_command: Run) -> None:
    assert run_command("enqueue", "pid", "--wait").out == f"{os.getpid()}\n"


def test_eager__a_task_that_fails(eager: Any, run_command: Run) -> None:
    done = run_command("enqueue", "fail", "--wait", "--task-id", "eager")
    assert (done.out, done.code) == ("", 1)
    assert done.err.splitlines()[2] == "eager failed: ValueError: broken"


def test_eager__a_task_that_fails_is_not_hinted_at_a_result_that_nobody_keeps(eager: Any, run_command: Run) -> None:
    done = run_command("enqueue", "fail", "--wait", "--task-id", "eager")
    assert "taskresult" not in done.err


def test_eager__a_task_whose_exception_is_handed_on(eager: Any, run_command: Run) -> None:
    eager.conf.task_eager_propagates = True
    done = run_command("enqueue", "fail", "all is lost", "--wait")
    assert done == Ran("", "tests.site.tasks.fail ran here and failed: ValueError: all is lost", 1)


def test_eager__needs_neither_broker_nor_result_backend(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(task_always_eager=True, broker_url="memory://", result_backend="disabled://")
    done = run_command("enqueue", "-A", name, "echo", "1", "--wait")
    assert (done.out, done.code) == ("1\n", 0), done.err


# What was typed is wrong.


def test_usage__no_name(typed: Run) -> None:
    done = typed("enqueue")
    assert (done.out, done.code) == ("", 2)
    assert done.err == ("No task is named.\nHint: manage.py enqueue NAME; manage.py showtasks lists the names\n")


def test_usage__an_unknown_option(typed: Run) -> None:
    done = typed("enqueue", "echo", "1", "--bogus")
    assert (done.out, done.code) == ("", 2)
    assert done.err == "Unrecognized arguments: --bogus.\nHint: manage.py enqueue --help\n"


@pytest.mark.parametrize("words", [(), ("echo", "1", "--bogus"), ("echo", "1", "--queue")])
def test_usage__errors_are_json_too(typed: Run, words: tuple[str, ...]) -> None:
    done = typed("enqueue", "--json", *words)
    assert (done.out, done.code) == ("", 2)
    assert set(json.loads(done.err)) == {"error", "hint"}


def test_usage__called_from_code_without_a_name(run_command: Run) -> None:
    assert run_command("enqueue").code == 2


@pytest.mark.parametrize(
    ("name", "sentence", "hint"),
    [
        ("snoze", 'No task is called "snoze".', "did you mean tests.site.tasks.snooze?"),
        ("total", '"total" can mean 2 tasks.', "type one of: elsewhere.total, tests.site.tasks.total"),
    ],
)
def test_name__unknown_or_ambiguous(run_command: Run, name: str, sentence: str, hint: str) -> None:
    refused(run_command("enqueue", name, "1"), sentence, hint)


def test_name__unknown_and_far_from_all_lists_the_project_s_own(run_command: Run) -> None:
    done = run_command("enqueue", "xyzzy")
    sentence, hint = done.err.splitlines()
    assert (sentence, done.code) == ('No task is called "xyzzy".', 2)
    assert hint.startswith("Hint: these are registered: elsewhere.total, project.demo.tasks.add, ")
    assert hint.endswith(" more (manage.py showtasks)")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "tests.site.tasks.total: missing a required argument: 'x'."),
        (("1", "2", "3"), '"3" is one word too many: it is number 3.'),
        (("1", "2", "z=3"), 'tests.site.tasks.total takes no keyword "z".'),
        (("1", "--kwargs", '{"z": 3}'), 'tests.site.tasks.total takes no keyword "z".'),
        (("x=1", "x=2"), '"x" is given twice.'),
        (("1", "x=2"), '"x" is given twice, once by its place and once by its name.'),
        (("1", "--kwargs", '{"x": 2}'), '"x" is given twice, once by its place and once by its name.'),
        (("--args", "[1]", "x=2"), '"x" is given twice, once by its place and once by its name.'),
        (("x=1", "--kwargs", '{"x": 2}'), '"x" is given twice.'),
        (("--args", "[1, 2, 3]"), "tests.site.tasks.total: too many positional arguments."),
        (("one",), '"one" is not an integer, which "x" of tests.site.tasks.total takes.'),
        (("1", "factor=fast"), '"fast" is not a number, which "factor" of tests.site.tasks.total takes.'),
    ],
)
def test_words__that_are_no_call_of_the_task(run_command: Run, words: tuple[str, ...], sentence: str) -> None:
    refused(run_command("enqueue", "tasks.total", *words), sentence, TOTAL)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("number=seven", "an integer"),
        ("flag=maybe", "true or false"),
        ("price=cheap", "a decimal number"),
        ("key=1", "a UUID"),
        ("day=31.01.2030", "a date like 2030-01-31"),
        ("at=soon", "a time like 2030-01-31T18:00"),
        ("colour=green", "one of r, b, RED, BLUE"),
        ("size=M", "one of S, L, 3"),
        ("items=1", "a JSON array"),
        ("items=one", "JSON"),
        ('items=["one"]', "an integer"),
    ],
)
def test_words__of_another_type(run_command: Run, word: str, kind: str) -> None:
    done = run_command("enqueue", "typed", word)
    parameter, _, value = word.partition("=")
    sentence, hint = done.err.splitlines()
    assert sentence == f'"{value}" is not {kind}, which "{parameter}" of tests.site.tasks.typed takes.'
    assert hint.startswith("Hint: tests.site.tasks.typed is called with (text: str = ")
    assert (done.out, done.code) == ("", 2)


def test_words__that_the_message_cannot_carry(run_command: Run) -> None:
    refused(
        run_command("enqueue", "span", "5m"),
        'The arguments of tests.site.tasks.span cannot be sent by the serializer "json": '
        "Object of type timedelta is not JSON serializable.",
        "give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER",
    )


@pytest.mark.parametrize(
    ("option", "text", "sentence", "form"),
    [
        (
            "--args",
            "one",
            "--args is not JSON: Expecting value: line 1 column 1 (char 0).",
            "an array, as in '[2, 2]'",
        ),
        ("--args", '{"x": 1}', '--args is "{"x": 1}", which is not an array.', "an array, as in '[2, 2]'"),
        (
            "--kwargs",
            "x=1",
            "--kwargs is not JSON: Expecting value: line 1 column 1 (char 0).",
            "an object, as in '{\"x\": 2}'",
        ),
        ("--kwargs", "[1]", '--kwargs is "[1]", which is not an object.', "an object, as in '{\"x\": 2}'"),
        (
            "--kwargs",
            "",
            "--kwargs is not JSON: Expecting value: line 1 column 1 (char 0).",
            "an object, as in '{\"x\": 2}'",
        ),
    ],
)
def test_json__that_is_none_or_of_another_kind(
    run_command: Run, option: str, text: str, sentence: str, form: str
) -> None:
    refused(run_command("enqueue", "echo", option, text), sentence, f"{option} takes {form}")


DURATION_HINT = "write seconds, or 90s, 5m, 1h30m, 2d"
TIME_HINT = "write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00"
FUTURE_HINT = "give a time to come, or leave it out to run it now"


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (("--eta", "2001-01-31T18:00"), '--eta "2001-01-31T18:00" is in the past.', FUTURE_HINT),
        (("--eta", "soon"), '"soon" is no time.', TIME_HINT),
        (("--eta", "2030-02-30T18:00"), '"2030-02-30T18:00" is no time.', TIME_HINT),
        (("--eta", ""), '"" is no time.', TIME_HINT),
        (("--countdown", "-5"), '"-5" is negative.', DURATION_HINT),
        (("--countdown=-5m",), '"-5m" is negative.', DURATION_HINT),
        (("--countdown", "soon"), '"soon" is no duration.', DURATION_HINT),
        (("--countdown", ""), '"" is no duration.', DURATION_HINT),
        (("--expires", "2001-01-31T18:00"), '--expires "2001-01-31T18:00" is in the past.', FUTURE_HINT),
        (("--expires", "soon"), '"soon" is no duration.', DURATION_HINT),
        (("--expires", "-5"), '"-5" is negative.', DURATION_HINT),
        (("--expires", ""), '"" is no duration.', DURATION_HINT),
        (("--wait", "--timeout", "soon"), '"soon" is no duration.', DURATION_HINT),
        (("--wait", "--timeout", ""), '"" is no duration.', DURATION_HINT),
        (
            ("--eta", "2050-01-31T18:00", "--countdown", "5m"),
            "Both --eta and --countdown say when it is to run.",
            "give one of them",
        ),
        (
            ("--wait", "--ignore-result"),
            "With --ignore-result there is no result to --wait for.",
            "give one of them",
        ),
        (("--task-id", ""), '"" is no task id.', "give the id that enqueue printed"),
        (("--task-id", "a\0b"), '"a\\x00b" is no task id.', "give the id that enqueue printed"),
    ],
)
def test_options__that_cannot_be_meant(run_command: Run, words: tuple[str, ...], sentence: str, hint: str) -> None:
    refused(run_command("enqueue", "--dry-run", "echo", "1", *words), sentence, hint)


@pytest.mark.parametrize("priority", ["-1", "256", "1.5", "high", "", "9999999999", "²"])
def test_priority__that_is_none(run_command: Run, priority: str) -> None:
    refused(
        run_command("enqueue", "--dry-run", "echo", "1", "--priority", priority),
        f'The priority "{priority}" is no number from 0 to 255.',
        "0 to 9 serves every broker",
    )


def test_queue__empty_is_none(run_command: Run) -> None:
    done = run_command("enqueue", "--dry-run", "echo", "1", "--queue", "")
    assert done.code == 2
    assert done.err.splitlines()[0] == 'No queue is called "".'


def test_queue__unknown_where_queues_are_not_made(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", task_create_missing_queues=False, task_queues={"one": {}, "two": {}})
    refused(
        run_command("enqueue", "-A", name, "--dry-run", "echo", "1", "--queue", "three"),
        'No queue is called "three".',
        "CELERY_TASK_QUEUES names: one, two",
    )


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module:app"])
def test_app__that_is_none(run_command: Run, name: str) -> None:
    refused(
        run_command("enqueue", "echo", "1", "-A", name),
        f'-A names "{name}", and there is no module "no_such_module".',
        "give -A as module:attribute, as in proj.celery:app",
    )


def test_backend__none_to_wait_for(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", result_backend="disabled://")
    refused(
        run_command("enqueue", "-A", name, "echo", "1", "--wait"),
        "No result backend is configured, so results are not kept.",
        'set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"',
    )


BROKER_HINT = "start it, or fix its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"


def test_broker__that_refuses(run_command: Run, elsewhere: Callable[..., str]) -> None:
    port = refusing_port()
    name = elsewhere(broker_url=f"redis://:secret@127.0.0.1:{port}/0")
    done = run_command("enqueue", "-A", name, "echo", "1")
    sentence, hint = done.err.splitlines()
    assert (done.out, done.code, hint) == ("", 69, f"Hint: {BROKER_HINT}")
    subject = re.escape(f'The broker "redis://:**@127.0.0.1:{port}/0" cannot be reached: ')
    assert re.fullmatch(rf"{subject}.*Connection refused\. Nothing was sent\.", sentence)


def test_broker__that_is_silent(
    run_command: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "CONNECT_LIMIT", 0.5)
    with silent_port() as port:
        done = run_command("enqueue", "-A", elsewhere(broker_url=f"amqp://me:secret@127.0.0.1:{port}/"), "echo", "1")
    sentence, hint = done.err.splitlines()
    assert (done.out, done.code, hint) == ("", 69, f"Hint: {BROKER_HINT}")
    assert sentence.startswith(f'The broker "amqp://me:**@127.0.0.1:{port}/" ')
    assert sentence.endswith(" Nothing was sent.")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("snoze",), {"error": 'No task is called "snoze".', "hint": "did you mean tests.site.tasks.snooze?"}),
        (("echo", "1", "--eta", "soon"), {"error": '"soon" is no time.', "hint": TIME_HINT}),
        (
            ("tasks.total", "one"),
            {"error": '"one" is not an integer, which "x" of tests.site.tasks.total takes.', "hint": TOTAL},
        ),
    ],
)
def test_errors__are_json_where_that_was_asked_for(typed: Run, words: tuple[str, ...], error: dict[str, str]) -> None:
    done = typed("enqueue", *words, "--json")
    assert (done.out, json.loads(done.err), done.code) == ("", error, 2)


def test_errors__without_a_python_traceback_unless_asked_for(typed: Run) -> None:
    assert "Traceback" not in typed("enqueue", "snoze").err
    assert "Traceback (most recent call last)" in typed("enqueue", "snoze", "--traceback").err


def test_broken_module__is_told_ahead_of_a_task_that_it_would_hold(site: Site) -> None:
    site.minimal("shop", "store")
    site.write("shop/tasks.py", "1 / 0\n")
    site.write("store/tasks.py", "from celery import shared_task\n@shared_task\ndef keep(): ...\n")
    done = site.manage("enqueue", "add", "1", "2")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.splitlines() == [
        'The module "shop.tasks" cannot be imported: ZeroDivisionError: division by zero.',
        'Hint: manage.py shell -c "import shop.tasks" shows where',
        'No tasks module has "add": loading the URLconf and the template tags, as a worker does.',
        'No task is called "add".',
        "Hint: these are registered: store.tasks.keep",
    ]


def test_nothing_typed__is_evaluated(run_command: Run, tmp_path: Path) -> None:
    made = tmp_path / "made"
    word = f"__import__('pathlib').Path({str(made)!r}).touch()"
    assert json.loads(run_command("enqueue", "--dry-run", "echo", word).out)["args"] == [word]
    assert not made.exists()


def test_json__stderr_is_one_object_a_line(typed: Run, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ProjectError("shop.tasks is broken: redis://u:s3cret@h.", hint="fix it")
    monkeypatch.setattr(startup, "load_tasks", lambda *_: [broken])
    monkeypatch.setattr(single, "doubt", lambda *_: "Celery does not check it.")
    done = typed("enqueue", "echo", "hi", "--queue", queue, "--json")
    assert set(json.loads(done.out)) == {"id", "task"}
    assert [json.loads(line) for line in done.err.splitlines()] == [
        {"warning": "shop.tasks is broken: redis://u:**@h.", "hint": "fix it"},
        {"warning": "Celery does not check it.", "hint": ""},
    ]


def test_json__notes_and_tracebacks_are_objects(typed: Run, settings: Any, app: Any) -> None:
    eager = app.conf.task_always_eager
    app.conf.task_always_eager = True
    try:
        done = typed("enqueue", "echo", "hi", "--json")
    finally:
        app.conf.task_always_eager = eager
    assert json.loads(done.err) == {"note": "task_always_eager is set: the task ran here, no worker was asked."}
    told, error = map(json.loads, typed("enqueue", "nosuch", "--json", "--traceback").err.splitlines())
    assert told["note"].startswith("Traceback (most recent call last):\n")
    assert set(error) == {"error", "hint"}


def test_model__no_object_is_looked_up(run_command: Run, elsewhere: Callable[..., str]) -> None:
    """It was sent in silence."""
    name = elsewhere(broker_url="memory://")
    app = sys.modules[name.partition(":")[0]].app

    def greet(word: str = "", user: ContentType | None = None, rest: list[ContentType] | None = None) -> None: ...

    app.task(greet, name="shop.greet", shared=False)
    what = (
        '"user" of shop.greet is annotated as the model ContentType, and gets what is typed: '
        "no object is looked up. Pass the key to a parameter such as user_id: int.\n"
    )
    for words, said in (
        (["user=5"], what),
        (["a", "5"], what),
        (["rest=[5]"], what.replace("user", "rest")),
        (["a"], ""),
    ):
        done = run_command("enqueue", "-A", name, "shop.greet", *words, "--dry-run")
        assert (done.err, done.code) == (said, 0)
