"""--help is data: where it cannot be written the command says so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.core.management import load_command_class

from tests.conftest import Ran

Run = Callable[..., Ran]

FULL = "stdout cannot be written: No space left on device.\nHint: make room, or send it somewhere else\n"

COMMANDS = [
    "completion",
    "enqueue",
    "forgetfailed",
    "purgequeue",
    "retryfailed",
    "runbeat",
    "revoketask",
    "rundev",
    "runtask",
    "runworker",
    "showfailed",
    "showqueues",
    "showschedule",
    "showtasks",
    "showworkers",
    "taskdoctor",
    "taskresult",
    "watchtasks",
]


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    with open("/dev/full", "w") as stream, contextlib.redirect_stdout(stream):
        yield


@pytest.mark.parametrize("name", COMMANDS)
def test_help__on_a_full_disk(typed: Run, name: str) -> None:
    with full_disk():
        ran = typed(name, "--help")
    assert (ran.code, ran.err) == (74, FULL)


def test_help__of_manage_py_on_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    with full_disk(), pytest.raises(SystemExit) as ended:
        load_command_class("tasktools", "enqueue").print_help("manage.py", "enqueue")
    assert (ended.value.code, capsys.readouterr().err) == (74, FULL)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("enqueue", "--args --kwargs --queue --countdown --eta --expires --priority --task-id"),
        ("showtasks", "--all --json --app"),
        ("purgequeue", "--task --dry-run --noinput --json --app"),
        ("showschedule", "--next --at --overdue --scheduler --json --app"),
        ("showqueues", "--interval --by-task --peek --max --max-age --watch --deep --json --app"),
        ("showfailed", "--task --exception --since --until --state --group --limit --json --app"),
        ("retryfailed", "--task --exception --since --all --dry-run --rate --edit --again --noinput --json --app"),
        ("forgetfailed", "--task --exception --since --before --mended --all --dry-run --noinput --json --app"),
        ("showworkers", "--tasks --timeout --json --app"),
        ("revoketask", "--terminate --signal --noinput --timeout --json --app"),
        ("taskdoctor", "--live --json --app"),
        ("watchtasks", "--top --task --failed --no-enable --json --app"),
        ("taskresult", "--wait --timeout --interval --json --app"),
    ],
)
def test_help__has_the_options(typed: Run, name: str, options: str) -> None:
    done = typed(name, "--help")
    assert done.code == 0
    assert "\nexit codes:\n  0    done\n" in done.out
    for option in options.split():
        assert f" {option}" in done.out


def test_help__goes_to_stdout(typed: Run) -> None:
    ran = typed("enqueue", "--help")
    assert ran.out.startswith("usage: manage.py enqueue ")
    assert (ran.err, ran.code) == ("", 0)


@pytest.mark.parametrize(
    ("command", "example"), [("runworker", "worker.send_task_events=1"), ("runbeat", "beat.max_loop_interval=60")]
)
def test_further_settings__have_an_example_of_their_own(command: str, example: str) -> None:
    parser = load_command_class("tasktools", command).create_parser("manage.py", command)
    assert f"further settings, as celery takes them: {example}" in " ".join(parser.format_help().split())
