"""The worker."""

from __future__ import annotations

from tasktools.environment.private import Private

_CONSUMER = "celery.worker.consumer.consumer:Consumer"
_WORKER = "celery.worker.worker:WorkController"
_REQUEST = "celery.worker.request:Request"
_QOS = "kombu.transport.redis:QoS"
_STOP_REPORT = "the report of a worker that stops"
_RESCUE = "a worker of Redis that keeps its tasks when the connection is lost"
_CUT_OFF = "the line of that report on what was cut off"

SHOULD_STOP = Private(
    "celery.worker.state",
    "should_stop",
    "ending a worker by --drain, --max-tasks, --max-time or its supervisor",
    "a public call",
)
SHOULD_TERMINATE = Private("celery.worker.state", "should_terminate", "a stop in spite of a silent broker", "the same")
SIGNAL_LOCK = Private(
    "celery.signals:worker_shutting_down", "lock", "a second signal in a stop", "a lock that may be taken twice"
)
ON_TASK_REQUEST = Private(
    _CONSUMER,
    "on_task_request",
    "runworker --max-tasks and a reload without a loss",
    "a hook that may refuse a task ahead of its start",
    on_objects=True,
)
CREATE_TASK_HANDLER = Private(
    _CONSUMER, "create_task_handler", "a reload without a loss", "a hook that may refuse a message", ()
)
CAN_CONSUME = Private(_QOS, "can_consume", "a reload without a loss", "pausing a consumer", ())
CONNECTION_LOST = Private(
    _CONSUMER, "on_connection_error_after_connected", _RESCUE, "a signal of a lost connection", ("exc",)
)
#: The second is its name in Celery 5.5.
CANCEL = (
    Private(_CONSUMER, "cancel_active_requests", _CUT_OFF, "a signal ahead of it", (), optional=True),
    Private(_CONSUMER, "cancel_all_unacked_requests", _CUT_OFF, "a signal ahead of it", (), optional=True),
)
CONSUMER_SHUTDOWN = Private(_CONSUMER, "shutdown", _STOP_REPORT, "a signal of the closed connection", ())
CLOSE_CONNECTION = Private(
    "kombu.transport.base:Transport", "close_connection", _STOP_REPORT, "the same", ("connection",)
)
WORKER_STOP = Private(
    _WORKER, "stop", _STOP_REPORT, "a signal of every stop, with its cause", ("in_sighandler", "exitcode")
)
WORKER_TERMINATE = Private(_WORKER, "terminate", _STOP_REPORT, "the same", ("in_sighandler",))
SOFT_SHUTDOWN = Private(_WORKER, "wait_for_soft_shutdown", _STOP_REPORT, "the same", ())
ON_REJECT = Private(_REQUEST, "_on_reject", _STOP_REPORT, "a signal of a task that goes back", on_objects=True)
DELIVERED = Private(_QOS, "_delivered", _RESCUE, "a public list of what is not acknowledged", on_objects=True)
FLUSH = Private(_QOS, "_flush", _RESCUE, "the same", ())
RESTORE = Private(_QOS, "restore_by_tag", _RESCUE, "a public way to give one message back", ("tag",))
PIPE = Private(_QOS, "pipe_or_acquire", _RESCUE, "the client of a channel, public", ())
KILLABLE = Private(
    "celery.concurrency.gevent:TaskPool",
    "_make_killable_target",
    "tasks of gevent and eventlet that are cut off go back",
    "a killed greenlet that fails its task",
    ("target",),
)
TERMINATE_JOB = Private(
    "celery.concurrency.base:BasePool", "terminate_job", "a cold stop of gevent and eventlet", "the same", ("pid",)
)
POOL_APPLY = Private(
    "celery.concurrency.base:BasePool",
    "apply_async",
    "tasks of threads and greenlets that call sys.exit()",
    "the same",
    ("target",),
)
POOL_STOP = Private("celery.concurrency.base:BasePool", "stop", "a stop in spite of a silent broker", "the same", ())
_GIVEN = "a task that a process begins in the moment of a stop or a lost connection, run once"
POOL_FLUSH = Private("celery.concurrency.asynpool:AsynPool", "flush", _GIVEN, "a flush that keeps it", ())
INNER_POOL = Private("celery.concurrency.base:BasePool", "_pool", _GIVEN, "the same")
JOBS = Private("billiard.pool:Pool", "_cache", _GIVEN, "the same", on_objects=True)
BUSY = Private("celery.concurrency.asynpool:AsynPool", "_busy_workers", _GIVEN, "the same", on_objects=True)
GIVEN_TO = Private("billiard.pool:ApplyResult", "_write_to", _GIVEN, "the same")
DRAIN_EVENTS = Private(
    "kombu.connection:Connection",
    "drain_events",
    "a reload of gevent and eventlet without a pause",
    "a loop that can be woken",
    (),
)
SIGNALS = Private("celery.platforms", "signals", "a cold stop of gevent and eventlet", "handlers that may wait")
MAILBOX = Private(
    "celery.app.control:Control",
    "mailbox",
    "remote control while two workers change places",
    "the same",
    on_objects=True,
)
CONTROL_QUEUE = Private(
    "kombu.pidbox:Mailbox",
    "get_queue",
    "remote control while two workers change places on RabbitMQ",
    "a setting for the queue's name",
    ("hostname",),
)
CONTROL_PUBLISH = Private(
    "kombu.pidbox:Mailbox",
    "_publish",
    "asking workers for several things in one round",
    "a broadcast that returns before the replies",
    ("type", "arguments", "destination", "reply_ticket", "channel", "timeout", "producer"),
)
