from __future__ import annotations

from functools import partial
from types import ModuleType, TracebackType
from typing import Any

import pytest

from tasktools.execution.tracebacks import own_frames, traceback_text


def raised_through(*modules: str) -> TracebackType | None:
    """Return the traceback of an error raised in the last of these modules, called by the one before, and so on."""

    def call(_: None) -> None:
        raise ValueError("broken")

    for name in reversed(modules):
        module: Any = ModuleType(name)
        exec("def call_from_made(inner, _): inner(None)", module.__dict__)
        call = partial(module.call_from_made, call)  # has no frame of its own
    with pytest.raises(ValueError) as caught:
        call(None)
    return caught.value.__traceback__


def drop_tests(trace: TracebackType | None) -> TracebackType:
    """Return the traceback from the first made module on."""
    assert trace is not None
    while not trace.tb_frame.f_code.co_name.startswith("call_from_made"):
        assert trace.tb_next is not None
        trace = trace.tb_next
    return trace


def test_own_frames__begin_below_celery() -> None:
    trace = drop_tests(raised_through("celery.app.trace"))
    found = own_frames(trace)
    assert found is not None
    assert found.tb_frame.f_globals["__name__"] == __name__


def test_own_frames__celery_below_a_frame_of_the_task_stays() -> None:
    trace = drop_tests(raised_through("shop.tasks", "celery.canvas"))
    assert own_frames(trace) is trace


def test_own_frames__of_none() -> None:
    assert own_frames(None) is None


def test_own_frames__of_a_task_of_celery_itself_begin_below_the_tracer() -> None:
    trace = drop_tests(raised_through("celery.app.trace", "celery.app.builtins"))
    assert own_frames(trace) is trace.tb_next


def test_own_frames__where_there_are_none_all_is_shown() -> None:
    trace = drop_tests(raised_through("celery.app.trace", "celery.app.task"))
    assert trace.tb_next is not None
    trace.tb_next.tb_next = None  # below it stands the test's own frame
    assert own_frames(trace) is trace


def test_text__with_what_led_to_it() -> None:
    second = ValueError("second")
    second.__cause__ = KeyError("first")
    text = traceback_text(second, None)
    assert text.index("KeyError: 'first'") < text.index("direct cause") < text.index("ValueError: second")
