"""What LOGGING says of Celery's records and of those of tasks, and what Celery adds to it."""

from __future__ import annotations

import io
import logging
import logging.config
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.log import Logging
from celery.signals import after_setup_task_logger, setup_logging
from celery.utils.log import get_task_logger

from tasktools.management.logged_once import OnceLogging
from tasktools.management.site_logging import SiteLogging, keep_logging

NAMES = ("", "celery", "celery.task", "celery.app.trace", "shop.tasks")

OWN = {"handlers": ["site"], "level": "INFO"}
ROOT = {"root": OWN}
TASK, TRACE, PLAIN = "SITE of a task\n", "SITE of Celery\n", "SITE of others\n"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Make all loggers as they are in a new process. A test calls it: only then has pytest added its own handlers."""
    get_task_logger("shop.tasks")
    loggers = [logging.getLogger(name) for name in NAMES]
    levels = [each.level for each in loggers]

    def fresh() -> None:
        for each in loggers:
            monkeypatch.setattr(each, "handlers", [])
            monkeypatch.setattr(each, "propagate", True)
            each.setLevel("WARNING" if each is logging.root else logging.NOTSET)
        monkeypatch.setattr(Logging, "_setup", False)
        for name in ("LEVEL", "FILE", "FORMAT"):
            monkeypatch.setenv(f"_MP_FORK_LOG{name}_", "")

    yield fresh
    for logger, level in zip(loggers, levels, strict=True):
        for handler in logger.handlers:
            handler.close()
        logger.setLevel(level)


@pytest.fixture
def log(fresh: Callable[[], None], settings: Any, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Set up logging as a worker does, log three records, and return what the site's handler and Celery's have printed."""

    def log(config: dict[str, Any], *, typed: bool = False, level: str = "INFO", logfile: Path | None = None) -> Any:
        printed = io.StringIO()
        handler = {"class": "logging.StreamHandler", "formatter": "site", "stream": printed}
        shared = {"formatters": {"site": {"format": "SITE %(message)s"}}, "handlers": {"site": handler}}
        settings.LOGGING = {"version": 1, "disable_existing_loggers": False, **shared, **config} if config else {}
        fresh()
        if config:
            logging.config.dictConfig(settings.LOGGING)
        with Celery("shop", set_as_current=False) as app:
            keep_logging(app, keep_levels=not typed)
            app.log.setup_logging_subsystem(level, logfile and str(logfile))
            get_task_logger("shop.tasks").info("of a task")
            logging.getLogger("celery.app.trace").info("of Celery")
            logging.getLogger("shop").warning("of others")
        return printed.getvalue(), capfd.readouterr().err

    return log


@pytest.mark.parametrize(
    ("config", "by_site", "by_celery"),
    [
        (ROOT, [TASK, TRACE, PLAIN], []),
        ({"loggers": {"": OWN}}, [TASK, TRACE, PLAIN], []),
        ({"loggers": {"celery": OWN}}, [TASK, TRACE], ["of others"]),
        ({"loggers": {"celery": {**OWN, "propagate": False}}}, [TASK, TRACE], ["of others"]),
        ({**ROOT, "loggers": {"celery": {**OWN, "propagate": False}}}, [TASK, TRACE, PLAIN], []),
        ({"loggers": {"celery.task": OWN}}, [TASK], ["of Celery", "of others"]),
        ({"loggers": {"celery.app.trace": OWN}}, [TRACE], ["of a task", "of others"]),
        ({"loggers": {"shop.tasks": OWN}}, [TASK], ["of Celery", "of others"]),
        ({"loggers": {"django.db": OWN}}, [], ["of a task", "of Celery", "of others"]),
        ({}, [], ["of a task", "of Celery", "of others"]),
    ],
)
def test_record__is_printed_once_by_whom_logging_names(
    log: Any, config: dict[str, Any], by_site: list[str], by_celery: list[str]
) -> None:
    site, celery = log(config)
    assert site == "".join(by_site)
    assert [line.rpartition(": ")[2].rpartition("] ")[2] for line in celery.splitlines()] == by_celery


def test_record__of_celery_that_the_site_stops_is_not_printed(log: Any) -> None:
    site, celery = log({"loggers": {"celery": {"level": "INFO", "propagate": False}}})
    assert (site, "of Celery" in celery) == ("", False)


def test_record__of_a_task_names_it_where_celery_prints_it(log: Any) -> None:
    _, celery = log({"loggers": {"django.db": OWN}})
    assert "INFO/MainProcess] ???[???]: of a task\n" in celery


