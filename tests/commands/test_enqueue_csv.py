"""enqueue --from a CSV file: what is said of a quote that is not closed, and of rows of several lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

Run = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

GOOD = "text,number\na,1\nb,2\n"


@pytest.fixture
def enqueue(typed: Run, tmp_path: Path, queue: str) -> Callable[..., Ran]:
    def run(text: str, *words: str) -> Ran:
        path = tmp_path / "calls.csv"
        path.write_text(text)
        return typed("enqueue", "tests.site.tasks.typed", "--from", str(path), "--queue", queue, *words)

    return run


UNCLOSED = "the quote that opens there is never closed, so lines 4 to 6 are one row."


def test_unclosed_quote__is_named_by_the_line_where_it_opens(enqueue: Run) -> None:
    ran = enqueue(GOOD + '"c,3\nd,4\ne,5\n')
    assert ran.code == 2
    assert ran.err.splitlines()[-2:] == [
        f"Line 4 is bad: {UNCLOSED} Nothing after line 3 was sent.",
        "Hint: fix it. To go on: the same command with --start 4",
    ]
    assert ran.err.startswith("2 sent")
    fixed = enqueue(GOOD + '"c",3\nd,4\ne,5\n', "--start", "4", "--json")
    assert json.loads(fixed.out)["sent"] == 3


@pytest.mark.parametrize("resume", [False, True])
def test_unclosed_quote__cannot_be_skipped(enqueue: Run, tmp_path: Path, queue: str, resume: bool) -> None:
    bad = tmp_path / "bad"
    words = ("--skip-bad", str(bad), *(["--resume", queue] if resume else []))
    text = GOOD + 'c,three\n"d,4\ne,5\nf,6\n'
    for _ in range(2 if resume else 1):  # as often as it is tried
        ran = enqueue(text, *words)
        assert ran.code == 2
        assert "Line 5 is bad: the quote that opens there is never closed, so lines 5 to 7 are one row." in ran.err
        assert "Nothing after line 4 was sent." in ran.err
        assert "--start 5" in ran.err
        assert "--skip-bad" not in ran.err
        told = [json.loads(line) for line in bad.read_text().splitlines()]
        assert [each["line"] for each in told] == [4, 5]
        assert told[1]["text"] == '"d,4\ne,5\nf,6'


def test_row_of_several_lines__is_named_by_its_first(enqueue: Run, tmp_path: Path) -> None:
    text = GOOD + '"c\nc",three\n"d\nd",4\n'
    ran = enqueue(text)
    assert ran.code == 2
    assert 'Line 4 is bad: "three" is not an integer' in ran.err
    assert "--start 4" in ran.err
    skipped = enqueue(text, "--skip-bad", str(tmp_path / "bad"), "--json")
    assert json.loads((tmp_path / "bad").read_text())["line"] == 4
    told = json.loads(skipped.out)
    assert (skipped.code, told["sent"], told["lines"]) == (0, 3, 7)
    assert json.loads(enqueue(text, "--start", "6", "--json").out)["sent"] == 1


def test_line_break_in_a_cell__reaches_the_task_as_it_is(
    typed: Run, tmp_path: Path, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasktools.publishing.batch import Publisher

    sent: list[Any] = []
    send = Publisher.send

    def noted(publisher: Any, calls: Any, *args: Any, **options: Any) -> Any:
        sent.extend(call.kwargs for call in calls)
        return send(publisher, calls, *args, **options)

    monkeypatch.setattr(Publisher, "send", noted)
    path = tmp_path / "calls.csv"
    path.write_bytes(b'text\r\n"a\r\nb"\r\n"c\nd"\r\n')
    assert typed("enqueue", "tests.site.tasks.typed", "--from", str(path), "--queue", queue).code == 0
    assert sent == [{"text": "a\r\nb"}, {"text": "c\nd"}]


def test_resume__goes_on_after_a_row_of_several_lines(enqueue: Run, queue: str) -> None:
    text = GOOD + '"c\nc",3\n"d\nd",four\n'
    assert enqueue(text, "--resume", queue).code == 2
    again = enqueue(text, "--resume", queue, "--json")
    assert "goes on after line 5." in again.err
    assert json.loads(again.out)["sent"] == 0


def test_check__names_the_quote(enqueue: Run) -> None:
    ran = enqueue(GOOD + '"c,3\nd,4\ne,5\n', "--check")
    assert ran.code == 1
    assert f"Line 4: {UNCLOSED}" in ran.err


def test_header__with_an_open_quote(enqueue: Run) -> None:
    ran = enqueue('text,"number\na,1\n')
    assert ran.code == 2
    assert "Line 1, the header, cannot be read: the quote that opens there is never closed" in ran.err


def test_quote_in_an_unquoted_cell__is_a_character(enqueue: Run) -> None:
    ran = enqueue('text,number\n5" pipe,1\n7" pipe,2\n', "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["sent"] == 2


def test_unclosed_quote_in_a_large_file__takes_a_moment(enqueue: Run) -> None:
    began = time.process_time()
    ran = enqueue('text,number\n"a,1\n' + "b,2\n" * 300_000)
    assert ran.code == 2
    assert "is not closed within 100,000 lines" in ran.err
    assert time.process_time() - began < 5
