from __future__ import annotations

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import QueueNotFound
from django.core.management import call_command

from tasktools.registry import registry
from tests.conftest import Ran
from tests.support import REPOSITORY, Site, refusing_port

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def place(app: Any, name: str) -> str:
    (found,) = [each.defined_in for each in registry.tasks(app) if each.name == name]
    return found


def test_table__a_row_for_each_task(app: Any, run_command: Run) -> None:
    one, two = place(app, "elsewhere.total"), place(app, "tests.site.tasks.total")
    assert one.startswith("tests/site/tasks.py:")
    width = max(len(one), len(two))
    signature = "(x: int, y: int = 2, *, factor: float = 1.0)"
    heads = f"ENQUEUE AS       {'SIGNATURE':<{len(signature)}}  QUEUE   {'DEFINED IN':<{width}}  WHAT IT DOES       FULL NAME"
    first = f"elsewhere.total  {'()':<{len(signature)}}  celery  {one:<{width}}                     elsewhere.total"
    second = f"tasks.total      {signature}  celery  {two:<{width}}  Add and multiply.  tests.site.tasks.total"
    assert run_command("showtasks", "total") == Ran(f"{heads}\n{first}\n{second}\n", "", 0)


def test_table__without_a_pattern_all_but_celery_s_own(app: Any, run_command: Run) -> None:
    done = run_command("showtasks")
    shown = [line.split()[-1] for line in done.out.splitlines()[1:]]
    assert shown == sorted(registry.names(app))
    assert (done.err, done.code) == ("", 0)


def test_table__celery_s_own_where_asked_for(app: Any, run_command: Run) -> None:
    done = run_command("showtasks", "--all")
    shown = [line.split()[-1] for line in done.out.splitlines()[1:]]
    assert shown == sorted(registry.names(app, builtin=True))


def test_table__each_name_in_its_first_column_can_be_enqueued(run_command: Run) -> None:
    rows = [line.split() for line in run_command("showtasks").out.splitlines()[1:]]
    for row in rows:
        done = run_command("enqueue", row[0], "--dry-run")
        assert "can mean" not in done.err
        assert "No task" not in done.err


@pytest.mark.parametrize(("pattern", "count"), [("total", 2), ("*.total", 2), ("tests.site.tasks.t*", 2), ("demo", 6)])
def test_pattern__a_part_of_the_name_or_a_shell_pattern(run_command: Run, pattern: str, count: int) -> None:
    done = run_command("showtasks", pattern)
    assert (len(done.out.splitlines()), done.code) == (1 + count, 0)


def test_json__an_array_of_objects(app: Any, run_command: Run) -> None:
    done = run_command("showtasks", "site.tasks.total", "--json")
    assert json.loads(done.out) == [
        {
            "name": "tests.site.tasks.total",
            "short_name": "tasks.total",
            "signature": "(x: int, y: int = 2, *, factor: float = 1.0)",
            "queue": "celery",
            "defined_in": place(app, "tests.site.tasks.total"),
            "doc": "Add and multiply.",
        }
    ]
    assert (done.err, done.code) == ("", 0)


def test_json__of_all(app: Any, run_command: Run) -> None:
    assert {each["name"] for each in json.loads(run_command("showtasks", "--json").out)} == registry.names(app)


def test_json__of_nothing_is_an_empty_array(typed: Run) -> None:
    done = typed("showtasks", "xyzzy", "--json")
    assert (json.loads(done.out), done.code) == ([], 2)
    error = json.loads(done.err)
    assert error["error"] == 'No task matches "xyzzy".'
    assert error["hint"].startswith("these are registered: ")


def test_signatures__are_shown_as_they_are_written(run_command: Run) -> None:
    (found,) = json.loads(run_command("showtasks", "tests.site.tasks.typed", "--json").out)
    assert found["signature"].startswith("(text: str = '', number: int | None = None, flag: bool = False, ")
    assert "size: Literal['S', 'L', 3] = 'S'" in found["signature"]


def test_unknown__no_task_matches(run_command: Run) -> None:
    done = run_command("showtasks", "xy\0zzy")
    assert done.err.startswith('No task matches "xy\\x00zzy".\nHint: these are registered: ')
    assert (done.out, done.code) == ("", 2)


def test_unknown__the_hint_names_what_was_meant(run_command: Run) -> None:
    assert (
        "Hint: did you mean elsewhere.total or tests.site.tasks.total?"
        in run_command("showtasks", "tests.site.tasks.totl").err
    )


def test_usage__too_many_words(typed: Run) -> None:
    done = typed("showtasks", "one", "two")
    assert (done.out, done.code) == ("", 2)
    assert done.err == "Unrecognized arguments: two.\nHint: manage.py showtasks --help\n"


def test_usage__errors_are_json_too(typed: Run) -> None:
    done = typed("showtasks", "one", "two", "--json")
    assert (done.out, done.code) == ("", 2)
    assert set(json.loads(done.err)) == {"error", "hint"}