@pytest.mark.parametrize("propagate", [True, False])
@pytest.mark.parametrize("place", ["root", "celery", "celery.task", "django.db"])
def test_log_file__gets_every_record_once(log: Any, tmp_path: Path, place: str, propagate: bool) -> None:
    config = ROOT if place == "root" else {"loggers": {place: {**OWN, "propagate": propagate}}}
    site, celery = log(config, logfile=tmp_path / "log")
    written = (tmp_path / "log").read_text().splitlines()
    assert [line[line.index(": ") + 2 :] for line in written] == [
        "INFO/MainProcess] ???[???]: of a task",
        "INFO/MainProcess] of Celery",
        "WARNING/MainProcess] of others",
    ]
    assert celery == ""
    assert site == {"root": TASK + TRACE + PLAIN, "celery": TASK + TRACE, "celery.task": TASK}.get(place, "")


def test_log_file__of_a_child_process_replaces_that_of_its_parent(
    fresh: Callable[[], None], settings: Any, tmp_path: Path
) -> None:
    """A log file whose name has %i: Celery sets up logging again in each child."""
    settings.LOGGING = {"version": 1}
    fresh()
    with Celery("shop", set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        for name in ("parent", "child"):
            app.log.already_setup = False
            app.log.setup_logging_subsystem("INFO", str(tmp_path / name))
    for logger in (logging.root, logging.getLogger("celery.task")):
        files = [each.baseFilename for each in logger.handlers if isinstance(each, logging.FileHandler)]
        assert files == [str(tmp_path / "child")]


QUIET = {"root": {**OWN, "level": "ERROR"}}


def test_level__of_logging_is_kept(log: Any) -> None:
    assert log(QUIET) == ("", "")
    assert logging.getLogger("celery.task").level == logging.NOTSET


def test_level__that_was_typed_is_not(log: Any) -> None:
    assert log(QUIET, typed=True) == (TASK + TRACE + PLAIN, "")


def test_level__of_celery_counts_for_a_root_without_one(log: Any) -> None:
    site, celery = log({"loggers": {"django.db": OWN}}, level="WARNING")
    assert (site, celery.count("\n")) == ("", 1)


def test_level__that_the_project_has_chosen_in_a_signal_is_kept(log: Any) -> None:
    def choose(logger: logging.Logger, **_: Any) -> None:
        logger.setLevel("CRITICAL")

    after_setup_task_logger.connect(choose)
    try:
        assert log(ROOT) == (TRACE + PLAIN, "")
    finally:
        after_setup_task_logger.disconnect(choose)


def test_setup__of_the_project_itself_is_left_alone(log: Any) -> None:
    def set_up(**_: Any) -> None:
        logging.getLogger("celery").setLevel("ERROR")
        logging.root.setLevel("INFO")

    setup_logging.connect(set_up)
    try:
        assert log(QUIET) == (PLAIN, "")
    finally:
        setup_logging.disconnect(set_up)


def test_setup__by_the_settings_without_django(fresh: Callable[[], None], settings: Any) -> None:
    settings.LOGGING, settings.LOGGING_CONFIG = {}, None
    fresh()
    logging.root.addHandler(own := logging.StreamHandler(io.StringIO()))
    logging.root.setLevel("ERROR")
    with Celery("shop", set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        app.log.setup_logging_subsystem("INFO")
    assert (logging.root.handlers, logging.root.level) == ([own], logging.ERROR)


def test_setup__by_a_file(fresh: Callable[[], None], settings: Any) -> None:
    """LOGGING is what LOGGING_CONFIG takes: fileConfig takes the name of a file."""
    settings.LOGGING, settings.LOGGING_CONFIG = "logging.ini", "logging.config.fileConfig"
    fresh()
    with Celery("shop", set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        app.log.setup_logging_subsystem("INFO")
    assert logging.root.level == logging.INFO


def test_class__of_the_project_is_kept(settings: Any) -> None:
    settings.LOGGING = {"version": 1}
    with Celery("shop", log=Own, set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        assert type(app.log) is Own
        assert app.conf.worker_hijack_root_logger is False


def test_class__is_that_of_child_processes(settings: Any) -> None:
    settings.LOGGING = {"version": 1}
    with Celery("shop", set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        with pickle.loads(pickle.dumps(app)) as other:
            assert type(other.log) is SiteLogging


def test_handlers__are_those_of_celery_without_logging(settings: Any) -> None:
    settings.LOGGING = {}
    with Celery("shop", set_as_current=False) as app:
        keep_logging(app, keep_levels=True)
        assert type(app.log) is OnceLogging
        assert app.conf.worker_hijack_root_logger is True


class Own(Logging):
    """A class of the project."""
