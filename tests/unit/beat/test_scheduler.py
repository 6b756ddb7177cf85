"""Our scheduler on a real Valkey: what is sent when, what is kept, and what goes on after a fault."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule

from tasktools.beat.records import Beat
from tests.support import refusing_port
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]


def test_entry__is_sent_when_it_is_due_and_its_run_is_kept(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    assert site.sent() == []
    assert site.kept("often")["count"] == 0
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]
    kept = site.kept("often")
    assert kept["count"] == 1
    [headers] = site.headers()
    assert kept["id"] == headers["id"]
    assert headers["celery_beat_task"] is True
    assert abs(datetime.fromisoformat(kept["at"]).timestamp() - beat.clock.time()) < 5
    site.go(beat)
    assert site.sent() == ["one"]


def test_second_beat__goes_on_where_the_first_has_ended(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    first = site.start()
    site.go(first)
    forward(61)
    site.go(first)
    first.close()
    forward(50)
    second = site.start()
    site.go(second)
    assert site.sent() == ["one"]
    forward(11)
    site.go(second)
    assert site.sent() == ["one"] * 2
    assert site.kept("often")["count"] == 2


def test_standby__sends_and_writes_nothing(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    first, second = site.start(), site.start()
    site.go(first)
    before = site.client.hgetall(site.hash)
    forward(61)
    assert second.tick() == 0
    assert not second.leadership.in_charge
    assert site.sent() == []
    assert site.client.hgetall(site.hash) == before


def test_beat_that_stood_by__takes_charge_with_what_is_kept(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"often": every(60)})
    first, second = site.start(), site.start()
    site.go(first)
    site.pass_on()
    site.go(second)
    first.leadership.ask_again()
    site.go(first)
    forward(61)
    site.go(second)
    second.close()
    caplog.clear()
    site.go(first)
    assert [each for each in caplog.messages if "has taken charge" in each] == []
    assert site.sent() == ["one"]


def test_missed_runs__are_made_up_for_by_one(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60), "hourly": {**every(1, "hour"), "schedule": crontab(minute=0)}})
    first = site.start()
    site.go(first)
    first.close()
    forward(5 * 3600)
    site.go(site.start())
    assert sorted(site.sent()) == ["hour", "one"]


def test_missed_run_whose_expires_has_passed__is_not_sent_and_its_time_goes_on(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats(
        {"often": every(3600, options={"expires": 60}), "wanted": every(3600, "two", options={"expires": 3000})}
    )
    first = site.start()
    site.go(first)
    first.close()
    forward(2 * 3600 + 600)
    second = site.start()
    site.go(second)
    assert site.sent() == ["two"]
    assert 'beat: "often" is not sent: its expires has passed.' in caplog.messages
    assert site.kept("often")["count"] == 0
    forward(3000)
    site.go(second)
    assert site.sent() == ["two", "one"]


def test_entries_of_a_newer_version__removed_renamed_and_new(beats: Make, forward: Forward) -> None:
    site = beats({"stays": every(60, "stays"), "gone": every(60, "gone"), "old name": every(60, "renamed")})
    first = site.start()
    site.go(first)
    forward(30)
    site.app.conf.beat_schedule = {"stays": every(60, "stays"), "new name": every(60, "renamed")}
    second = site.start()
    site.pass_on()
    site.go(second)
    assert site.names() == ["new name", "stays"]
    forward(31)
    site.go(second)
    assert site.sent() == ["stays"]
    site.go(first)  # it has not asked for the lease since then
    first.leadership.ask_again()
    site.go(first)
    assert site.sent() == ["stays"]
    assert site.names() == ["new name", "stays"]
    assert not first.leadership.in_charge


def test_data_of_the_server_lost__what_is_due_is_sent_once(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    site.client.flushdb()
    forward(61)
    for _ in range(3):
        site.go(beat)
    assert site.sent() == ["one"]
    assert site.kept("often")["count"] == 2


def test_data_of_the_server_lost_between_ticks__the_time_since_the_last_run_is_not(
    beats: Make, forward: Forward
) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    site.client.flushdb()
    forward(30)
    beat.leadership.ask_again()
    site.go(beat)
    forward(31)
    site.go(beat)
    assert site.sent() == ["one"]


GARBAGE = [
    "garbage",
    "[]",
    '{"at": "yesterday", "count": 1, "id": ""}',
    '{"at": "2026-01-01T00:00:00", "count": 1, "id": ""}',
    '{"at": "2026-01-01T00:00:00+00:00", "count": Infinity, "id": ""}',
    '{"at": "0001-01-01T00:00:00+00:00", "count": 1, "id": ""}',
    '{"at": "9999-12-31T23:59:59-12:00", "count": 1, "id": ""}',
    '{"version": 2, "last": 1700000000}',
    "\x00\xff",
]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_in_a_field__is_reported_and_written_new(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    site = beats({"often": every(60), "other": every(60, "two")}, timezone="America/New_York")
    site.client.hset(site.hash, "entry:often", text.encode("latin-1"))
    site.client.hset(site.hash, "charge", b"\xff")
    beat = site.start()
    site.go(beat)
    assert any('the entry "often"' in each for each in caplog.messages)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["one", "two"]


@pytest.mark.parametrize("names", [(5, "(5)"), ("\ud800", r"\ud800"), (5, "5")], ids=ascii)
def test_names_that_look_alike__are_kept_apart(beats: Make, forward: Forward, names: tuple[Any, Any]) -> None:
    """They shared a field, and each tick was given up as that of another beat."""
    site = beats({name: every(60, number) for number, name in enumerate(names)})
    beat = site.start()
    for count in (1, 2):
        site.go(beat)
        forward(61)
        site.go(beat)
        assert sorted(site.sent()) == sorted(["0", "1"] * count)


def test_broker_that_is_away__is_reported_without_words_of_enqueue(
    beats: Make, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"often": every(60)}, broker_url=f"redis://127.0.0.1:{refusing_port()}/0")
    site.start().tick()
    [said] = [each for each in caplog.messages if "cannot be reached" in each]
    assert "was sent" not in said


def test_hash_that_is_a_text__is_moved_aside(beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture) -> None:
    site = beats({"often": every(60)})
    site.client.set(site.hash, "mine")
    beat = site.start()
    site.go(beat)
    assert site.client.get(f"{site.hash}:moved-aside") == b"mine"
    assert (
        f'beat: the key "{site.hash}" held something else, which is now at "{site.hash}:moved-aside".'
        in caplog.messages
    )
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]


def test_hash_that_becomes_a_list__what_is_due_is_sent(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    site.client.delete(site.hash)
    site.client.rpush(site.hash, "1")
    forward(61)
    for _ in range(2):
        site.go(beat)
    assert site.sent() == ["one"]
    assert site.kept("often")["count"] == 1


@pytest.mark.parametrize("put", ["a list", "no expiry", "an expiry"])
def test_lease_that_is_none__is_moved_aside(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture, put: str
) -> None:
    site = beats({"often": every(60)})
    if put == "a list":
        site.client.rpush(site.lease, "1")
    else:
        site.client.set(site.lease, "somebody else", ex=3600 if put == "an expiry" else None)
    beat = site.start()
    site.go(beat)
    assert beat.leadership.in_charge
    assert site.client.exists(f"{site.lease}:moved-aside")
    assert (
        f'beat: the key "{site.lease}" held something else, which is now at "{site.lease}:moved-aside".'
        in caplog.messages
    )
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]


@pytest.mark.parametrize("put", ["a list", "a text"])
def test_lease_that_is_replaced_while_beat_runs__is_moved_aside(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture, put: str
) -> None:
    """A text got the time to expire of the lease, was taken for that of another beat, and was lost."""
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    site.client.delete(site.lease)
    if put == "a list":
        site.client.rpush(site.lease, "mine")
    else:
        site.client.set(site.lease, "mine: a text")
    beat.leadership.ask_again()
    site.go(beat)
    assert beat.leadership.in_charge
    assert (
        f'beat: the key "{site.lease}" held something else, which is now at "{site.lease}:moved-aside".'
        in caplog.messages
    )
    assert site.client.ttl(f"{site.lease}:moved-aside") == -1
    assert site.client.type(f"{site.lease}:moved-aside") == (b"list" if put == "a list" else b"string")
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]


def test_lease_of_another_version__is_respected_until_it_ends(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"often": every(60)})
    site.client.set(site.lease, b'\xff\xfe {"version": 9}', px=60_000)
    beat = site.start()
    site.go(beat)
    assert not beat.leadership.in_charge
    assert "beat: standing by. In charge: one that cannot be read." in caplog.messages
    site.pass_on()
    site.go(beat)
    assert beat.leadership.in_charge


def test_last_run_in_the_future__is_reported_and_goes_on_from_now(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"often": every(60)})
    late = datetime.now(timezone.utc) + timedelta(days=400)
    site.client.hset(site.hash, "entry:often", f'{{"at": "{late.isoformat()}", "count": 7, "id": "x"}}')
    beat = site.start()
    site.go(beat)
    assert any("which is in the future: a clock was wrong. It goes on from now." in each for each in caplog.messages)
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]
    assert site.kept("often")["count"] == 8


@pytest.mark.parametrize("hours", [-1, 1])
def test_clock_of_the_machine_set_while_it_runs__changes_nothing(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    wall = beat.clock._wall
    monkeypatch.setattr(beat.clock, "_wall", lambda: wall() + hours * 3600)
    beat.leadership.ask_again()
    site.go(beat)
    assert site.sent() == []
    side = "ahead of" if hours > 0 else "behind"
    assert (
        f"beat: the clock of this machine is 3600 s {side} that of the broker, which beat goes by." in caplog.messages
    )
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]


def test_clock_of_the_server_set_back__entries_go_on_from_then(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    beat.clock._base += 7200  # as if the server had told a time two hours ahead before
    site.go(beat)
    assert site.sent() == ["one"] * 2
    beat.leadership.ask_again()
    site.go(beat)
    site.client.delete("celery")
    forward(61)
    site.go(beat)
    assert site.sent() == ["one"]


class Odd(schedule):
    """A schedule whose answer a test chooses."""

    def __init__(self, answer: Any) -> None:
        super().__init__(1)
        self.answer = answer

    def is_due(self, last_run_at: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ANSWERS = [
    ZeroDivisionError("mine"),
    None,
    (False, None),
    (False, float("nan")),
    (False, -5),
    (False, 0),
    (False, float("inf")),
    (False, 1e300),
    (None, "soon"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
@pytest.mark.usefixtures("no_hang")
def test_schedule_class_with_an_odd_answer__the_others_are_sent(beats: Make, forward: Forward, answer: Any) -> None:
    site = beats(
        {
            "before": every(60, "before"),
            "odd": {**every(1, "odd"), "schedule": Odd(answer)},
            "middle": every(45, "middle"),
            "after": every(30, "after"),
        }
    )
    beat = site.start()
    assert 0 < beat.tick() < 5
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["after", "before", "middle"]


@pytest.mark.usefixtures("no_hang")
def test_schedule_class_that_is_always_due__is_sent_when_it_said(beats: Make, forward: Forward) -> None:
    """Celery does not ask it again before that."""
    site = beats({"odd": {**every(1, "odd"), "schedule": Odd((True, 60))}, "other": every(30, "other")})
    beat = site.start()
    site.go(beat)
    assert site.sent() == ["odd"]
    forward(31)
    site.go(beat)
    forward(31)
    site.go(beat)
    assert site.sent() == ["odd", "other", "odd", "other"]


def test_schedule_class_that_raises__is_named(beats: Make, caplog: pytest.LogCaptureFixture) -> None:
    site = beats({"odd": {**every(1), "schedule": Odd(ZeroDivisionError("mine"))}})
    site.go(site.start())
    assert 'beat: the schedule of "odd" cannot say when it is due: ZeroDivisionError: mine.' in caplog.messages


def test_schedule_class__is_asked_as_it_is(beats: Make, forward: Forward) -> None:
    """A copy by `__reduce__`, which a subclass inherits, would lose what the subclass knows, or mistake one for another."""

    class Twice(schedule):
        def __init__(self, run_every: float, factor: float = 1, shift: float = 0) -> None:
            super().__init__(run_every * factor)
            self.shift = shift

    own = Twice(30, factor=2, shift=1)
    site = beats({"often": {**every(1), "schedule": own}}, timezone="Asia/Tokyo")
    beat = site.start()
    site.go(beat)
    followed: Any = beat.schedule["often"].schedule
    assert followed is not own
    assert (followed.run_every.total_seconds(), followed.shift, type(followed)) == (60, 1, Twice)
    assert followed.app is site.app
    assert followed.now().utcoffset() == timedelta(hours=9)
    assert own.nowfun is None


def test_crontab__goes_by_the_zone_of_its_app(beats: Make, forward: Forward) -> None:
    site = beats({"daily": {**every(1), "schedule": crontab(hour=7, minute=30)}}, timezone="Asia/Tokyo")
    beat = site.start()
    now = datetime.now(timezone(timedelta(hours=9)))
    at = now.replace(hour=7, minute=30, second=0, microsecond=0)
    at += timedelta(days=1) if at <= now else timedelta(0)
    site.go(beat)
    forward((at - now).total_seconds() - 5)
    site.go(beat)
    assert site.sent() == []
    forward(6)
    site.go(beat)
    assert site.sent() == ["one"]


def fails() -> None:
    raise LookupError("no value today")


def test_lazy_argument__is_made_at_each_tick_and_may_fail(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    values = iter(["first", "second"])
    site = beats(
        {
            "lazy": every(60, BeatLazyFunc(lambda: next(values))),
            "fails": every(60, BeatLazyFunc(fails)),
        }
    )
    beat = site.start()
    site.go(beat)
    for _ in range(2):
        forward(61)
        site.go(beat)
    assert site.sent() == ["first", "second"]
    assert 'beat: the arguments of "fails" cannot be made: LookupError: no value today.' in caplog.messages
    assert site.kept("fails")["count"] == 2


def test_arguments_that_cannot_be_written__the_entries_around_are_sent(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"a": every(60, "a"), "bad": every(60, object()), "c": every(60, "c")})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["a", "c"]
    assert any('beat: the entry "bad" could not be sent: ' in each for each in caplog.messages)
    assert [site.kept(name)["count"] for name in ("a", "bad", "c")] == [1, 1, 1]
    assert site.kept("bad")["id"] == ""


def test_all_entries_fail__their_times_go_on(beats: Make, forward: Forward) -> None:
    site = beats({"bad": every(60, object()), "worse": every(60, {1, object()})})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert site.sent() == []
    assert [site.kept(name)["count"] for name in ("bad", "worse")] == [1, 1]


def test_many_entries_due__each_is_sent_once(beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch) -> None:
    site = beats({f"entry {n}": every(60, str(n)) for n in range(1000)})
    beat = site.start()
    site.go(beat)
    forward(61)
    send, sizes = beat.ledger.send, []
    monkeypatch.setattr(beat.ledger, "send", lambda ticks: sizes.append(len(ticks)) or send(ticks))  # type: ignore[func-returns-value]
    site.go(beat)
    assert sizes == [500, 500]
    assert sorted(map(int, site.sent())) == list(range(1000))


def test_names__may_be_any_key_that_celery_takes(beats: Make, forward: Forward) -> None:
    site = beats(
        {1: every(60, "one"), "1": every(60, "text"), ("a", 2): every(60, "pair"), "ü\n\x1b": every(60, "odd")}
    )
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["odd", "one", "pair", "text"]
    site.go(beat)
    assert len(site.sent()) == 4


def test_same_task_id_of_two_entries__both_are_sent(beats: Make, forward: Forward) -> None:
    site = beats({name: every(60, name, options={"task_id": "fixed"}) for name in ("a", "b")})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["a", "b"]


def test_periodic_task_and_celery_s_own_entry(beats: Make, forward: Forward) -> None:
    site = beats({}, result_backend="file:///tmp", result_expires=3600)
    site.app.add_periodic_task(60, site.app.tasks["shop.add"].s("periodic"), name="added")
    beat = site.start()
    site.go(beat)
    assert site.names() == ["added", "celery.backend_cleanup"]
    forward(61)
    site.go(beat)
    assert site.sent() == ["periodic"]


def test_entry_added_to_the_scheduler__runs(beats: Make, forward: Forward) -> None:
    """A receiver of beat_init may do that."""
    site = beats({"often": every(60)})
    beat = site.start()
    beat.add(name="more", **every(60, "more"))
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["more", "one"]
    forward(5)
    beat.add(name="later", **every(60, "later"))
    site.go(beat)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["later", "more", "more", "one", "one"]


def test_max_interval__limits_the_pause(beats: Make) -> None:
    site = beats({"often": every(3600)})
    beat = site.start(max_interval=0.5)
    assert 0 < beat.tick() <= 0.5
    assert site.start().max_interval == 300


def test_no_entries__beat_stays_in_charge(beats: Make) -> None:
    site = beats({})
    beat = site.start()
    assert 0 < beat.tick() < 1.4
    assert beat.leadership.in_charge


def test_keys__have_the_prefix(beats: Make, forward: Forward) -> None:
    site = beats({"often": every(60)}, broker_transport_options={"global_keyprefix": "site:"})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    keys = sorted(key.decode() for key in site.client.scan_iter("*"))
    assert all(key.startswith("site:") for key in keys), keys
    assert site.sent("site:celery") == ["one"]


def test_lazy__sets_up_nothing(beats: Make) -> None:
    beat = beats({"often": every(60)}).start(lazy=True)
    assert beat.schedule == {}
    assert "kept in the broker" in beat.info


@pytest.mark.parametrize("schedule", [None, {}, ()], ids=repr)
def test_no_schedule__is_an_empty_one(beats: Make, forward: Forward, schedule: Any) -> None:
    site = beats(schedule)
    beat = site.start()
    site.go(beat)
    assert beat.schedule == {}


def test_charge_that_is_taken_again__is_since_then(beats: Make, forward: Forward) -> None:
    """It said since when it was in charge for the first time."""
    site = beats({"often": every(60)})
    beat = site.start()
    times = []
    for _ in range(2):
        site.go(beat)
        text: Any = site.client.get(site.lease)
        held = Beat.of(text.decode().partition(" ")[2])
        assert held is not None
        assert held.since is not None
        times.append(held.since)
        site.pass_on()
        forward(30)
        beat.leadership.ask_again()
    assert 29 < (times[1] - times[0]).total_seconds() < 35
