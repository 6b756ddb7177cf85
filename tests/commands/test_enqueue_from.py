"""enqueue --from: what a file of calls becomes, and what is said of one that is not as it should be."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasktools.management import progress
from tasktools.management.input_lines import LONGEST_LINE, Line, Source
from tests.conftest import Ran
from tests.support import Site, refusing_port

Run = Callable[..., Ran]

ADD = "project.demo.tasks.add"

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture(autouse=True)
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no line of progress among what is printed, however slow the machine is."""
    monkeypatch.setattr(progress, "PERIOD", 600.0)


@pytest.fixture
def sent(app: Any, queue: str) -> Callable[[], list[Any]]:
    """Return what lies in the queue, oldest first: (task, args, kwargs)."""

    def read() -> list[Any]:
        with app.connection_for_read() as connection:
            bound = app.amqp.queues[queue](connection.default_channel)
            found = []
            while message := bound.get(no_ack=True):
                args, kwargs, _ = message.decode()
                found.append((message.headers["task"], tuple(args), kwargs))
            return found

    return read


def write(tmp_path: Path, content: str | bytes, name: str = "calls.jsonl") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_arrays_and_objects__are_the_arguments(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]
) -> None:
    path = write(tmp_path, '[1, 2]\n{"x": 3, "y": 4}\n\n[5, "6"]\n')
    ran = typed("enqueue", "add", "--from", path, "--queue", queue)
    assert ran.code == 0
    assert ran.out == ""
    assert re.fullmatch(r"3 sent in \d\.\d s, [\d,]+ a second\.\n", ran.err)
    assert sent() == [(ADD, (1, 2), {}), (ADD, (), {"x": 3, "y": 4}), (ADD, (5, 6), {})]


def test_whole_calls__name_their_task_and_options(
    typed: Run, tmp_path: Path, app: Any, queue: str, sent: Callable[[], list[Any]]
) -> None:
    lines = [
        {"task": "add", "args": [1, 2], "options": {"task_id": f"mine-{queue}"}},
        {"task": "tests.site.tasks.echo", "kwargs": {"value": {"deep": [1]}}},
        {"task": ADD, "args": [1, 2], "options": {"queue": f"{queue}-other", "priority": 3, "countdown": "5m"}},
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)))
    ids = tmp_path / "ids"
    ran = typed("enqueue", "--from", path, "--queue", queue, "--ids", str(ids))
    assert ran.code == 0, ran.err
    assert sent() == [(ADD, (1, 2), {}), ("tests.site.tasks.echo", (), {"value": {"deep": [1]}})]
    assert ids.read_text().split()[0] == f"mine-{queue}"
    assert len(ids.read_text().split()) == 3
    with app.connection_for_read() as connection:
        message = app.amqp.queues[f"{queue}-other"](connection.default_channel).get(no_ack=True)
    assert message.headers["eta"] is not None
    assert message.properties["priority"] == 3


def test_csv__cells_are_typed_by_the_signature(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]
) -> None:
    text = '\ufefftext,number,items\n007,7,"[1, 2]"\n"two\nlines, ""quoted""",,\n'
    path = write(tmp_path, text, "calls.csv")
    ran = typed("enqueue", "tests.site.tasks.typed", "--from", path, "--queue", queue)
    assert ran.code == 0, ran.err
    assert [kwargs for _, _, kwargs in sent()] == [
        {"text": "007", "number": 7, "items": [1, 2]},
        {"text": 'two\nlines, "quoted"'},
    ]


@pytest.mark.parametrize("name", ["calls.jsonl.gz", "calls.csv.gz"])
def test_gzip__is_read_as_it_is(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]], name: str
) -> None:
    content = b"x,y\n1,2\n" if "csv" in name else b"[1, 2]\n"
    path = write(tmp_path, gzip.compress(content), name)
    assert typed("enqueue", "add", "--from", path, "--queue", queue).code == 0
    [(_, args, kwargs)] = sent()
    assert (args, kwargs) in [((1, 2), {}), ((), {"x": 1, "y": 2})]


