"""The broker and the message."""

from __future__ import annotations

from tasktools.environment.private import Private

_CHANNEL = "kombu.transport.redis:Channel"
_FAST = "enqueue --from on Redis"

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
BACKEND_POOL = Private(
    "celery.backends.redis:RedisBackend",
    "ConnectionPool",
    "the limit for a result backend in Redis that is silent",
    "a public client with limits of its own",
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
LIVE_RECEIVERS = Private(
    "celery.utils.dispatch.signal:Signal",
    "_live_receivers",
    "enqueue --from that is fast without receivers of the project",
    "a public list of the receivers of a sender",
    ("sender",),
)
EXEC_OPTIONS = Private("celery.app.task:Task", "_get_exec_options", _FAST, "a documented order of the options", ())
DUMP_MODELS = Private(
    "celery.app.task:Task",
    "_dump_pydantic_arguments",
    "tasks that take models",
    "a public function that does what apply_async does to the arguments",
    optional=True,  # from Celery 5.7 on
)
