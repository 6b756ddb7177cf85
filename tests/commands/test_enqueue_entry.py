"""enqueue --entry sends what beat would send for an entry of the schedule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import beat

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tests.conftest import Ran

Run = Callable[..., Ran]

TASK = "tests.site.tasks.total"

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def schedule(app: Any) -> Iterator[Callable[..., None]]:
    before = app.conf.beat_schedule

    def change(**entries: Any) -> None:
        app.conf.beat_schedule = entries

    yield change
    app.conf.beat_schedule = before


@pytest.fixture
def sent(app: Any, queue: str) -> Iterator[Callable[[], list[Any]]]:
    """Return the messages in the queue of the test."""

    def messages() -> list[Any]:
        with broker_of(app).publishing_connection(5) as connection:
            keys = Keys(connection.default_channel)
            return [json.loads(each) for key in keys.lists(queue) for each in keys.client.lrange(key, 0, -1)]

    yield messages
    with broker_of(app).publishing_connection(5) as connection:
        connection.default_channel.queue_delete(queue)


def test_entry__is_sent_as_beat_sends_it(schedule: Any, sent: Any, queue: str, run_command: Run) -> None:
    options = {"queue": queue, "expires": 60, "headers": {"tenant": "a"}}
    schedule(nightly={"task": TASK, "schedule": 60, "args": (20, 22), "kwargs": {"factor": 2.0}, "options": options})
    done = run_command("enqueue", "--entry", "nightly")
    assert (done.err, done.code) == ("", 0)
    (message,) = sent()
    headers = message["headers"]
    assert (headers["id"], headers["task"]) == (done.out.strip(), TASK)
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("(20, 22)", "{'factor': 2.0}")
    assert (headers["celery_beat_task"], headers["tenant"]) == (True, "a")
    assert headers["expires"]


def test_entry__whose_name_is_no_text(app: Any, schedule: Any, sent: Any, queue: str, run_command: Run) -> None:
    schedule()
    options = {"queue": queue}
    app.conf.beat_schedule = {
        name: {"task": TASK, "schedule": 60, "args": args, "options": options}
        for name, args in ((5, (1,)), ("5", (2,)))
    }
    for typed in ("5", "(5)"):
        done = run_command("enqueue", "--entry", typed)
        assert (done.err, done.code) == ("", 0)
    assert sorted(each["headers"]["argsrepr"] for each in sent()) == ["(1,)", "(2,)"]
    app.conf.beat_schedule = {5: {"task": TASK, "schedule": 60, "args": (3,), "options": options}}
    assert run_command("enqueue", "--entry", "5").code == 0


def test_entry__its_lazy_arguments_are_made(schedule: Any, sent: Any, queue: str, run_command: Run) -> None:
    made = iter((7, 8))
    entry = {
        "task": TASK,
        "schedule": 60,
        "args": (beat.BeatLazyFunc(lambda: next(made)),),
        "options": {"queue": queue},
    }
    schedule(nightly=entry)
    assert run_command("enqueue", "--entry", "nightly").code == 0
    assert [message["headers"]["argsrepr"] for message in sent()] == ["(7,)"]


def test_entry__what_is_typed_replaces_its_options(schedule: Any, sent: Any, queue: str, run_command: Run) -> None:
    schedule(nightly={"task": TASK, "schedule": 60, "args": (1,), "options": {"queue": "celery", "priority": 3}})
    done = run_command("enqueue", "--entry", "nightly", "--queue", queue, "--task-id", "mine")
    assert (done.out, done.code) == ("mine\n", 0)
    (message,) = sent()
    assert message["properties"]["priority"] == 3


@pytest.mark.parametrize(
    "options", [{"retry": True}, {"retry": False}, {"retry": True, "retry_policy": {"max_retries": 1}}]
)
def test_entry__with_an_option_for_retries(
    schedule: Any, sent: Any, queue: str, run_command: Run, options: Any
) -> None:
    """It is sent once and without Celery's retries, as every call."""
    schedule(nightly={"task": TASK, "schedule": 60, "args": (1,), "options": {"queue": queue, **options}})
    done = run_command("enqueue", "--entry", "nightly")
    assert (done.err, done.code, len(sent())) == ("", 0, 1)


