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
RESTORE_ALL = Private(
    _QOS,
    "restore_unacked",
    "what a worker of Redis that stops gives back in its order",
    "a channel that closes and gives back the newest message first",
    (),
)
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
NODE_CLASS = Private(
    "kombu.pidbox:Mailbox",
    "node_cls",
    "a worker that leaves out questions of the admin that have expired",
    "workers of Celery that do so",
)
CONTROL_PUBLISH = Private(
    "kombu.pidbox:Mailbox",
    "_publish",
    "asking workers for several things in one round",
    "a broadcast that returns before the replies",
    ("type", "arguments", "destination", "reply_ticket", "channel", "timeout", "producer"),
)
STATS = Private(
    "celery.worker.control",
    "stats",
    "what a worker says of its memory and its code",
    "a hook that adds to it",
    ("state",),
)
_RECORD = "the record of failed tasks"
CREATE_REQUEST = Private(
    "celery.worker.strategy",
    "create_request_cls",
    _RECORD,
    "a signal in the worker's main process of each task that ends, with its request and its message",
    ("base", "task", "pool", "hostname", "eventer"),
)
REQUEST_REJECT = Private(_REQUEST, "reject", _RECORD, "the same", ("requeue",))
ON_FAILURE = Private(_REQUEST, "on_failure", _RECORD, "the same", ("exc_info", "send_failed_event", "return_ok"))
ON_TIMEOUT = Private(_REQUEST, "on_timeout", _RECORD, "the same", ("soft", "timeout"))
ON_SUCCESS = Private(_REQUEST, "on_success", _RECORD, "the same", ("failed__retval__runtime",))
ANNOUNCE_REVOKED = Private(
    _REQUEST, "_announce_revoked", _RECORD, "the same", ("reason", "terminated", "signum", "expired")
)
ALREADY_CANCELLED = Private(_REQUEST, "_already_cancelled", _RECORD, "the same")
ON_UNKNOWN_TASK = Private(
    _CONSUMER, "on_unknown_task", _RECORD, "signals that have the message", ("body", "message", "exc")
)
ON_UNKNOWN_MESSAGE = Private(_CONSUMER, "on_unknown_message", _RECORD, "the same", ("body", "message"))
ON_INVALID_TASK = Private(_CONSUMER, "on_invalid_task", _RECORD, "the same", ("body", "message", "exc"))
ON_DECODE_ERROR = Private(_CONSUMER, "on_decode_error", _RECORD, "the same", ("message", "exc"))
_PAUSE = "a queue that is paused for a while"
_KOMBU_CONSUMER = "kombu.messaging:Consumer"
_REDIS_CHANNEL = "kombu.transport.redis:Channel"
BASIC_CONSUME = Private(
    _KOMBU_CONSUMER, "_basic_consume", _PAUSE, "pausing one queue of a consumer", ("queue", "nowait")
)
RECEIVE = Private(_KOMBU_CONSUMER, "_receive_callback", _PAUSE, "the queue of a message", ("message",))
ACTIVE_TAGS = Private(_KOMBU_CONSUMER, "_active_tags", _PAUSE, "pausing one queue of a consumer", on_objects=True)
ACTIVE_QUEUES = Private(_REDIS_CHANNEL, "_active_queues", _PAUSE, "the same", on_objects=True)
IN_POLL = Private(_REDIS_CHANNEL, "_in_poll", _PAUSE, "the same", on_objects=True)
BRPOP_START = Private(_REDIS_CHANNEL, "_brpop_start", _PAUSE, "the same", ())
BRPOP_READ = Private(_REDIS_CHANNEL, "_brpop_read", _PAUSE, "the same", ("options",))
UPDATE_CYCLE = Private(_REDIS_CHANNEL, "_update_queue_cycle", _PAUSE, "the same", ())
PROCESS_TASK = Private(_WORKER, "_process_task", _PAUSE, "a hook that may refuse a task ahead of its start", ("req",))
QUICK_RELEASE = Private(_WORKER, "_quick_release", _PAUSE, "the same", on_objects=True)
POOL_ON_APPLY = Private(
    "celery.concurrency.base:BasePool", "on_apply", _PAUSE, "a queue of the pool that can be emptied"
)
RAW = Private(
    "kombu.transport.virtual:Message", "_raw", _PAUSE, "a message that goes back to the front", on_objects=True
)
MESSAGE_STATE = Private("kombu.message:Message", "_state", _PAUSE, "the same", on_objects=True)
