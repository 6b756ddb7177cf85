"""A broker or a result backend that Celery cannot make: a sentence and a remedy, where Celery has a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler

from tasktools.brokers import result_backend
from tasktools.brokers.portable import PortableBroker
from tasktools.exceptions import ConfigurationError
from tasktools.management.beat_setup import BeatSetup
from tests.conftest import Ran
from tests.support import refusing_port, silent_port

FIX = "Hint: fix CELERY_RESULT_BACKEND, or install its library"
PORT = "Hint: write the port as a number up to 65535, as in redis://localhost:6379/0"

FOLDER = (
    "The configured path for the file-system backend does not work correctly, please make sure that it exists and has"
)

BACKENDS = [
    ("nosuch://u:hidden99@h", "The result backend \"nosuch://u:**@h\" cannot be used: No module named 'nosuch'.", FIX),
    (
        "redis://u:hidden99@h:port/1",
        "The result backend \"redis://u:**@h:port/1\" cannot be used: Port could not be cast to integer value as '**'.",
        PORT,
    ),
    (
        "file:///nonexistent/results",
        f'The result backend "file:///nonexistent/results" cannot be used: {FOLDER} the correct permissions.',
        FIX,
    ),
]


def ends_with(ran: Ran, *lines: str) -> bool:
    assert "hidden99" not in ran.err
    assert "Traceback" not in ran.err
    return ran.code == 2 and tuple(ran.err.splitlines()[-len(lines) :]) == lines


@pytest.mark.parametrize("command", ["runworker", "runbeat"])
@pytest.mark.parametrize(("url", "sentence", "hint"), BACKENDS)
def test_result_backend__that_cannot_be_made_ends_what_would_crash(
    run_command: Callable[..., Ran], elsewhere: Callable[..., str], command: str, url: str, sentence: str, hint: str
) -> None:
    name = elsewhere(broker_url="memory://", result_backend=url)
    assert ends_with(run_command(command, "--noreload", "-A", name, skip_checks=True), sentence, hint)


@pytest.mark.parametrize(("url", "sentence", "hint"), BACKENDS)
def test_result_backend__that_cannot_be_made_is_named_by_enqueue(
    run_command: Callable[..., Ran],
    elsewhere: Callable[..., str],
    tmp_path: Any,
    url: str,
    sentence: str,
    hint: str,
) -> None:
    name = elsewhere(broker_url="memory://", result_backend=url)
    call = ("enqueue", "a.b", "--unregistered", "-A", name)
    assert ends_with(run_command(*call), f"{sentence} Nothing was sent.", hint)
    (tmp_path / "calls").write_text("[]\n")
    ran = run_command("enqueue", "celery.backend_cleanup", "-A", name, "--from", str(tmp_path / "calls"))
    assert ends_with(
        ran,
        f"{sentence} This is line 1. Nothing after line 0 was sent.",
        f"{hint}. To go on: the same command with --start 1",
    )


def test_result_backend__that_cannot_be_made_is_named_by_showschedule(
    run_command: Callable[..., Ran], elsewhere: Callable[..., str]
) -> None:
    name = elsewhere(broker_url="memory://", result_backend="nosuch://")
    assert ends_with(run_command("showschedule", "-A", name), BACKENDS[0][1].replace("u:**@h", ""), FIX)
    name = elsewhere(broker_url="memory://", result_backend="nosuch://", result_expires=None)
    assert run_command("showschedule", "-A", name).code == 0  # then Celery's schedulers do not look at it


@pytest.mark.parametrize("words", [("runworker", "--noreload"), ("pausequeue", "celery"), ("resumequeue", "celery")])
def test_broker_to_read_from__of_no_known_kind(
    run_command: Callable[..., Ran], elsewhere: Callable[..., str], words: tuple[str, ...]
) -> None:
    name = elsewhere(broker_url="memory://", broker_read_url="nosuch://u:hidden99@h", result_backend="disabled://")
    ran = run_command(*words, "-A", name, **{"skip_checks": True} if "runworker" in words else {})
    assert ends_with(
        ran,
        'The broker "nosuch://u:**@h" is of no kind that kombu knows: No such transport: nosuch.',
        "Hint: set CELERY_BROKER_READ_URL to a URL such as redis://localhost:6379/0 or amqp://localhost",
    )


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("CELERY_BROKER_URL", False),
        ("CELERY_BROKER_URL", True),
        ("CELERY_BROKER_WRITE_URL", False),
        ("CELERY_BROKER_READ_URL", True),
    ],
)
def test_broker_of_no_known_kind__that_a_variable_has_chosen(
    monkeypatch: pytest.MonkeyPatch, name: str, reads: bool
) -> None:
    """The error named the broker of the settings, which nobody had used."""
    app = Celery("elsewhere", broker="redis://good", set_as_current=False)
    monkeypatch.setenv(name, "nosuch://u:hidden99@h")
    with pytest.raises(ConfigurationError) as caught:
        PortableBroker.connection(app, reads=reads)
    app.close()
    assert caught.value.sentence.startswith('The broker "nosuch://u:**@h" is of no kind that kombu knows')
    assert caught.value.hint.startswith(f"set {name} to a URL such as")


HINT = "Hint: start it, or fix its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"


def database(port: int) -> str:
    """The URL of a result backend that connects when it is made."""
    return f"db+postgresql+psycopg://u:hidden99@127.0.0.1:{port}/x"


@pytest.mark.parametrize(
    "words",
    [
        ("runworker", "--noreload"),
        ("runbeat", "--noreload", "-S", "celery.beat:PersistentScheduler"),
        ("runbeat", "--noreload", "-S", "redbeat.RedBeatScheduler"),
        ("showschedule",),
        ("taskresult", "7c0d"),
    ],
)
@pytest.mark.parametrize("is_silent", [False, True])
def test_result_backend__that_is_down_is_unreachable(
    run_command: Callable[..., Ran],
    elsewhere: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    is_silent: bool,
) -> None:
    """It was a wrong setting, code 2: systemd did not start the worker again when the database was back."""
    monkeypatch.setattr(result_backend, "LIMIT", 0.5 if is_silent else 60.0)
    with silent_port() as silent:
        url = database(silent if is_silent else refusing_port())
        name = elsewhere(broker_url="memory://", result_backend=url, redbeat_redis_url="redis://127.0.0.1:9/0")
        ran = run_command(*words, "-A", name, **{"skip_checks": True} if words[0].startswith("run") else {})
    assert ran.code == 69
    assert "hidden99" not in ran.err
    if is_silent:
        assert f'The result backend "{url.replace("hidden99", "**")}" does not answer.\n{HINT}' in ran.err
    else:
        assert f'The result backend "{url.replace("hidden99", "**")}" cannot be reached: ' in ran.err
        assert ran.err.endswith(HINT)


class FromElsewhere(Scheduler):
    """A scheduler with entries of another kind, which finds its own without the result backend, as django-celery-beat's."""

    class Entry(ScheduleEntry):
        pass

    def install_default_entries(self, data: Any) -> None:
        pass


def test_result_backend__that_is_down_is_not_needed_by_each_scheduler(
    run_command: Callable[..., Ran], elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BeatSetup, "words", lambda _: sys.exit(42))  # beat would start
    kind = f"{__name__}:FromElsewhere"
    name = elsewhere(broker_url="memory://", result_backend=database(refusing_port()), beat_scheduler=kind)
    assert run_command("showschedule", "-A", name).code == 0
    assert run_command("runbeat", "--noreload", "-A", name, skip_checks=True).code == 42


def test_result_backend__that_is_down_stops_a_file_of_calls(
    run_command: Callable[..., Ran], elsewhere: Callable[..., str], tmp_path: Any
) -> None:
    url = database(refusing_port())
    (tmp_path / "calls").write_text("[]\n")
    name = elsewhere(broker_url="memory://", result_backend=url)
    ran = run_command("enqueue", "celery.backend_cleanup", "-A", name, "--from", str(tmp_path / "calls"))
    assert ran.code == 69
    assert f'The result backend "{url.replace("hidden99", "**")}" cannot be reached: ' in ran.err
    assert ran.err.endswith(f"{HINT}. To go on: the same command with --start 1")
