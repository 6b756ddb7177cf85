from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Task, signals
from celery.exceptions import Ignore, Reject, Retry

from tasktools.arguments.durations import parse_time
from tasktools.project import Project
from tests.conftest import Ran
from tests.support import Running, Site, refusing_port, silent_port

Run = Callable[..., Ran]


class Watched(Task):
    """Notes which of its handlers are called."""

    seen: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("call")
        return super().__call__(*args, **kwargs)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.seen.append("before_start")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.seen.append(("on_success", retval))

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.seen.append(("on_failure", repr(exc)))

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.seen.append(("on_retry", repr(exc)))

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.seen.append(("after_return", status))


class Exiting(Exception):
    def __str__(self) -> str:
        sys.exit(7)


class Clumsy(Task):
    def on_failure(self, *args: Any) -> None:
        raise KeyError("in the handler")


@pytest.fixture
def shop(elsewhere: Callable[..., str], project: Project) -> Callable[..., Any]:
    """Make an app whose broker and result backend refuse, so that whatever asks them fails."""

    def make(**conf: Any) -> Any:
        down = f"redis://127.0.0.1:{refusing_port()}/0"
        name = elsewhere(**{"broker_url": down, "result_backend": down, "task_track_started": True, **conf})
        made = sys.modules[name.partition(":")[0]].app
        made.shown_name = name
        return made

    return make


def add_task(app: Any, function: Callable[..., Any], **options: Any) -> Any:
    return app.task(name=f"shop.{function.__name__}", shared=False, **options)(function)


def run_in(app: Any, run: Run, *words: str, **options: Any) -> Ran:
    return run("runtask", "-A", app.shown_name, *words, **options)


# The result.


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("tasks.total", "1", "2"), "3.0\n"),
        (("tests.site.tasks.total", "x=3", "factor=2"), "10.0\n"),
        (("echo", "007"), "007\n"),
        (("nothing",), "null\n"),
        (("gather", "1", "2", "a=b"), '[[1, 2], {"a": "b"}]\n'),
        (("echo", "--args", "[[1, 2]]"), "[1, 2]\n"),
        (("echo", "--kwargs", '{"value": "grün"}'), "grün\n"),
        (("bound", "word"), "tests.site.tasks.bound word\n"),
        (("span", "5m"), "300.0\n"),
    ],
)
def test_result__alone_on_stdout(run_command: Run, words: tuple[str, ...], printed: str) -> None:
    assert run_command("runtask", *words) == Ran(printed, "", 0)


def test_result__needs_neither_broker_nor_backend(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, double)
    assert run_in(app, run_command, "double", "4") == Ran("8\n", "", 0)


def double(x: int) -> int:
    return x * 2


def test_result__that_json_cannot_carry_is_shown_by_its_repr(run_command: Run) -> None:
    done = run_command("runtask", "unsendable")
    assert done.out.startswith('"<object object at ')
    assert done.err == "The result holds values that JSON cannot carry: they are shown by their repr.\n"
    assert done.code == 0


def test_result__json(typed: Run) -> None:
    before = datetime.now(timezone.utc)
    done = typed("runtask", "tasks.total", "1", "--json", "--task-id", "my id")
    outcome = json.loads(done.out)
    assert before.timestamp() - 1 < parse_time(outcome.pop("date_done"), timezone.utc).timestamp()
    assert outcome == {
        "id": "my id",
        "state": "SUCCESS",
        "result": 3.0,
        "error": None,
        "traceback": None,
        "task": "tests.site.tasks.total",
        "worker": None,
        "retries": 0,
        "place": None,
        "queue": None,
        "position": None,
        "paused": False,
        "started": None,
        "eta": None,
        "parent": None,
    }
    assert (done.err, done.code) == ("", 0)


def test_stdout__what_the_task_prints_is_no_data(shop: Any, typed: Run) -> None:
    def loud() -> int:
        print("a word")
        return 1

    app = shop()
    add_task(app, loud)
    assert run_in(app, typed, "loud") == Ran("1\n", "a word\n", 0)


# self.request.


