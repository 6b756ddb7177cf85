"""What the backend does, for either library of the framework."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from celery.app import app_or_default
from django.db import transaction
from kombu.utils.uuid import uuid

from tasktools.discovery import celery_app
from tasktools.framework import checking, finding, priority, record, registration, sending, store
from tasktools.framework.library import Library

#: Whether the task that is validated has the usual priority: Django asks what the broker can do before it looks at that.
_is_usual: ContextVar[bool] = ContextVar("tasktools.framework.is_usual", default=False)


class BackendMixin:
    """The methods of a backend. The class beside it is the BaseTaskBackend of the library."""

    library: Library

    alias: str
    options: dict[str, Any]
    queues: set[str]

    supports_async_task = True

    @property
    def supports_defer(self) -> bool:
        """Celery runs a task at once in a process that is told to run tasks itself."""
        return not (self._is_settled() and self._is_eager())

    @property
    def supports_get_result(self) -> bool:
        return not self._is_eager() and not self._app.conf.task_ignore_result and store.can_keep(self._app.backend)

    @property
    def supports_priority(self) -> bool:
        """Whether the broker sorts, as far as can be said: one that cannot be used is an error of the call that is sent.

        Django asks for each task as its module is imported, which must not need a broker.
        """
        if _is_usual.get() or not self._is_settled() or self._is_eager():
            return True
        try:
            return self._scale_of(self._app) is not None
        except Exception:  # noqa: BLE001 - kombu imports the transport, and each has errors of its own
            return True

    def validate_task(self, task: Any) -> None:
        """Determine whether the backend can run a task, and register one that it can run."""
        token = _is_usual.set(task.priority == 0)
        try:
            super().validate_task(task)  # type: ignore[misc]
        finally:
            _is_usual.reset(token)
        record.require_time(self.library, task.run_after)
        registration.register(self.library, task)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Send a call of the task, after the transaction that it is in if the option says so.

        Raises TypeError for arguments that the function does not take, and TransactionManagementError of Django in a
        transaction whose end Django does not see (set_autocommit).
        """
        _ = self._app.conf.broker_url  # the settings are read by now
        self.validate_task(task)
        result = record.new(self.library, uuid(), task, args, kwargs)
        using = self._database()
        if using is not None and _is_in_transaction(using):
            # What is raised after the commit comes too late, and keeps other receivers of the commit from running.
            sending.fitting(registration.celery_task(self._app, self.library, task), result)
            transaction.on_commit(partial(self._enqueue, result), using=using)
        else:
            self._enqueue(result)
        return result

    def _enqueue(self, result: Any) -> None:
        task = registration.celery_task(self._app, self.library, result.task)
        sender, signals = type(self), self.library.signals
        if self._is_eager():
            sending.run_here(task, result, partial(signals.task_enqueued.send, sender, task_result=result))
            return
        keeps = store.keeps(task) and not store.is_in_transaction(task.backend)
        sending.send(task, result, keeps=keeps, priority=self._priority_of(task, result))
        signals.task_enqueued.send(sender, task_result=result)

    def _priority_of(self, task: Any, result: Any) -> int | None:
        """Return what the broker takes for the priority of a call, None for nothing."""
        queue = registration.queue_of(result.task)
        scale = priority.scale_of_call(
            self._scale_of(self._app), task, queue, result.args, result.kwargs, task_type=task
        )
        return None if scale is None else scale.of(int(result.task.priority))

    def get_result(self, result_id: Any) -> Any:
        """Return what is known of a call. Raises TaskResultDoesNotExist for one that was not enqueued by the framework."""
        if not self.supports_get_result:
            return super().get_result(result_id)  # type: ignore[misc]
        return finding.find(self._app, self.library, str(result_id))

    def check(self, **kwargs: Any) -> Iterator[Any]:
        """Return what is wrong with the options."""
        yield from checking.check(self.alias, self.options)

    def _database(self) -> str | None:
        """Return the alias of the database whose transaction counts, None for none."""
        chosen = self.options.get(checking.ON_COMMIT)
        return chosen if isinstance(chosen, str) else "default" if chosen else None

    @property
    def _app(self) -> Any:
        return app_or_default()

    def _is_eager(self) -> bool:
        return bool(self._app.conf.task_always_eager)

    def _is_settled(self) -> bool:
        """Whether the app is known and has read its settings: modules of tasks are imported before that."""
        return celery_app.has_default() and not priority.may_be_any(self._app)

    def _scale_of(self, app: Any) -> priority.Scale | None:
        """Return the scale of the broker, which is looked up once: that makes a connection of kombu."""
        known = self.__dict__.setdefault("_scales", WeakKeyDictionary())
        if app not in known:
            known[app] = priority.scale_of(app)
        found: priority.Scale | None = known[app]
        return found


def _is_in_transaction(using: str) -> bool:
    connection = transaction.get_connection(using)
    return bool(connection.in_atomic_block or (connection.connection is not None and not connection.autocommit))
