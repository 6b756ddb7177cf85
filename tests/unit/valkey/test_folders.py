from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasktools.exceptions import PrivateServerError
from tasktools.valkey.folders import check_kind, check_peer, check_private, make_folder, make_private

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def folder_with(path: Path, bits: int) -> Path:
    path.mkdir(exist_ok=True)
    path.chmod(bits)
    return path


def refusal(folder: Path) -> PrivateServerError:
    with pytest.raises(PrivateServerError) as caught:
        check_private(folder)
    assert caught.value.exit_code == 69
    return caught.value


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch) -> int:
    """What lies on the disk is another user's."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    return owner


@contextlib.contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder of a user who is not root, and this process as that user: root can write everywhere."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        me = os.geteuid()
        if me == 0:
            os.chown(name, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.chmod(name, 0o700)
            os.seteuid(me)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_make__whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_private(tmp_path / "data")
    finally:
        os.umask(before)
    assert mode(tmp_path / "data") == 0o700
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"


def test_make__the_folders_above_it_too(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        make_folder(tmp_path / "above" / "folder")
    finally:
        os.umask(before)
    assert mode(tmp_path / "above") == mode(tmp_path / "above" / "folder") == 0o700


def test_make__what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    make_folder(folder_with(tmp_path / "data", 0o755))
    assert mode(tmp_path / "data") == 0o755
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("bits", [0o755, 0o750, 0o711, 0o705, 0o740])
def test_check__a_folder_of_ours_that_others_may_look_into_is_closed(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "data"
    make_private(folder)
    for name in ("valkey.log", "start.lock", "appendonlydir", "runs", "0123abc.sock", "celerybeat-schedule.db"):
        (folder / name).touch()
    check_private(folder_with(folder, bits))
    assert mode(folder) == 0o700


def test_check__one_that_serves_something_else_keeps_its_mode(tmp_path: Path) -> None:
    """TASKTOOLS_DATA_DIR may name a folder from which a web server reads."""
    folder = folder_with(tmp_path / "var", 0o755)
    (folder / "static").mkdir()
    assert "(mode 755)" in refusal(folder).sentence
    assert mode(folder) == 0o755


@pytest.mark.parametrize("bits", [0o777, 0o775, 0o770, 0o702, 0o720])
def test_check__one_that_others_may_write_to_is_refused_with_its_mode(tmp_path: Path, bits: int) -> None:
    folder = folder_with(tmp_path / "data", bits)
    error = refusal(folder)
    assert error.sentence == f'The folder "{folder}" is not yours alone: others have a right to it (mode {bits:o}).'
    assert error.hint == (
        f"look whether all that is in it is yours, then: chmod 700 {folder} "
        "(or name a folder of its own in TASKTOOLS_DATA_DIR)"
    )
    assert mode(folder) == bits


def test_check__a_file_system_without_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", lambda handle, bits: None)
    assert "(mode 755)" in refusal(folder_with(tmp_path / "data", 0o755)).sentence


def test_check__one_of_somebody_else(tmp_path: Path, somebody_else: int) -> None:
    error = refusal(folder_with(tmp_path / "data", 0o700))
    assert error.sentence == (
        f'The folder "{tmp_path / "data"}" is not yours: user {somebody_else} owns it (mode 700), '
        f"you are {somebody_else + 1}."
    )
    assert error.hint == (
        "run the command as that user, take the folder back with chown, or name another one in TASKTOOLS_DATA_DIR"
    )


def test_check__a_link_of_ours_to_a_closed_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder_with(tmp_path / "data", 0o700))
    check_private(tmp_path / "link")


def test_check__what_a_link_leads_to_is_not_changed(tmp_path: Path) -> None:
    """Who may write to the project could have us close any folder of ours."""
    (tmp_path / "link").symlink_to(folder_with(tmp_path / "data", 0o755))
    assert "(mode 755)" in refusal(tmp_path / "link").sentence
    assert mode(tmp_path / "data") == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_check__a_link_of_somebody_else(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder_with(tmp_path / "data", 0o700))
    os.lchown(link, NOBODY, -1)
    assert f"user {NOBODY} owns it" in refusal(link).sentence


def test_check__what_is_not_there_is_nobody_s(tmp_path: Path) -> None:
    check_private(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_check__a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        check_private(tmp_path / "loop")


def test_check__a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        check_private(tmp_path / "link")


def place(path: Path, kind: str) -> None:
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a symbolic link":
        path.symlink_to("elsewhere")
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(path))
    else:
        path.touch()


@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a symbolic link", "a socket", "an ordinary file"])
def test_kind__what_stands_in_the_place_of_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "valkey.log"
    place(path, kind)
    if kind == "an ordinary file":
        check_kind(path)
        return
    with pytest.raises(PrivateServerError) as caught:
        check_kind(path)
    assert caught.value.sentence == f'The private Valkey cannot use "{path}": it is {kind}.'
    assert caught.value.hint == "move it away; the private Valkey makes its own"


def test_kind__a_file_of_somebody_else(tmp_path: Path, somebody_else: int) -> None:
    (tmp_path / "start.lock").touch()
    with pytest.raises(PrivateServerError, match=f"is not yours: user {somebody_else} owns it"):
        check_kind(tmp_path / "start.lock")


def test_kind__nothing_there(tmp_path: Path) -> None:
    check_kind(tmp_path / "start.lock")


def test_make__below_a_folder_that_cannot_be_written() -> None:
    with ordinary_user() as folder:
        folder.chmod(0o500)
        with pytest.raises(PermissionError):
            make_private(folder / "data")


def test_check__a_folder_that_cannot_be_looked_into() -> None:
    with ordinary_user() as folder:
        make_private(folder / "data")
        folder.chmod(0o000)
        with pytest.raises(PermissionError):
            check_private(folder / "data")


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[tuple[socket.socket, Path]]:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen()
        client.connect(str(path))
        yield client, path


def test_peer__this_user(connected: tuple[socket.socket, Path]) -> None:
    check_peer(*connected)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux tells who serves")
def test_peer__somebody_else(connected: tuple[socket.socket, Path], somebody_else: int) -> None:
    with pytest.raises(PrivateServerError) as caught:
        check_peer(*connected)
    assert caught.value.sentence == (
        f'The server at "{connected[1]}" is not yours: user {somebody_else} runs it, you are {somebody_else + 1}.'
    )


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in /tmp; anybody may have made it."""
    folder = tmp_path / "tasktools-1"
    monkeypatch.setattr("tasktools.valkey.folders.runtime_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("call", [make_private, make_folder, check_private])
def test_runtime_folder__that_others_may_write_to_holds_no_data(runtime: Path, call: Callable[[Path], None]) -> None:
    folder_with(runtime, 0o777)
    if call is check_private:
        folder_with(runtime / "proj-abcdef01", 0o700)
    with pytest.raises(PrivateServerError) as caught:
        call(runtime / "proj-abcdef01")
    assert caught.value.sentence.startswith(f'The folder "{runtime}" is not yours alone')
    assert (runtime / "proj-abcdef01").exists() is (call is check_private)


def test_runtime_folder__of_ours_is_closed(runtime: Path) -> None:
    make_private(runtime / "proj-abcdef01" / "runs")
    assert mode(runtime) == mode(runtime / "proj-abcdef01") == 0o700
    runtime.chmod(0o755)
    make_private(runtime / "proj-abcdef01")
    assert mode(runtime) == 0o700