def test_app__the_one_that_is_named(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0", task_default_queue="theirs")
    done = run_command("showtasks", "elsewhere.total", "-A", name, "--json")
    assert [each["queue"] for each in json.loads(done.out)] == ["theirs"]
    assert (done.err, done.code) == ("", 0)


def test_app__that_is_none(run_command: Run) -> None:
    assert run_command("showtasks", "-A", "no_such_module") == Ran(
        "",
        '-A names "no_such_module", and there is no module "no_such_module".\n'
        "Hint: give -A as module:attribute, as in proj.celery:app",
        2,
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("width", "heads", "left_out"),
    [
        (200, "ENQUEUE AS SIGNATURE QUEUE DEFINED IN WHAT IT DOES FULL NAME", ""),
        (80, "ENQUEUE AS SIGNATURE QUEUE WHAT IT DOES", "DEFINED IN, FULL NAME"),
        (60, "ENQUEUE AS SIGNATURE QUEUE WHAT IT DOES", "DEFINED IN, FULL NAME"),
        (50, "ENQUEUE AS SIGNATURE WHAT IT DOES", "QUEUE, DEFINED IN, FULL NAME"),
        (30, "ENQUEUE AS SIGNATURE", "QUEUE, DEFINED IN, WHAT IT DOES, FULL NAME"),
    ],
)
def test_terminal__shows_the_columns_that_fit(
    monkeypatch: pytest.MonkeyPatch, width: int, heads: str, left_out: str
) -> None:
    """Six columns of twelve characters each, with words cut in the middle, were of no use."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    screen, notes = Terminal(), io.StringIO()
    call_command("showtasks", "tests.site.tasks.bound", stdout=screen, stderr=notes)
    lines = screen.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "\x1b[3" not in screen.getvalue()
    assert " ".join(lines[1].split()) == heads
    assert lines[3].split()[0] == "bound"
    assert notes.getvalue() == (f"Not shown in {width} columns: {left_out}. --json shows all.\n" if left_out else "")


def test_terminal__a_long_description_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 53 characters made four columns go, and left a table that was 30 wide in a terminal of 80."""
    task = SimpleNamespace(
        short_name="total",
        signature="(item: str, count: int)",
        queue="celery",
        defined_in="shop/tasks.py:6",
        doc="Return what so many of an item cost, with the tax in.",
        name="shop.tasks.total",
    )
    monkeypatch.setattr(registry, "tasks", lambda *_, **__: [task])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    screen, notes = Terminal(), io.StringIO()
    call_command("showtasks", stdout=screen, stderr=notes)
    _, heads, _, line, *_ = screen.getvalue().splitlines()
    assert heads.split() == ["ENQUEUE", "AS", "SIGNATURE", "QUEUE", "WHAT", "IT", "DOES"]
    assert line.rstrip().endswith("   celery   Return what so many of an it…")
    assert notes.getvalue() == "Not shown in 80 columns: DEFINED IN, FULL NAME. --json shows all.\n"


def test_broken_module__the_others_are_shown_and_it_is_told_once(site: Site) -> None:
    site.minimal("shop", "store")
    site.write("shop/tasks.py", "1 / 0\n")
    site.write("store/tasks.py", "from celery import shared_task\n@shared_task\ndef keep(): ...\n")
    done = site.manage("showtasks")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["NAME", "store.tasks.keep"]
    assert done.stderr.splitlines() == [
        'The module "shop.tasks" cannot be imported: ZeroDivisionError: division by zero.',
        'Hint: manage.py shell -c "import shop.tasks" shows where',
    ]
    assert done.returncode == 2


def test_no_tasks__says_how_to_write_one(site: Site) -> None:
    site.minimal("bare")
    site.write("bare/apps.py")
    done = site.manage("showtasks")
    assert (done.stdout, done.returncode) == ("", 0)
    assert done.stderr == "No task is registered. Write one with @shared_task in the tasks.py of an installed app.\n"


def test_no_tasks__json_is_an_empty_array(site: Site) -> None:
    site.minimal("bare")
    site.write("bare/apps.py")
    done = site.manage("showtasks", "--json")
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_queue__that_cannot_be_found_is_a_line(elsewhere: Callable[..., str], run_command: Run) -> None:
    name = elsewhere(task_routes={"tests.site.tasks.total": ["mails"]}, broker_url="memory://")
    done = run_command("showtasks", "site.tasks.total", "--json", "-A", name)
    (task,) = json.loads(done.out)
    warning = json.loads(done.err)["warning"]
    assert (task["queue"], done.code) == ("", 0)
    why = "its route in CELERY_TASK_ROUTES is ['mails'], which is no queue and no options"
    assert warning == f"No queue can be found for tests.site.tasks.total: {why}."


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (IndexError("none"), "IndexError: none"),
        (QueueNotFound(), "QueueNotFound"),
        (QueueNotFound("it's"), 'QueueNotFound: "it\'s"'),
    ],
)
def test_queue__of_a_router_that_fails_is_a_line(
    elsewhere: Callable[..., str], run_command: Run, error: Exception, shown: str
) -> None:
    """A QueueNotFound that was not Celery's own ended the command with a traceback."""

    def route(*_: Any, **__: Any) -> Any:
        raise error

    name = elsewhere(task_routes=(route,), broker_url="memory://")
    done = run_command("showtasks", "site.tasks.total", "--json", "-A", name)
    assert (json.loads(done.out)[0]["queue"], done.code) == ("", 0)
    warning = json.loads(done.err)["warning"]
    assert warning.startswith(
        f"No queue can be found for tests.site.tasks.total without arguments: {shown} ({__file__}, line "
    )
