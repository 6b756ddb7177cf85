"""The files that a run writes: opened before any is emptied, locked, appended to as a whole, cut back."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasktools.exceptions import ArgumentError, OutputError
from tasktools.publishing import append_file
from tasktools.publishing.append_file import Output, Outputs, identity


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ids"


@pytest.fixture
def output(path: Path) -> Iterator[Output]:
    made = Output("--ids", str(path))
    yield made
    made.close()


def refusal(path: object, taken: Any = None) -> tuple[str, str]:
    with pytest.raises(ArgumentError) as caught:
        Output("--ids", str(path)) if taken is None else Outputs(str(path), None, taken=taken)
    return caught.value.sentence, caught.value.hint


def test_output__what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal("-") == ('--ids takes a file, and "-" is none.', "name a file, or ./- for one of that name")
    assert refusal(tmp_path) == (f'--ids "{tmp_path}" is a directory.', "name a file")
    assert refusal(pipe) == (
        f'--ids "{pipe}" is no regular file, and could not be cut back to what was sent.',
        "name a file",
    )
    Output("--ids", "./-").close()


def test_output__what_cannot_be_opened(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no" / "folder") == (
        f'"{tmp_path / "no" / "folder"}" cannot be written: No such file or directory.',
        "name another file",
    )
    assert refusal("a\0b") == ('"a\\x00b" cannot be written: embedded null byte.', "name another file")


def test_output__that_another_process_writes(path: Path, output: Output) -> None:
    open_files = set(os.listdir("/proc/self/fd"))
    assert refusal(path) == (
        f'--ids "{path}" is written by another process at this time.',
        "wait for that one, or name another file",
    )
    assert set(os.listdir("/proc/self/fd")) == open_files
    output.close()
    Output("--ids", str(path)).close()


def test_output__is_not_handed_to_children_and_has_the_usual_mode(path: Path) -> None:
    before = os.umask(0o022)
    try:
        output = Output("--ids", str(path))
    finally:
        os.umask(before)
    assert not os.get_inheritable(output._handle)
    assert path.stat().st_mode & 0o777 == 0o644
    assert (output.option, output.path, output.size) == ("--ids", str(path), 0)
    output.close()


def test_close__removes_a_new_file_that_was_never_begun(path: Path, output: Output) -> None:
    output.close()
    assert not path.exists()
    output.close()  # once more does no harm
    path.write_text("old\n")
    Output("--ids", str(path)).close()
    assert path.read_text() == "old\n"


def test_close__keeps_what_was_begun(path: Path, output: Output) -> None:
    output.begin(None)
    output.close()
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("size", "left"), [(None, ""), (0, ""), (4, "one\n"), (-1, "one\ntwo\n"), (8, "one\ntwo\n"), (100, "one\ntwo\n")]
)
def test_begin__cuts_it_to_its_size(path: Path, size: int | None, left: str) -> None:
    path.write_text("one\ntwo\n")
    output = Output("--ids", str(path))
    assert path.read_text() == "one\ntwo\n"
    output.begin(size)
    assert (path.read_text(), output.size) == (left, len(left))
    output.add(["three"])
    assert path.read_text() == left + "three\n"
    output.close()


def test_add__text_that_utf_8_has_no_form_for(path: Path, output: Output) -> None:
    output.begin(None)
    output.add(["grün", "\udcff"])
    assert path.read_bytes() == "grün\n\\udcff\n".encode()
    assert output.size == len(path.read_bytes())


def test_add__in_pieces_as_the_kernel_takes_them(path: Path, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, place: write(handle, bytes(data[:3]), place))
    output.begin(None)
    output.add(["first", "second"])
    output.add(["third"])
    assert path.read_text() == "first\nsecond\nthird\n"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "make room for it"),
        (errno.EDQUOT, "make room for it"),
        (errno.EFBIG, "make room for it"),
        (errno.EIO, "see who may write there"),
    ],
)
def test_add__all_or_nothing(
    path: Path, output: Output, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    output.begin(None)
    output.add(["before"])
    write, written = os.pwrite, []

    def fill(handle: int, data: Any, place: int) -> int:
        if written:
            raise OSError(number, os.strerror(number))
        written.append(place)
        return write(handle, bytes(data[:4]), place)

    monkeypatch.setattr(os, "pwrite", fill)
    with pytest.raises(OutputError) as caught:
        output.add(["too much"])
    assert caught.value.sentence == f'"{path}" cannot be written: {os.strerror(number)}.'
    assert caught.value.hint == hint
    assert (path.read_text(), output.size) == ("before\n", 7)


def test_refuse_writing__an_error_without_a_number() -> None:
    assert append_file.refuse_writing("ids", OSError("odd")).sentence == '"ids" cannot be written: odd.'


@pytest.mark.parametrize("locks", [True, False])
def test_cut__only_what_no_other_process_can_have_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    def flock(handle: int, operation: int) -> None:
        assert operation == fcntl.LOCK_EX | fcntl.LOCK_NB
        if not locks:
            raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    output = Output("--ids", str(path))
    output.begin(None)
    output.add(["one"])
    output.add(["two"])
    output.cut(4)
    assert path.read_text() == ("one\n" if locks else "one\ntwo\n")
    assert output.size == (4 if locks else 8)
    output.close()


def test_outputs__both_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, bad = tmp_path / "ids", tmp_path / "bad"
    with Outputs(str(ids), str(bad), taken={}) as outputs:
        outputs.begin(None, None)
        outputs.add(["1"], ["b"])
        assert outputs.sizes == (2, 2)

        def fail(lines: Any) -> None:
            raise OutputError("full")

        assert outputs.bad is not None
        monkeypatch.setattr(outputs.bad, "add", fail)
        with pytest.raises(OutputError):
            outputs.add(["2"], ["c"])
        assert (ids.read_text(), outputs.sizes) == ("1\n", (2, 2))
        outputs.cut(0, 0)
    assert (ids.read_text(), bad.read_text()) == ("", "")


def test_outputs__none_is_named() -> None:
    with Outputs(None, None, taken={}) as outputs:
        outputs.begin(None, None)
        outputs.add(["1"], ["2"])
        outputs.cut(0, 0)
        assert outputs.sizes == (0, 0)
        assert (outputs.ids, outputs.bad) == (None, None)


def test_outputs__one_that_is_taken(tmp_path: Path) -> None:
    source, link = tmp_path / "source", tmp_path / "link"
    source.write_text("lines\n")
    link.symlink_to(source)
    taken = {identity(source.stat()): "the file that is read"}
    assert refusal(link, taken=taken) == (f'--ids "{link}" is the file that is read.', "name another file")
    assert source.read_text() == "lines\n"


def test_outputs__one_file_for_both(tmp_path: Path) -> None:
    path = tmp_path / "both"
    with pytest.raises(ArgumentError) as caught:
        Outputs(str(path), str(path), taken={})
    assert caught.value.sentence == f'--skip-bad "{path}" is the file of --ids.'
    assert not path.exists()