def test_request__holds_what_a_worker_fills_in(worker: Running, run_command: Run) -> None:
    words = ("seen_request", "1", "2", "--task-id")
    asked = run_command("enqueue", *words, "request sent", "--wait", "--timeout", "60s")
    assert asked.code == 0, asked.err
    sent = json.loads(asked.out)
    here = json.loads(run_command("runtask", *words, "request here").out)
    # Of the broker and of the pool: there is none.
    assert set(sent) - set(here) <= {"body_encoding", "compression", "ignore_result"}
    assert set(here) - set(sent) == set()
    differing = {name for name in here if here[name] != sent[name]}
    assert differing == {
        *("id", "root_id", "correlation_id"),  # the two ids
        *("hostname", "origin", "reply_to", "is_eager"),
        *("properties", "delivery_info"),
    } - ({"origin", "reply_to"} if sent["reply_to"] == here["reply_to"] else set())
    assert (here["is_eager"], here["called_directly"], here["args"]) == (True, False, [1, 2])
    assert here["hostname"].startswith("runtask@")
    route = {"exchange", "routing_key", "redelivered"}
    assert {name: here["delivery_info"][name] for name in route} == {
        name: sent["delivery_info"][name] for name in route
    }


# Failures.


def inner(n: int) -> None:
    raise ValueError(f"broken {n}")


def outer(n: int) -> None:
    inner(n)


def test_failure__the_traceback_of_the_task_s_own_frames(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, outer)
    done = run_in(app, run_command, "outer", "3")
    assert (done.out, done.code) == ("", 1)
    lines = done.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    frames = [line for line in lines if line.startswith("  File ")]
    assert [line.rpartition(" in ")[2] for line in frames] == ["outer", "inner"]
    assert all(__file__ in line for line in frames)
    assert lines[-3:] == [
        "ValueError: broken 3",
        "shop.outer failed: ValueError: broken 3",
        "Hint: --pdb opens the debugger in the frame that raised",
    ]


def test_failure__json_is_the_document_and_no_more(typed: Run) -> None:
    done = typed("runtask", "fail", "all is lost", "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["result"]) == ("FAILURE", None)
    assert outcome["error"] == {"type": "ValueError", "message": "all is lost"}
    assert outcome["traceback"].endswith("ValueError: all is lost\n")
    assert json.loads(done.err)["error"] == "tests.site.tasks.fail failed: ValueError: all is lost"
    assert done.code == 1


def test_failure__a_task_that_exits(shop: Any, run_command: Run) -> None:
    def leave() -> None:
        sys.exit(7)

    app = shop()
    add_task(app, leave)
    done = run_in(app, run_command, "leave")
    assert (done.out, done.code) == ("", 1)
    assert "shop.leave failed: SystemExit: 7\n" in done.err


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, BaseException])
def test_failure__what_is_no_exception_of_the_common_kind(
    shop: Any, run_command: Run, kind: type[BaseException]
) -> None:
    def cancelled() -> None:
        raise kind("c")

    app = shop()
    add_task(app, cancelled)
    done = run_in(app, run_command, "cancelled")
    lines = done.err.splitlines()
    assert (done.out, done.code) == ("", 1)
    assert lines[0] == "Traceback (most recent call last):"
    assert next(line for line in lines if line.startswith("  File ")).endswith("in cancelled")
    assert f"shop.cancelled failed: {kind.__name__}: c" in lines


def test_failure__an_exception_whose_text_exits(shop: Any, run_command: Run) -> None:
    def exiting() -> None:
        raise Exiting

    app = shop()
    add_task(app, exiting)
    done = run_in(app, run_command, "exiting")
    assert (done.out, done.code) == ("", 1)
    assert "shop.exiting failed: Exiting: <Exiting>\n" in done.err
    assert done.err.count("Traceback (most") == 1


def test_failure__one_of_its_handler(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, outer, base=Clumsy)
    with pytest.warns(RuntimeWarning, match="in the handler"):
        done = run_in(app, run_command, "outer", "1")
    assert done.code == 1
    assert "ValueError: broken 1\n" in done.err
    assert "shop.outer failed: KeyError: 'in the handler'\n" in done.err


