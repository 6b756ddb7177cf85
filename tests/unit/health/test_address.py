from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools.exceptions import UsageError
from tasktools.health.address import Address


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket may have a hundred bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("word", "host", "port", "shown"),
    [
        ("8001", "127.0.0.1", 8001, "127.0.0.1:8001"),
        ("0", "127.0.0.1", 0, "127.0.0.1:0"),
        ("0.0.0.0:65535", "0.0.0.0", 65535, "0.0.0.0:65535"),
        ("[::1]:8001", "::1", 8001, "[::1]:8001"),
        ("localhost:8001", "localhost", 8001, "localhost:8001"),
    ],
)
def test_address__of_a_port(word: str, host: str, port: int, shown: str) -> None:
    address = Address.of(word)
    assert (address.host, address.port, address.path, str(address)) == (host, port, "", shown)


def test_address__of_a_socket() -> None:
    assert str(Address.of("unix:/run/worker.sock")) == "unix:/run/worker.sock"
    assert Address.of("unix:worker.sock").path == str(Path.cwd() / "worker.sock")


@pytest.mark.parametrize(
    "word",
    ["", "x", "65536", "-1", ":8001", "8001:", "1.2.3.4", "unix:", "٣", "unix:/" + 100 * "x", "unix:\0", 5000 * "8"],
)
def test_address__that_is_none(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.of(word)
    assert caught.value.exit_code == 2
    assert "give a port (8001)" in caught.value.hint


def test_listen__on_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address.of(str(other.getsockname()[1]))
        with pytest.raises(UsageError, match="somebody listens there already"):
            address.listen()


def test_listen__on_an_address_that_is_not_here() -> None:
    with pytest.raises(UsageError, match=r'--health "192.0.2.1:8001" cannot be opened: '):
        Address.of("192.0.2.1:8001").listen()


@pytest.mark.parametrize("host", ["..", 64 * "x", "a..b", "\ud800"])
def test_listen__on_what_is_no_name_of_a_host(host: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be opened: that is no name of a host\."):
        Address.of(f"{host}:8001").listen()


def test_listen__only_on_loopback_by_default() -> None:
    with Address.of("0").listen() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_listen__in_place_of_a_socket_that_was_left(folder: Path) -> None:
    address = Address.of(f"unix:{folder / 'worker.sock'}")
    address.listen().close()
    with address.listen(), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(address.path)
        with pytest.raises(UsageError, match="somebody listens there already"):
            address.listen()


def test_listen__removes_no_other_file(folder: Path) -> None:
    file = folder / "worker.sock"
    file.write_text("mine")
    with pytest.raises(UsageError, match="cannot be opened"):
        Address.of(f"unix:{file}").listen()
    assert file.read_text() == "mine"


def test_listen__in_no_folder(folder: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        Address.of(f"unix:{folder}/nowhere/worker.sock").listen()
