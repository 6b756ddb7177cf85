from __future__ import annotations

import ast
import inspect
import os
import pwd
import re
import sysconfig
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasktools import conf
from tasktools.exceptions import ConfigurationError
from tests.support import REPOSITORY


def test_app__none_unless_set(settings: Any) -> None:
    assert conf.app() is None
    settings.TASKTOOLS_APP = "proj.celery:app"
    assert conf.app() == "proj.celery:app"


def test_data_dir__below_the_base_dir(settings: Any) -> None:
    settings.BASE_DIR = "/somewhere/site"
    assert conf.data_dir() == Path("/somewhere/site/.tasktools")


class Named:
    """A path of another library's."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize("kind", [str, Path, Named])
def test_data_dir__the_setting_as_text_or_path(settings: Any, kind: type) -> None:
    settings.TASKTOOLS_DATA_DIR = kind("/somewhere/data")
    assert conf.data_dir() == Path("/somewhere/data")


def test_data_dir__is_absolute(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings.TASKTOOLS_DATA_DIR = "data"
    assert conf.data_dir() == tmp_path / "data"


def test_data_dir__empty_is_not_set(settings: Any) -> None:
    settings.BASE_DIR, settings.TASKTOOLS_DATA_DIR = "/somewhere", ""
    assert conf.data_dir() == Path("/somewhere/.tasktools")


@pytest.mark.parametrize(
    "value", [5, b"/data", ["data"], "/da\0ta", Path("/da\0ta"), Named("/da\0ta"), Named(b"/data")]
)
def test_data_dir__what_is_no_path(settings: Any, value: Any) -> None:
    settings.TASKTOOLS_DATA_DIR = value
    with pytest.raises(ConfigurationError) as caught:
        conf.data_dir()
    assert caught.value.sentence == f'TASKTOOLS_DATA_DIR is "{value!r}", which is no path.'


@pytest.mark.parametrize("below", ["site_app", ""], ids=["a package", "the folder of all packages"])
def test_data_dir__of_an_installed_project_is_in_the_home_of_the_user(
    settings: Any, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    base = Path(sysconfig.get_path("purelib")) / below
    settings.BASE_DIR = base
    found = conf.data_dir()
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    assert found.parent == home / ".local" / "state" / "tasktools"
    assert re.fullmatch(r"project-[0-9a-f]{8}", found.name)  # ROOT_URLCONF is project.urls
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", "/nowhere")
    monkeypatch.chdir("/")
    assert conf.data_dir() == found


def test_data_dir__of_another_installation_is_another(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "is_installed", lambda path: True)
    found = set()
    for settings.BASE_DIR in ("/venvs/a/site_app", "/venvs/b/site_app"):
        found.add(conf.data_dir())
    assert len(found) == 2


def test_data_dir__of_another_project_beside_it_is_another(settings: Any) -> None:
    settings.BASE_DIR = sysconfig.get_path("purelib")
    found = set()
    for settings.ROOT_URLCONF in ("one.urls", "two.conf.urls"):
        found.add(conf.data_dir().name.partition("-")[0])
    assert found == {"one", "two"}


def test_data_dir__of_an_installed_project_and_a_user_without_a_name(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BASE_DIR = Path(sysconfig.get_path("purelib")) / "site_app"
    monkeypatch.setattr(os, "geteuid", lambda: 987_654_321)
    assert conf.data_dir().parent == Path("/tmp/tasktools-987654321")


def test_base_dir__without_the_setting_the_folder_of_the_settings_package(settings: Any) -> None:
    settings.BASE_DIR, settings.SETTINGS_MODULE = None, "tests.settings"
    assert conf.base_dir() == REPOSITORY


def test_base_dir__without_the_setting_the_folder_of_a_settings_file(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "alone_conf_settings.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    settings.BASE_DIR, settings.SETTINGS_MODULE = None, "alone_conf_settings"
    assert conf.base_dir() == tmp_path


def test_base_dir__without_any_settings_module_the_working_folder(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings.BASE_DIR, settings.SETTINGS_MODULE = None, None
    assert conf.base_dir() == tmp_path


@pytest.mark.parametrize(
    ("value", "seconds"), [(0, 0.0), (5, 5.0), (1.5, 1.5), ("5s", 5.0), ("500ms", 0.5), (25, 25.0)]
)
def test_linger__seconds_or_a_duration(settings: Any, value: object, seconds: float) -> None:
    settings.TASKTOOLS_LINGER = value
    assert conf.linger() == seconds


def test_linger__ten_seconds_unless_set(settings: Any) -> None:
    del settings.TASKTOOLS_LINGER
    assert conf.linger() == 10.0


@pytest.mark.parametrize(
    ("value", "sentence", "hint"),
    [
        ("soon", 'TASKTOOLS_LINGER: "soon" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (None, 'TASKTOOLS_LINGER: "None" is no duration.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (-1, 'TASKTOOLS_LINGER: "-1" is negative.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        (timedelta(-1), 'TASKTOOLS_LINGER: "-1 day, 0:00:00" is negative.', "write seconds, or 90s, 5m, 1h30m, 2d"),
        ("26s", 'TASKTOOLS_LINGER is "26s", which is too long.', "set it to at most 25 s"),
        (3600, 'TASKTOOLS_LINGER is "3600", which is too long.', "set it to at most 25 s"),
    ],
)
def test_linger__what_cannot_be(settings: Any, value: object, sentence: str, hint: str) -> None:
    settings.TASKTOOLS_LINGER = value
    with pytest.raises(ConfigurationError) as caught:
        conf.linger()
    assert (caught.value.sentence, caught.value.hint) == (sentence, hint)


def test_names__are_the_settings_that_are_read_and_those_that_the_docstring_explains() -> None:
    texts = [node.value for node in ast.walk(ast.parse(inspect.getsource(conf))) if isinstance(node, ast.Constant)]
    read = {text for text in texts if isinstance(text, str) and re.fullmatch(r"TASKTOOLS_[A-Z_]+", text)}
    explained = re.findall(r"^ {4}(TASKTOOLS_\w+)", conf.__doc__ or "", re.MULTILINE)
    assert read == set(conf.NAMES)
    assert explained == list(conf.NAMES)


def test_with_passwords__leaves_out_what_django_warns_of(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    settings.SHOP_BROKER = "redis://:secret@host"
    found = conf.with_passwords()
    assert found["SHOP_BROKER"] == "redis://:secret@host"
    assert "EMAIL_BACKEND" not in found