def test_entry__as_much_of_its_name_as_is_unique(schedule: Any, run_command: Run) -> None:
    entry = {"task": TASK, "schedule": 60, "args": (1,)}
    schedule(**{"shop.nightly": entry, "shop.hourly": entry, "mail.hourly": entry})
    assert json.loads(run_command("enqueue", "--entry", "nightly", "--dry-run").out)["task"] == TASK
    done = run_command("enqueue", "--entry", "hourly")
    assert (done.err, done.code) == (
        '"hourly" can mean 2 entries.\nHint: type one of: mail.hourly, shop.hourly\n'.rstrip("\n"),
        2,
    )


def test_entry__that_is_not_there(schedule: Any, run_command: Run) -> None:
    schedule(nightly={"task": TASK, "schedule": 60, "args": (1,)})
    done = run_command("enqueue", "--entry", "nihgtly")
    assert (done.err.strip(), done.code) == ('No entry is called "nihgtly".\nHint: did you mean nightly?', 2)


def test_entry__of_no_schedule(schedule: Any, run_command: Run) -> None:
    schedule()
    done = run_command("enqueue", "--entry", "x")
    assert done.err.strip().splitlines()[-1] == (
        "Hint: this schedule has no entries; write one into CELERY_BEAT_SCHEDULE"
    )
    assert done.code == 2


FAULTS = [
    ({"task": "tests.site.tasks.totla", "schedule": 60}, 'its task "tests.site.tasks.totla" is not registered'),
    ({"task": TASK, "schedule": 60}, f"its arguments do not fit \"{TASK}\": missing a required argument: 'x'"),
    ({"task": TASK, "schedule": 60, "args": (1,), "nosuch": 1}, '"nosuch" is none of'),
]


def test_entry__of_another_project_whose_check_is_silenced(
    schedule: Any, sent: Any, queue: str, run_command: Run, settings: Any
) -> None:
    """Beat sends it too."""
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W010"]
    schedule(nightly={"task": "elsewhere.add", "schedule": 60, "args": (1,), "options": {"queue": queue}})
    assert run_command("enqueue", "--entry", "nightly").code == 0
    (message,) = sent()
    assert message["headers"]["task"] == "elsewhere.add"


@pytest.mark.parametrize(("entry", "why"), FAULTS, ids=["task", "arguments", "key"])
def test_entry__that_cannot_run(schedule: Any, run_command: Run, entry: Any, why: str) -> None:
    schedule(nightly=entry, other={"task": TASK, "schedule": 60, "args": (1,)})
    done = run_command("enqueue", "--entry", "nightly")
    assert f'The entry "nightly" cannot be sent: {why}' in done.err
    assert done.code == 2
    assert run_command("enqueue", "--entry", "other", "--dry-run").code == 0


def test_entry__whose_argument_cannot_be_made(schedule: Any, run_command: Run) -> None:
    def broken() -> None:
        raise ValueError("no number")

    schedule(nightly={"task": TASK, "schedule": 60, "args": (beat.BeatLazyFunc(broken),)})
    done = run_command("enqueue", "--entry", "nightly")
    assert 'The arguments of "nightly" cannot be made: ValueError: no number.' in done.err
    assert done.code == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("total",), '--entry names what is sent: "total" is one word too many.'),
        (("--args", "[1]"), "--args does not go with --entry."),
        (("--kwargs", "{}"), "--kwargs does not go with --entry."),
        (("--from", "x.json"), "--from does not go with --entry."),
        (("--unregistered",), "--unregistered does not go with --entry."),
        (("--csv",), "--csv is for the calls of a file."),
    ],
)
def test_entry__stands_alone(schedule: Any, typed: Run, words: tuple[str, ...], sentence: str) -> None:
    schedule(nightly={"task": TASK, "schedule": 60, "args": (1,)})
    done = typed("enqueue", *words, "--entry", "nightly")
    assert (done.err.splitlines()[0], done.code) == (sentence, 2)


def test_completion__names_of_entries(schedule: Any, typed: Run) -> None:
    schedule(nightly={"task": TASK, "schedule": 60}, noon={"task": TASK, "schedule": 60})
    assert typed("completion", "--words", "enqueue", "--entry", "ni").out.split() == ["nightly"]
