from __future__ import annotations

import json
import re
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from tasktools.management import fates
from tasktools.models import FailedTask
from tasktools.results import backend
from tests.conftest import Ran
from tests.support import Running, Site, refusing_port, silent_port, wait_for

Run = Callable[..., Ran]


def queued(task_id: str, after: str = "") -> str:
    """What the command says of the one task in a queue that nobody reads."""
    place = f'it waits at position 1 of the queue "unread-{task_id}"'
    return f"{task_id} (tests.site.tasks.echo) is PENDING{after}: {place}."


def waiting(count: int, seconds: float) -> str:
    """What the command says while it waits."""
    return f"Waiting for {count} task{'s' if count > 1 else ''}, {seconds:g} s at the most.\n"


@pytest.fixture(autouse=True)
def server_that_ends_with_the_suite(suite_site: Site) -> None:
    """Have the suite end the private Valkey, which the first look of a test starts."""


@pytest.fixture
def task_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def finished(worker: Running, run_command: Run, app: Any) -> Callable[..., str]:
    """Run a task to its end and return its id."""

    def run(*words: str) -> str:
        sent = run_command("enqueue", *words)
        assert sent.code == 0, sent.err
        task_id = sent.out.strip()
        wait_for(lambda: app.backend.get_task_meta(task_id)["status"] in ("SUCCESS", "FAILURE"))
        return task_id

    return run


@pytest.fixture
def unread(run_command: Run, task_id: str) -> str:
    """The id of a task in a queue that nobody reads."""
    return run_command("enqueue", "echo", "1", "--queue", f"unread-{task_id}", "--task-id", task_id).out.strip()


@pytest.fixture
def running(worker: Running, run_command: Run, app: Any) -> Iterator[str]:
    """The id of a task that a worker runs until the test is over."""
    task_id = run_command("enqueue", "snooze", "600").out.strip()
    wait_for(lambda: app.backend.get_task_meta(task_id)["status"] == "STARTED")
    yield task_id
    app.control.revoke(task_id, terminate=True)
    wait_for(lambda: app.backend.get_task_meta(task_id)["status"] == "REVOKED")


def store(app: Any, task_id: str, **meta: Any) -> None:
    """Write what another client may have left with the result backend, as it is."""
    app.backend.client.set(app.backend.get_key_for_task(task_id), app.backend.encode({"task_id": task_id, **meta}))


def refused(done: Ran, sentence: str, hint: str, code: int = 2) -> None:
    assert (done.out, done.err, done.code) == ("", f"{sentence}\nHint: {hint}", code)


# What became of it.


@pytest.mark.parametrize(
    ("words", "printed"),
    [(("tasks.total", "1", "2"), "3.0\n"), (("echo", "grün"), "grün\n"), (("echo", "[1, null]"), "[1, null]\n")],
)
def test_done__prints_exactly_the_result(
    finished: Callable[..., str], run_command: Run, words: tuple[str, ...], printed: str
) -> None:
    assert run_command("taskresult", finished(*words)) == Ran(printed, "", 0)


def test_done__json(finished: Callable[..., str], run_command: Run) -> None:
    task_id = finished("tasks.total", "1")
    done = run_command("taskresult", task_id, "--json")
    outcome = json.loads(done.out)
    assert outcome.pop("worker").startswith("celery@")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)", outcome.pop("date_done"))
    assert outcome == {
        "id": task_id,
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
    assert (done.err, done.code) == ("", 0)


def test_done__by_another_client(app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="SUCCESS", result={"a": 1})
    assert run_command("taskresult", task_id) == Ran('{"a": 1}\n', "", 0)


def test_failed__with_an_exception(finished: Callable[..., str], run_command: Run) -> None:
    task_id = finished("fail", "all is lost")
    refused(
        run_command("taskresult", task_id),
        f"{task_id} (tests.site.tasks.fail) failed: ValueError: all is lost",
        f"manage.py taskresult {task_id} --traceback",
        1,
    )


def test_failed__with_its_remote_traceback(finished: Callable[..., str], run_command: Run) -> None:
    done = run_command("taskresult", finished("fail"), traceback=True)
    lines = done.err.splitlines()
    assert (done.out, done.code) == ("", 1)
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-3:-1] == ["    raise ValueError(message)", "ValueError: broken"]


