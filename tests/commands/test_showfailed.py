"""showfailed shows what failed: a table, groups, all of one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.management import call_command

from tasktools.failures.message import Kept
from tasktools.management.failed_one import folded
from tasktools.models import FailedTask, State
from tasktools.render import cells
from tests.conftest import Ran
from tests.failed import fail
from tests.hostile import HOSTILE, active, forged

Run = Callable[..., Ran]

pytestmark = pytest.mark.django_db

ADD, NOTE = "shop.tasks.add", "shop.tasks.note"
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def row(task: str = ADD, task_id: str = "id-1", **fields: Any) -> FailedTask:
    message = Kept(
        headers={"task": task, "id": task_id},
        properties={"correlation_id": task_id},
        delivery_info={"exchange": "", "routing_key": "celery"},
        content_type="application/json",
        content_encoding="utf-8",
        body=b'[["secret"], {}, {}]',
    )
    return fail(message, **{"queue": "celery", "arguments": '{"args": [2, 2], "kwargs": {}}', **fields})


def test_table__has_what_failed_the_newest_first(run_command: Run) -> None:
    row(task_id="old", failed_at=NOW - timedelta(hours=2))
    row(NOTE, "new", exception="shop.errors.Empty", reason="no\nnote")
    row(task_id="sent", state=State.SENT)
    row(task_id="sending", state=State.SENDING, failed_at=NOW - timedelta(hours=3))
    done = run_command("showfailed")
    heads, *lines = done.out.splitlines()
    assert heads.split()[:5] == ["ROW", "FAILED", "AT", "TASK", "WHY"]
    assert heads.split()[5:] == ["STATE", "ID", "QUEUE", "HOW", "EARLIER", "WORKER"]
    assert [each.split()[0] for each in lines] == [
        f"#{FailedTask.objects.get(task_id=each).pk}" for each in ("new", "old", "sending")
    ]
    assert "  Empty: no note  " in lines[0]
    assert (done.err, done.code) == ("", 0)


def test_table__has_a_limit(run_command: Run) -> None:
    for number in range(3):
        row(task_id=f"id-{number}")
    done = run_command("showfailed", "--limit", "2")
    assert len(done.out.splitlines()) == 3
    assert done.err == "There is one more: --limit shows them, --group counts them.\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["add"], ["add"]),
        (["shop.tasks.note"], ["note"]),
        (["shop.*"], ["note", "add"]),
        (["--task", "note"], ["note"]),
        (["--task", "tasks.add"], ["add"]),
        (["--task", "*.add"], ["add"]),
        (["--exception", "Empty"], ["note"]),
        (["--exception", "shop.errors.Empty"], ["note"]),
        (["--since", "1h"], ["note"]),
        (["--since", "90"], ["note"]),
        (["--until", "1h"], ["add"]),
        (["--since", "2000-01-01", "--until", "2000-01-02"], None),
        (["--since", "2000-01-01"], ["note", "add"]),
        (["--state", "mended"], ["mended"]),
        (["--state", "all"], ["note", "add", "mended"]),
        (["nonsense"], None),
        (["--task", "nonsense"], None),
        (["--exception", "Nonsense"], None),
        (["#0"], None),
        (["#x"], None),
    ],
)
def test_choice__of_rows(run_command: Run, words: list[str], found: list[str] | None) -> None:
    row(ADD, "id-add", failed_at=NOW - timedelta(hours=2))
    row(NOTE, "id-note", exception="shop.errors.Empty")
    row("other", "id-mended", state=State.MENDED, failed_at=NOW - timedelta(hours=3))
    done = run_command("showfailed", *words, "--json")
    if found is None:
        assert done.code == 4
        assert "Hint: " in done.err
        return
    assert [each["id"] for each in json.loads(done.out)] == [f"id-{each}" for each in found]
    assert done.code == 0


def test_nothing__has_failed(run_command: Run) -> None:
    assert run_command("showfailed") == Ran("", "No failed task is recorded.\n", 0)
    assert run_command("showfailed", "--json") == Ran("[]\n", "", 0)


@pytest.mark.parametrize(
    ("words", "err", "code"),
    [
        ([], "No failed task is open (failed or sending): 2 are in another state.\nHint: --state all shows them\n", 0),
        (
            ["--group"],
            "No failed task is open (failed or sending): 2 are in another state.\nHint: --state all shows them\n",
            0,
        ),
        (
            ["--state", "sent"],
            'No failed task is in the state "sent": 2 are in another state.\nHint: --state all shows them\n',
            0,
        ),
        (
            ["add"],
            "No failed task like that is open (failed or sending): 1 is in another state.\nHint: --state all shows it\n",
            4,
        ),
        (
            ["--task", "note", "--state", "failed"],
            'No failed task like that is in the state "failed": 1 is in another state.\nHint: --state all shows it\n',
            4,
        ),
        (
            ["--since", "1m", "--until", "2100-01-01", "--task", "add"],
            "No failed task is like that.\nHint: manage.py showfailed --state all --group counts all of them\n",
            4,
        ),
    ],
)
def test_nothing__open_but_there_are_others(run_command: Run, words: list[str], err: str, code: int) -> None:
    """It said that no failed task was recorded when all had been sent again."""
    row(ADD, "id-add", state=State.MENDED, failed_at=NOW - timedelta(hours=2))
    row(NOTE, "id-note", state=State.MENDED)
    done = run_command("showfailed", *words)
    assert (done.out, f"{done.err.rstrip()}\n", done.code) == ("", err, code)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, width: int, *words: str) -> list[str]:
    """Return what the command draws in a terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    call_command("showfailed", *words, stdout=screen, stderr=io.StringIO())
    return screen.getvalue().rstrip("\n").splitlines()


