"""Logging of runworker and runbeat on a site with LOGGING: Celery adds handlers only where LOGGING names none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery.app.log import Logging
from celery.utils.log import base_logger, mlevel, task_logger
from django.conf import settings

from tasktools.environment import loggers
from tasktools.management.logged_once import OnceLogging

if TYPE_CHECKING:
    from celery import Celery

_ROOT = logging.getLogger()


def keep_logging(app: Celery, *, keep_levels: bool) -> None:
    """Make Celery respect LOGGING, and its levels too with `keep_levels`. In any case a terminal gets each record once."""
    own: type[OnceLogging] = SiteLogging if keep_levels else TypedLevels
    if settings.LOGGING or not settings.LOGGING_CONFIG:  # with LOGGING_CONFIG = None the settings may set up logging
        app.conf.worker_hijack_root_logger = False
    else:
        own = OnceLogging
    if type(app.log) is Logging:  # a class of the project stays
        # Child processes that are not forked make one of that class.
        vars(app).update(log_cls=own, log=own(app))


class SiteLogging(OnceLogging):
    """Celery's logging for LOGGING.

    A record of Celery, or of a task's logger (`get_task_logger`), is printed in Celery's format only if it passes no handler
    of the site. A log file (-f) gets what reaches root, `celery` or `celery.task` in addition.
    """

    #: Whether the levels that LOGGING sets stay.
    keeps_levels = True
    #: The loggers to which the site has given handlers.
    _said: frozenset[logging.Logger] = frozenset()

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self._made: list[tuple[logging.Logger, logging.Handler]] = []
        #: The loggers that print. A worker calls django.setup() again, which would disable those of the tasks.
        self._enabled = loggers.enabled()

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> Any:
        if self.already_setup:
            return super().setup_logging_subsystem(*args, **kwargs)
        for logger, handler in self._made:  # again in a child process whose log file is its own (%i)
            logger.removeHandler(handler)
            handler.close()
        self._made.clear()
        loggers.enable(self._enabled)
        self._said = frozenset(filter(_has_handler, loggers.all_loggers()))
        levels = {task_logger: task_logger.level, **({_ROOT: _ROOT.level} if self._sets_root() else {})}
        receivers = super().setup_logging_subsystem(*args, **kwargs)
        if not receivers and self.keeps_levels:  # the project itself has not set it up
            typed = mlevel(kwargs.get("loglevel") or (args[0] if args else None) or self.loglevel)
            for logger, level in levels.items():
                if logger.level == typed:  # else the project has chosen one in after_setup_logger
                    logger.setLevel(level)
        return receivers

    def setup_task_loggers(self, *args: Any, **kwargs: Any) -> logging.Logger:
        if self._said & {_ROOT, base_logger, task_logger}:
            kwargs["propagate"] = task_logger.propagate
        return super().setup_task_loggers(*args, **kwargs)

    def setup_handlers(self, logger: logging.Logger, logfile: Any, *args: Any, **kwargs: Any) -> logging.Logger:
        if logger not in (_ROOT, task_logger):
            return super().setup_handlers(logger, logfile, *args, **kwargs)
        above = {_ROOT} if logger is _ROOT else {_ROOT, base_logger, task_logger}
        if logfile is None and self._said & above:
            return logger
        chosen = [logger]
        if logfile is not None and logger is _ROOT and not base_logger.propagate:
            chosen.append(base_logger)
        for handler in super().setup_handlers(logging.Logger("new"), logfile, *args, **kwargs).handlers:
            if logfile is None:
                handler.addFilter(self._is_unseen)
            elif logger is _ROOT:
                handler.addFilter(_is_of_no_task)
            for each in chosen:
                each.addHandler(handler)
                self._made.append((each, handler))
        return logger

    def _is_unseen(self, record: logging.LogRecord) -> bool:
        """Whether a record of Celery has passed no handler of the site. For others it is enough that no terminal got them."""
        path = _path(record)
        return base_logger not in path or not self._said.intersection(path)

    def _sets_root(self) -> bool:
        """Whether the site has set up the root logger. LOGGING may be anything that LOGGING_CONFIG takes."""
        named = settings.LOGGING if isinstance(settings.LOGGING, dict) else {}
        return _ROOT in self._said or bool(named.get("root") or named.get("loggers", {}).get(""))


class TypedLevels(SiteLogging):
    """The same with the level of -l."""

    keeps_levels = False


def _has_handler(logger: logging.Logger) -> bool:
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def _path(record: logging.LogRecord) -> list[logging.Logger]:
    """Return the loggers that a record passes before the root logger."""
    found, logger = [], logging.getLogger(record.name)
    while logger.parent is not None:
        found.append(logger)
        logger = logger.parent
    return found


def _is_of_no_task(record: logging.LogRecord) -> bool:
    """Whether a record is of no task's logger: for these there is a handler whose format names the task."""
    return task_logger not in _path(record)
