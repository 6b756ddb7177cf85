"""Odd URLs, results and error texts, by chance: python -m tests.fuzz_texts --examples 20000.

No text that is printed holds a password or what a terminal would obey, JSON stays JSON, and nothing raises or hangs. The suite
runs a few examples of each (tests/unit/test_fuzz_texts.py).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import HOSTILE, active

#: The heart of every password: whatever stands around it, this must not be seen.
SECRET = "S3cr3tPWx"

#: What stands around it.
ODD = [
    "",
    "#",
    "/",
    "@",
    "%",
    "?",
    ":",
    ";",
    "&",
    "=",
    " ",
    "'",
    '"',
    "\\",
    "[",
    "]",
    "%40",
    "%2F",
    "ü",
    "\n",
    "x",
    ",",
    "+",
]

SCHEMES = [
    "redis",
    "rediss",
    "amqp",
    "pyamqp",
    "sentinel",
    "redis+socket",
    "db+postgresql",
    "nosuch",
    "sqs",
    "memory",
    "Redis",
]


@st.composite
def passwords(draw: Any) -> str:
    around = st.lists(st.sampled_from(ODD), max_size=3).map("".join)
    return str(draw(around)) + SECRET + str(draw(around))


@st.composite
def urls(draw: Any) -> str:
    """A URL with a password where one may be, well formed or not."""
    password = draw(passwords())
    password = draw(st.sampled_from([password, quote(password), quote(password, safe="")]))
    scheme = draw(st.sampled_from(SCHEMES))
    user = draw(st.sampled_from(["", "me", "guest", "me@home", "a.b", "%C3%BC"]))
    slashes = draw(st.sampled_from(["://", "://", "://", ":/", ":///"]))
    host = draw(st.sampled_from(["localhost", "127.0.0.1:6379", "host:port", "[::1]:6379", "[::1", "", "host:99999"]))
    path = draw(st.sampled_from(["", "/0", "//", "/name?db=1", "/0?x=a@b", "#f"]))
    shape = draw(
        st.sampled_from(["user", "user", "user", "parameter", "several", "list", "alone", "no host", "no scheme"])
    )
    if shape == "parameter":
        return f"{scheme}://{host}{path.partition('?')[0].partition('#')[0]}?password={quote(password, safe='')}&db=1"
    if shape == "alone":
        return f"redis://{quote(password, safe='')}@{host}{path}"
    if shape == "no host":
        return f"{scheme}://{user.partition('@')[0]}:{password.replace('@', '')}"
    if shape == "no scheme":
        return f"{user or 'me'}:{password}@{host}{path}"
    url = f"{scheme}{slashes}{user}:{password}@{host}{path}"
    if shape == "several":
        return draw(st.sampled_from(["A;{}", "{};redis://b", "amqp://a:b@c;{}"])).format(url)
    return url


def texts_about(url: str) -> Iterator[str]:
    """Yield what this project, Celery, kombu, redis-py and urllib say of a URL."""
    import redis
    from celery import Celery
    from kombu import Connection
    from kombu.utils.url import parse_url

    from tasktools import startup
    from tasktools.brokers import broker_of
    from tasktools.brokers.masking import masked
    from tasktools.brokers.reach import check_broker
    from tasktools.results import backend
    from tasktools.worker import banner

    app = Celery("fuzz", broker=url, backend=url, set_as_current=False)
    try:
        app.conf.broker_transport_options = {"password": SECRET}

        hiders: dict[bool, Callable[[str], str]] = {}

        def hide(text: str) -> str:
            if app.configured not in hiders:  # as a command does: by what is configured when it prints
                hiders[app.configured] = startup.hider(app)
            return hiders[app.configured](text)

        yield masked(url)
        calls: list[Callable[[], Any]] = [
            lambda: broker_of(app).uri(),
            lambda: check_broker(app, 1.0),
            lambda: backend.check_backend(app),
            lambda: backend._backend_name(app),
            lambda: banner.backend_uri(app),
            lambda: parse_url(url)["hostname"],
            lambda: Connection(url).as_uri(),
            lambda: redis.Redis.from_url(url).connection_pool.connection_kwargs.get("host"),
            lambda: urlsplit(url).port,
            lambda: socket.getaddrinfo(urlsplit(url).hostname, 1),
        ]
        for call in calls:
            try:
                yield hide(str(call()))
            except Exception as error:
                yield hide(str(error))
                yield hide(repr(error))
                yield hide(str(getattr(error, "hint", "")))
    finally:
        app.close()


def look_up(host: Any, *_: Any, **__: Any) -> Any:
    raise socket.gaierror(8, f"nodename nor servname provided, or not known: {host!r}")


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Have every look-up of a host fail at once, and name the host: a library may take a password for one."""
    refused = ConnectionRefusedError(111, "Connection refused")
    with mock.patch("socket.getaddrinfo", look_up), mock.patch("socket.socket.connect", side_effect=refused):
        yield


def check_url(url: str) -> None:
    with no_network():
        for text in texts_about(url):
            assert SECRET.lower() not in text.lower(), f"{url!r}: {text!r}"


# Results.