def test_failure__is_not_logged_as_well_where_no_logging_is_set_up(
    shop: Any, run_command: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("", "celery"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    monkeypatch.setattr(logging.getLogger("celery.app.trace"), "handlers", [])
    app = shop()
    add_task(app, outer)
    assert run_in(app, run_command, "outer", "1").code == 1
    assert capsys.readouterr().err == ""
    assert logging.getLogger("celery.app.trace").handlers == []


# Handlers, signals, classes.


def test_handlers__are_called_as_by_a_worker(shop: Any, run_command: Run) -> None:
    app = shop()
    Watched.seen.clear()
    add_task(app, double, base=Watched)
    assert run_in(app, run_command, "double", "4").out == "8\n"
    assert Watched.seen == ["before_start", "call", ("on_success", 8), ("after_return", "SUCCESS")]


def test_handlers__of_a_failure(shop: Any, run_command: Run) -> None:
    app = shop()
    Watched.seen.clear()
    add_task(app, outer, base=Watched)
    assert run_in(app, run_command, "outer", "4").code == 1
    assert Watched.seen[2:] == [("on_failure", "ValueError('broken 4')"), ("after_return", "FAILURE")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("echo", "1"), ["task_prerun", "task_success", "task_postrun"]),
        (("fail",), ["task_prerun", "task_failure", "task_postrun"]),
    ],
)
def test_signals__are_sent(run_command: Run, words: tuple[str, ...], expected: list[str]) -> None:
    seen: list[str] = []
    receivers: dict[str, Callable[..., None]] = {}
    for name in ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry", "before_task_publish"):
        receivers[name] = lambda name=name, **_: seen.append(name)
        getattr(signals, name).connect(receivers[name])
    try:
        run_command("runtask", *words)
    finally:
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
    assert seen == expected


@pytest.mark.django_db
def test_database__stays_usable(shop: Any, run_command: Run) -> None:
    from django.contrib.auth.models import Group

    def name_group(name: str) -> int:
        return int(Group.objects.create(name=name).pk)

    app = shop()
    add_task(app, name_group)
    done = run_in(app, run_command, "name_group", "buyers")
    assert done.code == 0, done.err
    assert Group.objects.get(pk=int(done.out)).name == "buyers"


def test_backend_of_the_task__is_its_own_again(run_command: Run, app: Any) -> None:
    task = app.tasks["tests.site.tasks.echo"]
    before = task.backend
    assert run_command("runtask", "echo", "1").code == 0
    assert task.backend is before
    assert "on_replace" not in vars(task)


# Progress and other ends.


def test_progress__is_told_and_no_backend_asked(shop: Any, run_command: Run) -> None:
    def step(self: Task) -> str:
        self.update_state(state="PROGRESS", meta={"done": 1})
        return str(self.AsyncResult(self.request.id).state)

    app = shop()
    add_task(app, step, bind=True)
    assert run_in(app, run_command, "step") == Ran("PROGRESS\n", 'PROGRESS {"done": 1}\n', 0)


def test_progress__with_a_silent_backend_does_not_hang(shop: Any, run_command: Run) -> None:
    def step(self: Task) -> None:
        self.update_state(state="PROGRESS", meta={"done": 1})

    with silent_port() as port:
        app = shop(result_backend=f"redis://127.0.0.1:{port}/0")
        add_task(app, step, bind=True)
        assert run_in(app, run_command, "step") == Ran("null\n", 'PROGRESS {"done": 1}\n', 0)


def test_replace__runs_the_replacement_here(shop: Any, run_command: Run) -> None:
    def first(self: Task, x: int) -> Any:
        return self.replace(self.app.tasks["shop.double"].s(x))

    app = shop()
    add_task(app, double)
    add_task(app, first, bind=True)
    assert run_in(app, run_command, "first", "4") == Ran("8\n", "", 0)


def test_join__is_denied_as_in_a_worker(shop: Any, run_command: Run) -> None:
    def waits(self: Task) -> Any:
        return self.app.tasks["shop.double"].apply((1,)).get()

    app = shop()
    add_task(app, double)
    add_task(app, waits, bind=True)
    done = run_in(app, run_command, "waits")
    assert done.code == 1
    assert "Never call result.get() within a task" in done.err


def test_ignore__is_said(run_command: Run) -> None:
    done = run_command("runtask", "ignored")
    said = "tests.site.tasks.ignored asks to be ignored: a worker would keep neither state nor result.\n"
    assert done == Ran("", said, 0)


@pytest.mark.parametrize(("requeue", "what"), [(True, "put it back into its queue"), (False, "drop it")])
def test_reject__is_a_failure(shop: Any, run_command: Run, requeue: bool, what: str) -> None:
    def refuse() -> None:
        raise Reject("too early", requeue=requeue)

    app = shop()
    add_task(app, refuse)
    done = run_in(app, run_command, "refuse")
    assert (done.out, done.code) == ("", 1)
    assert f"shop.refuse rejects its message (too early): a worker would {what}.\n" in done.err


