from __future__ import annotations

import sys
from pathlib import Path

import kombu
import pytest

from tasktools.environment.shadowing import explained


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


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of libraries in front of the real one."""
    folder = tmp_path / "site-packages"
    (folder / "kombu").mkdir(parents=True)
    (folder / "kombu" / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_explained__a_library_that_is_installed_twice(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a virtual environment and in the system that it lets in, or for this user."""
    monkeypatch.setattr("tasktools.environment.installed._places", lambda: (f"{libraries}/",))
    assert explained(failed("kombu.nope")) is None


def test_explained__a_library_in_a_folder_of_pip_s(libraries: Path) -> None:
    assert explained(failed("kombu.nope")) is not None
    (libraries / "kombu-5.5.4.dist-info").mkdir()
    assert explained(failed("kombu.nope")) is None


def test_explained__a_library_that_is_found_by_a_link_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lib64 of a virtual environment is a link to its lib."""
    real = Path(kombu.__file__).parent.parent
    (tmp_path / "lib64").symlink_to(real)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib64"), *sys.path])
    monkeypatch.setattr("tasktools.environment.shadowing._is_library", lambda path: False)
    assert explained(failed("kombu.nope")) is None


def test_explained__what_hides_a_library_that_is_found_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib64").symlink_to(Path(kombu.__file__).parent.parent)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "kombu.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(tmp_path / "lib64"), *sys.path])
    error = explained(failed("kombu.nope"))
    assert error is not None
    assert f'"{tmp_path / "site" / "kombu.py"}" hides' in error.sentence


def test_explained__a_module_that_is_alone_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_of_this_test.py").touch()
    assert explained(failed("shop_of_this_test")) is None
