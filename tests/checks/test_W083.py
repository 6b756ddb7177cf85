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


@pytest.mark.parametrize(
    "text",
    [
        "PASSWORD='s3/cr3t'",
        'export PASSWORD = "s3/cr3t"  # of Redis',
        "PASSWORD=s3%2Fcr3t",
        "# PASSWORD=s3/cr3t",
        'OTHER=\nPASSWORD="s3/cr3t"',
        "redis://:s3/cr3t@localhost",
        "OTHER=1\nURL=memory://;redis://me:s3%2Fcr3t@localhost/0?x=1",
    ],
)
def test_W083__knows_other_spellings(file: Path, text: str) -> None:
    file.write_text(text)
    assert ids(deploy=True) == ["W083"]


@pytest.fixture
def module(file: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of the settings, which everybody may read. There is no other file."""
    path = file.parent / "shopsettings.py"
    path.touch()
    path.chmod(0o604)
    file.unlink()
    monkeypatch.syspath_prepend(str(file.parent))
    settings.SETTINGS_MODULE = "shopsettings"
    return path


@pytest.mark.parametrize(
    "text",
    [
        "CELERY_BROKER_URL = 'redis://:s3%2Fcr3t@localhost:6379/0'",
        "CELERY_BROKER_URL = f'redis://:s3%2Fcr3t@{HOST}/0'",
        "PASSWORD = 's3/cr3t'",
        "OPTIONS = {'port': 6379, 'password': 's3/cr3t'}",
    ],
)
def test_W083__fires_for_the_module_of_the_settings(module: Path, text: str) -> None:
    module.write_text(text)
    ((_, sentence, hint),) = found(deploy=True)
    assert str(module) in sentence
    assert hint == f'chmod o= "{module}"'


@pytest.mark.parametrize(
    "text",
    [
        "ROOT_URLCONF = 'mysite.urls'",
        "import mysite",
        "URL = 'https://mysite.example.com'",
        "URL = 'redis://mysite:other@localhost/mysite'",
        "'mysite",
    ],
)
def test_W083__is_silent_for_a_word_that_is_part_of_the_settings(module: Path, shop: Any, text: str) -> None:
    shop.conf.broker_url = "redis://:mysite@localhost"
    module.write_text(text)
    assert ids(deploy=True) == []


def test_W083__is_silent_for_a_path_with_the_password(file: Path, shop: Any, settings: Any) -> None:
    """The path would be hidden in the message, and the line of the hint of no use."""
    shop.conf.broker_url = "redis://:mysite@localhost"
    settings.BASE_DIR = file.parent / "mysite"
    settings.BASE_DIR.mkdir(0o755)
    file = file.rename(settings.BASE_DIR / ".env")
    file.write_text("PASSWORD=mysite")
    assert ids(deploy=True) == []


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o773])
def test_W083__is_silent_for_a_file_that_is_protected(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert ids(deploy=True) == []


def test_W083__is_silent_for_a_file_in_a_protected_folder(file: Path) -> None:
    file.parent.chmod(0o750)
    assert ids(deploy=True) == []
    file.parent.chmod(0o751)
    assert ids(deploy=True) == ["W083"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PASSWORD=xs3/cr3t",
        "PASSWORD=s3/cr3tx",
        "PASSWORD=s3/cr3",
        "PASSWORD='s3/cr3tx",
        "PASSWORD=xs3/cr3tx",
        "Xs3/cr3t",
        "A=s3/cr3t.urls",
    ],
)
def test_W083__is_silent_for_a_file_without_the_password(file: Path, text: str) -> None:
    file.write_text(text)
    assert ids(deploy=True) == []


def test_W083__reads_a_file_in_another_encoding(file: Path) -> None:
    file.write_bytes("SHOP=Café\nPASSWORD=s3/cr3t".encode("latin-1"))
    assert ids(deploy=True) == ["W083"]


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
    assert "W083" not in ids(deploy=True)


@pytest.mark.parametrize("module", [None, "no.such", "json.no.such"])
def test_W083__is_silent_without_a_module_of_settings(file: Path, settings: Any, module: Any) -> None:
    file.unlink()
    settings.SETTINGS_MODULE = module
    assert ids(deploy=True) == []


def test_W083__is_silent_for_settings_without_a_file(
    file: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.unlink()
    (file.parent / "shopspace").mkdir()
    monkeypatch.syspath_prepend(str(file.parent))
    settings.SETTINGS_MODULE = "shopspace"
    assert ids(deploy=True) == []


def test_W083__fires_for_the_password_of_a_socket(file: Path, shop: Any) -> None:
    shop.conf.broker_url = "redis+socket://:s3%2Fcr3t@/run/redis.sock"
    assert ids(deploy=True) == ["W083"]


def test_W083__nobody_reads_a_file_that_is_not_there(folder: Path) -> None:
    assert security.is_readable(folder / "none") is False


def test_W083__is_silent_for_a_file_that_cannot_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.unlink()
    file.mkdir(0o755)
    assert security.is_readable(file)
    assert ids(deploy=True) == []


def test_W083__is_for_deployment_alone(file: Path) -> None:
    assert ids() == []
