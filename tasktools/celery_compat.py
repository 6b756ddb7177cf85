"""Every name that tasktools uses and that Celery and kombu do not guarantee.

Each is a `Private`: where it is, which feature breaks without it, and which public API of Celery could replace it. The
rest of tasktools uses these names only through this module. tests/unit/test_celery_compat.py checks that each of them
exists in the installed versions. Importing this module imports neither Celery nor kombu.
"""

from __future__ import annotations

from tasktools.environment.private import Private

_APP = "celery.app.base:Celery"
_CONSUMER = "celery.worker.consumer.consumer:Consumer"
_WORKER = "celery.worker.worker:WorkController"
_REQUEST = "celery.worker.request:Request"
_CHANNEL = "kombu.transport.redis:Channel"
_QOS = "kombu.transport.redis:QoS"
_STOP_REPORT = "the report of a worker that stops"
_RESCUE = "a worker of Redis that keeps its tasks when the connection is lost"
_CUT_OFF = "the line of that report on what was cut off"
_FAST = "enqueue --from on Redis"

# The app.
ACTIVE_APPS = Private(
    "celery._state", "_get_active_apps", "finding the app that the project has made", "a public list of apps", ()
)
DEFAULT_APP = Private("celery._state", "default_app", "one app for @shared_task in every thread", "a public getter")
CONFIG_SOURCE = Private(
    _APP,
    "_config_source",
    "knowing that an app reads Django's settings",
    "the argument of config_from_object, public",
    on_objects=True,
)
FIXUPS = Private(
    _APP,
    "_fixups",
    "knowing whether a worker runs the system checks",
    "a public list",
    optional=True,
)
CONFIGURED = Private(
    _APP, "configured", "leaving settings unread until somebody asks for them", "a public flag", on_objects=True
)
IS_CURRENT = Private(
    _APP,
    "set_as_current",
    "distinguishing an app for another service from the project's",
    "a public flag",
    on_objects=True,
)
APP_FIXUPS = Private(
    _APP, "fixups", "distinguishing Celery's fallback app from a real one", "a public flag", on_objects=True
)
PROXIED = Private(
    "celery.local:Proxy", "_get_current_object", "-A with a module that holds a proxy of the app", "a public getter", ()
)
DEFAULTS = Private("celery.app.defaults", "DEFAULTS", "hiding passwords in any setting", "a public list of settings")
NEW_NAMES = Private("celery.app.defaults", "_TO_NEW_KEY", "the check of old names of settings", "the same")

# The broker.
TRANSPORT_ALIASES = Private(
    "kombu.transport", "TRANSPORT_ALIASES", "the private Valkey", "an entry point for transports"
)
CONNECTION_PARAMETERS = Private(
    _CHANNEL, "_connparams", "the private Valkey", "a setting for the class of connections", ("asynchronous",)
)
PRIORITY_LIST = Private(_CHANNEL, "_q_for_pri", _FAST, "a documented form of the keys", ("queue", "pri"))
PUT = Private(
    _CHANNEL, "_put", _FAST, "a producer that returns the message in place of sending it", ("queue", "message")
)
PUT_FANOUT = Private(_CHANNEL, "_put_fanout", _FAST, "the same", ("exchange", "message", "routing_key"))
MESSAGE_PRIORITY = Private(_CHANNEL, "_get_message_priority", _FAST, "the same", ("message", "reverse"))
QUEUE_EXPIRY = Private(_CHANNEL, "_expires", f"{_FAST} with expiry", "the same", optional=True, on_objects=True)
_TOPIC = ("exchange", "routing_key")
#: From kombu 5.7 on; older versions have PUBLISH_TOPIC.
PUBLISH_TOPICS = Private(_CHANNEL, "_get_publish_topics", f"{_FAST} with fanout", "the same", _TOPIC, optional=True)
PUBLISH_TOPIC = Private(_CHANNEL, "_get_publish_topic", f"{_FAST} with fanout", "the same", _TOPIC)
BACKEND_PARAMETERS = Private(
    "celery.backends.redis:RedisBackend", "connparams", "results on the private Valkey", "the same", on_objects=True
)
SERIALIZERS = Private("kombu.serialization", "registry", "checking a serializer by its name", "a public look-up")
ENCODERS = Private("kombu.serialization:registry", "_encoders", "checking a serializer by its name", "a public look-up")
ENCODED_TYPES = Private(
    "kombu.utils.json",
    "_encoders",
    "knowing that json serializes the models of a project",
    "a public list of the types that are registered",
)

# The message.
PUBLISH = Private(
    "kombu.messaging:Producer",
    "publish",
    "enqueue that ends within five seconds",
    "a limit for a whole publish",
    ("body",),
)
ON_TASK_CALL = Private(
    "celery.backends.base:Backend",
    "on_task_call",
    "enqueue that ends within five seconds",
    "the same",
    ("producer", "task_id"),
)
ROUTES = Private("celery.app.routes:Router", "routes", _FAST, "a public list of routers", on_objects=True)
EXEC_OPTIONS = Private("celery.app.task:Task", "_get_exec_options", _FAST, "a documented order of the options", ())
DUMP_MODELS = Private(
    "celery.app.task:Task",
    "_dump_pydantic_arguments",
    "tasks that take models",
    "a public function that does what apply_async does to the arguments",
    optional=True,  # from Celery 5.7 on
)

# The worker.
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

# A task in this process.
BUILD_TRACER = Private(
    "celery.app.trace",
    "build_tracer",
    "runtask",
    "a documented way to run a task as a worker does",
    ("name", "task", "hostname", "Info", "app"),
)
HANDLE_FAILURE = Private("celery.app.trace:TraceInfo", "handle_failure", "runtask", "the same", ("task", "req"))
HANDLE_RETRY = Private("celery.app.trace:TraceInfo", "handle_retry", "runtask", "the same", ("task", "req"))
TASK_BACKEND = Private("celery.app.task:Task", "_backend", "runtask", "the same")

# Beat and the command line.
_BANNER = "the URL of the private Valkey in Celery's banner"
#: By the command of Celery.
STARTUP_INFO = {
    "worker": Private("celery.apps.worker:Worker", "startup_info", _BANNER, "a hook", ()),
    "beat": Private("celery.apps.beat:Beat", "startup_info", _BANNER, "a hook", ("service",)),
}
SYNC_HANDLER = Private(
    "celery.apps.beat:Beat",
    "install_sync_handler",
    "a beat that ends between two ticks",
    "a warm stop of beat",
    ("service",),
)
TICK = Private("celery.beat:Scheduler", "tick", "a beat that ends between two ticks", "the same")
STORE = Private(
    "celery.beat:PersistentScheduler",
    "_store",
    "a beat that has lost its lease and does not overwrite the schedule of the next one",
    "a close without a sync",
)
FINALIZE = Private(
    "celery.beat:Scheduler",  # that of django-celery-beat has it
    "_finalize",
    "the same",
    "the same",
    optional=True,
    on_objects=True,
)
ENTRY_NOW = Private(
    "celery.beat:ScheduleEntry", "_default_now", "showschedule with entries of a database", "a clock of entries", ()
)
CELERY_COMMAND = Private(
    "celery.bin.celery", "celery", "manage.py celery", "a documented entry point that takes an app"
)
DETACH = Private("celery.bin.worker", "detach", "runworker --detach", "the same")
