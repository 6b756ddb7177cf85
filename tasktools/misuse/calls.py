"""Calls of tasks: model instances among the arguments, and messages that are sent inside an open transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from celery import Celery, Task, current_task
from django.db import connections
from django.db.models import Model, QuerySet

from tasktools import conf
from tasktools.arguments.call import FRAMEWORK_HEADER
from tasktools.exceptions import ModelArgumentWarning, TransactionWarning
from tasktools.misuse.caller import warn

#: How many elements of a list or dictionary are looked at: a list of objects has one at its beginning.
MOST_ELEMENTS = 10


def _applied(apply_async: Callable[..., Any]) -> Callable[..., Any]:
    def watched(task: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        look_at(task.name, args, kwargs, options)
        return apply_async(task, args, kwargs, *rest, **options)

    return watched


def _sent(send_task: Callable[..., Any]) -> Callable[..., Any]:
    """Return `Celery.send_task`, with which `Task.apply_async` ends too: it hands on the task."""

    def watched(app: Any, name: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        if options.get("task_type") is None:
            look_at(name, args, kwargs, options)
        return send_task(app, name, args, kwargs, *rest, **options)

    return watched


#: What sends or runs a task: owner, name, what makes the method that replaces it.
METHODS = ((Task, "apply_async", _applied), (Celery, "send_task", _sent))


def look_at(name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> None:
    """Warn of a call of the task `name` that is likely to go wrong; `options` are those of apply_async."""
    if (found := _model_among(args, kwargs)) and conf.warns(ModelArgumentWarning):  # the settings are slower
        sentence = (
            f"{found} is among the arguments of {name}: its row may be another one when the task runs. Pass its key."
        )
        warn(ModelArgumentWarning, sentence)
    if (alias := _open_transaction()) and conf.warns(TransactionWarning) and not _is_retry(options.get("task_id")):
        sentence = (
            f'{name} is sent inside a transaction of the database "{alias}": it may run before the rows are there, or '
            f"although they are rolled back. {_remedy(options)}"
        )
        warn(TransactionWarning, sentence)


def _remedy(options: Mapping[str, Any]) -> str:
    if FRAMEWORK_HEADER in (options.get("headers") or ()):
        return 'Set "OPTIONS": {"enqueue_on_commit": True} in TASKS.'
    return "Use delay_on_commit(), or transaction.on_commit()."


def _model_among(args: Any, kwargs: Any) -> str:
    """Return what model is among the arguments, "" for none. Generators are left alone: they can be read once."""
    values = itertools.chain(
        args if isinstance(args, (list, tuple)) else (), kwargs.values() if isinstance(kwargs, dict) else ()
    )
    try:
        for value in _opened(values):
            if isinstance(value, Model):  # of a SimpleLazyObject, such as request.user, this is what it stands for
                return f"an object of the model {value.__class__.__name__}"
            if isinstance(value, QuerySet):
                return f"a queryset of the model {value.model.__name__}"
    except Exception:  # noqa: BLE001 - such an object cannot be made; the call fails by itself
        return ""
    return ""


def _opened(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from itertools.islice(value.values(), MOST_ELEMENTS)
        elif isinstance(value, (list, tuple, set, frozenset)):
            yield from itertools.islice(value, MOST_ELEMENTS)
        else:
            yield value


def _open_transaction() -> str:
    """Return the alias of a database in whose transaction this thread is, "" for none. That of a TestCase does not count."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            if not all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
                return connection.alias
        elif connection.connection is not None and not connection.autocommit:
            return connection.alias
    return ""


def _is_retry(task_id: str | None) -> bool:
    """Whether a task sends itself again: it raises Retry, and leaves the transaction by that."""
    return bool(task_id and current_task and current_task.request.id == task_id)
