"""showschedule shows the entries of the scheduler in use, and which beat is in charge."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from celery.schedules import BaseSchedule, crontab
from django.core.management import call_command

from tasktools.beat.records import CHARGE, ENTRY, Beat, LastRun, field_of, key_of, lease_of
from tasktools.beat.version import schedule_digest
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.redis_lease import RedisLease
from tests.conftest import Ran
from tests.support import refusing_port, silent_port

Run = Callable[..., Ran]

TASK = "tests.site.tasks.total"
NOBODY = "No beat is in charge: nothing is sent.\n"
LATE = timedelta(seconds=130)

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def schedule(app: Any) -> Iterator[Callable[..., None]]:
    """Change the schedule of the suite's app."""
    before, expires = app.conf.beat_schedule, app.conf.result_expires

    def change(**entries: Any) -> None:
        app.conf.result_expires = None  # no celery.backend_cleanup
        app.conf.beat_schedule = {
            name: {"task": TASK, "args": (1,), **(each if isinstance(each, dict) else {"schedule": each})}
            for name, each in entries.items()
        }

    yield change
    app.conf.beat_schedule, app.conf.result_expires = before, expires


@pytest.fixture
def keys(app: Any) -> Iterator[Keys]:
    """The keys of the suite's broker, where nothing of a beat is left afterwards."""
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        found = Keys(connection.default_channel)
        yield found
        names = [found.full(name) for name in (key_of(app), lease_of(app), f"{lease_of(app)}:standing-by")]
        found.client.delete(*names)


@pytest.fixture
def keep(app: Any, keys: Keys) -> Callable[..., None]:
    """Keep a last run of an entry, as beat does."""

    def write(name: str, ago: timedelta, count: int = 3, task_id: str = "an-id") -> None:
        run = LastRun(at=datetime.now(timezone.utc) - ago, count=count, task_id=task_id)
        keys.client.hset(keys.full(key_of(app)), ENTRY + name, run.text())

    return write


def document(done: Ran) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_showschedule__as_text(schedule: Any, keep: Any, run_command: Run) -> None:
    options = {"queue": "slow", "expires": 90}
    schedule(nightly={"schedule": crontab("30", "2"), "options": options}, often={"schedule": 60, "kwargs": {"y": 5}})
    keep("often", timedelta(seconds=10))
    done = run_command("showschedule")
    heads, *rows = done.out.splitlines()
    assert heads.split("  ")[0] == "ENTRY"
    assert " ".join(heads.split()) == "ENTRY WHEN NEXT LAST RUN RUNS CALLS QUEUE EXPIRES SOURCE LAST ID"
    nightly, often = (" ".join(row.split()) for row in rows)
    assert nightly.startswith("nightly at 02:30 every day ")
    assert nightly.endswith(f" never 0 {TASK}(1) slow 1 min 30 s code")
    assert often.startswith("often every 1 min ")
    assert ", in 50 s " in often or ", in 49 s " in often
    assert often.endswith(f" ago 3 {TASK}(1, y=5) celery code an-id")
    assert (done.err, done.code) == (NOBODY, 0)


def test_showschedule__as_json(schedule: Any, keep: Any, run_command: Run) -> None:
    schedule(often={"schedule": 60, "options": {"expires": 90}})
    keep("often", timedelta(seconds=10))
    done = run_command("showschedule", "--next", "2", "--json")
    found = document(done)
    [entry] = found.pop("entries")
    scheduler = "tasktools.beat.scheduler:Scheduler"
    assert found == {"in_charge": None, "standing_by": [], "is_known": True, "scheduler": scheduler}
    times = [datetime.fromisoformat(each["at"]) for each in entry.pop("next")]
    last = datetime.fromisoformat(entry.pop("last_run"))
    assert [round((each - last).total_seconds()) for each in times] == [60, 120]
    assert last.utcoffset() == datetime.now(last.tzinfo).astimezone().utcoffset() or last.tzinfo is not None
    assert entry == {
        "name": "often",
        "task": TASK,
        "when": "every 1 min",
        "last_id": "an-id",
        "runs": 3,
        "overdue_since": None,
        "args": [1],
        "kwargs": {},
        "queue": "celery",
        "expires": 90,
        "source": "code",
        "enabled": True,
        "fault": "",
        "doubt": "",
        "hint": "",
    }
    assert done.err == ""


