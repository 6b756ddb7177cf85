"""W042, W043, W044: the values of settings are of the kind that Celery takes, and the limits of a task fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import startup
from tasktools.checks import kinds
from tasktools.checks.setting_values import kind_of, text_of
from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import given, spelled
from tasktools.registry.registry import names

#: The ids that this module can give.
IDS = ("tasktools.W042", "tasktools.W043", "tasktools.W044")

_Hider = Callable[[str], str]


def check(found: Found) -> list[CheckMessage]:
    """Check what the project has set. Settings of queues are checked where they are read."""
    app: Any = found.app
    commas = [(name, value) for name, value in given(app) if kinds.has_comma(name, value)]
    wrong = [(name, value, why) for name, value in given(app) if (why := kinds.why_wrong(name, value))]
    hide = startup.hider(app) if commas or wrong else str  # it takes a while
    messages: list[CheckMessage] = [_comma(spelled(app, name), name, value, hide) for name, value in commas]
    with_comma = {name for name, _ in commas}
    messages += [_wrong(spelled(app, each[0]), *each, hide) for each in wrong if each[0] not in with_comma]
    return [*messages, *_limits(found)]


def _comma(setting: str, name: str, value: Any, hide: _Hider) -> CheckMessage:
    text = text_of(name, value, hide)
    sentence = f"{setting} is {text and f'{text}, '}a tuple: its line ends with a comma."
    end = f": {setting} = {text_of(name, value[0], hide)}" if text else f" at the end of {setting}"
    return CheckWarning(sentence, hint=f"remove the comma{end}", id="tasktools.W043")


def _wrong(setting: str, name: str, value: Any, why: str, hide: _Hider) -> CheckMessage:
    sentence = f"{setting} is {text_of(name, value, hide) or kind_of(value)}, which {why}."
    return CheckWarning(sentence, hint=f"{setting} = {hide(kinds.line_for(name, value))}", id="tasktools.W042")


def _limits(found: Found) -> Iterator[CheckMessage]:
    """Compare both limits of the settings, and those of each task that sets the soft one itself."""
    app: Any = found.app
    hard, soft = app.conf.task_time_limit, app.conf.task_soft_time_limit
    if _is_at_once(hard, soft):
        subject = (
            f"{spelled(app, 'task_time_limit')} is {hard:g} s, and {spelled(app, 'task_soft_time_limit')} {soft:g} s"
        )
        yield _limit(subject, f"{spelled(app, 'task_time_limit')} = {soft + 60:g}, for example")
    if not (found.ready_made or app.finalized):
        return
    for name in sorted(names(app)):
        own = app.tasks[name].soft_time_limit
        # Up to Celery 5.6, a task does not take the limits of the settings itself.
        ends = app.tasks[name].time_limit or hard
        if own != soft and _is_at_once(ends, own):
            subject = f'The time limit of the task "{name}" is {ends:g} s, and its soft one {own:g} s'
            yield _limit(subject, f"give the task time_limit={own + 60:g}, for example")


def _is_at_once(hard: Any, soft: Any) -> bool:
    """Whether there are both limits, and no time between the soft one and the hard one. 0 is no limit.

    Celery sends a task with equal limits. Its pool then sends the soft signal and kills the process at once, or kills it alone.
    """
    return all(isinstance(each, (int, float)) and each for each in (hard, soft)) and bool(hard <= soft)


def _limit(subject: str, hint: str) -> CheckMessage:
    return CheckWarning(f"{subject}: a worker kills the task with no time to clean up.", hint=hint, id="tasktools.W044")
