from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tasktools.environment import installed
from tasktools.environment.installed import is_installed
from tests.support import REPOSITORY


def test_is_installed__packages_and_the_standard_library() -> None:
    assert is_installed(Path(sysconfig.get_path("purelib")) / "django")
    assert is_installed(Path(sysconfig.get_path("stdlib")) / "json")


@pytest.mark.parametrize("path", [REPOSITORY, Path("/"), Path("/srv/site")])
def test_is_installed__not_the_project(path: Path) -> None:
    assert not is_installed(path)


def test_is_installed__also_by_way_of_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib" / "app").mkdir(parents=True)
    (tmp_path / "lib64").symlink_to("lib")
    monkeypatch.setattr(installed, "_places", lambda: (f"{tmp_path}/lib/",))
    assert is_installed(tmp_path / "lib64" / "app")
