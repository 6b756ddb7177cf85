"""Whatever a worker, a broker, a task module or a file says: a terminal shows it, and JSON stays JSON."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Reject
from django.core.checks import run_checks
from django.core.management import CommandError, call_command, load_command_class
from django.core.management.base import OutputWrapper

from tasktools import startup
from tasktools.exceptions import ProjectError
from tasktools.management import celery_cli, run_base
from tasktools.project import Project
from tasktools.worker.shutdown import Stop
from tests.conftest import Ran
from tests.hostile import ENCODABLE, HOSTILE, active, forged

Run = Callable[..., Ran]

META = {"status": "SUCCESS", "result": 4, "traceback": None}


def nothing() -> None: ...


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run() -> Run:
    """Run a command whose stdout and stderr are a terminal."""

    def run(*words: str, **options: Any) -> Ran:
        out, err, code = Terminal(), Terminal(), 0
        try:
            call_command(*words, stdout=out, stderr=err, no_color=True, **options)
        except CommandError as error:
            err.write(str(error))
            code = error.returncode
        return Ran(out.getvalue(), err.getvalue(), code)

    return run


@pytest.fixture
def app_name(elsewhere: Callable[..., str]) -> str:
    return elsewhere(broker_url="memory://", result_backend="cache+memory://")


def app_of(name: str) -> Any:
    return sys.modules[name.partition(":")[0]].app  # type: ignore[attr-defined]


def clean(done: Ran) -> None:
    """Nothing in it is obeyed, and nothing looks like a line of ours that is none; the hostile text was shown."""
    assert active(done.out + done.err) == []
    assert forged(done.out + done.err) == []
    assert "\\x1b]0;title\\x07" in done.out + done.err


def json_too(run: Run, *words: str, code: int, **options: Any) -> None:
    """The same with --json: every line of stdout is JSON."""
    done = run(*words, "--json", **options)
    assert active(done.out + done.err) == []
    for line in done.out.splitlines():
        json.loads(line)
    assert done.code == code


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": HOSTILE}}, 1),
        ({"status": "FAILURE", "result": {"exc_type": HOSTILE, "exc_message": "x"}}, 1),
        ({"status": "FAILURE", "result": {"exc_type": "X", "exc_module": HOSTILE, "exc_message": [HOSTILE, 1]}}, 1),
        ({"status": "FAILURE", "name": HOSTILE, "result": None}, 1),
        ({"status": "REVOKED", "name": HOSTILE, "result": None}, 1),
        ({"status": HOSTILE}, 3),
        ({"status": "PROGRESS", "result": HOSTILE}, 3),
        ({"status": "PROGRESS", "result": {HOSTILE: [HOSTILE]}}, 3),
        ({"status": "STARTED", "worker": HOSTILE}, 3),
        ({"status": "RETRY", "name": HOSTILE, "result": {"exc_type": "X", "exc_message": HOSTILE}}, 3),
        ({"status": [HOSTILE]}, 1),
        ({"status": "FAILURE", "result": [HOSTILE]}, 1),
    ],
    ids=range(12),
)
def test_taskresult(run: Run, app_name: str, meta: dict[str, Any], code: int) -> None:
    app = app_of(app_name)
    app.backend.set(app.backend.get_key_for_task("one"), app.backend.encode({**META, **meta}))
    done = run("taskresult", "-A", app_name, "one")
    assert done.code == code
    assert active(done.err) == []
    assert forged(done.err) == []
    json_too(run, "taskresult", "-A", app_name, "one", code=code)


def failed_with_traceback(app_name: str) -> None:
    app = app_of(app_name)
    meta = {**META, "status": "FAILURE", "result": None, "traceback": f"Traceback:\n\t{HOSTILE}\r\nend"}
    app.backend.set(app.backend.get_key_for_task("one"), app.backend.encode(meta))


def test_taskresult__a_traceback_keeps_its_lines_and_nothing_else(run: Run, app_name: str) -> None:
    failed_with_traceback(app_name)
    done = run("taskresult", "-A", app_name, "one", traceback=True)
    assert active(done.err) == []
    assert done.err.startswith("Traceback:\n\ta\\x1b]0;title\\x07")
    assert "\nend\n" in done.err


@pytest.fixture
def succeeded(app_name: str) -> str:
    app = app_of(app_name)
    for task_id in ("one", "two"):
        meta = {**META, "result": ENCODABLE}
        app.backend.set(app.backend.get_key_for_task(task_id), app.backend.encode(meta))
    return app_name


def test_result__on_a_terminal_is_shown_with_its_lines(run: Run, succeeded: str) -> None:
    done = run("taskresult", "-A", succeeded, "one")
    assert active(done.out) == []
    assert done.out.startswith("a\\x1b]0;title\\x07")
    assert done.out.endswith("\nforged: line\nforged\n")


def test_result__in_a_pipe_is_the_data_as_it_is(run_command: Run, succeeded: str) -> None:
    assert run_command("taskresult", "-A", succeeded, "one").out == ENCODABLE + "\n"


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_results__of_several_are_a_line_each(run: Run, run_command: Run, succeeded: str, where: str) -> None:
    done = (run_command if where == "pipe" else run)("taskresult", "-A", succeeded, "one", "two")
    clean(done)
    assert [line.partition(" ")[0] for line in done.out.splitlines()] == ["one", "two"]


# The tasks themselves.


@pytest.fixture
def tasks(app_name: str) -> str:
    app = app_of(app_name)
    code = compile(f"def run(value={HOSTILE!r}): ...", ENCODABLE, "exec")
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    namespace["run"].__doc__ = ENCODABLE.replace("\n", " ")
    app.task(namespace["run"], name=f"shop.{ENCODABLE}", shared=False)
    app.conf.task_routes = {f"shop.{ENCODABLE}": ENCODABLE}

    # Celery logs what these raise, and the report of a test carries no text that UTF-8 cannot write.
    @app.task(name="fail", shared=False)
    def fail() -> None:
        raise ValueError(ENCODABLE)

    @app.task(name="reject", shared=False)
    def reject() -> None:
        raise Reject(ENCODABLE)

    @app.task(name="again", bind=True, shared=False)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError(ENCODABLE))

    @app.task(name="progress", bind=True, shared=False)
    def progress(self: Any) -> Any:
        self.update_state(state=HOSTILE, meta={HOSTILE: HOSTILE})
        return {1: HOSTILE}

    return app_name


def test_showtasks__in_a_pipe(run_command: Run, tasks: str) -> None:
    clean(run_command("showtasks", "-A", tasks))


def test_showtasks__on_a_terminal(run: Run, tasks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    clean(run("showtasks", "-A", tasks))


def test_showtasks__json(run: Run, tasks: str) -> None:
    done = run("showtasks", "-A", tasks, "--json")
    assert active(done.out) == []
    assert any(each["queue"] == ENCODABLE for each in json.loads(done.out))


@pytest.mark.parametrize(
    "words",
    [
        ("fail",),
        ("reject",),
        ("again",),
        ("again", "--retry-now"),
        ("progress",),
        ("progress", "--serialize", "-v", "2"),
    ],
    ids=" ".join,
)
def test_runtask(run: Run, tasks: str, words: tuple[str, ...]) -> None:
    done = run("runtask", "-A", tasks, *words)
    assert active(done.out + done.err) == []
    assert "\\x1b]0;title\\x07" in done.out + done.err


def test_runtask__sentences_are_one_line(run: Run, tasks: str) -> None:
    *_, sentence, hint = run("runtask", "-A", tasks, "fail").err.splitlines()
    assert sentence.startswith("fail failed: ValueError: a\\x1b]0;title\\x07")
    assert sentence.endswith("\\nforged")
    assert hint.startswith("Hint: ")


@pytest.mark.parametrize("words", [("enqueue", "fail"), ("runtask", "nothing"), ("showtasks",)], ids=" ".join)
def test_module__that_cannot_be_imported(
    run: Run, tasks: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    problem = ProjectError(f'The module "{HOSTILE}" is broken.', hint=HOSTILE)
    monkeypatch.setattr(startup, "load_tasks", lambda found: [problem])
    clean(run(words[0], "-A", tasks, *words[1:]))


@pytest.mark.parametrize("error", [KeyError, OSError, ValueError, type("TooLate", (Exception,), {})])
def test_enqueue__a_router_or_broker_that_fails(
    run: Run, elsewhere: Callable[..., str], error: type[Exception]
) -> None:
    def route(name: str, *_: Any, **__: Any) -> None:
        raise error(HOSTILE)

    name = elsewhere(broker_url="memory://", task_routes=[route])
    app_of(name).task(nothing, name="one", shared=False)
    done = run("enqueue", "-A", name, "one")
    assert active(done.err) == []
    assert forged(done.err) == []


def test_enqueue__the_id_that_a_task_returns(run: Run, tasks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = app_of(tasks).tasks["fail"]
    monkeypatch.setattr(type(task), "apply_async", lambda *_, **__: SimpleNamespace(id=HOSTILE))
    clean(run("enqueue", "-A", tasks, "fail"))


@pytest.mark.parametrize(
    "line", [{"task": HOSTILE}, {"task": "fail", HOSTILE: 1}, {"task": "fail", "options": {HOSTILE: 1}}], ids=range(3)
)
@pytest.mark.parametrize("more", [(), ("--check",)], ids=["send", "check"])
def test_enqueue_from__a_bad_line(run: Run, tasks: str, tmp_path: Path, line: Any, more: tuple[str, ...]) -> None:
    path = tmp_path / "calls"
    path.write_text(json.dumps(line) + "\n")
    clean(run("enqueue", "-A", tasks, "--from", str(path), *more))


def test_enqueue_from__a_file_of_that_name(run: Run, tasks: str) -> None:
    clean(run("enqueue", "-A", tasks, "--from", HOSTILE))


# The commands that run, and what is said of them.


def test_runworker__its_first_line(run: Run, tasks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app_of(tasks).main = HOSTILE
    monkeypatch.setattr(celery_cli, "run_celery", lambda *_, **__: 0)
    monkeypatch.setattr(run_base.RunCommand, "start", lambda *_: 0)
    clean(run("runworker", "-A", tasks, "--queues", HOSTILE, skip_checks=True))


def test_runworker__what_a_stop_says(capsys: pytest.CaptureFixture[str]) -> None:
    command: Any = load_command_class("tasktools", "runworker")
    stop = Stop(command.note, every_second=False)
    stop._sum_up("finished", [SimpleNamespace(name=HOSTILE, id=HOSTILE)])
    clean(Ran(*capsys.readouterr(), 0))


def test_celery__what_click_refuses(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    done = run("celery", HOSTILE)
    clean(Ran(capsys.readouterr().out, done.err, done.code))


def test_rundev__what_was_typed(typed: Run) -> None:
    done = typed("rundev", "--worker", f"'{HOSTILE}", "--no-color")
    assert (active(done.err), forged(done.err), done.code) == ([], [], 2)


def test_parser__what_was_typed(typed: Run) -> None:
    clean(typed("taskresult", f"--{HOSTILE}", "one", "--no-color"))


def test_checks(project: Project) -> None:
    project.problems = [ProjectError(f'The module "{HOSTILE}" is broken.', hint=HOSTILE)]
    (message,) = [each for each in run_checks(tags=["tasktools"]) if each.id == "tasktools.W002"]
    clean(Ran(f"{message.msg}\n{message.hint}", "", 0))


def test_log__of_what_went_wrong_at_start_up(caplog: pytest.LogCaptureFixture, project: Project) -> None:
    project.problems = [ProjectError(f'The module "{HOSTILE}" is broken.', hint=HOSTILE)]
    with caplog.at_level(logging.ERROR, "tasktools"):
        startup._log_problems()
    clean(Ran(caplog.records[0].getMessage(), "", 0))


def test_error__its_traceback(typed: Run, tasks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(self: Any, name: str | None) -> None:
        raise ProjectError(HOSTILE)

    monkeypatch.setattr("tasktools.management.base.TasktoolsCommand.find_app", find)
    done = typed("showtasks", "--traceback", "--no-color")
    assert active(done.err) == []
    assert "Traceback (most recent call last):" in done.err


def test_style__stays(tasks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "load_tasks", lambda found: [ProjectError("\x1b[2J is broken.", hint="fix it")])
    err = Terminal()
    call_command("runtask", "nothing", "-A", tasks, stdout=io.StringIO(), stderr=err, force_color=True)
    assert err.getvalue().startswith("\x1b[33;1m\\x1b[2J is broken.\x1b[0m\n")


LONG = "x" * 10_000_000


@pytest.mark.parametrize(
    ("meta", "words", "code"),
    [
        ({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": LONG}}, (), 1),
        ({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": LONG}}, ("--tree",), 1),
        ({"status": "PROGRESS", "result": {"note": LONG}}, (), 3),
        ({"status": "FAILURE", "name": LONG, "result": None}, ("--tree",), 1),
    ],
    ids=range(4),
)
def test_taskresult__megabytes_do_not_flood_the_terminal(
    run: Run, app_name: str, meta: dict[str, Any], words: tuple[str, ...], code: int
) -> None:
    """--json has all of it."""
    app = app_of(app_name)
    app.backend.set(app.backend.get_key_for_task("one"), app.backend.encode({**META, **meta}))
    done = run("taskresult", "-A", app_name, "one", *words)
    assert done.code == code
    assert "xxx… and 9,99" in done.out + done.err
    assert len(done.out + done.err) < 20_000
    assert LONG in run("taskresult", "-A", app_name, "one", *words, "--json").out


def test_note__that_is_json_is_never_cut() -> None:
    err = io.StringIO()
    command: Any = load_command_class("tasktools", "taskresult")
    command.stderr, command.as_json = OutputWrapper(err), True
    command.note(LONG)
    assert json.loads(err.getvalue()) == {"note": LONG}