def test_stdin__is_read_as_a_pipe(site: Site) -> None:
    site.minimal()
    done = site.manage("enqueue", "add", "--from", "-", "--json", input="[1, 2]\n[3, 4]")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["sent"], told["lines"], told["bad"], told["complete"]) == (2, 2, 0, True)


def test_stdin__a_pipe_is_not_said_to_be_read_again(site: Site) -> None:
    site.minimal()
    lines = "[1, 2]\n[3]\n"
    piped = site.manage("enqueue", "add", "--from", "-", input=lines)
    assert piped.stderr.splitlines()[-1] == (
        "Hint: fix it. To go on: pipe the same lines into the same command with --start 2"
    )
    with site.write("calls.jsonl", lines).open() as file:  # this one is there again
        redirected = site.manage("enqueue", "add", "--from", "-", stdin=file)
    assert redirected.stderr.splitlines()[-1] == "Hint: fix it. To go on: the same command with --start 2"
    assert (piped.returncode, redirected.returncode) == (2, 2)


BAD = [
    ("not JSON", b"[1, 2\n", "it is not JSON: "),
    ("infinite", b"[1, 1e999]\n", 'The number "1e999" is too large for a float.'),
    ("not an array", b"7\n", "it is neither an array of arguments nor an object of keywords."),
    ("too few", b"[1]\n", f"{ADD}: missing a required argument: 'y'."),
    ("too many", b"[1, 2, 3]\n", f"{ADD}: too many positional arguments."),
    ("unknown keyword", b'{"x": 1, "z": 2}\n', f'{ADD} takes no keyword "z".'),
    ("wrong type", b'[1, "two"]\n', f'"two" is not an integer, which "y" of {ADD} takes.'),
    ("null", b"[1, null]\n", '"None" is not an integer'),
    ("invalid UTF-8", b'[1, "\xff"]\n', 'it is not UTF-8: byte 6 is 0xff, a "ÿ" in Latin-1: '),
    ("too long", b"[1, " + b"2" * (LONGEST_LINE + 10) + b"]\n", "it is longer than 16 MB."),
    ("too deep", b"[" * 100_000 + b"\n", "An argument is nested more than 100 levels deep"),
    ("ends mid-line", b'[1, 2]\n[3, "unfin', "it is not JSON: "),
]


@pytest.mark.parametrize(("content", "sentence"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_bad_line__stops_the_run_and_what_stood_before_is_sent(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]], content: bytes, sentence: str
) -> None:
    good = b"[1, 2]\n[3, 4]\n"
    path = write(tmp_path, good + content + b"[5, 6]\n" * ("unfin" not in sentence))
    ran = typed("enqueue", "add", "--from", path, "--queue", queue)
    number = 4 if b"unfin" in content else 3
    assert ran.code == 2
    assert f"Line {number} is bad: {sentence}" in ran.err
    assert f"Nothing after line {number - 1} was sent." in ran.err
    assert f"the same command with --start {number}" in ran.err
    assert ran.err.startswith(f"{number - 1} sent")
    assert len(sent()) == number - 1
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("content", "sentence"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_skip_bad__writes_it_down_and_goes_on(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]], content: bytes, sentence: str
) -> None:
    path = write(tmp_path, b"[1, 2]\n" + content.removeprefix(b"[1, 2]\n").rstrip(b"\n") + b"\n[5, 6]\n")
    bad = tmp_path / "bad"
    ran = typed("enqueue", "add", "--from", path, "--queue", queue, "--skip-bad", str(bad))
    assert ran.code == 0
    assert "2 sent" in ran.err
    assert "1 bad line skipped" in ran.err
    told = json.loads(bad.read_text())
    assert told["line"] == 2
    assert sentence in told["error"]
    assert len(sent()) == 2