def test_ignore__json_has_the_state(typed: Run) -> None:
    done = typed("runtask", "ignored", "--json")
    assert (json.loads(done.out)["state"], done.code) == ("IGNORED", 0)


def test_limits__are_said_not_to_be_enforced(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, double, time_limit=5, soft_time_limit=3)
    said = "A limit of shop.double that is not enforced here: time_limit 5 s, soft_time_limit 3 s.\n"
    assert run_in(app, run_command, "double", "1") == Ran("2\n", said, 0)


# --serialize.


def pair(x: Any) -> Any:
    return {1: (x, repr(x))}


def test_serialize__what_arrives_is_what_the_wire_makes_of_it(run_command: Run) -> None:
    without = run_command("runtask", "typed", "colour=BLUE")
    through = run_command("runtask", "typed", "colour=BLUE", "--serialize")
    assert "<Colour.BLUE: 'b'>" in without.out
    assert "<Colour.BLUE" not in through.out
    assert (through.err, through.code) == ("", 0)


def test_serialize__says_with_verbosity_what_has_changed(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, pair)
    done = run_in(app, run_command, "pair", "2", "--serialize", verbosity=2)
    assert done.out == '{"1": [2, "2"]}\n'
    assert done.err == "The serializer makes of result {1: (2, '2')}: {'1': [2, '2']}\n"


def test_serialize__names_the_argument_that_has_changed(run_command: Run) -> None:
    done = run_command("runtask", "typed", "colour=BLUE", "--serialize", verbosity=2)
    assert done.err == "The serializer makes of argument \"colour\" <Colour.BLUE: 'b'>: 'b'\n"


def test_serialize__arguments_that_the_message_cannot_carry(run_command: Run) -> None:
    done = run_command("runtask", "span", "5m", "--serialize")
    assert (done.out, done.code) == ("", 2)
    assert done.err == (
        'The arguments of tests.site.tasks.span cannot be sent by the serializer "json": '
        "Object of type timedelta is not JSON serializable.\n"
        "Hint: give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER"
    )


def test_serialize__a_result_that_cannot_be_kept(shop: Any, run_command: Run) -> None:
    def thing() -> Any:
        return {"x": object}

    app = shop()
    Watched.seen.clear()
    add_task(app, thing, base=Watched)
    done = run_in(app, run_command, "thing", "--serialize")
    assert (done.out, done.code) == ("", 1)
    sentence, hint = done.err.splitlines()
    assert sentence == (
        "shop.thing failed: the result {'x': <class 'object'>} cannot be sent by the serializer \"json\": "
        "Object of type type is not JSON serializable."
    )
    assert hint.endswith("or set another CELERY_RESULT_SERIALIZER")
    assert Watched.seen[-1] == ("after_return", "FAILURE")


def test_serialize__a_result_that_is_not_kept_is_not_touched(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, pair, ignore_result=True)
    done = run_in(app, run_command, "pair", "2", "--serialize", verbosity=2)
    assert (done.err, done.code) == ("", 0)


# Retries.


def flaky(self: Task, ok_at: int) -> list[Any]:
    if self.request.retries < ok_at:
        raise ConnectionError("down")
    return [self.request.id, self.request.retries]


AUTO = {
    "bind": True,
    "autoretry_for": (ConnectionError,),
    "retry_kwargs": {"max_retries": 2, "countdown": 180},
}


def test_retry__ends_the_run_where_it_is_not_followed(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, flaky, **AUTO)
    done = run_in(app, run_command, "flaky", "1")
    assert (done.out, done.code) == ("", 1)
    assert done.err.splitlines()[-3:] == [
        "ConnectionError: down",
        "shop.flaky asks to be tried again in 180 s (retry 1 of 2): ConnectionError: down",
        "Hint: --retry waits and tries again, --retry-now does not wait",
    ]
    assert [line.rpartition(" in ")[2] for line in done.err.splitlines() if "  File " in line] == ["flaky"]


