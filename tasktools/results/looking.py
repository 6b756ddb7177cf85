"""Look for the results of many tasks at once, and hear of new ones as soon as the backend can tell."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celery.states import PENDING

from tasktools.brokers.reach import is_refused, reach
from tasktools.brokers.timeouts import TimedOut
from tasktools.exceptions import TasktoolsError
from tasktools.results import backend
from tasktools.results.outcome import Outcome, outcome_of

if TYPE_CHECKING:
    from celery import Celery

#: How many results are asked for in one call.
MOST_AT_ONCE = 1_000

#: How long to wait before a connection that was lost is made again, in seconds.
BREATH = 0.1


def look_at_all(app: Celery, task_ids: Sequence[str]) -> list[Outcome]:
    """Return what the result backend knows about tasks now: those of a key-value store in one call a thousand.

    Raises Unreachable when the backend does not answer.
    """
    from celery.backends.base import KeyValueStoreBackend

    if len(task_ids) < 2 or not isinstance(app.backend, KeyValueStoreBackend):
        return [backend.look(app, task_id) for task_id in task_ids]
    found: list[Outcome] = []
    for first in range(0, len(task_ids), MOST_AT_ONCE):
        some = task_ids[first : first + MOST_AT_ONCE]
        values = reach(backend.backend_name(app), backend.LOOK_LIMIT, _stored, app.backend, some)
        found += [_outcome(app, each, values.get(each)) if values else backend.look(app, each) for each in some]
    return found


def _stored(store: Any, task_ids: Sequence[str]) -> dict[str, Any]:
    """Return the stored values by the ids of their tasks; {} if the store cannot read several at once."""
    keys = [store.get_key_for_task(each) for each in task_ids]
    try:
        values = store.mget(keys)
        values = values if isinstance(values, Mapping) else list(values)
    except NotImplementedError:
        return {}
    if isinstance(values, Mapping):  # Memcached's, which has no entry for what is not there
        by_key = {_name(key): value for key, value in values.items()}
        values = [by_key.get(_name(key)) for key in keys]
    return dict(zip(task_ids, values, strict=True))


def _name(key: str | bytes) -> str:
    return key.decode() if isinstance(key, bytes) else key


def _outcome(app: Celery, task_id: str, value: Any) -> Outcome:
    """Return what a stored value says. One that cannot be read is looked at once more, by itself."""
    if not value:
        return Outcome(id=task_id, state=PENDING)
    try:
        return outcome_of(task_id, app.backend.decode_result(value))  # type: ignore[attr-defined]
    except (TimedOut, TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException:  # noqa: BLE001 - code of the project makes its exceptions again
        return backend.look(app, task_id)


class Polling:
    """A backend that cannot tell: it is asked again and again. Use it as a context manager."""

    def __init__(self, app: Celery, sleep: Callable[[float], object] = time.sleep) -> None:
        self.app = app
        self.sleep = sleep

    def __enter__(self) -> Polling:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def look(self, task_ids: Sequence[str]) -> list[Outcome]:
        """Return what is known of them now. Raises Unreachable."""
        return look_at_all(self.app, task_ids)

    def pause(self, seconds: float, task_ids: Collection[str]) -> list[Outcome]:
        """Return after so many seconds, or earlier with what has come of these tasks meanwhile."""
        self.sleep(seconds)
        return []


class Subscribed(Polling):
    """Redis and Valkey: a worker publishes each state that it stores, under the key of the result.

    Celery's own consumer of these (celery.backends.redis.ResultConsumer) subscribes to one key after the other, and tries for
    twenty seconds to reach a server that has gone. This one subscribes to all at once. What is published while its connection
    is lost, or without a message, is found by the next look.
    """

    def __init__(self, app: Celery, sleep: Callable[[float], object] = time.sleep) -> None:
        super().__init__(app, sleep)
        self._ids: dict[bytes, str] = {}
        self._pubsub: Any = None
        self._is_refused = False

    def __exit__(self, *_: object) -> None:
        self._leave()

    def look(self, task_ids: Sequence[str]) -> list[Outcome]:
        if self._pubsub is None and not self._is_refused:
            reach(backend.backend_name(self.app), backend.LOOK_LIMIT, self._subscribe, task_ids)
        return super().look(task_ids)

    def _subscribe(self, task_ids: Sequence[str]) -> None:
        store: Any = self.app.backend
        keys = {_bytes(store.get_key_for_task(each)): each for each in task_ids}
        pubsub = store.client.pubsub(ignore_subscribe_messages=True)
        try:
            pubsub.subscribe(*keys)
        except BaseException:
            pubsub.close()
            raise
        self._pubsub, self._ids = pubsub, keys

    def _leave(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            with contextlib.suppress(Exception):  # its server may have gone
                pubsub.close()

    def pause(self, seconds: float, task_ids: Collection[str]) -> list[Outcome]:
        if self._pubsub is None:
            return super().pause(seconds, task_ids)
        try:
            return list(self._heard(seconds, task_ids))
        except (TimedOut, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - the next look says what is wrong with the connection
            self._is_refused = is_refused(error)  # this user may not subscribe
            self._leave()
            self.sleep(min(seconds, BREATH))
            return []

    def _heard(self, seconds: float, wanted: Collection[str]) -> Iterator[Outcome]:
        """Wait for one message, and yield it with all that are there already."""
        deadline = time.monotonic() + seconds
        heard = False
        while (left := 0.0 if heard else deadline - time.monotonic()) > 0 or heard:
            message = self._pubsub.get_message(timeout=left)
            if message is None:
                if heard:
                    return
                continue
            task_id = self._ids.get(_bytes(message.get("channel") or b""))
            if message.get("type") == "message" and task_id is not None and task_id in wanted:
                heard = True
                yield _outcome(self.app, task_id, message["data"])


def _bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


class Replies(Polling):
    """rpc://: the results come as messages to this process, which has sent the tasks."""

    def pause(self, seconds: float, task_ids: Collection[str]) -> list[Outcome]:
        from celery.exceptions import TimeoutError as NotYet

        heard: list[Mapping[str, Any]] = []
        result = self.app.AsyncResult(next(iter(task_ids)))

        def listen() -> None:
            with contextlib.suppress(NotYet):
                result.get(seconds, propagate=False, disable_sync_subtasks=False, on_message=heard.append)

        reach(backend.backend_name(self.app), seconds + backend.LOOK_LIMIT, listen)
        return [outcome_of(str(each["task_id"]), dict(each)) for each in heard if each.get("task_id") in task_ids]


def watcher_of(app: Celery, sleep: Callable[[float], object] = time.sleep) -> Polling:
    """Return what waits for results of this app."""
    from celery.backends.rpc import RPCBackend

    if isinstance(app.backend, RPCBackend):
        return Replies(app, sleep)
    if any(kind.__module__ == "celery.backends.redis" for kind in type(app.backend).__mro__):
        return Subscribed(app, sleep)
    return Polling(app, sleep)
