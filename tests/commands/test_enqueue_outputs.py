"""The files of --ids and --skip-bad: nothing of somebody else's is emptied, overwritten or cut, and a full disk is told."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasktools.brokers.portable import queue_length
from tasktools.publishing.append_file import Outputs
from tests.conftest import Ran

Run = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

CALLS = "[1, 2]\n[3, 4]\n[5, 6]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a file of calls, names that lead to it, and things that are no files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls").write_text(CALLS)
    (tmp_path / "link").symlink_to("calls")
    os.link(tmp_path / "calls", tmp_path / "hard")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "kept").write_text("kept\n")
    (tmp_path / "alias").symlink_to("kept")
    (tmp_path / "away").symlink_to("not-there-yet")
    return tmp_path


@pytest.fixture
def enqueue(typed: Run, folder: Path, queue: str) -> Run:
    return lambda *words: typed("enqueue", "add", "--from", "calls", "--queue", queue, *words)


INPUT = "is the file that --from reads."
REFUSED = [
    (("--ids", "calls"), f'--ids "calls" {INPUT}'),
    (("--ids", "./folder/../calls"), INPUT),
    (("--ids", "link"), f'--ids "link" {INPUT}'),
    (("--ids", "hard"), f'--ids "hard" {INPUT}'),
    (("--skip-bad", "calls"), f'--skip-bad "calls" {INPUT}'),
    (("--skip-bad", "hard"), INPUT),
    (("--ids", "kept", "--skip-bad", "kept"), '--skip-bad "kept" is the file of --ids.'),
    (("--ids", "kept", "--skip-bad", "alias"), '--skip-bad "alias" is the file of --ids.'),
    (("--ids", "new", "--skip-bad", "./new"), '--skip-bad "./new" is the file of --ids.'),
    (("--ids", "away", "--skip-bad", "not-there-yet"), '--skip-bad "not-there-yet" is the file of --ids.'),
    (("--ids", "folder"), '--ids "folder" is a directory.'),
    (("--ids", "kept", "--skip-bad", "folder"), '--skip-bad "folder" is a directory.'),
    (("--ids", "fifo"), '--ids "fifo" is no regular file'),
    (("--ids", "/dev/full"), '--ids "/dev/full" is no regular file'),
    (("--skip-bad", "/dev/null"), "is no regular file"),
    (("--ids", "-"), '--ids takes a file, and "-" is none.'),
    (("--ids", "kept", "--skip-bad", "-"), '--skip-bad takes a file, and "-" is none.'),
    (("--ids", ""), '"" cannot be written'),
    (("--ids", "nosuch/ids"), '"nosuch/ids" cannot be written: No such file or directory.'),
    (("--ids", "calls/ids"), "cannot be written: Not a directory."),
    (("--ids", "\0"), "cannot be written"),
]


@pytest.mark.parametrize("more", [(), ("--resume",), ("--start", "2")], ids=["", "resume", "start"])
@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_what_cannot_be_an_output__is_refused_before_anything_is_touched(
    enqueue: Run, folder: Path, queue: str, words: tuple[str, ...], sentence: str, more: tuple[str, ...]
) -> None:
    before = sorted(os.listdir(folder))
    ran = enqueue(*words, *more, *([queue] if more == ("--resume",) else []))
    assert ran.code == 2
    assert sentence in ran.err
    assert "Traceback" not in ran.err
    assert (folder / "calls").read_text() == CALLS
    assert (folder / "kept").read_text() == "kept\n"
    assert sorted(os.listdir(folder)) == before


def test_run_that_is_refused__leaves_the_files_alone(enqueue: Run, folder: Path, queue: str) -> None:
    assert enqueue("--resume", queue, "--ids", "kept").code == 0
    ids = (folder / "kept").read_text()
    assert len(ids.splitlines()) == 3
    (folder / "calls").write_text("[7, 8]\n")
    refused = enqueue("--resume", queue, "--ids", "kept", "--skip-bad", "new")
    assert "was begun with another file" in refused.err
    assert (folder / "kept").read_text() == ids
    assert not (folder / "new").exists()


def test_stdin_that_is_a_file__is_no_output(
    typed: Run, folder: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("calls") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ran = typed("enqueue", "add", "--from", "-", "--queue", queue, "--ids", "hard")
    assert ran.code == 2
    assert INPUT in ran.err
    assert (folder / "calls").read_text() == CALLS


@pytest.fixture
def locked(folder: Path) -> Iterator[Path]:
    """A file that another process writes."""
    with (folder / "kept").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder / "kept"


@pytest.mark.parametrize("option", ["--ids", "--skip-bad"])
@pytest.mark.parametrize("resume", [False, True])
def test_file_of_another_process__is_refused_and_left_alone(
    enqueue: Run, locked: Path, queue: str, app: Any, option: str, resume: bool
) -> None:
    ran = enqueue(option, "alias", "--json", *(["--resume", queue] if resume else []))
    assert ran.code == 2
    told = json.loads(ran.err)
    assert told["error"] == f'{option} "alias" is written by another process at this time.'
    assert "wait for that one" in told["hint"]
    assert locked.read_text() == "kept\n"
    assert ran.out == ""  # it has sent nothing, and so sums nothing up


def test_run_in_a_file__is_one_process_s_at_a_time(
    elsewhere: Callable[..., str], typed: Run, folder: Path, queue: str
) -> None:
    from tasktools import conf

    name = elsewhere(broker_url="memory://", task_default_queue=queue)
    (folder / "calls").write_text('{"task": "celery.backend_cleanup"}\n')
    words = ("enqueue", "-A", name, "--from", "calls", "--resume", queue)
    runs = conf.data_dir() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / f"{queue}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = typed(*words)
    assert refused.code == 2
    assert f'Another process sends the run "{queue}" at this time.' in refused.err
    assert typed(*words, "--json").code == 0
    assert "is complete: 1 sent" in typed(*words).err


def test_run_in_a_file__is_free_again_when_it_could_not_begin(
    elsewhere: Callable[..., str], typed: Run, folder: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = elsewhere(broker_url="memory://", task_default_queue=queue)
    words = ("enqueue", "-A", name, "--from", "calls", "--resume", queue, "--ids", "ids")
    good = '{"task": "celery.backend_cleanup"}\n'
    (folder / "calls").write_text(f"{good}[1]\n")
    assert "1 sent" in typed(*words).err
    (folder / "calls").write_text(good)
    assert "was begun with another file" in typed(*words).err
    with monkeypatch.context() as patched:
        patched.setattr(Outputs, "begin", lambda *_: _fail())
        (folder / "calls").write_text(f"{good}[1]\n")
        with pytest.raises(OSError, match="no more"):
            typed(*words)
    again = typed(*words)
    assert "Another process" not in again.err
    assert "Line 2 is bad" in again.err


def _fail() -> None:
    raise OSError("no more")


class Lost:
    """A stdout that takes nothing."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    flush = isatty = lambda self: None