def test_retry__json_has_its_state(shop: Any, typed: Run) -> None:
    app = shop()
    add_task(app, flaky, **AUTO)
    done = run_in(app, typed, "flaky", "1", "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["retries"], done.code) == ("RETRY", 0, 1)
    assert json.loads(done.err)["hint"] == "--retry waits and tries again, --retry-now does not wait"


def test_retry_now__follows_with_the_same_id(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, flaky, **AUTO)
    done = run_in(app, run_command, "flaky", "2", "--retry-now", "--task-id", "same")
    assert done.err.splitlines() == [
        "shop.flaky asks to be tried again in 180 s (retry 1 of 2): ConnectionError: down",
        "--retry-now: without the wait.",
        "shop.flaky asks to be tried again in 180 s (retry 2 of 2): ConnectionError: down",
        "--retry-now: without the wait.",
    ]
    assert (done.out, done.code) == ('["same", 2]\n', 0)


def test_retry_now__beyond_the_last_ends_with_what_was_raised(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, flaky, **AUTO)
    done = run_in(app, run_command, "flaky", "9", "--retry-now")
    assert done.err.count(" asks to be tried again ") == 2
    assert "shop.flaky failed: ConnectionError: down\n" in done.err
    assert (done.out, done.code) == ("", 1)


def test_retry__waits_as_long_as_the_task_says(shop: Any, run_command: Run) -> None:
    def again(self: Task, before: float = 0.0) -> float:
        now = datetime.now(timezone.utc).timestamp()
        if not before:
            raise self.retry(args=(now,), kwargs={}, countdown=0.3)
        return now - before

    app = shop()
    Watched.seen.clear()
    add_task(app, again, bind=True, base=Watched)
    done = run_in(app, run_command, "again", "--retry")
    assert done.err.splitlines() == ["shop.again asks to be tried again in 0.3 s (retry 1 of 3)", "Waiting."]
    assert (float(done.out) >= 0.3, done.code) == (True, 0)
    assert [name for name, *_ in Watched.seen if name == "on_retry"] == ["on_retry"]


def test_retry__its_own_limit_is_shown(shop: Any, run_command: Run) -> None:
    def again(self: Task) -> None:
        raise self.retry(max_retries=7, countdown=1)

    app = shop()
    add_task(app, again, bind=True)
    assert "in 1 s (retry 1 of 7)\n" in run_in(app, run_command, "again").err


def test_retry__without_limit(shop: Any, run_command: Run) -> None:
    def again(self: Task) -> int:
        if self.request.retries < 5:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    app = shop()
    add_task(app, again, bind=True, max_retries=None)
    done = run_in(app, run_command, "again", "--retry")
    assert (done.out, done.code) == ("5\n", 0)
    assert "(retry 5)\n" in done.err


def test_retry__raised_by_hand_leads_nowhere(shop: Any, run_command: Run) -> None:
    def again() -> None:
        raise Retry("later")

    app = shop()
    add_task(app, again)
    done = run_in(app, run_command, "again", "--retry")
    assert done.code == 1
    said = "shop.again raised Retry by itself: a worker would note that, and nobody would try it again.\n"
    assert said in done.err


def test_retry__arguments_that_the_message_cannot_carry(shop: Any, run_command: Run) -> None:
    def again(self: Task, x: Any) -> None:
        raise self.retry(args=(object(),), countdown=0)

    app = shop()
    add_task(app, again, bind=True)
    done = run_in(app, run_command, "again", "1", "--retry", "--serialize")
    assert done.code == 1
    assert "It asks to be tried again. The arguments of shop.again cannot be sent by the serializer" in done.err


def test_ignore__of_a_task_with_retries_is_no_retry(shop: Any, run_command: Run) -> None:
    def ignore(self: Task) -> None:
        raise Ignore

    app = shop()
    add_task(app, ignore, **{**AUTO, "autoretry_for": (Exception,)})
    assert run_in(app, run_command, "ignore", "--retry").code == 0


# What was typed.


def refused(done: Ran, sentence: str, hint: str) -> None:
    assert (done.out, done.err.rstrip("\n"), done.code) == ("", f"{sentence}\nHint: {hint}", 2)


def test_usage__no_name(run_command: Run) -> None:
    hint = "manage.py runtask NAME; manage.py showtasks lists the names"
    refused(run_command("runtask"), "No task is named.", hint)


def test_usage__unknown_name(run_command: Run) -> None:
    refused(run_command("runtask", "snoze"), 'No task is called "snoze".', "did you mean tests.site.tasks.snooze?")


def test_usage__wrong_arguments(run_command: Run) -> None:
    done = run_command("runtask", "tasks.total", "one")
    assert done.code == 2
    assert done.err.startswith('"one" is not an integer, which "x" of tests.site.tasks.total takes.\nHint: ')


def test_usage__both_ways_to_retry(typed: Run) -> None:
    done = typed("runtask", "echo", "1", "--retry", "--retry-now")
    assert done.code == 2
    assert "not allowed with argument --retry" in done.err


def test_usage__a_bad_id(run_command: Run) -> None:
    refused(
        run_command("runtask", "echo", "1", "--task-id", ""), '"" is no task id.', "give the id that enqueue printed"
    )


def test_usage__a_route_to_no_queue(shop: Any, run_command: Run) -> None:
    app = shop(task_create_missing_queues=False, task_routes={"shop.double": "nowhere"})
    add_task(app, double)
    done = run_in(app, run_command, "double", "1")
    assert done.code == 2
    assert done.err.startswith('No queue can be found for shop.double: "nowhere" is not in CELERY_TASK_QUEUES')


def test_usage__a_router_that_exits(shop: Any, run_command: Run) -> None:
    def leave(*_: Any, **__: Any) -> None:
        sys.exit(5)

    app = shop(task_routes=(leave,))
    add_task(app, double)
    done = run_in(app, run_command, "double", "1")
    assert done.code == 2
    assert done.err.startswith("No queue can be found for shop.double: SystemExit: 5 (")


def test_pdb__without_a_terminal_runs_nothing(shop: Any, run_command: Run) -> None:
    refused(
        run_command("runtask", "fail", "--pdb"),
        "--pdb needs a terminal, and standard input is none.",
        "leave it out: the traceback is shown all the same",
    )


def test_interrupted__ends_with_130(suite_site: Site) -> None:
    running = suite_site.start(sys.executable, "-m", "django", "runtask", "announce_and_snooze", "60")
    running.wait_for_output("begun")
    assert running.end(signal.SIGINT) == 130
    assert "Traceback" not in running.output


# Functions whose call runs nothing.


async def awaited(x: int) -> int:
    return x


def generated(x: int) -> Any:
    yield x


def wrapped(x: int) -> int:
    return asyncio.run(awaited(x))


wrapped.__wrapped__ = awaited  # type: ignore[attr-defined]  # as functools.wraps leaves it


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (awaited, "an async function, which Celery does not await"),
        (generated, "a generator, which Celery does not iterate over"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"autoretry_for": (ValueError,)}, {"bind": True}])
