"""enqueue --from a CSV file: what is said of a quote that is not closed, and of rows of several lines."""

from __future__ import annotations

import json
import re
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
    assert ", the header, is bad: the quote that opens there is never closed" in ran.err


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


@pytest.fixture
def checked(run_command: Run, tmp_path: Path) -> Callable[..., Ran]:
    """Check a file whose rows are calls of `add`."""

    def run(content: str | bytes, *words: str, name: str = "calls.csv", task: str = "add") -> Ran:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return run_command("enqueue", task, "--from", str(path), "--check", *words)

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x;y\n1;2\n3;4\n", ()),
        ("x\ty\n1\t2\n3\t4\n", ()),
        ("x|y\n1|2\n3|4\n", ()),
        ("sep=;\nx;y\n1;2\n3;4\n", ()),
        ('\ufeff"sep=;"\nx;y\n1;2\n3;4\n', ()),
        ('"x";"y"\n"1";2\n3;"4"\n', ()),
        ("x:y\n1:2\n3:4\n", ("--delimiter", ":")),
        ("sep=,\nx;y\n1;2\n3;4\n", ("--delimiter", ";")),
    ],
)
def test_delimiter__is_typed_or_named_or_shown_by_the_header(
    checked: Callable[..., Ran], text: str, words: tuple[str, ...]
) -> None:
    ran = checked(text, *words)
    assert ("2 good lines, 0 bad" in ran.err, ran.code) == (True, 0), ran.err


def test_delimiter__makes_any_file_csv(checked: Callable[..., Ran]) -> None:
    ran = checked("x;y\n1;2\n", "--delimiter", ";", name="calls.txt")
    assert "1 good line, 0 bad" in ran.err


def test_delimiter__in_a_quoted_cell(checked: Callable[..., Ran]) -> None:
    ran = checked('text;number\n"a;b\nc";1\n"d;e";2\n', task="tests.site.tasks.typed")
    assert "2 good lines, 0 bad" in ran.err


@pytest.mark.parametrize("delimiter", ["", ";;", "a", '"', "ü"])
def test_delimiter__that_is_none(checked: Callable[..., Ran], delimiter: str) -> None:
    ran = checked("x;y\n1;2\n", "--delimiter", delimiter)
    assert f'--delimiter "{delimiter}" is none.' in ran.err
    assert ran.code == 2


@pytest.mark.parametrize("delimiter", ["a", '"', "\xfc"])
def test_delimiter__that_the_first_line_names_and_is_none(checked: Callable[..., Ran], delimiter: str) -> None:
    ran = checked(f"sep={delimiter}\nx;y\n1;2\n".encode("latin-1"))
    assert f'The first line names "{delimiter}" as the delimiter, which is none.' in ran.err
    assert ran.code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x,y,\n1,2,\n", 'it ends with ",", after which no column is named.'),
        ("x y,z\n1,2\n", 'it names "x y", which is no name of a parameter.'),
        ("x y;z\n1;2\n", 'it names "x y", which is no name of a parameter.'),
        (
            "x,y\n1,2\n".encode("utf-16"),
            "it is UTF-16: convert the file with iconv",
        ),
        (
            "x,y\r1,2\r",
            "its lines end as on an old Mac, with a carriage return alone",
        ),
    ],
)
def test_header__says_what_the_file_is(checked: Callable[..., Ran], content: str | bytes, said: str) -> None:
    ran = checked(content)
    assert re.match(r'Line 1 of ".*\.csv", the header, is bad: ', ran.err)
    assert said in ran.err
    assert ran.code == 2


def test_header__is_named_with_its_file_and_line(typed: Run, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("\n\nx,z\n1,2\n")
    ran = typed("enqueue", "add", "--from", str(path), "--check")
    name = "project.demo.tasks.add"
    expected = f'Line 3 of "{path}", the header, is bad: {name} takes no keyword "z".'
    assert (ran.err.splitlines()[0], ran.code) == (expected, 2)


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_lines__count_the_header_in_both(checked: Callable[..., Ran], enqueue: Run, words: tuple[str, ...]) -> None:
    ran = enqueue("text,number\na,1\n", "--json", *words)
    assert json.loads(ran.out)["lines"] == 2


def test_check__one_line_is_no_lines(enqueue: Run) -> None:
    assert "1 good line, 0 bad. Nothing was sent." in enqueue("text,number\na,1\n", "--check").err


def test_header__of_a_task_that_takes_any_keyword(checked: Callable[..., Ran]) -> None:
    """A column "first name" was sent as a keyword that no function can read."""
    ran = checked("a;first name\n1;2\n", task="tests.site.tasks.gather")
    assert 'it names "first name", which is no name of a parameter.' in ran.err
    assert "divided by semicolons (--delimiter)" in ran.err


def test_row__in_latin_1(checked: Callable[..., Ran]) -> None:
    ran = checked("text,number\ngrün,1\n".encode("latin-1"), task="tests.site.tasks.typed")
    said = 'it is not UTF-8: byte 3 is 0xfc, a "ü" in Latin-1: convert the file with iconv -f LATIN1 -t UTF-8.'
    assert f"Line 2: {said}" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"x": 1, "x": 2, "y": 3}\n', 'it is not JSON: the key "x" stands twice in one object.'),
        ('[{"x": {"a": 1, "a": 2}}]\n', 'it is not JSON: the key "a" stands twice in one object.'),
        ('[{"x": 1, "y": 2}, {"x": 3, "y": 4}]\n', "it is an array of calls: write each object on a line of its own"),
        ("[1, 2]\r[3, 4]\r", "its lines end as on an old Mac, with a carriage return alone"),
        ("[1, 2]\n".encode("utf-16"), "it is UTF-16: convert the file with iconv -f UTF-16 -t UTF-8."),
    ],
)
def test_json__says_what_is_wrong(checked: Callable[..., Ran], text: str | bytes, said: str) -> None:
    ran = checked(text, name="calls.jsonl")
    assert f"Line 1: {said}" in ran.err


@pytest.mark.parametrize(
    "text",
    [
        '\ufeff[1, 2]\n{"x": 1, "y": 2}\n',
        '{"x": 1,\t"y" : 2}\r\n[3, 4]\r\n',
    ],
)
def test_json__that_is_good(checked: Callable[..., Ran], text: str) -> None:
    assert "2 good lines, 0 bad" in checked(text, name="calls.jsonl").err


def test_json__colons_in_text_are_no_keys(checked: Callable[..., Ran]) -> None:
    text = '{"text": "a: b: c"}\n[{"a": 1, "b": {"a": 2}}]\n'
    ran = checked(text, name="calls.jsonl", task="tests.site.tasks.echo")
    assert 'takes no keyword "text"' in ran.err  # and nothing is said of a key that stands twice
    assert "1 good line, 1 bad" in ran.err