def test_failed__without_an_exception(app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="FAILURE", result=None, traceback=None)
    assert run_command("taskresult", task_id) == Ran(
        "", f"{task_id} failed, and the result backend keeps no exception of it.", 1
    )


@pytest.mark.django_db(transaction=True)
def test_failed__and_in_the_table_of_failed_tasks(app: Any, run_command: Run, task_id: str) -> None:
    FailedTask.objects.create(task_id=task_id, failed_at=timezone.now(), message="{}")
    store(app, task_id, status="FAILURE", result=None, traceback=None)
    done = run_command("taskresult", task_id)
    said = f"{task_id} is in the table of failed tasks: manage.py showfailed {task_id}"
    assert done.err.splitlines()[0] == said
    assert run_command("taskresult", task_id, "--tree").err.splitlines().count(said) == 1
    assert done.code == 1


@pytest.mark.django_db(transaction=True)
def test_failed__without_a_result_backend(run_command: Run, elsewhere: Callable[..., str], task_id: str) -> None:
    FailedTask.objects.create(task_id=task_id, failed_at=timezone.now(), message="{}")
    done = run_command("taskresult", "-A", elsewhere(broker_url="memory://"), task_id)
    assert done.err.splitlines()[0] == f"{task_id} is in the table of failed tasks: manage.py showfailed {task_id}"
    assert "No result backend is configured" in done.err
    assert done.code == 2