WORDS = "word " * 60


@pytest.mark.parametrize("reason", [WORDS, "word " * 12, "字" * 200, "x" * 300])
@pytest.mark.parametrize("width", [70, 80, 100, 140, 200, 300])
def test_terminal__why_is_cut_to_the_room_there_is(monkeypatch: pytest.MonkeyPatch, width: int, reason: str) -> None:
    """It was cut at 60 characters, and then wrapped: rows of two lines with room to the right."""
    row(task_id="219acb28-bca4-49af-954e-4f36ba7f33da", reason=reason)
    _, heads, _, *lines = drawn(monkeypatch, width)
    assert len(lines) == 1, lines
    assert cells(lines[0]) <= width
    assert ("…" in lines[0]) == (reason != "word " * 12 or width < 300)
    if "…" in lines[0]:
        assert max(cells(heads), cells(lines[0])) >= width - 6


def test_terminal__not_one_gets_all_of_why(run_command: Run) -> None:
    row(reason=WORDS)
    assert f"  ValueError: {WORDS.strip()}  " in run_command("showfailed").out


def test_terminal__a_state_that_was_asked_for_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    row(reason=WORDS, state=State.MENDED)
    assert " STATE" in drawn(monkeypatch, 80, "--state", "all")[1]
    (line,) = drawn(monkeypatch, 80, "--state", "all")[3:]
    assert "mended" in line