WHOLE_BAD = [
    ("[1, 2]", 'it is no object with a "task".'),
    ('{"args": [1]}', 'it is no object with a "task".'),
    ('{"task": "nosuch"}', 'No task is called "nosuch".'),
    ('{"task": "add", "arguments": [1]}', '"arguments" is none of task, args, kwargs, options.'),
    ('{"task": "add", "args": {"x": 1}}', '"args" is an array, "kwargs" and "options" are objects.'),
    ('{"task": "add", "args": [1, 2], "options": {"colour": 1}}', 'the option "colour" is none of queue, '),
    ('{"task": "add", "args": [1, 2], "options": {"priority": 999}}', 'The priority "999" is no number from 0 to 255.'),
    ('{"task": "add", "args": [1, 2], "options": {"countdown": "soon"}}', '"soon"'),
]


@pytest.mark.parametrize(("line", "sentence"), WHOLE_BAD)
def test_bad_whole_call(typed: Run, tmp_path: Path, queue: str, line: str, sentence: str) -> None:
    ran = typed("enqueue", "--from", write(tmp_path, line), "--queue", queue)
    assert ran.code == 2
    assert f"Line 1 is bad: {sentence}" in ran.err


@pytest.mark.parametrize("content", ['["5m"]', '{"length": "5m"}', '{"task": "span", "args": ["5m"]}'])
def test_value_that_the_serializer_does_not_carry__is_a_bad_line(
    typed: Run, tmp_path: Path, queue: str, content: str
) -> None:
    name = [] if "task" in content else ["span"]
    ran = typed("enqueue", *name, "--from", write(tmp_path, content), "--queue", queue)
    assert ran.code == 2
    assert 'Line 1 is bad: The arguments of tests.site.tasks.span cannot be sent by the serializer "json"' in ran.err
    assert "Traceback" not in ran.err


CSV_BAD = [
    ("x,y\n1,2,3\n", "Line 2 is bad: it has 3 cells, the header 2."),
    ("x,y\n1,two\n", 'Line 2 is bad: "two" is not an integer'),
    ('x,y\n1,"2\n', "Line 2 is bad: the quote that opens there is never closed."),
    ("x,z\n1,2\n", f'{ADD} takes no keyword "z".'),
    ("x,x\n1,2\n", 'it names "x" twice or not at all.'),
    ("x,\n1,2\n", 'it ends with ",", after which no column is named.'),
]


@pytest.mark.parametrize(("content", "sentence"), CSV_BAD)
def test_bad_csv(typed: Run, tmp_path: Path, queue: str, content: str, sentence: str) -> None:
    ran = typed("enqueue", "add", "--from", write(tmp_path, content, "x.csv"), "--queue", queue)
    assert ran.code == 2
    assert sentence in ran.err


@pytest.mark.parametrize("content", ["", "\n\n", "x,y\n"])
def test_nothing_in_it__is_nothing_sent(typed: Run, tmp_path: Path, queue: str, content: str) -> None:
    name = "x.csv" if "x" in content or not content else "x.jsonl"
    ran = typed("enqueue", "add", "--from", write(tmp_path, content, name), "--queue", queue, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["sent"] == 0


def test_check__reads_all_and_sends_nothing(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]
) -> None:
    path = write(tmp_path, '[1, 2]\n[1]\n["x", 2]\n[3, 4]\n')
    ran = typed("enqueue", "add", "--from", path, "--queue", queue, "--check")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"Line 2: {ADD}: missing a required argument: 'y'.",
        f'Line 3: "x" is not an integer, which "x" of {ADD} takes.',
        "2 good lines, 2 bad. Nothing was sent.",
    ]
    assert sent() == []
    good = typed("enqueue", "add", "--from", write(tmp_path, "[1, 2]\n"), "--check", "--json")
    assert good.code == 0
    assert json.loads(good.out)["good"] == 1


def test_start__begins_there(typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]) -> None:
    path = write(tmp_path, "".join(f"[{n}, 0]\n" for n in range(1, 6)))
    assert typed("enqueue", "add", "--from", path, "--queue", queue, "--start", "4").code == 0
    assert [args[0] for _, args, _ in sent()] == [4, 5]


