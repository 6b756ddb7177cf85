"""A priority of the framework (-100 to 100, more is sooner) as the broker means it.

Redis sorts by steps from 0 to 9, and takes 0 first. AMQP takes the highest first, up to the `x-max-priority` of the queue.
What has no priority, as a task that `.delay()` sends, has 0 on both: the first on Redis, the last on AMQP. So 0 of the
framework is CELERY_TASK_DEFAULT_PRIORITY where that is set, and else the middle: something must be left on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasktools.celery_compat import CONFIGURED

if TYPE_CHECKING:
    from celery import Celery

#: The ends of the framework's scale.
MOST = 100

#: The last step of Redis (kombu.transport.virtual.Channel.max_priority).
LAST_STEP = 9


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The priorities of a broker."""

    #: What it takes last, first, and what 0 of the framework is.
    last: int
    first: int
    middle: int
    #: Whether each queue has its own: this one is that of the queue with the most.
    is_by_queue: bool = False

    def of(self, priority: int) -> int:
        """Return the broker's priority for one of the framework."""
        end = self.first if priority > 0 else self.last
        return self.middle + round((end - self.middle) * abs(priority) / MOST)


def scale_of(app: Celery) -> Scale | None:
    """Return the scale of the app's broker; None if it has none, or if no queue of the app has priorities (AMQP).

    Raises what kombu does for a broker that it does not know.
    """
    driver = app.connection_for_write().transport.driver_type
    if driver == "redis":
        return _scale(app, last=LAST_STEP, first=0)
    highest = _highest(app) if driver == "amqp" else None
    return _amqp(app, highest)


def scale_of_call(scale: Scale | None, task: Any, queue: str | None, *call: Any, task_type: Any = None) -> Scale | None:
    """Return the scale of the queue that a call goes to: its own, or that of the routes; None if it sorts nothing.

    `scale` is that of the app. `call` is the arguments, which a router may look at.
    """
    if scale is None or not scale.is_by_queue:
        return scale
    amqp = task.app.amqp
    found = amqp.router.route({"queue": queue}, task.name, *call, task_type=task_type).get("queue")
    # A route may lead to an exchange, and name no queue.
    return scale if found is None else _amqp(task.app, _highest_of(found))


def may_be_any(app: Any) -> bool:
    """Whether the broker is not known yet: modules of tasks are imported before the settings of Celery are read."""
    return not CONFIGURED.of(app)


def _scale(app: Celery, *, last: int, first: int) -> Scale:
    usual: Any = app.conf.task_default_priority
    is_inside = isinstance(usual, int) and min(last, first) <= usual <= max(last, first)
    return Scale(last=last, first=first, middle=usual if is_inside else (last + first) // 2)


def _amqp(app: Celery, highest: int | None) -> Scale | None:
    return replace(_scale(app, last=0, first=highest), is_by_queue=True) if highest else None


def _highest(app: Any) -> int | None:
    """Return the highest priority of the queues that have one: RabbitMQ sorts in no other queue."""
    return max(filter(None, map(_highest_of, app.amqp.queues.values())), default=app.conf.task_queue_max_priority)


def _highest_of(queue: Any) -> int | None:
    found: int | None = queue.max_priority or (queue.queue_arguments or {}).get("x-max-priority")
    return found
