"""A terminal gets each record once: from a handler of the site, such as Django's own, or from Celery's."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.log import Logging
from django.utils.log import DEFAULT_LOGGING
from rich.console import Console
from rich.logging import RichHandler

from tasktools.management.site_logging import keep_logging

NAMES = ("", "celery", "celery.task", "celery.app.trace", "django", "django.tasks", "django.server")

Printed = Callable[..., str]


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """One whose records nobody gets but what the test sets up."""
    all_ = [logging.getLogger(name) for name in NAMES]
    before = [(each.level, list(each.handlers), each.propagate) for each in all_]
    monkeypatch.setattr(Logging, "_setup", False)
    for name in ("LEVEL", "FILE", "FORMAT"):
        monkeypatch.setenv(f"_MP_FORK_LOG{name}_", "")
    yield logging.getLogger("django.tasks")
    for each, (level, handlers, propagate) in zip(all_, before, strict=True):
        for handler in {*each.handlers} - {*handlers}:
            handler.close()
        each.setLevel(level)
        each.handlers[:], each.propagate = handlers, propagate


@pytest.fixture
def printed(logger: logging.Logger, settings: Any, capfd: pytest.CaptureFixture[str]) -> Printed:
    """Log a record as a worker of a site with Django's default logging does; return what the terminal gets."""

    def printed(
        *handlers: logging.Handler, level: int = logging.INFO, logfile: Path | None = None, **configured: Any
    ) -> str:
        for name in NAMES:
            logging.getLogger(name).handlers[:] = []
            logging.getLogger(name).propagate = True
        settings.LOGGING = configured
        logging.config.dictConfig(DEFAULT_LOGGING)
        for name in ("console", "mail_admins"):
            assert any(each.name == name for each in logging.getLogger("django").handlers)
        for handler in handlers:
            logger.addHandler(handler)
        with Celery("shop", set_as_current=False) as app:
            keep_logging(app, keep_levels=True)
            app.log.setup_logging_subsystem("INFO", logfile and str(logfile))
            logger.log(level, "of a task")
        return "".join(capfd.readouterr())

    return printed


@pytest.fixture
def no_mail(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    sent: list[logging.LogRecord] = []
    monkeypatch.setattr("django.utils.log.AdminEmailHandler.emit", lambda _, record: sent.append(record))
    return sent


def test_record__that_django_has_printed(printed: Printed, settings: Any) -> None:
    settings.DEBUG = True
    assert printed() == "of a task\n"


def test_record__with_logging_that_names_others(printed: Printed, settings: Any) -> None:
    settings.DEBUG = True
    assert printed(version=1, disable_existing_loggers=False) == "of a task\n"


def test_record__that_the_handler_does_not_let_pass(printed: Printed, settings: Any) -> None:
    settings.DEBUG = False
    assert "INFO/MainProcess] of a task\n" in printed()


def test_record__below_the_level_of_the_handler(printed: Printed, settings: Any) -> None:
    settings.DEBUG = False
    quiet = logging.StreamHandler(sys.__stderr__)
    quiet.setLevel(logging.ERROR)
    assert "INFO/MainProcess] of a task\n" in printed(quiet)


def test_record__that_was_sent_by_mail_alone(printed: Printed, settings: Any, no_mail: list[logging.LogRecord]) -> None:
    settings.DEBUG = False
    assert "ERROR/MainProcess] of a task\n" in printed(level=logging.ERROR)
    assert len(no_mail) == 1


def test_record__that_went_to_a_file_of_the_site(printed: Printed, settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = False
    assert "INFO/MainProcess] of a task\n" in printed(logging.FileHandler(tmp_path / "site"))
    assert (tmp_path / "site").read_text() == "of a task\n"


@pytest.mark.parametrize("place", ["stdout", "stderr"])
def test_record__that_went_to_a_terminal(printed: Printed, settings: Any, place: str) -> None:
    settings.DEBUG = False
    assert printed(logging.StreamHandler(getattr(sys, f"__{place}__"))) == "of a task\n"


def test_record__that_went_to_a_terminal_by_its_name(printed: Printed, settings: Any) -> None:
    settings.DEBUG = False
    with open(os.dup(2), "w") as copy:
        assert printed(logging.StreamHandler(copy)) == "of a task\n"


def test_record__that_rich_has_printed(printed: Printed, settings: Any) -> None:
    settings.DEBUG = False
    assert printed(RichHandler(console=Console(file=sys.__stderr__, width=120))).count("of a task") == 1


class Sampling(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        """It drops each record, as one that limits their rate may."""


def test_record__that_the_handler_has_dropped(printed: Printed, settings: Any) -> None:
    settings.DEBUG = False
    assert "INFO/MainProcess] of a task\n" in printed(Sampling(sys.__stderr__))


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_record__that_nobody_has_seen(printed: Printed, settings: Any, stream: Any) -> None:
    settings.DEBUG = False
    with open(os.devnull, "w") as nowhere:
        assert "INFO/MainProcess] of a task\n" in printed(logging.StreamHandler(stream or nowhere))


def test_log_file__gets_what_django_has_printed(printed: Printed, settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = True
    assert printed(logfile=tmp_path / "log") == "of a task\n"
    assert "INFO/MainProcess] of a task\n" in (tmp_path / "log").read_text()


def test_record__has_nothing_that_a_formatter_would_print(printed: Printed, settings: Any) -> None:
    settings.DEBUG = True
    shown: list[set[str]] = []

    class Last(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(set(vars(record)))

    logging.getLogger("django").addHandler(last := Last())
    try:
        printed(last)
    finally:
        logging.getLogger("django").removeHandler(last)
    plain = set(vars(logging.makeLogRecord({}))) | {"message"}
    assert shown
    assert shown[0] <= plain
