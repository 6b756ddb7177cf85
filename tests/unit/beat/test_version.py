from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery.schedules import crontab

from tasktools.beat.version import code_digest, schedule_digest


def schedule(**changes: Any) -> dict[str, Any]:
    entry = {
        "task": "shop.add",
        "schedule": crontab(minute=5),
        "args": (1,),
        "options": {"expires": timedelta(minutes=1)},
    }
    return {"a": {**entry, **changes}, "b": {"task": "shop.add", "schedule": 5}}


def test_schedule__same_for_the_same_one_in_any_order() -> None:
    one = schedule()
    turned = {name: dict(reversed(entry.items())) for name, entry in reversed(schedule().items())}
    assert schedule_digest(one) == schedule_digest(turned)
    assert len(schedule_digest(one)) == 12


@pytest.mark.parametrize(
    "change", [{"args": (2,)}, {"schedule": crontab(minute=6)}, {"task": "shop.other"}, {"options": {}}], ids=repr
)
def test_schedule__differs_with_each_field(change: dict[str, Any]) -> None:
    assert schedule_digest(schedule(**change)) != schedule_digest(schedule())


def test_schedule__objects_that_differ_in_their_address_alone_are_alike() -> None:
    def made() -> Callable[[], None]:
        return lambda: None

    assert repr(made) != repr(object())
    assert schedule_digest(schedule(args=(object(),))) == schedule_digest(schedule(args=(object(),)))


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "odd", [None, [], "x", {"a": None}, {1: {}, "1": {}}, {"a": {"args": (Unprintable(),)}}], ids=range(6)
)
def test_schedule__that_is_none_has_a_digest_too(odd: Any) -> None:
    assert schedule_digest(odd) == schedule_digest(odd)
    assert len(schedule_digest(odd)) == 12


def module(name: str, file: Path | None) -> ModuleType:
    made = ModuleType(name)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
        made.__file__ = str(file)
    return made


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path | None], None]:
    """Make a module with a file, and load it."""

    def loaded(name: str, file: Path | None) -> None:
        monkeypatch.setitem(sys.modules, name, module(name, file))

    return loaded


def test_code__is_what_is_loaded_below_the_folder(tmp_path: Path, load: Any) -> None:
    root = tmp_path / "site"
    load("own_settings", root / "settings.py")
    first = code_digest(root)
    load("nameless", None)
    load("elsewhere", tmp_path / "site-b" / "x.py")
    load("installed", root / "venv" / "lib" / "site-packages" / "y.py")
    (root / "not_loaded.py").write_text("y = 2\n")
    assert code_digest(root) == first
    load("own_tasks", root / "shop" / "tasks.py")
    second = code_digest(root)
    assert second != first
    (root / "shop" / "tasks.py").write_text("x = 2\n")
    assert code_digest(root) not in (first, second)


def test_code__is_the_same_in_another_folder(tmp_path: Path, load: Any) -> None:
    """A release may have a folder of its own."""
    digests = []
    for folder in ("one", "two"):
        load("own_settings", tmp_path / folder / "settings.py")
        digests.append(code_digest(tmp_path / folder))
    assert digests[0] == digests[1]


def test_code__a_file_that_has_gone_is_left_out(tmp_path: Path, load: Any) -> None:
    load("own_settings", tmp_path / "settings.py")
    (tmp_path / "settings.py").unlink()
    assert code_digest(tmp_path) == code_digest(tmp_path / "nowhere")