def test_failed__json(finished: Callable[..., str], typed: Run) -> None:
    task_id = finished("fail")
    done = typed("taskresult", task_id, "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["error"]) == ("FAILURE", {"type": "ValueError", "message": "broken"})
    assert json.loads(done.err) == {
        "error": f"{task_id} (tests.site.tasks.fail) failed: ValueError: broken",
        "hint": f"manage.py taskresult {task_id} --traceback",
    }
    assert done.code == 1


def test_revoked(app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="REVOKED", result={"exc_type": "TaskRevokedError", "exc_message": ["revoked"]})
    assert run_command("taskresult", task_id) == Ran("", f"{task_id} was revoked.", 1)


@pytest.mark.parametrize(
    ("why", "said"),
    [("expired", "expired before a worker began it"), ("terminated", "was revoked: terminated"), ("", "was revoked")],
)
def test_revoked__why(app: Any, run_command: Run, task_id: str, why: str, said: str) -> None:
    store(app, task_id, status="REVOKED", result={"exc_type": "TaskRevokedError", "exc_message": [why]})
    assert run_command("taskresult", task_id) == Ran("", f"{task_id} {said}.", 1)


def test_revoked__expired(worker: Running, typed: Run, task_id: str) -> None:
    sent = typed("enqueue", "echo", "1", "--task-id", task_id, "--countdown", "1s", "--expires", "500ms")
    assert sent.code == 0
    done = typed("taskresult", task_id, "--wait", "--timeout", "60s", "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["task"]) == ("REVOKED", "tests.site.tasks.echo")
    assert outcome["error"] == {"type": "TaskRevokedError", "message": "expired"}
    assert done.code == 1


def test_revoked__without_a_reason(app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="REVOKED", result=None)
    assert run_command("taskresult", task_id) == Ran("", f"{task_id} was revoked.", 1)


def test_revoked__by_a_worker(worker: Running, app: Any, run_command: Run, task_id: str) -> None:
    assert app.control.revoke(task_id, reply=True, timeout=30, limit=1)
    assert run_command("enqueue", "echo", "1", "--task-id", task_id).code == 0
    done = run_command("taskresult", task_id, "--wait", "--timeout", "60s")
    # The worker notes it once as told, and once more, with the task's name, when the message comes.
    assert re.fullmatch(
        rf"{task_id}( \(tests\.site\.tasks\.echo\))? was revoked\.", done.err.removeprefix(waiting(1, 60))
    )
    assert (done.out, done.code) == ("", 1)


def test_not_yet_run__it_waits_in_a_queue(unread: str, run_command: Run) -> None:
    refused(
        run_command("taskresult", unread),
        queued(unread),
        f"--wait waits for the result; showqueues says who takes from the queue, runworker -Q unread-{unread} starts a worker",
        3,
    )


def test_not_yet_run__json(unread: str, typed: Run) -> None:
    done = typed("taskresult", unread, "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["place"], outcome["result"], done.code) == ("PENDING", "queued", None, 3)
    assert outcome["task"] == "tests.site.tasks.echo"
    assert json.loads(done.err)["error"] == queued(unread)


def test_not_yet_run__sent_by_another_process_to_a_queue_of_its_own(
    suite_site: Site, run_command: Run, task_id: str
) -> None:
    words = ("enqueue", "echo", "1", "--queue", f"unread-{task_id}", "--task-id", task_id)
    assert suite_site.run(sys.executable, "-m", "django", *words).stdout.strip() == task_id
    done = run_command("taskresult", task_id)
    assert done.err.splitlines()[0] == queued(task_id)
    assert done.code == 3


def test_not_yet_run__a_worker_holds_it_until_its_time(worker: Running, app: Any, run_command: Run) -> None:
    task_id = run_command("enqueue", "echo", "1", "--countdown", "1h").out.strip()
    wait_for(lambda: task_id in str(app.control.inspect(timeout=1).scheduled()))
    done = run_command("taskresult", task_id)
    place = r"celery@\S+ holds it until its time has come \(due 20\S+T\d\d:\d\d:\d\d[+-]\d\d:\d\d\)\."
    assert re.fullmatch(rf"{task_id} \(tests.site.tasks.echo\) is PENDING: {place}", done.err.splitlines()[0])
    assert (done.out, done.code) == ("", 3)
    app.control.revoke(task_id)


def test_retried__the_cause_and_the_place(app: Any, run_command: Run, task_id: str) -> None:
    sent = run_command(
        "enqueue", "echo", "1", "--queue", f"unread-{task_id}", "--task-id", task_id, "--countdown", "1h"
    )
    assert sent.code == 0
    store(app, task_id, status="RETRY", result={"exc_type": "OSError", "exc_message": ["no answer"]}, name="a.b")
    done = run_command("taskresult", task_id)
    assert re.match(
        rf"{task_id} \(a\.b\) is RETRY \(OSError: no answer\): it waits at position 1 of the queue \"unread-{task_id}\" \(due 20",
        done.err,
    )
    assert (done.out, done.code) == ("", 3)


def test_retried__with_nothing_else_known(worker: Running, app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="RETRY", result=None)
    done = run_command("taskresult", task_id)
    assert done.err.startswith(f"{task_id} is RETRY: no trace of it: ")
    assert done.code == 3  # the worker that runs it may not answer


def test_running__says_where(running: str, app: Any, run_command: Run) -> None:
    done = run_command("taskresult", running)
    told = app.backend.get_task_meta(running)
    state = re.escape(f"{running} (tests.site.tasks.snooze) is STARTED ({json.dumps(told['result'])}): ")
    assert re.fullmatch(rf"{state}{told['worker']} runs it for \d+(\.\d)? s\.", done.err.splitlines()[0])
    assert (done.out, done.code) == ("", 3)


def test_running__is_not_hinted_at_a_worker_to_start(running: str, run_command: Run) -> None:
    assert "runworker" not in run_command("taskresult", running).err


def test_running__json(running: str, app: Any, run_command: Run) -> None:
    done = run_command("taskresult", running, "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["task"], done.code) == ("STARTED", "tests.site.tasks.snooze", 3)
    assert outcome["result"] == app.backend.get_task_meta(running)["result"]


def test_running__what_it_has_told(app: Any, run_command: Run, task_id: str) -> None:
    store(app, task_id, status="PROGRESS", result={"done": 1, "total": 5})
    done = run_command("taskresult", task_id)
    assert done.err.splitlines()[0] == (
        f'{task_id} is PROGRESS ({{"done": 1, "total": 5}}): '
        "no worker runs it: it has ended in this state, or its worker was killed."
    )
    assert (done.out, done.code) == ("", 3)


def test_unknown(worker: Running, run_command: Run, task_id: str) -> None:
    refused(
        run_command("taskresult", task_id),
        f"{task_id} is PENDING: no trace of it: no queue holds it and no worker that answers has it.",
        fates.NO_TRACE,
        4,
    )


def test_unknown__without_any_worker(run_command: Run, elsewhere: Callable[..., str], task_id: str) -> None:
    name = elsewhere(broker_url="memory://", result_backend="cache+memory://")
    done = run_command("taskresult", "-A", name, task_id)
    refused(
        done,
        f"{task_id} is PENDING: no worker that answers has it, and not all queues of this broker can be read.",
        "a task that waits and an unknown id look the same: check the id, or --wait for the result",
        3,
    )
    assert json.loads(run_command("taskresult", "-A", name, task_id, "--json").out)["place"] == "unknown"


def test_unknown__json(worker: Running, typed: Run, task_id: str) -> None:
    done = typed("taskresult", task_id, "--json")
    outcome = json.loads(done.out)
    assert (outcome["state"], outcome["place"], done.code) == ("PENDING", "none", 4)
    assert json.loads(done.err)["hint"] == fates.NO_TRACE


def test_unknown__the_name_of_what_is_queued_is_no_id(unread: str, run_command: Run) -> None:
    assert run_command("taskresult", "tests.site.tasks.echo").code == 4


# Several.


def test_several__each_with_its_id(finished: Callable[..., str], run_command: Run) -> None:
    one, two = finished("echo", "1"), finished("echo", "two")
    assert run_command("taskresult", one, two) == Ran(f"{one} 1\n{two} two\n", "", 0)


def test_several__the_same_twice_is_one(finished: Callable[..., str], run_command: Run) -> None:
    task_id = finished("echo", "1")
    assert run_command("taskresult", task_id, task_id) == Ran("1\n", "", 0)


def test_several__the_gravest_decides(finished: Callable[..., str], unread: str, run_command: Run) -> None:
    done_id, failed, unknown = finished("echo", "1"), finished("fail"), str(uuid.uuid4())
    done = run_command("taskresult", done_id, unread, unknown, failed)
    assert (done.out, done.code) == (f"{done_id} 1\n", 1)
    assert done.err.splitlines() == [
        f"{failed} (tests.site.tasks.fail) failed: ValueError: broken",
        queued(unread),
        f"{unknown} is PENDING: no trace of it: no queue holds it and no worker that answers has it.",
        f"Hint: manage.py taskresult {failed} --traceback",
    ]


def test_several__no_trace_is_graver_than_not_finished(worker: Running, unread: str, run_command: Run) -> None:
    assert run_command("taskresult", unread, str(uuid.uuid4())).code == 4


def test_several__json_is_one_object_a_line(finished: Callable[..., str], unread: str, run_command: Run) -> None:
    done_id = finished("echo", "1")
    done = run_command("taskresult", done_id, unread, "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["id"], each["state"]) for each in found] == [(done_id, "SUCCESS"), (unread, "PENDING")]
    assert done.code == 3


# Waiting.


def test_wait__until_it_is_done(worker: Running, run_command: Run) -> None:
    task_id = run_command("enqueue", "snooze", "0.3").out.strip()
    assert run_command("taskresult", task_id, "--wait", "--timeout", "30s") == Ran("awake\n", waiting(1, 30), 0)


def test_wait__several_of_which_one_is_not_done_in_time(
    finished: Callable[..., str], unread: str, run_command: Run
) -> None:
    task_id = finished("echo", "1")
    done = run_command("taskresult", unread, task_id, "--wait", "--timeout", "100ms")
    assert (done.out, done.code) == (f"{task_id} 1\n", 3)
    assert done.err.splitlines()[:2] == [waiting(2, 0.1).strip(), queued(unread, " after 0.1 s")]


def test_wait__not_done_in_time(unread: str, run_command: Run) -> None:
    refused(
        run_command("taskresult", unread, "--wait", "--timeout", "100ms"),
        waiting(1, 0.1) + queued(unread, " after 0.1 s"),
        f"is a worker running (manage.py runworker -Q unread-{unread})? Ask again: manage.py taskresult {unread} --wait",
        3,
    )


def test_wait__running_and_not_done_in_time(running: str, app: Any, run_command: Run) -> None:
    done = run_command("taskresult", running, "--wait", "--timeout", "100ms")
    assert f"{running} (tests.site.tasks.snooze) is STARTED " in done.err
    assert re.search(r" after 0\.1 s: celery@\S+ runs it for \d", done.err)
    assert (done.out, done.code) == ("", 3)


def test_wait__json_not_done_in_time(unread: str, typed: Run) -> None:
    done = typed("taskresult", unread, "--wait", "--timeout", "100ms", "--json")
    assert (json.loads(done.out)["state"], done.code) == ("PENDING", 3)
    assert json.loads(done.err)["error"] == queued(unread, " after 0.1 s")


def test_wait__interrupted(suite_site: Site, app: Any, unread: str) -> None:
    def looks() -> int:
        return int(app.backend.client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"])

    before = looks()
    command = suite_site.start(sys.executable, "-m", "django", "taskresult", "--wait", unread, "--interval", "10ms")
    wait_for(lambda: looks() > before + 20, what="the command to look for the result")
    assert command.end(signal.SIGINT) == 130
    assert command.output == waiting(1, 60)


# What was typed is wrong.


def test_usage__no_id(typed: Run) -> None:
    done = typed("taskresult")
    assert (done.out, done.code) == ("", 2)
    assert done.err == "The following arguments are required: id.\nHint: manage.py taskresult --help\n"


def test_usage__errors_are_json_too(typed: Run) -> None:
    done = typed("taskresult", "--json")
    assert (done.out, done.code) == ("", 2)
    assert set(json.loads(done.err)) == {"error", "hint"}


@pytest.mark.parametrize(
    ("task_id", "printed"),
    [
        pytest.param("a" * 10_000, "a" * 80 + "…", id="10,000 characters"),
        ("a\0b", "a\\x00b"),
        ("", ""),
        ("a\nb", "a\\nb"),
    ],
)
def test_id__that_no_task_can_have(run_command: Run, task_id: str, printed: str) -> None:
    refused(run_command("taskresult", task_id), f'"{printed}" is no task id.', "give the id that enqueue printed")


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (("--wait", "--timeout", "soon"), '"soon" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (("--wait", "--timeout", "-5"), '"-5" is negative.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (("--wait", "--timeout", ""), '"" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (("--interval", "soon"), '"soon" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (("--interval", "0"), "--interval is 0.", "give a pause such as 100ms"),
    ],
)
def test_options__that_cannot_be_meant(
    run_command: Run, task_id: str, words: tuple[str, ...], sentence: str, hint: str
) -> None:
    refused(run_command("taskresult", task_id, *words), sentence, hint)


def test_backend__none(run_command: Run, elsewhere: Callable[..., str], task_id: str) -> None:
    name = elsewhere(broker_url="memory://", result_backend="disabled://")
    refused(
        run_command("taskresult", "-A", name, task_id),
        "No result backend is configured, so results are not kept.",
        'set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"',
    )


def test_backend__of_no_known_kind(run_command: Run, elsewhere: Callable[..., str], task_id: str) -> None:
    name = elsewhere(broker_url="memory://", result_backend="nosuch://me:secret@host")
    refused(
        run_command("taskresult", "-A", name, task_id),
        "The result backend \"nosuch://me:**@host\" cannot be used: No module named 'nosuch'.",
        "fix CELERY_RESULT_BACKEND, or install its library",
    )


def test_backend__that_refuses(run_command: Run, elsewhere: Callable[..., str], task_id: str) -> None:
    port = refusing_port()
    name = elsewhere(broker_url="memory://", result_backend=f"redis://:secret@127.0.0.1:{port}/0")
    done = run_command("taskresult", "-A", name, task_id)
    sentence, hint = done.err.splitlines()
    assert (done.out, done.code) == ("", 69)
    assert hint == "Hint: start it, or fix its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"
    subject = re.escape(f'The result backend "redis://:**@127.0.0.1:{port}/0" cannot be reached: ')
    assert re.fullmatch(rf"{subject}.*Connection refused\.", sentence)


def test_backend__that_is_silent(
    run_command: Run, elsewhere: Callable[..., str], task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "LOOK_LIMIT", 0.5)
    with silent_port() as port:
        name = elsewhere(broker_url="memory://", result_backend=f"redis://:secret@127.0.0.1:{port}/0")
        done = run_command("taskresult", "-A", name, task_id)
    assert (done.out, done.code) == ("", 69)
    assert done.err.splitlines()[0] == f'The result backend "redis://:**@127.0.0.1:{port}/0" does not answer.'


def test_place__a_queue_that_was_not_seen_in_a_large_database(
    run_command: Run, app: Any, unread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that there is no trace of the task, with exit code 4."""
    monkeypatch.delitem(app.amqp.queues, f"unread-{unread}")  # which only this process knows
    monkeypatch.setattr("tasktools.queues.position.MOST_SCANS", 0)
    ran = run_command("taskresult", unread)
    assert (ran.code, ran.err) == (
        3,
        f"{unread} is PENDING: no worker that answers has it, and not all queues of this broker can be read.\n"
        f"Hint: not all keys of the database were looked at for queues: manage.py taskresult {unread} --deep looks at all",
    )
    assert run_command("taskresult", unread, "--deep").err.startswith(queued(unread))
