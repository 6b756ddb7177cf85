"""W060: no task takes a model instance."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.celery_compat import ENCODED_TYPES
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import tried
from tasktools.registry.registry import has_own, names, place_of

#: The ids that this module can give.
IDS = ("tasktools.W060",)

#: The serializer that refuses model instances.
_JSON = "json"

#: Words around the name of a model in an annotation that is text; an instance is meant all the same.
_AROUND = {"None", "Optional", "Union", "List", "list", "Sequence", "Iterable", "tuple", "Tuple", "set", "typing"}
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_COLLECTIONS = (list, tuple, set, frozenset)

#: A method of the project's own may turn instances into keys and back.
_OWN = ("apply_async", "delay", "__call__")


def check(found: Found) -> list[CheckMessage]:
    """Read the annotations of the tasks. Of the project's own app, only tasks that exist are checked."""
    app: Any = found.app
    if not app.finalized:  # `registration` has finalized the ready-made app
        return []
    return [message for name in sorted(names(app)) for message in _of(app.tasks[name])]


def _of(task: Any) -> Iterator[CheckMessage]:
    function = getattr(task, "__wrapped__", None)  # what the decorator of Celery was given
    if hasattr(function, "__wrapped__"):  # a decorator of the project's own
        return
    # Python 3.14 evaluates them now, and a name may be missing.
    annotations: dict[str, Any] = tried(lambda: dict(getattr(function, "__annotations__", {})), lambda _: {})
    annotations.pop("return", None)
    for parameter, annotation in annotations.items():
        model = _model(annotation, getattr(function, "__globals__", {}))
        if model is not None and _is_refused(task, model):
            yield CheckWarning(
                f'The task "{task.name}" ({place_of(task)}) takes a model instance, which {_JSON} cannot serialize: '
                f'its parameter "{parameter}" is annotated as {model.__name__}.',
                hint=f"take the primary key, and read the object in the task: {model.__name__}.objects.get(pk=...)",
                id="tasktools.W060",
            )


def _is_refused(task: Any, model: type) -> bool:
    if task.serializer != _JSON or any(has_own(task, each) for each in _OWN):
        return False
    encoded = [each for each in ENCODED_TYPES.here() if isinstance(each, type)]
    return not any(issubclass(model, each) for each in encoded)


def _model(annotation: Any, namespace: dict[str, Any]) -> type | None:
    """Return the model whose instance an annotation asks for; None if it asks for something else, or accepts it too."""
    if isinstance(annotation, str):
        words = [each for each in _WORD.findall(annotation) if each.rpartition(".")[2] not in _AROUND]
        kinds = [_looked_up(each, namespace) for each in words]
    else:
        kinds = list(_parts(annotation))
    from django.db.models import Model

    models = [each for each in kinds if isinstance(each, type) and issubclass(each, Model)]
    return models[0] if models and len(models) == len(kinds) else None


def _looked_up(name: str, namespace: dict[str, Any]) -> Any:
    first, *rest = name.split(".")
    value = namespace.get(first)
    for each in rest:
        value = getattr(value, each, None)
    return value


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the classes in an annotation such as `Order | None` and `list[Order]`, None left out."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, *_COLLECTIONS):
        for each in typing.get_args(annotation):
            yield from _parts(each)
    elif annotation not in (None, type(None), ...):
        yield annotation
