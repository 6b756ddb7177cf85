"""retryfailed sends failed tasks again: counts, asks, sends, and prints the ids."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from kombu.serialization import register, unregister

from tasktools.environment import interrupts
from tasktools.exceptions import ArgumentError, Unreachable
from tasktools.failures import claims, retry
from tasktools.failures.editing import Arguments
from tasktools.failures.message import Kept
from tasktools.failures.retried import Retried
from tasktools.failures.sending import Sender
from tasktools.management import retry_steps
from tasktools.management.editor import edit
from tasktools.management.failed_options import rate_of
from tasktools.models import FailedTask, State
from tests.commands.test_purgequeue import Person
from tests.conftest import Ran
from tests.failed import fail, keys_of, message_of, waiting
from tests.support import refusing_port

Run = Callable[..., Ran]

TOTAL, ECHO = "tests.site.tasks.total", "tests.site.tasks.echo"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("server_that_ends_with_the_suite"),
]


@pytest.fixture
def failed(app: Any, queue: str) -> Iterator[Any]:
    """Make rows of calls to the queue of the test."""

    def make(name: str = TOTAL, *args: Any, message: Any = None, **fields: Any) -> FailedTask:
        found = message_of(app, queue, name, *args, **(message or {}))
        return fail(found, **{"queue": queue, **fields})

    yield make
    with keys_of(app) as keys:
        keys.client.delete(*keys.lists(queue))


def test_retry__of_one_needs_no_question(app: Any, queue: str, failed: Any, run_command: Run) -> None:
    row = failed(TOTAL, 1, 2)
    done = run_command("retryfailed", row.task_id)
    row.refresh_from_db()
    heads, line = done.out.splitlines()
    assert heads.split() == ["ID", "NEW", "ID", "TASK"]
    assert line.split() == [row.task_id, row.new_id, TOTAL]
    assert (done.err, done.code) == ("Sent 1 failed task.\n", 0)
    assert (row.state, bool(row.sent_by)) == (State.SENT, True)
    assert [each["headers"]["id"] for each in waiting(app, queue)] == [row.new_id]


def test_retry__as_json(failed: Any, run_command: Run) -> None:
    row = failed()
    done = run_command("retryfailed", f"#{row.pk}", "--json")
    row.refresh_from_db()
    assert json.loads(done.out) == {
        "dry_run": False,
        "chosen": 1,
        "sent": [{"row": row.pk, "id": row.task_id, "new_id": row.new_id, "task": TOTAL}],
        "left": 0,
        "sent_elsewhere": 0,
        "refused": [],
        "in_doubt": [],
        "notes": [],
    }
    assert (done.err, done.code) == ("", 0)


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["--all"], [0, 1, 2]),
        (["--task", "total"], [0, 1]),
        (["--exception", "KeyError"], [1]),
        (["--since", "1h"], [1, 2]),
        (["--task", "total", "--since", "1h"], [1]),
    ],
)
def test_retry__of_what_is_chosen_the_oldest_first(
    app: Any, queue: str, failed: Any, run_command: Run, words: list[str], sent: list[int]
) -> None:
    now = timezone.now()
    made = [
        failed(TOTAL, failed_at=now - timedelta(hours=2)),
        failed(TOTAL, exception="builtins.KeyError"),
        failed(ECHO),
    ]
    failed(state=State.SENT)
    failed(state=State.MENDED)
    done = run_command("retryfailed", *words, "--noinput")
    old = [each["headers"]["tasktools_retry_of"] for each in waiting(app, queue)]
    assert old == [made[place].task_id for place in sent]
    assert done.code == 0


def test_dry_run__sends_nothing(app: Any, queue: str, failed: Any, run_command: Run) -> None:
    row = failed()
    done = run_command("retryfailed", "--all", "--dry-run")
    assert done.out.splitlines()[1].split() == [row.task_id, f"#{row.pk}", TOTAL]
    assert (done.err, done.code) == ("1 failed task to send.\n", 0)
    found = json.loads(run_command("retryfailed", "--all", "--dry-run", "--json").out)
    assert found["chosen"] == [{"row": row.pk, "id": row.task_id, "task": TOTAL}]
    assert found["left"] == 0
    assert waiting(app, queue) == []


@pytest.mark.parametrize(("width", "per_row"), [(120, 1), (80, 2), (60, 2), (30, 3)])
def test_terminal__one_table_of_several_batches_that_fits(
    failed: Any, monkeypatch: pytest.MonkeyPatch, width: int, per_row: int
) -> None:
    """Ids are never broken: they are to be copied."""
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [failed(TOTAL), failed(ECHO)]
    screen = Screen()
    call_command("retryfailed", "--all", "--dry-run", stdout=screen, stderr=io.StringIO())
    assert all(each.task_id in screen.getvalue() for each in rows)
    assert max(map(len, screen.getvalue().splitlines())) <= max(width, 36 + len("  "))
    screen = Screen()
    call_command("retryfailed", "--all", "--noinput", stdout=screen, stderr=io.StringIO())
    lines = screen.getvalue().splitlines()
    heads = lines.pop(0).split() if width > 36 else []
    assert heads == {120: ["ID", "NEW", "ID", "TASK"], 80: ["ID", "NEW", "ID"], 60: ["ID", "TASK"], 30: []}[width]
    assert len(lines) == per_row * len(rows)
    for row, start in zip(rows, range(0, len(lines), per_row), strict=True):
        row.refresh_from_db()
        words = " ".join(lines[start : start + per_row]).split()
        assert {row.task_id, row.new_id, row.task} <= set(words)
    assert max(map(len, lines)) <= max(width, 36 + len("  NEW ID "))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 3), ("n\n", 0), ("", 0)])
def test_question__is_asked_for_more_than_one(
    app: Any, queue: str, failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    for name in (TOTAL, TOTAL, ECHO):
        failed(name)
    monkeypatch.setattr(sys, "stdin", Person(answer))
    done = typed("retryfailed", "--all")
    assert f"Send 3 failed tasks again (2 of {TOTAL}, 1 of {ECHO})? [y/N] " in done.err
    assert (len(waiting(app, queue)), done.code) == (sent, 0 if sent else 1)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_question__if_nobody_can_answer(app: Any, queue: str, failed: Any, typed: Run, words: list[str]) -> None:
    failed()
    failed()
    done = typed("retryfailed", "--all", *words)
    assert (done.out, done.code, waiting(app, queue)) == ("", 2, [])
    assert "Nothing was sent: nobody is there to say yes." in done.err


@pytest.mark.parametrize(
    "words", [[], ["x", "--all"], ["--all", "--rate", "0"], ["--all", "--edit"], ["--all", "--edit", "--dry-run"]]
)
def test_options__that_do_not_fit(app: Any, queue: str, failed: Any, run_command: Run, words: list[str]) -> None:
    failed()
    failed()
    assert run_command("retryfailed", *words).code == 2
    assert waiting(app, queue) == []


@pytest.mark.parametrize("words", [["nonsense"], ["#0"], ["--all"], ["--task", "nonsense"]])
def test_retry__without_a_trace(run_command: Run, words: list[str]) -> None:
    done = run_command("retryfailed", *words)
    assert (done.out, done.code) == ("", 4)


def test_retry__of_one_that_was_sent_is_refused(failed: Any, run_command: Run) -> None:
    row = failed()
    run_command("retryfailed", row.task_id)
    row.refresh_from_db()
    why = f"was not sent: it was sent again by {row.sent_by} as {row.new_id}."
    for words, named in ((row.task_id, row.task_id), (row.task_id[:20], row.task_id), (f"#{row.pk}", f"#{row.pk}")):
        done = run_command("retryfailed", words)
        assert done.code == 1
        assert f"{named} {why}" in done.err.splitlines()


def test_retry__without_a_body_is_refused_and_the_others_go(failed: Any, run_command: Run) -> None:
    bare, _ = failed(), failed()
    FailedTask.objects.filter(pk=bare.pk).update(body=None)
    done = run_command("retryfailed", "--all", "--noinput", "--json")
    found = json.loads(done.out)
    assert (len(found["sent"]), [each["row"] for each in found["refused"]]) == (1, [bare.pk])
    assert "was not kept" in found["refused"][0]["reason"]
    assert done.code == 1


def test_retry__of_a_task_that_nobody_here_knows(app: Any, queue: str, failed: Any, run_command: Run) -> None:
    row = failed("gone.tasks.away")
    done = run_command("retryfailed", row.task_id)
    assert "Not registered here: gone.tasks.away. It is sent all the same: another worker may know it." in done.err
    assert (len(waiting(app, queue)), done.code) == (1, 0)


def test_retry__says_what_is_not_as_it_came(failed: Any, run_command: Run) -> None:
    row = failed(message={"expires": timezone.now() - timedelta(hours=1)})
    assert "Not as it came: it had expired at " in run_command("retryfailed", row.task_id).err


def test_rate__is_kept(failed: Any, run_command: Run) -> None:
    for _ in range(6):
        failed()
    began = time.monotonic()
    assert run_command("retryfailed", "--all", "--noinput", "--rate", "10").code == 0
    assert 0.4 <= time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("typed", "rate"), [(None, None), ("10", 10), (3, 3), ("0.5", 0.5), ("0.25", 0.25), (0.5, 0.5), ("1000000", 1e6)]
)
def test_rate__may_be_below_one(typed: Any, rate: float | None) -> None:
    assert rate_of(typed) == rate


@pytest.mark.parametrize("typed", ["", "0", "0.0", "-1", "x", ".5", "1e3", "inf", "nan", "0.000001", "٣", "1/2"])
def test_rate__that_is_none(typed: str) -> None:
    with pytest.raises(ArgumentError, match="is no number of messages a second"):
        rate_of(typed)


def test_rate__a_low_one_does_not_hold_up_a_signal(
    app: Any, queue: str, failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 0.01 the next message is due in 100 seconds."""
    failed(), failed()
    slept = []

    def pause(seconds: float) -> None:
        slept.append(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(retry_steps, "pause", pause)
    done = typed("retryfailed", "--all", "--noinput", "--rate", "0.01")
    assert (done.code, len(waiting(app, queue)), len(slept)) == (130, 1, 1)
    assert slept[0] < 1
    assert "Interrupted: 1 failed task is left." in done.err


def test_retry__goes_on_with_what_another_process_has_left(
    app: Any, queue: str, failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is one that the server does not know from another test."""
    monkeypatch.setattr(retry, "LEASE", 60.0)
    left, fresh = failed(), failed()
    rows = FailedTask.objects.filter(pk=left.pk)
    rows.update(state=State.SENDING, new_id=queue, sent_by="dead", sent_again_at=timezone.now())
    long_ago = timezone.now() - timedelta(seconds=61)
    monkeypatch.setattr(retry_steps, "pause", lambda _: rows.update(sent_again_at=long_ago))
    done = run_command("retryfailed", "--all", "--noinput")
    assert re.search(r"Another process has begun to send 1 failed task: waiting for it, \d\d s at the most\.", done.err)
    fresh.refresh_from_db()
    assert {each["headers"]["id"] for each in waiting(app, queue)} == {queue, fresh.new_id}
    assert FailedTask.objects.get(pk=left.pk).state == State.SENT
    assert done.code == 0


def test_broker__that_is_away(failed: Any, run_command: Run, elsewhere: Callable[..., str]) -> None:
    row = failed()
    done = run_command("retryfailed", row.task_id, app=elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0"))
    assert (done.out, done.code) == ("", 69)
    assert "Sent 0 failed tasks." in done.err
    row.refresh_from_db()
    assert row.state == State.FAILED


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make an editor that replaces text, once for each of the pairs; it keeps what it has seen."""

    def make(*pairs: tuple[str, str]) -> Path:
        program, seen = tmp_path / "editor.py", tmp_path / "seen"
        program.write_text(
            "import pathlib, sys\n"
            f"pairs, seen = {list(pairs)!r}, pathlib.Path({str(seen)!r})\n"
            "file = pathlib.Path(sys.argv[1])\n"
            "before = seen.read_text().split('\\0') if seen.exists() else []\n"
            "old, new = pairs[len(before)] if len(before) < len(pairs) else ('', '')\n"
            "seen.write_text('\\0'.join([*before, file.read_text()]))\n"
            "file.write_text(file.read_text().replace(old, new) if old else file.read_text())\n"
        )
        monkeypatch.setenv("VISUAL", f"{sys.executable} {program}")
        return seen

    return make


def body(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


def test_edit__sends_the_other_arguments(
    app: Any, queue: str, failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    row = failed(TOTAL, 1, 2)
    seen = editor(("1,", "41,"))
    done = typed("retryfailed", row.task_id, "--edit")
    assert json.loads(seen.read_text()) == {"args": [1, 2], "kwargs": {}}
    (message,) = waiting(app, queue)
    assert body(message) == [[41, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    assert message["headers"]["argsrepr"] == "(41, 2)"
    assert done.code == 0
    assert FailedTask.objects.get(pk=row.pk).arguments == row.arguments


def test_edit__the_row_still_has_what_failed(
    failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is the record of what went wrong: it says both, what failed and what was sent in its place."""
    monkeypatch.setattr(sys, "stdin", Person(""))
    row = failed(TOTAL, 1, 2)
    before = json.loads(typed("showfailed", row.task_id, "--body", "--json").out)
    editor(("1,", "41,"))
    assert typed("retryfailed", row.task_id, "--edit").code == 0
    after = json.loads(typed("showfailed", row.task_id, "--body", "--json").out)
    same = ("arguments", "message", "body", "body_form")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert (before["is_edited"], before["sent_body"]) == (False, None)
    assert (after["is_edited"], json.loads(after["sent_body"])[0]) == (True, [41, 2])
    masked = json.loads(typed("showfailed", row.task_id, "--json").out)
    assert (masked["is_edited"], masked["body"], masked["sent_body"]) == (True, None, None)
    text = typed("showfailed", row.task_id, "--body").out
    assert re.search(r"^Sent again +as .* with other arguments$", text, re.MULTILINE)
    assert f"\nBody\n  {before['body']}\n\nBody that was sent\n  {after['sent_body']}\n" in text


def test_edit__what_could_not_be_sent_is_as_it_was(
    failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    row = failed(TOTAL, 1, 2)
    editor(("1,", "41,"))

    def refusing(self: Any, messages: Any, places: Any, done: Any, is_late: Any) -> None:
        done.unsent, done.error = list(places), Unreachable("The broker is gone.")

    monkeypatch.setattr(Sender, "_send_once", refusing)
    assert typed("retryfailed", row.task_id, "--edit").code == 69
    after = FailedTask.objects.get(pk=row.pk)
    assert (after.state, after.message, bytes(after.body)) == (State.FAILED, row.message, bytes(row.body))


@pytest.mark.parametrize(
    ("answer", "words", "sent"), [("y\n", [], 1), ("n\n", [], 0), ("", [], 0), ("", ["--noinput"], 1)]
)
def test_edit__unchanged_text_is_sent_only_if_that_is_meant(
    app: Any,
    queue: str,
    failed: Any,
    typed: Run,
    editor: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    words: list[str],
    sent: int,
) -> None:
    """Who leaves an editor without a change mostly has changed his mind."""
    monkeypatch.setattr(sys, "stdin", Person(answer))
    row = failed(TOTAL, 1, 2)
    editor()
    done = typed("retryfailed", row.task_id, "--edit", *words)
    assert ("The arguments are unchanged. Send it as it came? [y/N] " in done.err) == (not words)
    assert [base64.b64decode(each["body"]) for each in waiting(app, queue)] == [bytes(row.body)] * sent
    assert ("Nothing was sent." in done.err, done.code) == (not sent, 0 if sent else 1)


@pytest.mark.parametrize("key", [signal.SIGINT, signal.SIGQUIT])
def test_edit__keys_that_end_a_process_are_the_editors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: signal.Signals
) -> None:
    """A terminal sends them to both; the editor itself gets them as any program that it starts."""
    program = tmp_path / "editor.py"
    program.write_text(
        "import os, pathlib, signal, sys\n"
        f"os.kill(os.getppid(), {int(key)})\n"
        f"is_free = signal.getsignal({int(key)}) is not signal.SIG_IGN\n"
        "pathlib.Path(sys.argv[1]).write_text(f'typed {is_free}')\n"
    )
    monkeypatch.setenv("VISUAL", f"{sys.executable} {program}")
    before = signal.signal(key, _fail)
    try:
        assert edit("{}") == "typed True"
        assert signal.getsignal(key) is _fail
    finally:
        signal.signal(key, before)


def _fail(*_: object) -> None:
    raise AssertionError("the signal has reached the command")


def test_edit__asks_again_after_an_error(
    app: Any, queue: str, failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Person("y\ny\ny\n"))
    row = failed(TOTAL, 1, 2)
    seen = editor(("}", ""), ("{", '{"args": [41], "kwargs": {}, "more": {'), ("{", "{}}"))
    done = typed("retryfailed", row.task_id, "--edit")
    assert done.err.count("Edit it again?") == 4
    assert "The text is no JSON: " in done.err
    assert len(seen.read_text().split("\0")) == 4
    assert (done.code, waiting(app, queue)) == (2, [])
    row.refresh_from_db()
    assert row.state == State.FAILED


@pytest.mark.parametrize(
    "text", ["", "[]", '{"args": []}', '{"args": {}, "kwargs": {}}', '{"args": [], "kwargs": []}', "[" * 5000]
)
def test_edit__text_of_another_form(app: Any, failed: Any, text: str) -> None:
    row = failed(TOTAL, 1, 2)
    arguments = Arguments(Kept.read(row.message, row.body))
    with pytest.raises(ArgumentError):
        arguments.edited(text, app, TOTAL)


def test_edit__keeps_what_kombu_writes_for_times(app: Any, queue: str, failed: Any) -> None:
    row = failed(ECHO, timezone.now())
    arguments = Arguments(Kept.read(row.message, row.body))
    assert arguments.edited(arguments.text(), app, ECHO) is None
    edited = arguments.edited(arguments.text().replace("datetime", "date"), app, ECHO)
    assert edited is not None
    assert edited.after.body == bytes(row.body).replace(b"datetime", b"date")


def test_edit__arguments_that_the_task_does_not_take(
    app: Any, queue: str, failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Person("n\n"))
    row = failed(ECHO, 1)
    editor(('"kwargs": {}', '"kwargs": {"nonsense": 1}'))
    done = typed("retryfailed", row.task_id, "--edit")
    assert f'{ECHO} takes no keyword "nonsense".' in done.err
    assert (done.code, waiting(app, queue)) == (2, [])


def test_edit__without_a_person(failed: Any, typed: Run) -> None:
    row = failed()
    done = typed("retryfailed", row.task_id, "--edit", "--json")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("command", ["/nonexistent/editor", "false", "'"])
def test_edit__an_editor_that_fails(
    app: Any, queue: str, failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    monkeypatch.setenv("VISUAL", command)
    row = failed()
    done = typed("retryfailed", row.task_id, "--edit")
    assert (done.code, waiting(app, queue)) == (2, [])
    assert "The editor" in done.err


def test_edit__leaves_no_file(
    failed: Any, typed: Run, editor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    editor()
    typed("retryfailed", failed().task_id, "--edit")
    assert [each for each in os.listdir(tmp_path) if each.startswith("arguments-")] == []


@pytest.mark.parametrize("text", [b"\xff", b"[1]", b'"x"', b"", None])
def test_edit__a_message_without_arguments(failed: Any, text: bytes | None) -> None:
    kept = Kept.read(failed().message, text)
    with pytest.raises(ArgumentError, match="The arguments cannot be edited"):
        Arguments(kept)


def test_edit__a_pickled_message_is_not_read(app: Any, failed: Any, tmp_path: Path) -> None:
    """Reading it may run code."""
    touched = tmp_path / "touched"
    code = f"cbuiltins\nopen\n(V{touched}\nVw\ntR.".encode()
    kept = replace(Kept.read(failed().message, code), content_type="application/x-python-serialize")
    with pytest.raises(ArgumentError, match="pickled"):
        Arguments(kept)
    assert not touched.exists()


def test_edit__of_the_first_protocol(app: Any, failed: Any) -> None:
    body = b'{"task": "add", "id": "1", "args": [1], "kwargs": {}, "retries": 0}'
    arguments = Arguments(replace(Kept.read(failed().message, body), headers={}))
    edited = arguments.edited(arguments.text().replace("1", "2"), app, "nobody.knows.it")
    assert edited is not None
    assert edited.after.body == body.replace(b"[1]", b"[2]")


def test_edit__by_another_serializer(app: Any, failed: Any) -> None:
    register("mine", lambda value: json.dumps(value)[::-1], lambda text: json.loads(text[::-1]), "x/mine", "utf-8")
    try:
        kept = replace(Kept.read(failed().message, b"[[1], {}, {}]"[::-1]), content_type="x/mine")
        arguments = Arguments(kept)
        edited = arguments.edited(arguments.text().replace("1", "2"), app, ECHO)
    finally:
        unregister("mine")
    assert edited is not None
    assert edited.after.body == b"[[2], {}, {}]"[::-1]
    with pytest.raises(ArgumentError, match="The arguments cannot be edited"):
        Arguments(kept)


def test_edit__of_one_that_was_sent(failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    row = failed(state=State.SENT, new_id="new")
    done = typed("retryfailed", f"#{row.pk}", "--edit")
    assert (done.code, done.err.splitlines()[0]) == (2, f"#{row.pk} was sent again as new.")


def test_edit__of_a_message_that_cannot_be_read(failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Person(""))
    row = failed(message=None)
    FailedTask.objects.update(message="nonsense")
    done = typed("retryfailed", f"#{row.pk}", "--edit")
    assert (done.code, done.err.splitlines()[0]) == (2, "Its message cannot be read in the table.")
    assert "its message cannot be read in the table" in typed("retryfailed", f"#{row.pk}").err


def test_interrupted__between_two_batches(
    app: Any, queue: str, failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [failed() for _ in range(3)]
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    send = retry_steps.Retrier.send

    def interrupted(self: Any, ids: Any, edited: Any = None) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return send(self, ids, edited)

    monkeypatch.setattr(retry_steps.Retrier, "send", interrupted)
    done = typed("retryfailed", "--all", "--noinput")
    assert (done.code, len(done.out.splitlines()), len(waiting(app, queue))) == (130, 2, 1)
    assert done.err.splitlines()[-2:] == [
        "Sent 1 failed task.",
        "Interrupted: 2 failed tasks are left. The same command, run again, goes on with what is left.",
    ]
    states = list(FailedTask.objects.order_by("pk").values_list("state", flat=True))
    assert states == [State.SENT, State.FAILED, State.FAILED]
    assert rows[0].task_id in done.out


def test_progress__is_noted_now_and_then(failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    monkeypatch.setattr(retry_steps, "PERIOD", 0)
    failed()
    failed()
    err = run_command("retryfailed", "--all", "--noinput").err
    assert err.splitlines() == ["1 of 2 sent.", "2 of 2 sent.", "Sent 2 failed tasks."]


def test_error__in_the_middle_is_counted_as_json(
    failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    for _ in range(3):
        failed()

    def gone(self: Any, messages: Any, places: Any, done: Any, is_late: Any) -> None:
        done.unsent, done.error = list(places), Unreachable("The broker is gone.")

    monkeypatch.setattr(Sender, "_send_once", gone)
    done = run_command("retryfailed", "--all", "--noinput", "--json")
    document = json.loads(done.out)
    assert (document["chosen"], document["sent"], document["left"]) == (3, [], 3)


def test_error__in_the_middle_prints_what_was_sent(
    app: Any, queue: str, failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    rows = [failed() for _ in range(3)]
    send, calls = Sender._send_once, [0]

    def breaking(self: Any, messages: Any, places: Any, done: Any, is_late: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            done.unsent, done.error = list(places), Unreachable("The broker is gone.")
        else:
            send(self, messages, places, done, is_late)

    monkeypatch.setattr(Sender, "_send_once", breaking)
    done = run_command("retryfailed", "--all", "--noinput")
    assert (done.code, len(done.out.splitlines()), len(waiting(app, queue))) == (69, 2, 1)
    assert "Sent 1 failed task.\n2 failed tasks are left.\n" in done.err
    assert "The broker is gone." in done.err
    rows[1].refresh_from_db()
    assert rows[1].state == State.FAILED


def test_retry__another_process_takes_over_what_was_left(
    app: Any, queue: str, failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is quicker, and still at work: this one waits for it."""
    row = failed()
    long_ago = timezone.now() - timedelta(minutes=5)
    FailedTask.objects.filter(pk=row.pk).update(state=State.SENDING, new_id=queue, sent_again_at=long_ago)
    take_over, looks = claims.take_over, [0]

    def overtaken(*given: Any) -> Any:
        FailedTask.objects.filter(pk=row.pk).update(sent_again_at=timezone.now())
        return take_over(*given)

    def pause(seconds: float) -> None:
        looks[0] += 1
        if looks[0] == 3:
            FailedTask.objects.filter(pk=row.pk).update(state=State.SENT)

    monkeypatch.setattr(claims, "take_over", overtaken)
    monkeypatch.setattr(retry_steps, "pause", pause)
    done = run_command("retryfailed", "--all")
    assert (done.code, looks[0], waiting(app, queue)) == (0, 3, [])
    assert "Sent 0 failed tasks. Another process has sent 1." in done.err


def test_left__is_without_what_another_process_has_sent_meanwhile(
    queue: str, failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = failed(), failed()
    mine = FailedTask.objects.filter(pk__in=(gone.pk, stays.pk))
    mine.update(state=State.SENDING, sent_again_at=timezone.now())
    failed()

    def pause(seconds: float) -> None:
        FailedTask.objects.filter(pk=gone.pk).update(state=State.SENT)
        FailedTask.objects.filter(pk=stays.pk).update(state=State.FAILED)

    monkeypatch.setattr(retry_steps, "pause", pause)
    document = json.loads(run_command("retryfailed", "--all", "--noinput", "--json").out)
    assert (document["left"], document["sent_elsewhere"], len(document["sent"])) == (1, 1, 1)


def test_left__counts_each_row_once(failed: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes after another process's row was finished, and before that is sorted out."""
    row, _ = failed(), failed()
    send = retry_steps.Retrier.send

    def overtaken(self: Any, ids: Any, edited: Any = None) -> Any:
        done = send(self, ids, edited)
        done.elsewhere = [(row.pk, "another process sends it")] * 2
        return done

    def gone(*_: Any) -> Any:
        raise Unreachable("The database is gone.")

    monkeypatch.setattr(retry_steps.Retrier, "send", overtaken)
    monkeypatch.setattr(retry_steps.Retry, "_finish", gone)
    done = run_command("retryfailed", "--all", "--noinput", "--json")
    document = json.loads(done.out)
    assert (done.code, document["left"], document["sent_elsewhere"], len(document["sent"])) == (69, 0, 0, 2)


def test_interrupted__a_second_signal_ends_a_batch(failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_AT_ONCE", 0)
    failed()

    def blocked(self: Any, ids: Any, edited: Any = None) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("It goes on.")

    monkeypatch.setattr(retry_steps.Retrier, "send", blocked)
    done = typed("retryfailed", "--all", "--noinput")
    assert (done.code, done.err.splitlines()[-2]) == (130, "Sent 0 failed tasks.")
    assert done.err.splitlines()[-1].startswith("Interrupted: 1 failed task is left.")


def test_interrupted__an_error_is_printed_too(failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a driver waits, Python hears of a signal only when that ends."""
    failed()

    def locked(self: Any, ids: Any, edited: Any = None) -> Any:
        signal.raise_signal(signal.SIGTERM)
        raise Unreachable("The database is locked.")

    monkeypatch.setattr(retry_steps.Retrier, "send", locked)
    done = typed("retryfailed", "--all", "--noinput")
    assert done.code == 130
    assert "The database is locked.\nInterrupted: 1 failed task is left." in done.err


def test_interrupted__that_cannot_end_prints_what_was_sent(
    failed: Any, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database blocks in the second batch, and a second signal comes."""
    given_up: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def postponed(note: Any, *, is_ours: bool, give_up: Callable[[], None]) -> Iterator[None]:
        given_up.append(give_up)
        yield
        given_up[0]()

    monkeypatch.setattr(retry_steps, "postponed", postponed)
    failed()
    done = typed("retryfailed", "--all", "--noinput", "--json")
    first = json.JSONDecoder().raw_decode(done.out)[0]
    assert (len(first["sent"]), first["left"], done.code) == (1, 0, 130)


def test_take_over__reads_no_further_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(claims, "batches", lambda late, size: (read.append(each) or [each] for each in late))
    run: Any = SimpleNamespace(done=Retried(), is_interrupted=False, again=False)
    run._add = run.done.add
    retrier: Any = SimpleNamespace(finish=lambda some, again: Retried(error=Unreachable("It is gone.")))
    retry_steps.Retry._take_over(run, retrier, [1, 2, 3])
    assert read == [1]
