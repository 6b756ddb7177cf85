"""Which files count, and what is a change of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasktools.supervisor import watcher
from tasktools.supervisor.watcher import Files, bursts, polled
from tests.support import wait_for


def write(root: Path, name: str, text: str = "x") -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


COUNT = [
    ("a.py", True),
    ("deep/er/b.py", True),
    (".env", True),
    ("deep/.env", True),
    ("page.html", True),
    ("mails/letter.txt", True),
    ("letter.txt", False),
    ("a.pyc", False),
    ("node_modules/a.py", False),
    ("deep/node_modules/a.py", False),
    (".git/hooks/a.py", False),
    (".tasktools/a.py", False),
    ("__pycache__/a.py", False),
    ("venv/lib/a.py", False),
    *((f"deep/{name}/a.py", False) for name in ("site-packages", ".hg", ".svn", ".tox")),
    ("media/upload.py", False),
    ("env-with-another-name/lib/python3/a.py", False),
]


@pytest.mark.parametrize(("name", "expected"), COUNT, ids=[name for name, _ in COUNT])
def test_paths__are_those_that_count(tmp_path: Path, name: str, expected: bool) -> None:
    path = write(tmp_path, name)
    write(tmp_path, "env-with-another-name/pyvenv.cfg")
    files = Files([str(tmp_path)], [str(tmp_path / "media")], ["*.html", "mails/*.txt"])
    assert (path in set(files.paths())) is expected


def test_counts__only_below_the_roots(tmp_path: Path) -> None:
    files = Files([str(tmp_path / "site")])
    assert files.counts(str(tmp_path / "site/a.py"))
    assert not files.counts(str(tmp_path / "site2/a.py"))
    assert not files.counts("/etc/a.py")


def test_roots__inside_each_other_are_walked_once(tmp_path: Path) -> None:
    write(tmp_path, "shop/a.py")
    files = Files([str(tmp_path / "shop"), str(tmp_path), str(tmp_path / "shop")])
    assert files.roots == [str(tmp_path)]
    assert len(list(files.paths())) == 1


def test_changed__is_another_content_a_new_file_or_one_that_has_gone(tmp_path: Path) -> None:
    names = ["same.py", "other.py", "gone.py", "empty.py"]
    same, other, gone, empty = (write(tmp_path, name, "" if name == "empty.py" else "x") for name in names)
    files = Files([str(tmp_path)])
    assert files.read() == []
    os.utime(same, (1, 1))
    write(tmp_path, "other.py", "y")
    os.unlink(gone)
    new = write(tmp_path, "new.py", "")
    everything = [same, other, gone, empty, new, same]
    assert sorted(files.touched()) == sorted([same, other, gone, new])
    assert files.changed(everything) == sorted([other, gone, new])
    assert files.changed(everything) == []
    assert files.touched() == []


def test_changed__empty_file_that_goes(tmp_path: Path) -> None:
    path = write(tmp_path, "empty.py", "")
    files = Files([str(tmp_path)])
    files.read()
    os.unlink(path)
    assert files.changed([path]) == [path]


def test_changed__not_what_does_not_count(tmp_path: Path) -> None:
    files = Files([str(tmp_path)])
    files.read()
    assert files.changed([write(tmp_path, "notes.txt"), write(tmp_path, ".git/a.py")]) == []


def test_read__names_what_was_written_since(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old.py"), write(tmp_path, "new.py")
    os.utime(old, (1000, 1000))
    os.utime(new, (3000, 3000))
    os.utime(write(tmp_path, "future.py"), (1e11, 1e11))  # or the process would start again without end
    assert Files([str(tmp_path)]).read(since=2000) == [new]


def test_polled__waits_twenty_times_as_long_as_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = iter([0.0, 0.1, 1.0, 1.0])
    monkeypatch.setattr(watcher.time, "monotonic", lambda: next(clock))
    files = Files([str(tmp_path)])
    looks = polled(files, slept.append)
    path = write(tmp_path, "a.py")
    assert next(looks) == [path]
    assert next(looks) == [path]
    assert slept == [0.5, 2.0]


def test_watchfiles_that_cannot_watch__is_said_and_the_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(files: Files) -> list[str]:
        raise OSError("no more watches")

    monkeypatch.setattr(watcher, "notified", refuse)
    monkeypatch.setattr(watcher, "polled", lambda files: iter([["a.py"]]))
    said: list[str] = []
    assert list(bursts(Files([str(tmp_path)]), said.append)) == [["a.py"]]
    assert said == ["watchfiles cannot watch (no more watches): looking at the files every 0.5 s"]


def test_without_watchfiles__the_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(watcher, "polled", lambda files: iter([["a.py"]]))
    assert list(bursts(Files([str(tmp_path)]), print)) == [["a.py"]]


@pytest.mark.parametrize("poll", [False, True])
def test_watch__tells_of_changes_to_the_end_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poll: bool
) -> None:
    """Files that come with a folder of their own as well."""
    if poll:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write(tmp_path, "a.py")
    told: list[str] = []
    files = Files([str(tmp_path)])
    watcher.watch(files, None, told.extend, print)
    wait_for(lambda: files._known)
    for name, text in (("a.py", "y"), ("new/folder/b.py", "x"), ("a.py", "z"), ("new/folder/b.py", "y")):
        told.clear()
        path = write(tmp_path, name, text)
        wait_for(lambda: path in told)  # noqa: B023
