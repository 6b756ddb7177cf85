"""What Celery and kombu do not promise is there, as tasktools counts on it: the first test to look at with a new version."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import beat

import tasktools
from tasktools import celery_compat
from tasktools.environment.private import NAMES, Private

PACKAGE = Path(tasktools.__file__).parent


def missing(private: Private) -> str:
    """Return one sentence on what breaks with the installed version, "" if nothing."""
    module, _, inner = private.owner.partition(":")
    told = f"{private.owner} {{}}: without it {private.feature} does not work. It could use {private.instead}."
    try:
        owner = importlib.import_module(module)
        owner = getattr(owner, inner) if inner else owner
    except (ImportError, AttributeError):
        return told.format("has gone")
    if private.on_objects:
        found = re.search(rf"self\.{private.name}\b", inspect.getsource(owner))
        return "" if found or private.optional else told.format(f"sets no {private.name}")
    if not hasattr(owner, private.name):
        return "" if private.optional else told.format(f"has no {private.name}")
    if private.takes is None:
        return ""
    parameters = inspect.signature(getattr(owner, private.name)).parameters
    lacking = [each for each in private.takes if each not in parameters]
    more = [
        each.name
        for each in parameters.values()
        if each.name not in (*private.takes, "self")
        and each.default is inspect.Parameter.empty
        and each.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    return told.format(f"{private.name} takes {tuple(parameters)}") if lacking or more else ""


@pytest.mark.parametrize("private", NAMES, ids=lambda each: f"{each.owner.rpartition('.')[2]}.{each.name}")
def test_name__is_there(private: Private) -> None:
    assert missing(private) == ""


def test_names__one_of_the_two_that_cancel() -> None:
    assert any(not missing(each) and hasattr(owner_of(each), each.name) for each in celery_compat.CANCEL)


def owner_of(private: Private) -> object:
    module, _, inner = private.owner.partition(":")
    return getattr(importlib.import_module(module), inner)


@pytest.mark.parametrize(
    ("owner", "name", "takes"),
    [
        (beat.Scheduler, "setup_schedule", "(self)"),
        (beat.Scheduler, "merge_inplace", "(self, b)"),
        (beat.Scheduler, "install_default_entries", "(self, data)"),
        (beat.Scheduler, "is_due", "(self, entry)"),
        (beat.Scheduler, "apply_entry", "(self, entry, producer=None)"),
        (beat.Scheduler, "apply_async", "(self, entry, producer=None, advance=True, **kwargs)"),
        (beat.Scheduler, "should_sync", "(self)"),
        (beat.Scheduler, "close", "(self)"),
        (beat.ScheduleEntry, "next", "(self, last_run_at=None)"),
        (beat.ScheduleEntry, "default_now", "(self)"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_scheduler__what_ours_uses_and_overrides_is_there(owner: type, name: str, takes: str) -> None:
    """Celery's reference lists these names, and says little of them."""
    assert str(inspect.signature(getattr(owner, name))) == takes


def test_missing__names_the_feature_that_breaks() -> None:
    names = list(NAMES)
    try:
        gone = Private("celery.app.base:Celery", "nosuch", "this test", "another", ())
        other = Private("celery.app.base:Celery", "send_task", "this test", "another", ("nosuch",))
        nowhere = Private("celery.nosuch", "x", "this test", "another")
    finally:
        NAMES[:] = names
    breaks = "without it this test does not work. It could use another."
    assert missing(gone) == f"celery.app.base:Celery has no nosuch: {breaks}"
    assert missing(other).startswith("celery.app.base:Celery send_task takes ('self', 'name', ")
    assert missing(nowhere) == f"celery.nosuch has gone: {breaks}"


def test_wrap__puts_a_method_in_the_place_of_another() -> None:
    owner = SimpleNamespace(stop=lambda: "stopped")
    celery_compat.WORKER_STOP.wrap(owner, lambda stop: lambda: f"noted, {stop()}")
    assert owner.stop() == "noted, stopped"
    assert celery_compat.WORKER_STOP.get(SimpleNamespace()) is None
    with pytest.raises(AttributeError):
        celery_compat.WORKER_STOP.of(SimpleNamespace())


#: What has an underscore and is our own, argparse's or the standard library's.
OURS = re.compile(
    r"^(_exit|_getframe|_step|_option_string_actions|_negative_number_matcher|_get_positional_actions|_replace|_asdict"
    r"|_called_from_command_line|_signalling_run|_meta)$"
)


def private_uses(file: Path) -> set[str]:
    """Return what has an underscore and is asked of another object than self."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            owner = node.value
            own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            own = own or (isinstance(owner, ast.Call) and ast.unparse(owner) == "super()")
            if not own and not OURS.match(node.attr):
                found.add(node.attr)
    return found


def test_private_names__are_used_nowhere_else() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if file.parent.name != "celery_compat"]
    found = {file.relative_to(PACKAGE).as_posix(): private_uses(file) for file in files}
    assert {name: uses for name, uses in found.items() if uses} == {}


def test_names__each_is_used() -> None:
    text = "".join(file.read_text() for file in PACKAGE.rglob("*.py") if file.parent.name != "celery_compat")
    constants = [
        name for name, value in vars(celery_compat).items() if isinstance(value, (Private, tuple)) and name[0].isupper()
    ]
    overridden = {
        "CONNECTION_PARAMETERS",
        "HANDLE_FAILURE",
        "HANDLE_RETRY",
        "REQUEST_REJECT",
        "ON_FAILURE",
        "ON_TIMEOUT",
        "ON_SUCCESS",
        "ANNOUNCE_REVOKED",
    }  # a method of a subclass has the name itself
    assert [name for name in constants if not re.search(rf"\b{name}\b", text) and name not in overridden] == []