class Bad:
    """An object that fails whatever is asked of it."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise TypeError("cannot be compared")

    __hash__ = object.__hash__


class BadError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(HOSTILE)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if levels % 2 else {"a": value}
    return value


def endless() -> Any:
    value: list[Any] = [1]
    value += [value, value]
    return value


#: Numbers that Python does not print, and hypothesis wants to.
long_numbers = st.sampled_from([1, -1]).map(lambda sign: sign * 10**5000)

characters = st.one_of(st.characters(exclude_categories=()), st.sampled_from(HOSTILE))
wild = st.text(characters, max_size=20)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), wild, st.binary(max_size=5), st.just(Decimal("NaN")), st.dates(),
    st.datetimes(), st.timedeltas(), st.times(), long_numbers, st.builds(Bad), st.builds(BadError),
    wild.map(ValueError), st.sampled_from([99, 300, 601, 2000]).map(deep), st.builds(endless), st.just(object),
    st.sampled_from(["SUCCESS", "FAILURE", "PENDING", "REVOKED", "RETRY", "STARTED"]),
)  # fmt: skip
keys = st.one_of(wild, st.integers(), st.none(), st.floats(), st.tuples(st.integers()), long_numbers)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.tuples(inner),
        st.frozensets(wild, max_size=2),
    ),
    max_leaves=8,
)
states = st.sampled_from(["SUCCESS", "FAILURE", "PENDING", "REVOKED", "RETRY", "STARTED", "PROGRESS"])
exceptions = st.fixed_dictionaries({}, optional=dict.fromkeys(("exc_type", "exc_message", "exc_module"), values))
metas = st.one_of(
    values,
    st.fixed_dictionaries(
        {"status": st.one_of(states, states, values)},
        optional={
            "result": st.one_of(values, exceptions),
            **dict.fromkeys(("traceback", "name", "worker", "retries", "date_done", "children", "args"), values),
        },
    ),
)


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@functools.cache
def command() -> Any:
    from django.core.management import load_command_class

    return load_command_class("tasktools", "taskresult")


def command_on(terminal: bool) -> Any:
    """Return the command as one that prints into memory, and its two streams."""
    from django.core.management.base import OutputWrapper

    command_ = command()
    out, err = Stream(terminal), Stream(terminal)
    command_.stdout, command_.stderr = OutputWrapper(out), OutputWrapper(err)
    return command_, out, err


class Backend:
    def __init__(self, get_task_meta: Callable[[str], Any]) -> None:
        self.get_task_meta = get_task_meta

    def as_uri(self, include_password: bool = True) -> str:
        return "fuzz://"


def check_meta(meta: Any) -> None:
    from tasktools import render
    from tasktools.exceptions import TasktoolsError
    from tasktools.management.result_output import show, verdict
    from tasktools.results import backend

    def get_task_meta(task_id: str) -> Any:
        return meta if task_id == "one" else {"status": "PENDING", "result": None}

    outcome = backend.look(SimpleNamespace(backend=Backend(get_task_meta)), "one")
    for as_json in (True, False):
        for label in (True, False):
            told, out, err = command_on(terminal=True)
            options = {"as_json": as_json, "traceback": True}
            show(told, outcome, options, label=label)
            try:
                verdict([outcome], options, 1.0, knows=lambda name: False)
            except TasktoolsError as error:
                told.note(*render.error_lines(error))
                json.loads(render.error_json(error, told.hide), parse_constant=refuse)
            assert active(out.getvalue() + err.getvalue()) == []
            if as_json:
                json.loads(out.getvalue(), parse_constant=refuse)
                assert out.getvalue().count("\n") == 1


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


# Error texts.

texts = st.one_of(
    wild,
    st.lists(
        st.sampled_from([*HOSTILE, "Hint: x", "redis://a:b@c", "\\x1b", "[red]", "{", "%s", " "]), max_size=40
    ).map("".join),
    st.tuples(wild, st.integers(1, 300)).map(lambda pair: pair[0] * pair[1]),
    st.sampled_from(["a:/b:", "token", "password-", "x.", "://", "redis:/", "a@", ";a:/", "key="]).map(
        lambda text: text * 1000
    ),
)


def check_text(text: str) -> None:
    from tasktools import render, terminal
    from tasktools.brokers import reach
    from tasktools.exceptions import TasktoolsError

    began = time.monotonic()
    error = TasktoolsError(text, hint=text, more=[text])
    for on_terminal in (True, False):
        told, out, err = command_on(terminal=on_terminal)
        told.note(text, text)
        told.note(*render.error_lines(error))
        told.print_line(text)
        assert err.getvalue().count("\n") == 2 + len(render.error_lines(error))
        assert out.getvalue().count("\n") == 1
        told.note_block(text)
        told.print_json({text: [text]})
        assert active(out.getvalue() + err.getvalue()) == []
        told.print_value(text)
        assert not on_terminal or active(out.getvalue()) == []
    assert active(render.plain_table(("A",), [(text,)])) == []
    assert "\n" not in render.error_json(error, told.hide)
    json.loads(render.error_json(error, told.hide))
    assert "\n" not in reach.reason(ValueError(text))
    assert terminal.line(terminal.line(text)) == terminal.line(text)
    assert time.monotonic() - began < 30, f"{len(text)} characters took {time.monotonic() - began:.1f} s"


#: Examples in one process: Celery remembers something of each app that it has made, and grows slow.
PORTION = 2000

KINDS: dict[str, tuple[Any, Callable[[Any], None]]] = {
    "urls": (urls(), check_url),
    "results": (metas, check_meta),
    "texts": (texts, check_text),
}


def fuzz(kind: str, examples: int) -> None:
    """Check so many examples of a kind; raise what the smallest that fails raises."""
    strategy, check = KINDS[kind]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=examples < 1000,
    )
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()


if __name__ == "__main__":
    import django

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--kind", choices=KINDS, action="append")
    chosen = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    for each in chosen.kind or KINDS:
        start = time.monotonic()
        if chosen.examples <= PORTION:
            fuzz(each, chosen.examples)
        for done in range(0, chosen.examples if chosen.examples > PORTION else 0, PORTION):
            words = ["--kind", each, "--examples", str(min(PORTION, chosen.examples - done))]
            subprocess.run([sys.executable, "-m", "tests.fuzz_texts", *words], check=True)
        print(f"{each}: {chosen.examples} examples in {time.monotonic() - start:.0f} s", flush=True)
