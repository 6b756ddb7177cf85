"""beat --schedule: a file that is no schedule stays as it is."""

from __future__ import annotations

import os
import shelve
from collections.abc import Callable
from pathlib import Path

import pytest

from tasktools.worker.banner import why_no_schedule
from tests.conftest import Ran


def test_schedule__is_one(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "celerybeat-schedule")) as schedule:
        schedule["entries"] = {}
    for name in ("celerybeat-schedule", "nosuch"):
        assert not why_no_schedule(str(tmp_path / name))
    for content in (b"", b"\0" * 4096):
        (tmp_path / "broken").write_bytes(content)
        assert not why_no_schedule(str(tmp_path / "broken"))


def test_script__is_none(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text("import django\n")
    (tmp_path / "short").write_text("x")
    assert why_no_schedule(str(tmp_path / "manage.py"))
    assert why_no_schedule(str(tmp_path / "short"))


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


def test_what_is_no_file__stays(run_command: Callable[..., Ran], tmp_path: Path) -> None:
    """Beat would remove a device as a broken schedule, and wait for ever at a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "other.db").mkdir()
    for path, sentence in (
        (pipe, f'"{pipe}" is no file, and beat would remove it.'),
        (tmp_path, f'"{tmp_path}" is no file, and beat would remove it.'),
        (tmp_path / "other", f'"{tmp_path}/other" is taken: "{tmp_path}/other.db" is no file.'),
        (tmp_path / "no" / "file", f'"{tmp_path}/no/file" cannot be written: there is no folder "{tmp_path}/no".'),
    ):
        ran = run_command("runbeat", "--noreload", "--schedule", str(path))
        assert (ran.code, ran.err.count(sentence)) == (2, 1), ran.err
    assert pipe.is_fifo()


def test_folder_of_the_settings_that_is_not_there__is_no_error(tmp_path: Path) -> None:
    assert why_no_schedule(str(tmp_path / "no" / "file"), typed=False) is None


@pytest.mark.parametrize("name", ["nosuch.mod:Cls", "celery.beat:Nosuch", "nosuch"])
def test_scheduler_that_is_not_there__is_one_sentence(run_command: Callable[..., Ran], name: str) -> None:
    ran = run_command("runbeat", "--noreload", "-S", name)
    assert ran.code == 2
    assert f'The scheduler "{name}" cannot be loaded. ' in ran.err
    assert "Traceback" not in ran.err