def test_start__in_a_pipe_that_is_silent_before_it(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [None, Line(1, b"[1, 0]"), None, Line(2, b"[2, 0]"), Line(3, b"[3, 0]")]
    monkeypatch.setattr(Source, "lines", lambda _: iter(lines))
    path = write(tmp_path, "")
    assert typed("enqueue", "add", "--from", path, "--queue", queue, "--start", "3").code == 0
    assert [args[0] for _, args, _ in sent()] == [3]


def test_batch_size__does_not_change_what_is_sent(
    typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]
) -> None:
    path = write(tmp_path, "".join(f"[{n}, 0]\n" for n in range(1000)))
    assert typed("enqueue", "add", "--from", path, "--queue", queue, "--batch-size", "7").code == 0
    assert [args[0] for _, args, _ in sent()] == list(range(1000))


def test_rate__is_kept(typed: Run, tmp_path: Path, queue: str) -> None:
    path = write(tmp_path, "[1, 2]\n" * 30)
    ran = typed("enqueue", "add", "--from", path, "--queue", queue, "--rate", "40", "--json")
    told = json.loads(ran.out)
    assert told["sent"] == 30
    assert 0.5 < told["seconds"] < 30


def test_verbose__says_which_path_and_why(typed: Run, tmp_path: Path, queue: str, app: Any) -> None:
    path = write(tmp_path, "[1, 2]\n")
    fast = typed("enqueue", "add", "--from", path, "--queue", queue, "-v", "2")
    assert fast.err.endswith("All messages were made from templates of Celery's own.\n")
    from celery.signals import task_sent

    def receive(**_: Any) -> None:
        pass

    task_sent.connect(receive)
    try:
        slow = typed("enqueue", "add", "--from", path, "--queue", queue, "-v", "2")
    finally:
        task_sent.disconnect(receive)
    assert slow.err.endswith(f"{ADD} took Celery's own path: receivers of task_sent.\n")


UNREADABLE = [
    ("nosuch.jsonl", '"nosuch.jsonl" cannot be read: No such file or directory.'),
    (".", '"." is a directory.'),
    ("\0", "is no path"),
]


@pytest.mark.parametrize(("name", "sentence"), UNREADABLE)
def test_unreadable_file(typed: Run, name: str, sentence: str) -> None:
    ran = typed("enqueue", "add", "--from", name)
    assert ran.code == 2
    assert sentence in ran.err


def test_broken_gzip__says_how_far_it_could_be_read(typed: Run, tmp_path: Path, queue: str) -> None:
    lines = b"".join(b"[%d, %d]\n" % (n, int.from_bytes(os.urandom(6), "big")) for n in range(60_000))
    path = write(tmp_path, gzip.compress(lines)[:-2000], "x.jsonl.gz")
    ran = typed("enqueue", "add", "--from", path, "--queue", queue)
    assert ran.code == 2
    assert re.search(r'" cannot be read after line \d+: ', ran.err)
    assert "Traceback" not in ran.err
    assert typed("enqueue", "add", "--from", write(tmp_path, b"[1, 2]", "y.gz"), "--queue", queue).code == 2


MISUSED = [
    (("add", "1", "--from", "x"), '"1" is one word too many.'),
    (("add", "--from", "x", "--wait"), "--wait is for a single call, --from for many."),
    (("add", "--from", "x", "--args", "[1]"), "--args is for a single call"),
    (("add", "1", "2", "--ids", "x"), "--ids is for the calls of a file."),
    (("add", "--from", "x", "--check", "--ids", "y"), "--check sends nothing"),
    (("add", "--from", "x", "--resume", "r", "--start", "3"), "--resume knows where to begin"),
    (("add", "--from", "{file}", "--rate", "0"), '--rate "0" is no whole number.'),
    (("add", "--from", "{file}", "--batch-size", "many"), '--batch-size "many" is no whole number.'),
    (("add", "--from", "{file}", "--resume", "../x"), '"../x" is no name for a run.'),
    (("add", "--from", "{file}", "--ids", "/nosuch/x"), '"/nosuch/x" cannot be written'),
    (("--from", "{file}", "--csv"), "The rows of a CSV file hold arguments alone."),
    (("nosuch", "--from", "{file}"), 'No task is called "nosuch".'),
]


