from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.transactions import Mark
from tasktools.exceptions import ArgumentError, OutputError
from tasktools.publishing.checkpoint import Progress, Run

NEW = Progress(digest="d", task="t")
HALF = Progress(digest="d", task="t", line=5, sent=4, bad=1, ids_size=10, bad_size=3, begun=5)


class Redis:
    """A publisher whose broker has transactions."""

    is_atomic = True

    def __init__(self) -> None:
        self.marks: dict[str, dict[str, str]] = {}

    def read(self, key: str, purpose: str) -> dict[str, str]:
        return self.marks.get(key, {})

    def write(self, mark: Mark) -> None:
        self.marks[mark.key] = dict(mark.values)


@pytest.fixture
def redis() -> Any:
    return Redis()


@pytest.fixture
def other() -> Any:
    """A publisher whose broker has none: the mark is a file."""
    return SimpleNamespace(is_atomic=False)


@pytest.mark.parametrize("name", ["orders", "orders-2030_b.c", "größe", "1"])
def test_name__one_that_a_file_can_have(redis: Any, tmp_path: Path, name: str) -> None:
    assert Run(name, redis, tmp_path).name == name


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../a", "a b", "a\0", "a*"])
def test_name__any_other_is_refused(redis: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match="is no name for a run"):
        Run(name, redis, tmp_path)


def test_new_run__is_at_the_beginning(redis: Any, other: Any, tmp_path: Path) -> None:
    for publisher in (redis, other):
        run = Run("orders", publisher, tmp_path / "data" / "runs")
        assert run.load("d", "t") == NEW
        run.close()


@pytest.mark.parametrize(("digest", "task", "what"), [("other", "t", "file"), ("d", "other", "task")])
def test_load__what_was_begun_with_something_else_is_refused(
    other: Any, tmp_path: Path, digest: str, task: str, what: str
) -> None:
    run = Run("orders", other, tmp_path / "data" / "runs")
    run.load("d", "t")
    run.after(HALF)
    run.close()
    with pytest.raises(ArgumentError, match=f"begun with another {what}: 5 lines"):
        run.load(digest, task)
    assert run.load("d", "t") == HALF  # the one that was refused has let it go
    run.close()


def test_mark__of_a_new_run_is_written_where_there_is_none_yet(redis: Any, tmp_path: Path) -> None:
    """Or two processes that begin the same run would both send the first batch."""
    mark = Run("orders", redis, tmp_path).mark(NEW, HALF)
    assert mark is not None
    assert (mark.key, mark.expected) == ("tasktools:run:orders", {"line": ""})
    values = {"line": "5", "sent": "4", "bad": "1", "ids_size": "10", "bad_size": "3", "begun": "5", "done": "0"}
    assert mark.values == {"digest": "d", "task": "t", **values}


def test_mark__goes_on_from_the_line_that_it_knows(redis: Any, tmp_path: Path) -> None:
    mark = Run("orders", redis, tmp_path).mark(HALF, dataclasses.replace(HALF, line=9, begun=9))
    assert mark is not None
    assert mark.expected == {"line": "5"}


def test_finish__is_read_again(redis: Any, other: Any, tmp_path: Path) -> None:
    done = dataclasses.replace(HALF, done=True)
    for publisher in (redis, other):
        run = Run("orders", publisher, tmp_path / "data" / "runs")
        run.load("d", "t")
        run.finish(HALF, done)
        run.close()
        assert run.load("d", "t") == done
        run.close()


def test_before_and_after__are_no_business_of_a_transaction(redis: Any, tmp_path: Path) -> None:
    run = Run("orders", redis, tmp_path)
    run.before(NEW, 5)
    run.after(HALF)
    assert redis.marks == {}


def test_before__a_batch_that_was_begun_is_in_doubt(other: Any, tmp_path: Path) -> None:
    run = Run("orders", other, tmp_path / "data" / "runs")
    assert run.mark(NEW, HALF) is None
    run.load("d", "t")
    run.before(HALF, 9)
    run.close()
    assert run.load("d", "t") == dataclasses.replace(HALF, begun=9)
    run.close()


def test_file__one_process_at_a_time(other: Any, tmp_path: Path) -> None:
    first, second = (Run("orders", other, tmp_path / "data" / "runs") for _ in range(2))
    first.load("d", "t")
    with pytest.raises(ArgumentError, match='Another process sends the run "orders"'):
        second.load("d", "t")
    first.close()
    assert second.load("d", "t") == NEW
    second.close()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1}', '{"digest": "d", "task": "t", "line": "x"}'])
def test_file__that_holds_something_else(other: Any, tmp_path: Path, text: str) -> None:
    run = Run("orders", other, tmp_path / "data" / "runs")
    run.load("d", "t")
    run.close()
    (tmp_path / "data" / "runs" / "orders.json").write_text(text)
    with pytest.raises(ArgumentError, match=r"orders\.json\", cannot be read"):
        run.load("d", "t")


def test_file__that_cannot_be_made(other: Any, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OutputError):
        Run("orders", other, tmp_path / "data" / "runs").load("d", "t")


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (NEW, []),
        (HALF, ['The run "r" goes on after line 5.']),
        (
            dataclasses.replace(HALF, begun=9),
            [
                "Lines 6 to 9 are in doubt: they may have been sent, and are sent again.",
                'The run "r" goes on after line 5.',
            ],
        ),
        (dataclasses.replace(HALF, done=True), ['The run "r" is complete: 4 sent. Nothing is left to send.']),
    ],
)
def test_told__where_it_stands(progress: Progress, said: list[str]) -> None:
    assert progress.lines("r") == said
