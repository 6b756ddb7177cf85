"""beat --schedule: a file that is no schedule stays as it is."""

from __future__ import annotations

import shelve
from collections.abc import Callable
from pathlib import Path

import pytest

from tasktools.workers import holds_something_else
from tests.conftest import Ran


def test_schedule__is_one(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "celerybeat-schedule")) as schedule:
        schedule["entries"] = {}
    for name in ("celerybeat-schedule", "nosuch"):
        assert not holds_something_else(str(tmp_path / name))
    for content in (b"", b"\0" * 4096):
        (tmp_path / "broken").write_bytes(content)
        assert not holds_something_else(str(tmp_path / "broken"))


def test_script__is_none(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text("import django\n")
    (tmp_path / "short").write_text("x")
    assert holds_something_else(str(tmp_path / "manage.py"))
    assert holds_something_else(str(tmp_path / "short"))


@pytest.mark.parametrize("option", ["--schedule", "-s"])
def test_runbeat__does_not_remove_what_is_no_schedule(
    run_command: Callable[..., Ran], tmp_path: Path, option: str
) -> None:
    file = tmp_path / "manage.py"
    file.write_text("import django\n")
    ran = run_command("runbeat", "--noreload", option, str(file))
    assert ran.code == 2
    assert f'"{file}" is no schedule of beat, which would remove it.' in ran.err
    assert file.read_text() == "import django\n"
