"""Where beat keeps its schedule; a file that is no schedule stays as it is."""

from __future__ import annotations

import hashlib
import os
import shelve
from collections.abc import Callable
from dbm import dumb
from pathlib import Path

import pytest

from tasktools.beat import state_file
from tasktools.beat.state_file import place_beside, runtime_place, schedule_file, set_damaged_aside, why_no_schedule
from tasktools.exceptions import PrivateServerError
from tasktools.valkey.folders import runtime_folder
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


def test_index_of_something_else__is_none(tmp_path: Path) -> None:
    (tmp_path / "data.dir").write_bytes(b"\x01\x02 an index of another program")
    why = why_no_schedule(str(tmp_path / "data"))
    assert why == f'is taken: "{tmp_path}/data.dir" is no schedule of beat, which would remove it.'


def test_damaged_schedule__is_set_aside(tmp_path: Path) -> None:
    with dumb.open(str(tmp_path / "beat"), "c") as store:
        store["entries"] = b""
    files = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert set_damaged_aside(str(tmp_path / "beat")) == str(tmp_path / "beat.damaged")
    assert {each.name.replace(".damaged", ""): each.read_bytes() for each in tmp_path.iterdir()} == files
    with shelve.open(str(tmp_path / "beat")) as store:
        store["entries"] = {}
    assert set_damaged_aside(str(tmp_path / "beat")) is None


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


def test_schedule_file__a_file_that_can_be_written_stays(tmp_path: Path) -> None:
    assert schedule_file(str(tmp_path / "beat"), [tmp_path / "other"]) is None
    assert list(tmp_path.iterdir()) == []


def test_schedule_file__a_relative_one_is_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert schedule_file("beat", []) is None


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder that cannot be made, for root neither: its parent is a file."""
    file = tmp_path / "file"
    file.touch()
    return file / "folder"


def test_schedule_file__in_the_first_place_that_can_be_written(tmp_path: Path, unwritable: Path) -> None:
    places = [unwritable / "data", tmp_path / "run" / "here", tmp_path / "later"]
    assert schedule_file(str(unwritable / "beat"), places) == tmp_path / "run" / "here" / "beat"
    assert (tmp_path / "run" / "here").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "later").exists()


def test_schedule_file__a_file_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = tmp_path / "beat"
    configured.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != configured)
    assert schedule_file(str(configured), [tmp_path / "mine"]) == tmp_path / "mine" / "beat"


def test_schedule_file__leaves_the_folder_of_sockets_alone(tmp_path: Path, unwritable: Path) -> None:
    """It was made with the mode of the umask, and then refused to every project whose socket lies there."""
    before = os.umask(0o002)
    try:
        found = schedule_file(str(unwritable / "beat"), [runtime_place(Path("/site/.tasktools"), tmp_path)])
    finally:
        os.umask(before)
    assert found is not None
    made = [found.parent, *found.parent.parents][: -len(tmp_path.parents) - 1]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700]
    assert not runtime_folder(tmp_path).exists()


def test_schedule_file__not_where_others_may_write(tmp_path: Path, unwritable: Path) -> None:
    """A schedule is pickled: who can write it can run code as beat."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o775)
    places = [tmp_path / "open", tmp_path / "mine"]
    assert schedule_file(str(unwritable / "beat"), places) == tmp_path / "mine" / "beat"
    with pytest.raises(PrivateServerError, match=r"others have a right to it \(mode 775\)"):
        schedule_file(str(unwritable / "beat"), places[:1])


def test_schedule_file__no_place_can_be_written(unwritable: Path) -> None:
    with pytest.raises(NotADirectoryError):
        schedule_file(str(unwritable / "beat"), [unwritable])


def test_schedule_file__no_place_at_all(unwritable: Path) -> None:
    with pytest.raises(PermissionError, match="no folder can be written"):
        schedule_file(str(unwritable / "beat"), [])


def test_runtime_place__belongs_to_this_user_and_this_project(tmp_path: Path) -> None:
    project = hashlib.sha256(b"/site/.tasktools").hexdigest()[:16]
    expected = tmp_path / f"tasktools-{os.geteuid()}-{project}"
    assert runtime_place(Path("/site/.tasktools"), tmp_path) == expected
    assert runtime_place(Path("/other/.tasktools"), tmp_path) != expected
    assert not expected.exists()


def test_place_beside__the_data_of_the_private_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files stood beside manage.py, although there was a folder for such things."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".tasktools"
    assert place_beside("celerybeat-schedule", folder) == folder / "celerybeat-schedule"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert place_beside("another", folder) is None


@pytest.mark.parametrize("suffix", ["", ".db", ".dat"])
def test_place_beside__not_if_there_is_a_schedule_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"celerybeat-schedule{suffix}").touch()
    assert place_beside("celerybeat-schedule", tmp_path / ".tasktools") is None


def test_place_beside__not_if_the_folder_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tasktools").write_text("a file")
    assert place_beside("celerybeat-schedule", tmp_path / ".tasktools") is None
    monkeypatch.setattr(state_file, "_is_writable", lambda folder: False)
    assert place_beside("celerybeat-schedule", tmp_path / "data") is None