def test_showschedule__names_the_source(schedule: Any, app: Any, settings: Any, run_command: Run) -> None:
    schedule(mine=60)
    settings.CELERY_BEAT_SCHEDULE = app.conf.beat_schedule
    app.add_periodic_task(60.0, app.tasks[TASK].s(1), name="added")
    entries = document(run_command("showschedule", "--json"))["entries"]
    assert {entry["name"]: entry["source"] for entry in entries} == {"mine": "settings", "added": "code"}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("night", ["nightly"]), ("*ly", ["hourly", "nightly"]), ("site.tasks.total", ["hourly", "nightly"])],
)
def test_showschedule__a_pattern_narrows_it(schedule: Any, run_command: Run, pattern: str, names: list[str]) -> None:
    schedule(nightly=crontab("30", "2"), hourly=3600)
    assert [each["name"] for each in document(run_command("showschedule", pattern, "--json"))["entries"]] == names


def test_showschedule__a_pattern_that_matches_nothing(schedule: Any, run_command: Run) -> None:
    schedule(nightly=60)
    done = run_command("showschedule", "nightli")
    assert (done.out, done.code) == ("", 2)
    assert done.err == 'No entry matches "nightli".\nHint: did you mean nightly?'


def test_showschedule__without_entries(schedule: Any, run_command: Run) -> None:
    schedule()
    done = run_command("showschedule")
    told = "The schedule has no entries. Write one into CELERY_BEAT_SCHEDULE.\n"
    assert (done.out, done.err, done.code) == ("", told + NOBODY, 0)
    assert document(run_command("showschedule", "--json"))["entries"] == []


def test_showschedule__as_seen_from_a_change_of_the_clocks(schedule: Any, run_command: Run) -> None:
    schedule(nightly=crontab("30", "2"))
    done = run_command("showschedule", "--at", "2030-03-30T12:00", "--next", "2")
    first, second = (" ".join(row.split()) for row in done.out.splitlines()[1:])
    told = "2030-03-31 03:30:00 CEST, in 14 h 30 min (02:30 does not exist on that day)"
    assert first.startswith(f"nightly at 02:30 every day {told} never ")
    assert second == "nightly 2030-04-01 02:30:00 CEST, in 1 d 13 h"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--next", "0"], '--next "0" is no number from 1 to 1000.\nHint: give how many times to show'),
        (["--next", "many"], '--next "many" is no number from 1 to 1000.\nHint: give how many times to show'),
        (["--next", "-1"], '--next "-1" is no number from 1 to 1000.\nHint: give how many times to show'),
        (["--next", "1001"], '--next "1001" is no number from 1 to 1000.\nHint: give how many times to show'),
        (
            ["--at", "tomorrow"],
            '"tomorrow" is no time.\nHint: write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00',
        ),
        (
            ["--at", ""],
            '"" is no time.\nHint: write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00',
        ),
        (
            ["--at", "9999-12-31T23:59:59-14:00"],
            '"9999-12-31T23:59:59-14:00" is no time.\n'
            "Hint: write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00",
        ),
        (
            ["--at", "0001-01-01T00:00+00:00"],
            '"0001-01-01T00:00+00:00" is no time with which a schedule can calculate.\n'
            "Hint: give one of the years 1970 to 9998",
        ),
        (
            ["--at", "9999-06-01"],
            '"9999-06-01" is no time with which a schedule can calculate.\nHint: give one of the years 1970 to 9998',
        ),
        (
            ["--at", "", "--overdue"],
            "--overdue is about now, and --at about another time.\nHint: leave one of them out",
        ),
        (
            ["--at", "2030-01-31T18:00", "--overdue"],
            "--overdue is about now, and --at about another time.\nHint: leave one of them out",
        ),
        (
            ["-S", "os:path"],
            '"os:path" is no scheduler of beat: it names a module.\n'
            "Hint: name a class with -S, as celery.beat:PersistentScheduler",
        ),
        (
            ["-S", "no_such:Scheduler"],
            "The scheduler \"no_such:Scheduler\" cannot be loaded. ModuleNotFoundError: No module named 'no_such'\n"
            "Hint: name a class with -S, as celery.beat:PersistentScheduler",
        ),
    ],
)
def test_showschedule__refuses_what_it_cannot_read(schedule: Any, typed: Run, words: list[str], error: str) -> None:
    schedule(nightly=60)
    assert typed("showschedule", *words) == Ran("", f"{error}\n", 2)


