"""Arguments that no worker could read for their levels, by whatever way they come in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasktools.arguments.call import Call
from tasktools.arguments.nesting import MOST_LEVELS, TooDeep, may_be_deep, require_shallow
from tasktools.publishing.batch import enqueue_many
from tasktools.registry.serialization import write_arguments
from tests.conftest import Ran


def nested(levels: int, wrap: Callable[[Any], Any] = lambda value: [value]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS: list[Callable[[Any], Any]] = [
    lambda value: [value],
    lambda value: (value,),
    lambda value: {"key": value},
    lambda value: [1, "two", value, None],
    lambda value: {"a": 0, "b": value},
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_levels__a_hundred_are_taken_and_one_more_is_not(wrap: Callable[[Any], Any]) -> None:
    require_shallow([1, nested(MOST_LEVELS, wrap)])
    with pytest.raises(TooDeep, match="more than 100 levels"):
        require_shallow([1, nested(MOST_LEVELS + 1, wrap)])


def test_value_that_holds_itself__is_too_deep() -> None:
    value: list[Any] = []
    value += [value, value]
    with pytest.raises(TooDeep):
        require_shallow([value])


def test_value_that_is_held_many_times__is_looked_at_once_a_level() -> None:
    require_shallow([nested(MOST_LEVELS, lambda value: [value, value])])


def test_wide_value__takes_linear_time() -> None:
    numbers, pairs = list(range(1_000_000)), [[n, n] for n in range(100_000)]
    began = time.process_time()
    require_shallow([numbers])
    assert time.process_time() - began < 0.5
    require_shallow([pairs])
    assert time.process_time() - began < 1.5


def test_text__can_be_deep_only_with_as_many_brackets() -> None:
    assert not may_be_deep(json.dumps(nested(MOST_LEVELS)))
    assert may_be_deep(json.dumps(nested(MOST_LEVELS + 1, lambda value: {"key": value})))


def test_serializer__does_not_get_it(app: Any) -> None:
    with pytest.raises(TooDeep):
        write_arguments(app, None, "shop.add", [nested(101)], {})
    with pytest.raises(TooDeep):
        write_arguments(app, None, "shop.add", [], {"x": nested(101)})


def test_enqueue_many__refuses_it_before_anything_is_sent(app: Any) -> None:
    with pytest.raises(TooDeep):
        next(enqueue_many(app, [Call(task="tests.site.tasks.echo", args=(nested(101),))]))


ECHO, TYPED = "tests.site.tasks.echo", "tests.site.tasks.typed"


@pytest.mark.parametrize("levels", [101, 150, 950, 2000, 100_000])
@pytest.mark.parametrize("command", ["enqueue", "runtask"])
@pytest.mark.parametrize(
    "words",
    [
        (ECHO, "{deep}"),
        (ECHO, "value={deep}"),
        (ECHO, "--args", "[{deep}]"),
        (ECHO, "--kwargs", '{"value": {deep}}'),
        (TYPED, "text", "1", "items={deep}"),
        ("tests.site.tasks.gather", "--kwargs", '{"more": {deep}}'),
        ("nosuch", "{deep}", "--unregistered"),
    ],
)
def test_command__refuses_it(
    run_command: Callable[..., Ran], command: str, words: tuple[str, ...], levels: int
) -> None:
    if "--unregistered" in words and command == "runtask":
        words = (ECHO, "--json", "{deep}")
    deep = "[" * levels + "]" * levels
    ran = run_command(command, *(word.replace("{deep}", deep) for word in words))
    assert ran.code == 2, ran
    assert "An argument is nested more than 100 levels deep, and no worker could read it." in ran.err
    assert len(ran.err) < 500


LINES = [
    ("echo", "[{deep}]"),
    ("echo", '{"value": {deep}}'),
    ("", '{"task": "echo", "args": [{deep}]}'),
    ("", '{"task": "echo", "kwargs": {"value": {deep}}}'),
    ("", '{"task": "echo", "args": [1], "options": {"queue": {deep}}}'),
    ("echo", "value\n{deep}\n"),
    (TYPED, "text,items\nx,{deep}\n"),
]


@pytest.mark.parametrize("levels", [101, 950])
@pytest.mark.parametrize(("task", "text"), LINES)
def test_line_of_a_file__is_bad(
    run_command: Callable[..., Ran], tmp_path: Path, task: str, text: str, levels: int
) -> None:
    file = tmp_path / ("calls.csv" if "\n" in text else "calls.jsonl")
    file.write_text(text.replace("{deep}", "[" * levels + "]" * levels))
    ran = run_command("enqueue", *([task] if task else []), "--from", str(file), "--check")
    assert ran.code == 1, ran
    assert "An argument is nested more than 100 levels deep" in ran.err


def test_line_with_many_brackets__is_good(run_command: Callable[..., Ran], tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(json.dumps([[[n, [n]] for n in range(1000)]]) + "\n" + json.dumps(["[" * 1000]) + "\n")
    assert run_command("enqueue", "echo", "--from", str(file), "--check").code == 0
