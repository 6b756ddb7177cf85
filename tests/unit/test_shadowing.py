from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasktools.shadowing import explained


def failed(name: str = "") -> ImportError:
    return ImportError("cannot import", name=name)


@pytest.mark.parametrize("name", ["celery", "kombu", "redis", "amqp", "rich", "django_extensions"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_explained__names_what_hides_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / form.format(name)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    error = explained(failed())
    assert error is not None
    shown = file.parent if file.name == "__init__.py" else file
    assert error.sentence == f'"{shown}" hides the library {name}: Python imports it in its place.'
    assert error.hint.startswith("give it another name, or move it into a package of the project")
    assert error.hint.endswith("(proj/celery.py)") is (name == "celery")
    assert error.exit_code == 2


def test_explained__looks_first_at_what_could_not_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("celery", "pytest"):
        (tmp_path / f"{name}.py").touch()
    error = explained(failed("pytest.nope"))
    assert error is not None
    assert f'"{tmp_path / "pytest.py"}" hides the library pytest' in error.sentence


def test_explained__a_file_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    (tmp_path / "kombu.py").touch()
    error = explained(failed())
    assert error is not None
    assert f'"{tmp_path / "kombu.py"}"' in error.sentence


def test_explained__a_folder_without_init_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "kombu").mkdir()
    assert explained(failed("kombu.nope")) is None


def test_explained__a_module_that_is_alone_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_of_this_test.py").touch()
    assert explained(failed("shop_of_this_test")) is None