@pytest.mark.parametrize("at", ["1970-01-02", "9998-12-31"])
def test_showschedule__at_the_ends_of_the_calendar(schedule: Any, run_command: Run, at: str) -> None:
    """It said that the entry cannot run."""
    schedule(nightly=crontab("30", "2"), often=60, leap=crontab("0", "0", day_of_month="29", month_of_year="2"))
    found = document(run_command("showschedule", "--at", at, "--next", "1000", "--json"))["entries"]
    assert [(each["name"], each["fault"]) for each in found] == [("leap", ""), ("nightly", ""), ("often", "")]
    counts = [len(each["next"]) for each in found]
    assert counts == ([12, 1000, 1000] if at.startswith("1970") else [0, 365, 1000])


def test_overdue__is_what_should_have_run(schedule: Any, keep: Any, run_command: Run) -> None:
    schedule(late=60, soon=60, new=60)
    keep("late", LATE)
    keep("soon", timedelta(seconds=65))  # it is in the grace
    done = run_command("showschedule", "--overdue")
    [row] = done.out.splitlines()[1:]
    assert row.startswith("late   every 1 min  ")
    assert ", now, overdue since " in row
    assert (done.err, done.code) == (f"{NOBODY}1 entry should have run and has not.", 1)
    [entry] = json.loads(run_command("showschedule", "--overdue", "--json").out)["entries"]
    since = datetime.now(timezone.utc) - datetime.fromisoformat(entry["overdue_since"])
    assert 68 < since.total_seconds() < 90


def test_overdue__if_nothing_is(schedule: Any, keep: Any, typed: Run) -> None:
    schedule(often=60)
    keep("often", timedelta(seconds=30))
    assert typed("showschedule", "--overdue") == Ran("", NOBODY, 0)


def test_showschedule__marks_what_cannot_run(schedule: Any, run_command: Run) -> None:
    schedule(
        unknown={"schedule": 60, "task": "shop.none"}, misfit={"schedule": 60, "args": ()}, unread={"schedule": "soon"}
    )
    done = run_command("showschedule")
    cells = {row.split()[0]: row for row in done.out.splitlines()[1:]}
    reasons = {
        "misfit": f"its arguments do not fit \"{TASK}\": missing a required argument: 'x'",
        "unknown": 'its task "shop.none" is not registered',
        "unread": "its schedule is 'soon', which is no schedule",
    }
    assert cells.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert f"cannot run: {reason}" in cells[name]
        assert f'The entry "{name}" cannot run: {reason}.\nHint: ' in done.err
    assert done.code == 0


class Tides(BaseSchedule):
    def is_due(self, last_run_at: datetime) -> Any:
        raise ValueError("no moon\x1b[2J")

    def __repr__(self) -> str:
        return "<tides\x1b[31m>"


def test_showschedule__of_a_schedule_class_that_raises(schedule: Any, run_command: Run) -> None:
    schedule(tides=Tides())
    done = run_command("showschedule")
    assert "<tides\\x1b[31m>" in done.out
    assert "cannot run: it cannot say when it is due: ValueError: no moon\\x1b[2J" in done.out
    assert (done.code, "\x1b" in done.out + done.err) == (0, False)