LOST = [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "No space left on device")]


@pytest.mark.parametrize("error", LOST, ids=["reader gone", "disk full"])
@pytest.mark.parametrize("more", [(), ("--check",)])
def test_stdout_that_is_lost__hides_no_error(
    enqueue: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, more: tuple[str, ...]
) -> None:
    (folder / "calls").write_text("[1, 2]\n[3\n")
    monkeypatch.setattr("sys.stdout", Lost(error))
    ran = enqueue("--json", *more)
    assert ran.code == (1 if more else 2)
    assert "Line 2" in ran.err


@pytest.mark.parametrize("room", [0, 40, 80])
@pytest.mark.parametrize("option", ["--ids", "--skip-bad"])
def test_disk_that_is_full__what_is_said_to_be_sent_was_sent(
    enqueue: Run, folder: Path, app: Any, queue: str, monkeypatch: pytest.MonkeyPatch, option: str, room: int
) -> None:
    """So many bytes find room, and what is written of the line in between is taken back."""
    (folder / "calls").write_text(CALLS if option == "--ids" else "[1\n[3, 4]\n[5\n")
    write = os.pwrite

    def pwrite(handle: int, data: Any, offset: int) -> int:
        if offset >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[: room - offset], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    ran = enqueue(option, "new", "--batch-size", "1", "--json")
    assert ran.code == 74
    told, error = json.loads(ran.out), json.loads(ran.err)
    assert (
        error["error"]
        == f'"new" cannot be written: No space left on device. Nothing after line {told["lines"]} was sent.'
    )
    assert error["hint"] == f"make room for it. To go on: the same command with --start {told['lines'] + 1}"
    written = (folder / "new").read_text()
    assert len(written.splitlines()) == (told["sent"] if option == "--ids" else told["bad"])
    assert written == "" or written.endswith("\n")
    with app.connection_for_read() as connection:
        assert queue_length(connection, queue) == told["sent"]


def test_two_outputs__have_both_or_neither_of_a_batch(
    enqueue: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "calls").write_text("[1, 2]\n[3\n")
    written: list[int] = []
    write = os.pwrite

    def pwrite(handle: int, data: Any, offset: int) -> int:
        written.append(handle)
        if len(set(written)) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    ran = enqueue("--ids", "ids", "--skip-bad", "bad")
    assert ran.code == 74
    assert "0 sent" in ran.err
    assert '"bad" cannot be written: Input/output error. Nothing after line 0 was sent.' in ran.err
    assert "Hint: see who may write there." in ran.err
    assert (folder / "ids").read_bytes() == (folder / "bad").read_bytes() == b""
