"""What the files of the project are, and what a quick look at them shows."""

from __future__ import annotations

import os
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


@pytest.mark.parametrize(
    ("name", "file", "is_there"),
    [
        ("of_this_test", "/x.py", True),
        ("__main__", "/x.py", False),
        ("of_this_test", "", False),
        ("of_this_test", 5, False),
    ],
)
def test_imported_paths__of_modules_with_a_file(
    monkeypatch: pytest.MonkeyPatch, name: str, file: Any, is_there: bool
) -> None:
    module = ModuleType(name)
    module.__file__ = file
    monkeypatch.setitem(sys.modules, name, module)
    assert (file in sources.imported_paths()) is is_there


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_value_of__runs_no_code_of_a_module(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setitem(sys.modules, "lazy_of_this_test", make())
    assert syntax.value_of("lazy_of_this_test.app") is None


def test_look__reads_a_file_again_only_if_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    original = sources._look
    monkeypatch.setattr(sources, "_look", lambda text: read.append(text) or original(text))
    file = tmp_path / "tasks.py"
    for text in (b"add.delay(1)\n", b"@shared_task\n"):
        file.write_bytes(text)
        looks = [sources.look(file), sources.look(file)]
        assert looks[0] is looks[1]
        assert read.pop() == text
        assert read == []


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("", set()),
        ("total = 1  # a task that waits: .get(", set()),
        ("# @shared_task", set()),
        ("app.tasks.autodiscover_tasks(['shop'])", set()),
        ("# app.autodiscover_tasks()", set()),
        ("app.autodiscover_tasks()", {"discovers"}),
        ("@shared_task", {"defines_tasks"}),
        ("    @app.task(bind=True)", {"defines_tasks"}),
        ("x = add.delay(1)", {"sends"}),
        ("x = add.apply_async()", {"sends"}),
        ("    add.delay(1)", {"sends", "sends_alone"}),
        ("    x = 1; add.apply_async()", {"sends", "sends_alone"}),
        ("    if x: add.delay(1)", {"sends", "sends_alone"}),
        ("    later(lambda: add.delay(1))", {"sends"}),
        ("    later(lambda: 1); add.delay(1)", {"sends"}),
        ("    # x: add.delay(1)", {"sends"}),
        ("x = add.delay(1)  # atomic", {"sends"}),
        ("x = add.delay(1)\nwith atomic(): ...", {"sends", "has_atomic"}),
        ("add.delay(1).get()", {"sends"}),
        ("@shared_task\nx.get()", {"defines_tasks"}),
        ("@shared_task\nadd.delay(1).get()", {"defines_tasks", "sends", "waits"}),
        ("@shared_task\ngroup(\n    x\n)().join()", {"defines_tasks", "waits"}),
        *(
            (f"@shared_task\nx[\n    0\n]{call}", {"defines_tasks", "waits"})
            for call in (".get()", ".join()", ".wait()")
        ),
        ("@shared_task\ngroup(\n    x\n).wait()", {"defines_tasks", "waits"}),
        ("@shared_task\ny = add.s()\nx.get()", {"defines_tasks"}),
        ("@shared_task\ndef a(): ...\ndef b(): ...", {"defines_tasks"}),
        ("@shared_task\ndef a(): ...\nasync def a(): ...", {"defines_tasks", "repeats"}),
        ("def a(): add.delay(1)\ndef a(): ...", {"sends"}),
    ],
)
def test_look__what_a_file_shows(tmp_path: Path, line: str, flags: set[str]) -> None:
    file = tmp_path / "tasks.py"
    file.write_text(f"import this\n{line}\n")
    assert {name for name, value in vars(sources.look(file)).items() if value} == flags


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("(name='a')", ("a",)),
        ('(bind=True, name = "a")', ("a",)),
        ("(\n    autoretry_for=(ValueError,),\n    name='a',\n)", ("a",)),
        ("(name=NAME)", ()),
        ("(rename='a')", ()),
        ("", ()),
    ],
)
def test_look__the_names_of_tasks(tmp_path: Path, call: str, given: tuple[str, ...]) -> None:
    file = tmp_path / "tasks.py"
    file.write_text(f"@shared_task{call}\ndef add(): ...\n")
    assert sources.look(file).given == given


def test_look__a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "tasks.py"
    file.write_bytes(b"@shared_task(name='\xff')\n")
    assert sources.look(file).given == ("\N{REPLACEMENT CHARACTER}",)


def test_is_of_other_app__not_without_an_app_above(tmp_path: Path) -> None:
    assert not sources.is_of_other_app(tmp_path / "site" / "jobs.py")


def test_look__of_a_file_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.py", tmp_path, Path("\0")):
        assert sources.look(path) == sources.Look()


def test_text__of_a_file_that_goes_away_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "look", lambda path: sources.Look(sends=True))
    assert sources.text(tmp_path / "nowhere.py") == b""


def test_sending_lines__are_counted_from_1() -> None:
    assert sources.sending_lines(b"\n    add.delay(1)\n    x = add.delay(2)\n    add.delay(3)\n") == [2, 4]


@pytest.mark.parametrize(("path", "shown"), [("shop/tasks.py", "shop/tasks.py"), ("../shop/tasks.py", None)])
def test_shown__a_file_inside_the_working_folder_is_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, shown: str | None
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert sources.shown(Path(os.path.normpath(tmp_path / "here" / path))) == (
        shown or sources.shown_path(tmp_path / "shop/tasks.py")
    )


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


def test_files__each_once_with_its_module(market: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The package of the settings may be an app as well."""
    for name in ("__init__.py", "notes.txt", "shop/__init__.py"):
        (market / name).touch()
    (market / "folder.py").mkdir()
    (market / "link").symlink_to(market / "shop")
    monkeypatch.setitem(sys.modules, "market", apps.app_configs["market"].module)
    settings.SETTINGS_MODULE = "market.settings"
    assert [(each.module, each.path.relative_to(market).as_posix(), each.installed) for each in sources.files()] == [
        ("market", "__init__.py", True),
        ("market.media.jobs", "media/jobs.py", False),
        ("market.shop", "shop/__init__.py", False),
        ("market.shop.jobs", "shop/jobs.py", False),
    ]
    config = AppConfig("market.shop", apps.app_configs["market"].module)
    config.path = str(market / "shop")
    monkeypatch.setitem(apps.app_configs, "shop", config)
    assert {each.module: each.installed for each in sources.files()}["market.shop.jobs"] is True


def test_files__a_folder_that_cannot_be_read_has_none(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = AppConfig("lost", apps.app_configs["market"].module)
    config.path = str(market / "nowhere")
    monkeypatch.setattr(apps, "app_configs", {"lost": config, **apps.app_configs})
    assert modules() == ["market.media.jobs", "market.shop.jobs"]


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