def test_function__whose_body_no_worker_runs(
    shop: Any, run_command: Run, function: Any, what: str, options: Any
) -> None:
    """It printed the coroutine, exit code 0."""
    app = shop()
    task = add_task(app, function, **options)
    ran = run_in(app, run_command, function.__name__, *["1"] * ("bind" not in options))
    assert ran.err.splitlines() == [
        f"{task.name} is {what}: Celery's own pools do not run its body.",
        "Hint: write a plain function, which calls asgiref.sync.async_to_sync(...), or iterates over the generator",
    ]
    assert (ran.out, ran.code) == ("", 1)
    sent = run_command("enqueue", "-A", app.shown_name, task.name, *["1"] * ("bind" not in options), "--dry-run")
    assert (sent.err, sent.code) == (f"{task.name} is {what}: Celery's own pools do not run its body.\n", 0)


def test_function__that_runs_an_async_one(shop: Any, run_command: Run) -> None:
    app = shop()
    add_task(app, wrapped)
    assert run_in(app, run_command, "wrapped", "4") == Ran("4\n", "", 0)


def test_function__that_the_class_of_the_task_or_a_pool_awaits(shop: Any, run_command: Run) -> None:
    class Awaiting(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return asyncio.run(super().__call__(*args, **kwargs))

    app = shop()
    add_task(app, awaited, base=Awaiting)
    assert run_in(app, run_command, "awaited", "4") == Ran("4\n", "", 0)
    for pool in ("celery_aio_pool.pool:AsyncIOPool", "aiopool:Pool", "custom"):
        other = shop(worker_pool=pool)
        add_task(other, awaited)
        assert run_command("enqueue", "-A", other.shown_name, "awaited", "1", "--dry-run").err == ""