@pytest.mark.parametrize("width", [40, 80])
def test_terminal__long_lines_of_one_go_on_as_far_in_as_they_began(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    row(task_id="219acb28", reason=WORDS, traceback="", arguments=f"{WORDS}\n{'y' * 200}\n{'字' * 100}")
    lines = drawn(monkeypatch, width, "219acb28")
    assert max(map(cells, lines)) <= width
    titles = ("Row", "Task", "Id", "State", "How", "Exception", "Reason", "Failed at", "Queue", "Worker")
    titles = (*titles, "Arguments", "Message", "Body")
    assert all(not line or line.startswith(("  ", *titles)) for line in lines)
    assert " ".join(" ".join(lines).split()).count("word") == 120
    assert sum(line.count("y") for line in lines if set(line.strip()) == {"y"}) == 200


@pytest.mark.parametrize("width", [40, 80])
def test_terminal__a_traceback_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """`File` ended a line, and its path began the next one."""
    place = f'  File "/srv/{"long/" * 20}shop/tasks.py", line 12, in add'
    traceback = ["Traceback (most recent call last):", place, f"    return {WORDS}", f"ValueError: {WORDS.strip()}"]
    row(task_id="219acb28", reason="short", traceback="\n".join(traceback), arguments="[]")
    lines = drawn(monkeypatch, width, "219acb28")
    begin = lines.index("Traceback") + 1
    assert lines[begin : begin + 4] == [f"  {each}".rstrip() for each in traceback]
    assert lines[begin + 4 : begin + 6] == ["", "Message"]


@pytest.mark.parametrize("text", ["x" * 2_000_000, "字" * 500_000, "  " + "a字 " * 300_000, "e\u0301" * 500])
def test_folded__has_all_of_a_long_line(text: str) -> None:
    """A body may have megabytes: each of its lines looks at its own part only."""
    parts = folded(text, 78)
    assert max(map(cells, parts)) <= 78
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_group__counts_by_task_and_exception(run_command: Run) -> None:
    row(task_id="1", failed_at=NOW - timedelta(hours=2))
    row(task_id="2", failed_at=NOW - timedelta(hours=1))
    row(NOTE, "3")
    heads, first, second = run_command("showfailed", "--group").out.splitlines()
    assert heads.split() == ["COUNT", "LAST", "TASK", "EXCEPTION", "FIRST"]
    assert (first.split()[0], first.split()[3]) == ("1", NOTE)
    assert (second.split()[0], second.split()[3:5]) == ("2", [ADD, "builtins.ValueError"])
    groups = json.loads(run_command("showfailed", "--group", "--json").out)
    assert [(each["task"], each["exception"], each["count"]) for each in groups] == [
        (NOTE, "builtins.ValueError", 1),
        (ADD, "builtins.ValueError", 2),
    ]
    assert datetime.fromisoformat(groups[1]["last_at"]) == NOW - timedelta(hours=1)
    assert datetime.fromisoformat(groups[1]["first_at"]) == NOW - timedelta(hours=2)


@pytest.mark.parametrize("typed", ["219acb28-bca4", "219a", "#"])
def test_one__by_its_id_or_the_beginning_or_the_row(run_command: Run, typed: str) -> None:
    made = row(task_id="219acb28-bca4", retries=3)
    row(task_id="other")
    done = run_command("showfailed", f"#{made.pk}" if typed == "#" else typed)
    fields = {
        line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in done.out.splitlines() if "  " in line.strip()
    }
    assert (fields["Id"], fields["How"]) == ("219acb28-bca4", "it raised an exception")
    assert (fields["Reason"], fields["Retries"], fields["Queue"]) == ("nothing works", "3", "celery")
    for text in ('{"args": [2, 2], "kwargs": {}}', "ValueError: nothing works"):
        assert f"  {text}\n" in done.out
    assert done.code == 0


def test_one__by_its_row_without_the_sign_that_begins_a_comment(run_command: Run) -> None:
    made, other = row(task_id="219acb28"), row(task_id="77")
    assert json.loads(run_command("showfailed", str(made.pk), "--json").out)["id"] == "219acb28"
    FailedTask.objects.filter(pk=other.pk).update(id=2190)
    assert json.loads(run_command("showfailed", "2190", "--json").out)["id"] == "77"
    row(task_id="2190cb28")
    assert json.loads(run_command("showfailed", "2190", "--json").out)["id"] == "2190cb28"
    assert json.loads(run_command("showfailed", "#2190", "--json").out)["id"] == "77"
    assert run_command("showfailed", "999999999999999999999").code == 4
    row(f"shop.tasks.report{made.pk}", "other")
    assert json.loads(run_command("showfailed", str(made.pk), "--json").out)["id"] == "219acb28"


def test_one__as_json(run_command: Run) -> None:
    made = row(task_id="219acb28")
    found = json.loads(run_command("showfailed", "219acb28", "--body", "--json").out)
    assert (found["row"], found["how"], found["arguments"]) == (made.pk, "raised", {"args": [2, 2], "kwargs": {}})
    assert (found["body"], found["body_form"]) == ('[["secret"], {}, {}]', "utf-8")
    assert found["message"]["headers"] == {"task": ADD, "id": "219acb28"}
    assert [each["row"] for each in found["history"]] == [made.pk]


def test_one__the_beginning_of_several(run_command: Run) -> None:
    row(task_id="219acb28")
    row(task_id="219acb29")
    done = run_command("showfailed", "219a")
    assert (done.out, done.code) == ("", 2)
    assert done.err.splitlines() == [
        '"219a" is the beginning of several ids.',
        "Hint: type more of it: 219acb28, 219acb29",
    ]


def test_one__its_history(run_command: Run) -> None:
    first = row(task_id="one", new_id="two", state=State.SENT, sent_by="ann", sent_again_at=NOW)
    second = row(task_id="two", retry_of="one", new_id="three", state=State.SENT)
    third = row(task_id="three", retry_of="two", state=State.MENDED, mended_at=NOW)
    for task_id in ("one", "two", "three"):
        found = json.loads(run_command("showfailed", task_id, "--json").out)
        assert [each["row"] for each in found["history"]] == [first.pk, second.pk, third.pk]
    text = run_command("showfailed", "one").out
    assert f"#{first.pk} " in text.partition("\nHistory\n")[2]
    assert "as two by ann" in text


def test_one__whose_message_cannot_be_read(run_command: Run) -> None:
    row(task_id="odd1")
    FailedTask.objects.update(message="nonsense", body=b"\xff\x00", kind="new", arguments="")
    done = run_command("showfailed", "odd1", "--body")
    assert "(cannot be read in the table)" in done.out
    assert "  ff00\n" in done.out
    found = json.loads(run_command("showfailed", "odd1", "--body", "--json").out)
    assert (found["message"], found["body"], found["body_form"], found["arguments"]) == (None, "ff00", "hex", None)


def test_one__without_a_body(run_command: Run) -> None:
    row(task_id="bare")
    FailedTask.objects.update(body=None)
    assert "  (not kept)\n" in run_command("showfailed", "bare").out
    assert json.loads(run_command("showfailed", "bare", "--json").out)["body"] is None


def test_hostile__text_is_harmless(run_command: Run) -> None:
    text = HOSTILE.replace("\0", "").encode("utf-8", "replace").decode()
    values = {"reason": text, "exception": text, "worker": text, "queue": text, "traceback": text, "arguments": text}
    row(text, "hostile1", **values)
    for words in ([], ["--group"], ["hostile1"], ["--json"], ["hostile1", "--json"]):
        done = run_command("showfailed", *words)
        assert active(done.out.replace("\n", "")) == []
        assert forged(done.out) == []
        assert done.code == 0


def test_table__that_is_missing(run_command: Run, transactional_db: None) -> None:
    call_command("migrate", "tasktools", "zero", verbosity=0)
    try:
        for words in (["showfailed"], ["showfailed", "x"], ["forgetfailed", "--all", "--noinput"]):
            done = run_command(*words)
            assert (done.out, done.code) == ("", 2)
            assert done.err.startswith('The table of failed tasks is not in the database "default".')
            assert done.err.splitlines()[1] == "Hint: python manage.py migrate tasktools"
    finally:
        call_command("migrate", "tasktools", verbosity=0)


@pytest.mark.parametrize("words", [["--limit", "0"], ["--since", "nonsense"], ["--since", "1h", "--until", "2h"]])
def test_options__that_cannot_be_read(run_command: Run, words: list[str]) -> None:
    done = run_command("showfailed", *words)
    assert (done.out, done.code) == ("", 2)


def test_times__of_a_project_without_time_zones(run_command: Run, settings: Any) -> None:
    settings.USE_TZ = False
    now = datetime.now()  # noqa: DTZ005 - as Django does without USE_TZ
    row(task_id="old1", failed_at=now - timedelta(hours=2))
    row(task_id="new1", failed_at=now)
    found = json.loads(run_command("showfailed", "--since", "1h", "--json").out)
    assert [each["id"] for each in found] == ["new1"]
    assert datetime.fromisoformat(found[0]["failed_at"]).tzinfo is not None
    assert run_command("showfailed", "--group").code == 0
    assert run_command("showfailed", "new1").code == 0


@pytest.mark.parametrize("words", [["showfailed"], ["retryfailed"], ["forgetfailed", "--noinput"]])
def test_one__an_id_that_is_no_utf_8(run_command: Run, words: list[str]) -> None:
    """As the system hands over the byte ff."""
    row(task_id="abcd1")
    done = run_command(words[0], "abcd\udcff", *words[1:])
    assert (done.out, done.code) == ("", 4)
    assert len(done.err.splitlines()) == 2
    assert FailedTask.objects.count() == 1


def test_one__the_body_is_shown_if_asked_for(run_command: Run) -> None:
    """It holds the arguments unmasked, and so do two of the headers."""
    message = Kept(
        headers={"task": ADD, "id": "mask1", "argsrepr": "('secret',)", "kwargsrepr": "{'secret': 1}"},
        properties={},
        delivery_info={},
        content_type="application/json",
        content_encoding="utf-8",
        body=b'[["secret"], {}, {}]',
    )
    fail(message, arguments='{"args": ["**"], "kwargs": {}}')
    for words in ([], ["--json"]):
        assert "secret" not in run_command("showfailed", "mask1", *words).out
        whole = run_command("showfailed", "mask1", "--body", *words).out
        assert whole.count("secret") == 3
    assert "  20 bytes: --body prints them" in run_command("showfailed", "mask1").out
    found = json.loads(run_command("showfailed", "mask1", "--json").out)
    assert (found["body"], found["body_form"], found["body_size"]) == (None, None, 20)


def test_one__a_long_body_is_cut_for_a_person(run_command: Run) -> None:
    row(task_id="long1")
    FailedTask.objects.update(body=b"x" * 30_000)
    text = run_command("showfailed", "long1", "--body").out
    assert "x" * 20_000 + "… (30,000 characters: --json prints all of them)" in text
    assert len(json.loads(run_command("showfailed", "long1", "--body", "--json").out)["body"]) == 30_000


def test_body__without_an_id(run_command: Run) -> None:
    row()
    done = run_command("showfailed", "--body")
    assert (done.out, done.code) == ("", 2)
