"""What the files of the project are, and what a quick look at them shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import AppConfig, apps

from tasktools.discovery import sources, syntax

if sys.version_info >= (3, 11):
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_parse as parser


class Lazy(ModuleType):
    """A module that is imported when somebody asks for something in it."""

    def __getattribute__(self, name: str) -> Any:
        raise ImportError(f"{name} of a lazy module")


class Proxy:
    """No module at all."""

    def __getattr__(self, name: str) -> Any:
        raise ImportError(name)


MODULES = {"lazy": lambda: Lazy("lazy"), "proxy": Proxy, "blocked": lambda: None}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_imported_paths__runs_no_code_of_a_module(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setitem(sys.modules, "lazy_of_this_test", make())
    assert sources.imported_paths()[__file__] == [__name__]


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_value_of__runs_no_code_of_a_module(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setitem(sys.modules, "lazy_of_this_test", make())
    assert syntax.value_of("lazy_of_this_test.app") is None


FAR = "x" * 400


@pytest.mark.parametrize(
    ("line", "waits"),
    [
        ("result = add.delay(1); result.get()", True),
        (f"result = add.delay({FAR}); result.get()", True),
        (f"result = {FAR}.add.delay(1); result.get()", False),
        ("add.delay(1).get()", True),
        (f"add.delay(1, {FAR}).get()", False),
    ],
)
def test_look__of_a_long_line_a_part_is_read_for_each_match(tmp_path: Path, line: str, waits: bool) -> None:
    file = tmp_path / "tasks.py"
    file.write_text(f"@shared_task\ndef total():\n    {line}\n")
    assert sources.look(file).waits is waits


def parts(pattern: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what a regular expression consists of, each with its argument."""
    for name, argument in pattern:
        yield name, argument
        for inner in argument if isinstance(argument, tuple) else ():
            for each in inner if isinstance(inner, list) else [inner]:
                if isinstance(each, parser.SubPattern):
                    yield from parts(each)


@pytest.mark.parametrize("pattern", [sources._KEPT, sources._WAITS_AT_ONCE])
def test_look__what_may_begin_often_on_a_line_reads_a_bounded_part(pattern: re.Pattern[bytes]) -> None:
    """Otherwise a line with n beginnings would cost n times its length."""
    repeated = [
        (argument[1], argument[2])
        for name, argument in parts(parser.parse(pattern.pattern, pattern.flags))  # type: ignore[arg-type]
        if str(name) in ("MAX_REPEAT", "MIN_REPEAT")
    ]
    assert [int(most) for most, what in repeated if str(what[0][0]) == "ANY"] == [300]


def test_look__indentation_is_read_once(tmp_path: Path) -> None:
    """A line of blanks is no statement, wherever it begins."""
    assert sources._SENDS_ALONE.match(b"    add.delay(1)")
    assert "(?![ \\t]|" in sources._SENDS_ALONE.pattern.decode()


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """An installed app with two files in folders of its own."""
    module = ModuleType("market")
    module.__path__ = [str(tmp_path)]
    monkeypatch.setattr(apps, "app_configs", {"market": AppConfig("market", module)})
    settings.SETTINGS_MODULE = ""
    for name in ("media", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jobs.py").touch()
    return tmp_path


def modules() -> list[str]:
    return [each.module for each in sources.files()]


@pytest.mark.parametrize("setting", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_files__none_in_folders_of_data(market: Path, settings: Any, setting: str) -> None:
    assert modules() == ["market.media.jobs", "market.shop.jobs"]
    (market / "link").symlink_to(market / "media")
    for place in (str(market / "media"), market / "media", str(market / "link")):
        setattr(settings, setting, place)
        assert modules() == ["market.shop.jobs"]


@pytest.mark.parametrize("place", ["", None, 5])
def test_files__a_setting_that_names_no_folder_hides_none(
    market: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    """An empty one is not the working folder."""
    monkeypatch.chdir(market / "media")
    settings.MEDIA_ROOT = place
    assert modules() == ["market.media.jobs", "market.shop.jobs"]


def test_files__of_many_entries_only_the_first_are_looked_at(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (market / f"media/{number}.jpg").touch()
    scanned: list[Any] = []
    monkeypatch.setattr(sources, "_NO_CODE", re.compile(r"$"))
    monkeypatch.setattr(sources, "MOST_ENTRIES", 5)
    original = sources._walk
    monkeypatch.setattr(sources, "_walk", lambda *args: (scanned.extend(each[1]) or each for each in original(*args)))
    assert "market.shop.jobs" not in modules()
    assert len(scanned) < 5


def test_look__keeps_no_text(tmp_path: Path) -> None:
    file = tmp_path / "tasks.py"
    file.write_text("@shared_task\ndef a_task_of_this_test(): ...\n")
    look = sources.look(file)
    assert look.defines_tasks
    assert "a_task_of_this_test" not in repr(look)
    assert sources.text(file) == file.read_bytes()
    file.write_text("nothing = 1\n")
    assert sources.text(file) == b""
    file.unlink()
    assert sources.text(file) == b""


def test_look__a_function_in_the_first_line_counts(tmp_path: Path) -> None:
    file = tmp_path / "tasks.py"
    file.write_text("def add(): ...\n@shared_task\nasync def add(): ...\n")
    assert sources.look(file).repeats
    file.write_text("def add(): ...\n@shared_task\ndef other(): ...\n")
    assert not sources.look(file).repeats


def test_sending_lines__each_once() -> None:
    text = b"x = 1\n    a.delay(b.delay(1)); c.apply_async()\n    y = a.delay()\n    if y: a.delay()\n\ta.apply_async("
    assert sources.sending_lines(text) == [2, 4, 5]