@pytest.mark.parametrize(("words", "sentence"), MISUSED)
def test_misuse__is_told_before_anything_is_sent(
    typed: Run, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    path = write(tmp_path, "[1, 2]\n")
    ran = typed("enqueue", *(word.replace("{file}", path) for word in words))
    assert ran.code == 2, ran.err
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_broker_that_refuses__nothing_is_sent(elsewhere: Callable[..., str], typed: Run, tmp_path: Path) -> None:
    name = elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0")
    path = write(tmp_path, '{"task": "celery.backend_cleanup"}\n')
    ran = typed("enqueue", "-A", name, "--from", path)
    assert ran.code == 69
    assert "cannot be reached" in ran.err
    assert "0 sent." in ran.err


def test_resume__goes_on_and_ends(typed: Run, tmp_path: Path, queue: str, sent: Callable[[], list[Any]]) -> None:
    lines = [f"[{n}, 0]" for n in range(1, 11)]
    path = write(tmp_path, "\n".join([*lines[:6], "[broken", *lines[7:]]))
    run, ids = f"run-{uuid.uuid4()}", tmp_path / "ids"
    words = (
        "enqueue",
        "add",
        "--from",
        path,
        "--queue",
        queue,
        "--resume",
        run,
        "--ids",
        str(ids),
        "--batch-size",
        "4",
    )
    stopped = typed(*words)
    assert stopped.code == 2
    assert (
        "Hint: fix it. To go on: the same command with --start 7 in place of --resume, for a run keeps" in stopped.err
    )
    assert "Or skip it: the same command with --skip-bad FILE" in stopped.err
    changed = write(tmp_path, "\n".join(lines))
    refused = typed(*words)
    assert refused.code == 2
    assert f'The run "{run}" was begun with another file: 6 lines of that are done with.' in refused.err
    write(tmp_path, "\n".join([*lines[:6], "[broken", *lines[7:]]))
    skipped = typed(*words, "--skip-bad", str(tmp_path / "bad"))
    assert skipped.code == 0, skipped.err
    assert f'The run "{run}" goes on after line 6.' in skipped.err
    assert [args[0] for _, args, _ in sent()] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert len(set(ids.read_text().split())) == 9
    again = typed(*words, "--json")
    assert again.code == 0
    assert json.loads(again.out)["sent"] == 0
    assert "is complete: 9 sent" in again.err
    assert sent() == []
    assert changed == path


def test_resume__ids_that_somebody_has_removed_are_not_made_up(typed: Run, tmp_path: Path, queue: str) -> None:
    path, ids = write(tmp_path, "[1, 2]\n[3, 4]\n[broken\n"), tmp_path / "ids"
    words = ("enqueue", "add", "--from", path, "--queue", queue, "--resume", f"run-{uuid.uuid4()}", "--ids", str(ids))
    assert typed(*words).code == 2
    assert len(ids.read_text().split()) == 2
    ids.unlink()
    assert typed(*words, "--skip-bad", str(tmp_path / "bad")).code == 0
    assert ids.read_bytes() == b""


def test_resume__another_task_is_refused(typed: Run, tmp_path: Path, queue: str) -> None:
    path, run = write(tmp_path, "[1, 2]\n"), f"run-{uuid.uuid4()}"
    assert typed("enqueue", "add", "--from", path, "--queue", queue, "--resume", run).code == 0
    ran = typed("enqueue", "tests.site.tasks.total", "--from", path, "--queue", queue, "--resume", run)
    assert ran.code == 2
    assert "was begun with another task" in ran.err


def test_resume__of_a_pipe_is_refused(typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as stdin:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stdin))
        ran = typed("enqueue", "add", "--from", "-", "--resume", "r")
    assert ran.code == 2
    assert "A pipe cannot be resumed" in ran.err
