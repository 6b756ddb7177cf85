"""What can be typed and read, by chance: no traceback, no raw control character, no hang.

    python -m tests.fuzz [--examples 20000] [TARGET ...]

Each target takes one generated input; it may refuse it with an error of tasktools, and with no other. The suite runs a few
examples of each (tests/unit/test_fuzz.py).
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import enum
import functools
import json
import os
import sys
import time
import typing
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

#: What one example may take, in seconds of the processor.
LIMIT = 2.0


@dataclass(frozen=True)
class Target:
    """What is fed with generated inputs."""

    inputs: st.SearchStrategy[Any]
    #: Takes one input; returns the sentences and hints that a person would see.
    feed: Callable[[Any], Iterator[str] | list[str]]


# -- inputs ------------------------------------------------------------------------------------------------------------

#: Digits of other scripts, signs, separators, controls and halves of characters.
ODD = st.sampled_from(
    [*"٣४๓Ⅷ²½𝟘−＋.,:;_+-eE/ \t\r\n\0\x1b\x7f\x85\x9b\u2028\u202e\ufeff", "\ud800", "\udfff", "\udc80"]
)

numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.decimals().map(str),
    st.integers(1, 5000).map(lambda count: "9" * count),
    st.integers(1, 5000).map(lambda count: "0." + "0" * count + "1"),
    st.tuples(st.sampled_from(["", "-", "+", "--"]), st.text("0123456789_.eE", max_size=30)).map("".join),
    st.lists(st.sampled_from("0123456789") | ODD, max_size=30).map("".join),
    st.sampled_from(["nan", "inf", "-Infinity", "1e999999999", "1e-999999999", "0x1F", "0b1", "1_000", "１２", "①"]),
)

durations = st.one_of(
    st.lists(
        st.tuples(numbers, st.sampled_from(["w", "d", "h", "m", "s", "ms", "", "M", " s"])).map("".join), max_size=5
    ).map("".join),
    numbers,
)

times = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones()).map(str),
    st.datetimes().map(lambda value: value.isoformat() + "+25:61"),
    st.lists(st.sampled_from([*"0123456789-T:+Z. ", "99999", "24:00", "-00:00"]) | ODD, max_size=25).map("".join),
    numbers,
)

texts = st.text(st.characters() | ODD, max_size=25) | numbers

names = st.one_of(
    texts,
    st.lists(st.sampled_from(["add", "tests", "site", "tasks", "", ".", "ad", "x" * 4000]) | texts, max_size=8).map(
        ".".join
    ),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers().map(lambda n: n * 10**4000) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)


def _json(value: Any) -> str:
    before = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else None
    if before is None:
        return json.dumps(value)
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value)
    finally:
        sys.set_int_max_str_digits(before)


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


documents = st.one_of(
    values.map(_json),
    st.lists(values, max_size=3).map(_json),
    st.integers(90, 3000).map(_deep),
    st.lists(
        st.sampled_from([*'[]{}",:0-eE\\', "null", "true", "NaN", "Infinity", '"x"', "1", "\\ud800", "\\u0000"]) | ODD
    ).map("".join),
    texts,
)

_keys = st.sampled_from(["task", "args", "kwargs", "options"]) | texts
_options = st.sampled_from(["queue", "countdown", "eta", "expires", "priority", "task_id", "ignore_result"]) | texts
whole = st.one_of(
    st.fixed_dictionaries(
        {"task": st.sampled_from(["echo", "typed", "gather", "span", "tests.site.tasks.total"]) | names},
        optional={
            "args": st.lists(values, max_size=4) | values,
            "kwargs": st.dictionaries(st.sampled_from(["x", "value", "text", "number", "items"]) | texts, values)
            | values,
            "options": st.dictionaries(_options, values | durations | times, max_size=4) | values,
        },
    ).map(_json),
    st.dictionaries(_keys, values, max_size=4).map(_json),
    documents,
)

lines = st.lists(
    documents.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60), max_size=5
).map(b"\n".join)

_cell = st.one_of(
    texts, documents, st.sampled_from(['"', '""', '"a', 'a"', '"a\n', '","', "\r", "\r\n", '"a"b', '5" pipe', "\0"])
)
_rows = st.lists(st.lists(_cell, max_size=4).map(",".join), max_size=6).map("\n".join)
_headers = st.sampled_from(
    ["text,number", "text", '"text"', "\ufefftext", "text,text", "", '"text', "nosuch"],
)
tables = st.tuples(_headers, _rows).map("\n".join)


# -- what is fed -------------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "r"
    DEEP = 7


KINDS: list[Any] = [
    *(int, float, bool, str, bytes, decimal.Decimal, uuid.UUID, Colour, list, dict, Any, type(None)),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta),
    *(list[int], dict[str, float], tuple[int, str], tuple[int, ...], set[decimal.Decimal], int | None, int | str),
    *(typing.Literal["S", 3], list[list[datetime.date]], dict[str, list[bool | None]]),
]


def _word(word: str) -> Iterator[str]:
    """One word, read as each kind of annotation."""
    from tasktools.arguments.conversion import NotConvertible, convert
    from tasktools.exceptions import TasktoolsError

    for kind in KINDS:
        try:
            convert(word, kind)
        except NotConvertible as error:
            yield str(error)
        except TasktoolsError as error:
            yield from _said(error)


def _said(error: Any) -> list[str]:
    return [error.sentence, error.hint]


def _refused(call: Callable[..., Any], *args: Any, **options: Any) -> list[str]:
    from tasktools.exceptions import TasktoolsError

    try:
        call(*args, **options)
    except TasktoolsError as error:
        return _said(error)
    return []


def _duration(word: str) -> Iterator[str]:
    from tasktools.arguments.durations import parse_duration

    yield from _refused(parse_duration, word)
    yield from _options_of(countdown=word)
    yield from _options_of(expires=word)


def _time(word: str) -> Iterator[str]:
    from tasktools.arguments.durations import parse_time

    yield from _refused(parse_time, word, datetime.timezone.utc)
    yield from _options_of(eta=word)
    yield from _options_of(expires=word)


def _number(word: str) -> Iterator[str]:
    from tasktools.management.bulk_options import number
    from tasktools.management.site_parts import address
    from tasktools.management.stop_options import limits_from

    yield from _refused(address, word, "runserver")
    yield from _refused(address, f"127.0.0.1:{word}", "runserver")
    yield from _refused(number, {"rate": word}, "rate")
    yield from _options_of(priority=word)
    yield from _refused(limits_from, {"max_tasks": word, "max_time": word, "drain": False})


def _options_of(**options: Any) -> list[str]:
    from tasktools.management.call_options import calling_options

    return _refused(calling_options, _app(), options)


def _name(name: str) -> Iterator[str]:
    from tasktools.arguments.names import check_id, resolve
    from tasktools.registry.registry import names as registered

    yield from _refused(resolve, name, registered(_app(), builtin=True))
    yield from _refused(check_id, name)
    yield from _options_of(queue=name)


def _json_arguments(text: str) -> Iterator[str]:
    from tasktools.publishing import single

    for task in ("echo", "typed", "gather"):
        yield from _refused(single.prepare, _app(), task, args_json=text)
        yield from _refused(single.prepare, _app(), task, kwargs_json=text)
        yield from _refused(single.prepare, _app(), task, [text, f"value={text}", f"items={text}"])


def _fed(task: str | None, data: bytes, *, is_csv: bool) -> Iterator[str]:
    from tasktools.management.call_reader import Feeder
    from tasktools.management.input_lines import _split, line_of

    read = (line_of(number, line or b"") for number, line in enumerate(_split(iter([data])), 1))
    feeder = Feeder(_app(), task, {}, lambda name: None)
    found: list[str] = []

    def feed() -> None:
        for fed in feeder.csv_rows(read, name="fuzz.csv") if is_csv else feeder.json_lines(read):
            assert fed is not None
            found.append(fed.why)
            json.dumps(fed.as_json())
            if fed.call is not None:
                _sent(fed.call)

    found += _refused(feed)
    yield from found


def _sent(call: Any) -> None:
    """A line that is taken is one that can be sent."""
    from kombu.utils.json import dumps

    dumps([call.args, call.kwargs])
    json.dumps(sorted(call.options))


def _lines(data: bytes) -> Iterator[str]:
    for task in ("tests.site.tasks.echo", "tests.site.tasks.typed", "tests.site.tasks.gather"):
        yield from _fed(task, data, is_csv=False)


def _whole_lines(text: str) -> Iterator[str]:
    yield from _fed(None, text.encode("utf-8", "surrogatepass"), is_csv=False)


def _tables(text: str) -> Iterator[str]:
    yield from _fed("tests.site.tasks.typed", text.encode("utf-8", "surrogatepass"), is_csv=True)


#: A sibling of this file adds its own.
TARGETS: dict[str, Target] = {
    "words": Target(documents | numbers | durations | times, _word),
    "numbers": Target(numbers | texts, _number),
    "durations": Target(durations | texts, _duration),
    "times": Target(times | texts, _time),
    "names": Target(names, _name),
    "args": Target(documents, _json_arguments),
    "lines": Target(lines, _lines),
    "whole": Target(whole, _whole_lines),
    "csv": Target(tables, _tables),
}


@functools.cache
def _app() -> Any:
    from tasktools import startup
    from tasktools.project import current_project

    found = current_project().found
    assert found is not None
    startup.load_tasks(found)
    return found.app


def run(target: Target, examples: int, *, derandomize: bool = False) -> None:
    """Feed a target with so many examples. Raises what it must not raise, and AssertionError for what it must not say."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def feed(value: Any) -> None:
        began = time.process_time()
        for text in target.feed(value):
            bad = [char for char in text if not char.isprintable()]
            assert not bad, f"{bad} in {text!r}"
            assert len(text) < 5000, f"{len(text)} characters: {text[:200]!r}"
        assert time.process_time() - began < LIMIT, "it took too long"

    feed()


def main(targets: dict[str, Target]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets))
    parser.add_argument("--examples", type=int, default=20_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    failed = 0
    for name in options.targets or targets:
        began = time.monotonic()
        try:
            run(targets[name], options.examples)
            told = "nothing found"
        except Exception as error:
            failed += 1
            causes = [error, *getattr(error, "exceptions", ())]  # a failure that does not come again is a group
            told = "\n".join(f"{type(each).__name__}: {str(each)[:1000]}" for each in causes)
            told += "\n" + "\n".join(getattr(error, "__notes__", []))[:3000]
        print(f"{name}: {options.examples} examples in {time.monotonic() - began:.0f} s: {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(TARGETS))
