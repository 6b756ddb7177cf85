"""A broker or a result backend that Celery cannot make: a sentence and a remedy, where Celery has a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Ran

FIX = "Hint: fix CELERY_RESULT_BACKEND, or install its library"
PORT = "Hint: write the port as a number up to 65535, as in redis://localhost:6379/0"

BACKENDS = [
    ("nosuch://u:hidden99@h", "The result backend \"nosuch://u:**@h\" cannot be used: No module named 'nosuch'.", FIX),
    (
        "redis://u:hidden99@h:port/1",
        "The result backend \"redis://u:**@h:port/1\" cannot be used: Port could not be cast to integer value as '**'.",
        PORT,
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
