from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tasktools.checks import security
from tests.checks.conftest import found, ids

URL = "CELERY_BROKER_URL=redis://:s3%2Fcr3t@localhost:6379/0\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; that of pytest is for its owner alone."""
    with TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def file(shop: Any, settings: Any, folder: Path) -> Path:
    """A file with the password of the broker, which everybody may read."""
    shop.conf.broker_url = URL.partition("=")[2].strip()
    settings.BASE_DIR = folder
    path = folder / ".env"
    path.write_text(URL)
    path.chmod(0o644)
    return path


def test_W083__fires_for_a_file_that_everybody_may_read(file: Path) -> None:
    assert found(deploy=True) == [
        (
            "tasktools.W083",
            f'Every user of this machine can read a password of Celery in "{file}".',
            f'chmod o= "{file}"',
        )
    ]


@pytest.mark.parametrize("text", ["PASSWORD='s3/cr3t'", "PASSWORD=s3%2Fcr3t", "redis://:s3/cr3t@localhost"])
def test_W083__knows_other_spellings(file: Path, text: str) -> None:
    file.write_text(text)
    assert ids(deploy=True) == ["W083"]


def test_W083__fires_for_the_module_of_the_settings(file: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = file.parent / "shopsettings.py"
    module.write_text(f"{URL.partition('=')[0]} = '{URL.partition('=')[2].strip()}'")
    module.chmod(0o604)
    file.unlink()
    monkeypatch.syspath_prepend(str(file.parent))
    settings.SETTINGS_MODULE = "shopsettings"
    ((_, sentence, _),) = found(deploy=True)
    assert str(module) in sentence


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o773])
def test_W083__is_silent_for_a_file_that_is_protected(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert ids(deploy=True) == []


def test_W083__is_silent_for_a_file_in_a_protected_folder(file: Path) -> None:
    file.parent.chmod(0o750)
    assert ids(deploy=True) == []
    file.parent.chmod(0o751)
    assert ids(deploy=True) == ["W083"]


@pytest.mark.parametrize("text", ["", "PASSWORD=xs3/cr3t", "PASSWORD=s3/cr3tx", "PASSWORD=s3/cr3"])
def test_W083__is_silent_for_a_file_without_the_password(file: Path, text: str) -> None:
    file.write_text(text)
    assert ids(deploy=True) == []


def test_W083__is_silent_without_a_file(file: Path) -> None:
    file.unlink()
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("password", "expected"), [("guest", []), ("Changeme", []), ("abcde", []), ("abcdef", ["W083"])]
)
def test_W083__passes_over_words_that_stand_anywhere(file: Path, shop: Any, password: str, expected: list[str]) -> None:
    file.write_text(f"PASSWORD={password}")
    shop.conf.broker_url = f"redis://:{password}@localhost"
    assert ids(deploy=True) == expected


@pytest.mark.parametrize("url", ["redis+socket:///s3%2Fcr3t", "redis://localhost", "redis://:s3%2Fcr3t@localhost:port"])
def test_W083__is_silent_for_a_broker_without_a_password(file: Path, shop: Any, url: str) -> None:
    shop.conf.broker_url = url
    assert ids(deploy=True) == []


@pytest.mark.parametrize("module", [None, "no.such", "json.no.such"])
def test_W083__is_silent_without_a_module_of_settings(file: Path, settings: Any, module: Any) -> None:
    file.unlink()
    settings.SETTINGS_MODULE = module
    assert ids(deploy=True) == []


def test_W083__is_silent_for_a_file_that_cannot_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.unlink()
    file.mkdir(0o755)
    assert security.is_readable(file)
    assert ids(deploy=True) == []


def test_W083__is_for_deployment_alone(file: Path) -> None:
    assert ids() == []