def test_showschedule__of_hostile_names(schedule: Any, run_command: Run) -> None:
    schedule(**{"evil\x1b[31m\nname": {"schedule": 60, "args": ("\x1b[2J",)}})
    done = run_command("showschedule")
    assert len(done.out.splitlines()) == 2
    assert "evil\\x1b[31m\\nname" in done.out
    assert "\x1b" not in done.out


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "spared"), [(80, True), (220, False)])
def test_showschedule__on_a_terminal(
    schedule: Any, keep: Any, monkeypatch: pytest.MonkeyPatch, columns: int, spared: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    schedule(morning=crontab("30", "7", day_of_week="mon-fri"))
    keep("morning", timedelta(seconds=5))
    screen, notes = Screen(), io.StringIO()
    call_command("showschedule", stdout=screen, stderr=notes, no_color=True)
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    assert max(map(len, lines)) <= columns
    assert "at 07:30 on Monday to Friday" in screen.getvalue()
    assert (f"Not shown in {columns} columns: " in notes.getvalue()) is spared


def test_showschedule__says_who_is_in_charge(app: Any, schedule: Any, keys: Keys, run_command: Run) -> None:
    schedule(often=60)
    since = datetime(2026, 6, 1, 10, 0, tzinfo=timezone.utc)
    one, other = (RedisLease(keys, lease_of(app), token) for token in ("one", "other"))
    beat = Beat(host="gone", pid=12, since=since, code="a", schedule=schedule_digest(app.conf.beat_schedule))
    assert one.hold(beat.text(), 30) is None
    assert other.hold(Beat(host="next", pid=13, since=since, code="b", schedule=beat.schedule).text(), 30) is not None
    other.wait(Beat(host="next", pid=13, since=since, code="b", schedule=beat.schedule).text(), 0.001)
    done = run_command("showschedule")
    assert done.err == (
        "In charge: gone (pid 12), since 2026-06-01 12:00:00 CEST.\n"
        "Standing by: next (pid 13), since 2026-06-01 12:00:00 CEST, with other code.\n"
    )
    found = document(run_command("showschedule", "--json"))
    assert (found["in_charge"]["host"], found["standing_by"][0]["pid"]) == ("gone", 13)


def test_showschedule__names_who_stands_by_for_the_longest_first(
    app: Any, schedule: Any, keys: Keys, run_command: Run
) -> None:
    schedule(often=60)
    since = datetime(2026, 6, 1, 10, 0, tzinfo=timezone.utc)
    leases = [RedisLease(keys, lease_of(app), token) for token in "abc"]
    assert leases[0].hold(Beat(host="first", pid=1, since=since, code="", schedule="").text(), 30) is None
    for lease, pid, seconds in ((leases[1], 2, 9), (leases[2], 3, 3)):
        lease.wait(
            Beat(host="next", pid=pid, since=since + timedelta(seconds=seconds), code="", schedule="").text(), 0.001
        )
    pids = [line.partition("pid ")[2][0] for line in run_command("showschedule").err.splitlines() if "Standing" in line]
    assert pids == ["3", "2"]


def test_showschedule__of_a_task_of_another_project(schedule: Any, run_command: Run, settings: Any) -> None:
    """Beat sends such an entry if its check is silenced."""
    schedule(elsewhere={"task": "other.add", "schedule": 60})
    assert "cannot run" in run_command("showschedule", "elsewhere").out
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W010"]
    done = run_command("showschedule", "elsewhere")
    assert "cannot run" not in done.out
    assert ", in " in done.out
    assert 'is sent, but may not do what is meant: its task "other.add" is not registered' in done.err


def test_showschedule__at_a_time_says_which_and_shows_the_day(schedule: Any, run_command: Run) -> None:
    schedule(often=3600)
    done = run_command("showschedule", "--at", "2031-01-31T18:00")
    assert "As seen from 2031-01-31 18:00:00 CET.\n" in done.err
    assert "2031-01-31 1" in done.out


def test_showschedule__of_a_beat_of_another_version(
    app: Any, schedule: Any, keys: Keys, run_command: Run, settings: Any
) -> None:
    schedule(often=60)
    lease = RedisLease(keys, lease_of(app), "one")
    assert lease.hold(Beat(host="old", pid=12, since=None, schedule="another").text(), 30) is None
    said = (
        "In charge: old (pid 12).\n"
        "Its schedule is not that of this code: it is of another version, or has other settings.\n"
    )
    assert run_command("showschedule").err == said
    settings.DEBUG = True  # beat reloads: right after a save, this is not for long
    again = "If you have just saved a file, beat reloads in a moment: look again.\n"
    assert run_command("showschedule").err == said + again


@pytest.mark.parametrize("what", ["lease", "hash", "type of the lease", "an entry"])
def test_showschedule__of_keys_that_something_else_has_written(
    app: Any, schedule: Any, keys: Keys, run_command: Run, what: str
) -> None:
    schedule(often=60)
    lease, runs = keys.full(lease_of(app)), keys.full(key_of(app))
    {
        "lease": lambda: keys.client.set(lease, "garbage", ex=30),
        "hash": lambda: keys.client.set(runs, "garbage"),
        "type of the lease": lambda: keys.client.rpush(lease, "garbage"),
        "an entry": lambda: keys.client.hset(runs, mapping={CHARGE: "x", ENTRY + "often": "garbage"}),
    }[what]()
    done = run_command("showschedule")
    foreign = "What is where beats keep their lease and last runs was not written by a beat.\n"
    assert (done.err.startswith(foreign), done.code) == (what != "an entry", 0)
    assert " never " in done.out


def test_showschedule__names_that_are_no_text(app: Any, schedule: Any, keys: Keys, run_command: Run) -> None:
    """The last run of 5 was not found, and of 5 and "5" only one was shown."""
    schedule()
    app.conf.beat_schedule = {each: {"task": TASK, "schedule": 60, "args": (1,)} for each in (5, "5", ("a", 1))}
    app.conf.beat_schedule[5]["task"] = "nowhere.task"
    for count, name in enumerate(app.conf.beat_schedule, 1):
        run = LastRun(at=datetime.now(timezone.utc), count=count, task_id="an-id")
        keys.client.hset(keys.full(key_of(app)), field_of(name), run.text())
    entries = document(run_command("showschedule", "--json"))["entries"]
    assert [(each["name"], each["runs"], bool(each["fault"])) for each in entries] == [
        ("('a', 1)", 3, False),
        ("(5)", 1, True),
        ("5", 2, False),
    ]


def test_showschedule__something_else_where_beats_stand_by(
    app: Any, schedule: Any, keys: Keys, run_command: Run
) -> None:
    """It hid the beat in charge."""
    schedule(often=60)
    lease = RedisLease(keys, lease_of(app), "one")
    assert lease.hold(Beat(host="web", pid=12, since=None).text(), 30) is None
    keys.client.set(keys.full(f"{lease_of(app)}:standing-by"), "garbage")
    done = run_command("showschedule")
    assert "What is where beats keep their lease and last runs was not written by a beat.\n" in done.err
    assert "In charge: web (pid 12).\n" in done.err


@pytest.mark.parametrize("words", [[], ["--json"], ["--overdue"]])
def test_showschedule__if_the_broker_is_away(elsewhere: Any, typed: Run, words: list[str]) -> None:
    with silent_port() as silent:
        for port in (refusing_port(), silent):
            app = elsewhere(broker_url=f"redis://127.0.0.1:{port}/0", beat_schedule={})
            began = time.monotonic()
            done = typed("showschedule", "-A", app, *words)
            assert (done.out, done.code) == ("", 69)
            assert time.monotonic() - began < 30
            assert f"127.0.0.1:{port}" in done.err


def test_showschedule__if_the_broker_keeps_nothing(elsewhere: Any, run_command: Run, tmp_path: Any) -> None:
    entries = {"often": {"task": "celery.backend_cleanup", "schedule": 60}}
    app = elsewhere(
        broker_url="memory://",
        beat_schedule=entries,
        beat_schedule_filename=str(tmp_path / "none"),
        result_expires=None,
    )
    done = run_command("showschedule", "-A", app)
    row = done.out.splitlines()[1]
    assert " unknown " in row
    assert done.err.startswith("No file says when entries last ran: beat has not run here, or with --schedule.\nHint: ")
    assert "No beat" not in done.err


def test_showschedule__writes_nothing(app: Any, schedule: Any, keys: Keys, keep: Any, run_command: Run) -> None:
    schedule(often=60)
    keep("often", LATE)
    client: redis.Redis = keys.client

    def kept() -> Any:
        return client.hgetall(keys.full(key_of(app))), client.exists(keys.full(lease_of(app)))

    before = kept()
    assert run_command("showschedule").code == 0
    assert kept() == before
