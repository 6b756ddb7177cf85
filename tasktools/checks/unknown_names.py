"""W041: a setting with the app's prefix is one that somebody reads."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf
from tasktools.arguments.names import close_matches
from tasktools.celery_compat import DEFAULTS, NEW_NAMES
from tasktools.checks import kinds, old_names
from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import is_given, prefix_of, spelled

#: The ids that this module can give.
IDS = ("tasktools.W041",)

#: What Celery, its Django libraries and RedBeat read, and celery.app.defaults does not list.
_MORE = frozenset(
    [
        "db_reuse_max",
        "dynamodb_endpoint_url",
        "gcs_threadpool_maxsize",
        "override_backends",
        "redbeat_key_prefix",
        "redbeat_lock_key",
        "redbeat_lock_timeout",
        "redbeat_redis_options",
        "redbeat_redis_url",
        "redbeat_redis_use_ssl",
        "redis_backend_credential_provider",
        "redis_backend_health_check_interval",
        "redis_client_name",
        "result_backend_thread_safe",
        "time_zone",
    ]
)

#: How similar a name must be to the one that is meant; 1 means equal (difflib's ratio).
_LIKE = 0.85

#: How many letters it may have more, and less, altogether.
_LETTERS = 2


def check(found: Found) -> list[CheckMessage]:
    """Report a name that nobody knows and that is close to one of a setting which nobody has given.

    Another name may be a setting of the project's own code, which nobody can know.
    """
    messages = [_of_tasktools(name) for name in conf.written("TASKTOOLS_") if name not in conf.NAMES]
    if not old_names.applies(found.app):
        return messages
    prefix = prefix_of(found.app)
    old, known = NEW_NAMES.here(), {*DEFAULTS.here(), *_MORE}
    for name, value in conf.written(prefix).items():
        bare = name.removeprefix(prefix).lower()
        if bare not in known and name not in old:
            messages += _slip(found.app, name, _meant(bare, value, known))
    return messages


def _of_tasktools(name: str) -> CheckMessage:
    close = close_matches(name, conf.NAMES)
    hint = f"did you mean {close[0]}?" if close else f"remove it; the settings are {', '.join(conf.NAMES)}"
    return CheckWarning(f"{name} is no setting of tasktools.", hint=hint, id="tasktools.W041")


def _slip(app: Any, name: str, meant: str) -> list[CheckMessage]:
    if not meant or is_given(app, meant) or (meant == "broker_url" and conf.broker_slip()):  # W001 reports that
        return []
    sentence = f"{name} is no setting that Celery knows, and {spelled(app, meant)} is not set."
    return [CheckWarning(sentence, hint=f"did you mean {spelled(app, meant)}?", id="tasktools.W041")]


def _meant(bare: str, value: Any, known: set[str]) -> str:
    """Return the setting whose name has the same words, a letter or two more, less or elsewhere, or no _url; "" if none."""
    if bare.endswith("_url") and bare[:-4] in known and "://" in str(value):
        return bare[:-4]
    words = sorted(bare.split("_"))
    likely = [each for each in known if abs(len(each) - len(bare)) <= _LETTERS]
    same = [each for each in likely if sorted(each.split("_")) == words]
    close = same or difflib.get_close_matches(bare, sorted(likely), 1, _LIKE)
    return close[0] if close and _is_typed(bare, close[0]) and _fits(close[0], value) else ""


def _is_typed(bare: str, known: str) -> bool:
    """Whether the difference is a typing error. A number in a name is meant, as in broker_url2."""
    one, other = Counter(bare), Counter(known)
    different = (one - other) + (other - one)
    return different.total() <= _LETTERS and not any(letter.isdigit() for letter in different)


def _fits(known: str, value: Any) -> bool:
    """Whether the value is one for that setting: CELERY_TASK_QUEUE = "mails" is a name for the project's own code."""
    return not (known == "task_queues" and isinstance(value, str)) and not kinds.why_wrong(known, value)
