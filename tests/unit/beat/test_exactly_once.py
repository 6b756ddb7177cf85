"""No tick twice and none forgotten, wherever another beat comes in between, or the connection breaks."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from redis.connection import AbstractConnection

from tasktools.beat.records import LastRun
from tasktools.beat.scheduler import Scheduler
from tasktools.brokers.transactions import Overtaken
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]

SCHEDULE = {"a": every(60, "a"), "b": every(60, "b"), "bad": every(60, object()), "rare": every(3600, "rare")}

#: More than the commands of a round, in which a beat takes charge and sends.
MOST = 40


class Commands:
    """The commands of one beat, of which one may be a place where something happens."""

    def __init__(self) -> None:
        self.beat: Scheduler | None = None
        self.number = 0
        self.at: int | None = None
        self.happens: Callable[[], None] = lambda: None
        self.has_happened = False
        #: What is raised in place of the answer.
        self.loses: Exception | None = None

    def before(self) -> None:
        self.number += 1
        if self.number == self.at:
            self.has_happened = True
            beat, self.beat = self.beat, None
            try:
                self.happens()
            finally:
                self.beat = beat

    def answered(self) -> None:
        if self.loses is not None and self.number == self.at and not self.has_happened:
            self.has_happened = True
            raise self.loses


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """What the test lets happen at the commands of a beat, which it names."""
    made = Commands()
    send, read = AbstractConnection.send_packed_command, AbstractConnection.read_response

    def sending(self: Any, *args: Any, **options: Any) -> Any:
        if made.beat is not None:
            made.before()
        return send(self, *args, **options)

    def reading(self: Any, *args: Any, **options: Any) -> Any:
        answer = read(self, *args, **options)
        if made.beat is not None:
            try:
                made.answered()
            except Exception:
                self.disconnect()
                raise
        return answer

    monkeypatch.setattr(AbstractConnection, "send_packed_command", sending)
    monkeypatch.setattr(AbstractConnection, "read_response", reading)
    yield made
    made.beat = None


def run(site: Beats, beat: Scheduler, commands: Commands, at: int, forward: Forward, *, started: bool) -> bool:
    """Have a beat do a round with the event at its command `at`; return whether it has so many."""
    if started:
        site.go(beat)
    forward(61)
    beat.leadership.ask_again()
    commands.beat, commands.number, commands.at = beat, 0, at
    for _ in range(6):
        beat.tick()
    commands.beat = None
    return commands.number >= at


@pytest.mark.parametrize("started", [True, False], ids=["in charge", "taking charge"])
def test_other_beat_comes_in_between__at_each_command(
    beats: Make, forward: Forward, commands: Commands, started: bool
) -> None:
    """The other one takes the lease, sends what is due, and is alive or has gone when the first goes on."""
    reached, ways = 0, (True, False) if started else (True,)
    for at, goes in itertools.product(range(1, MOST), ways):
        site = beats(SCHEDULE)
        site.client.flushdb()
        site.go(first := site.start())
        if not started:
            first.close()
            first = site.start()
        other = site.start()

        def overtake(site: Beats = site, other: Scheduler = other, goes: bool = goes) -> None:
            site.pass_on()
            site.go(other)
            if goes:
                other.close()

        commands.has_happened, commands.happens = False, overtake
        if not run(site, first, commands, at, forward, started=started):
            break
        reached += 1
        site.pass_on()
        site.go(site.start())
        assert Counter(site.sent()) == {"a": 1, "b": 1}, f"at command {at}"
        assert site.kept("a")["count"] == 1
        assert site.kept("bad")["count"] == 1
    assert 8 <= reached < (MOST - 1) * len(ways)


LOST = [ConnectionError("Connection reset by peer"), TimeoutError("Timeout reading from socket")]


@pytest.mark.parametrize("answer", [True, False], ids=["lost answer", "lost command"])
@pytest.mark.parametrize("started", [True, False], ids=["in charge", "taking charge"])
def test_connection_breaks__at_each_command(
    beats: Make, forward: Forward, commands: Commands, started: bool, answer: bool
) -> None:
    reached = 0
    for at in range(1, MOST):
        error = LOST[at % 2]

        def fail(error: Exception = error) -> None:
            raise error

        site = beats(SCHEDULE)
        site.client.flushdb()
        site.go(beat := site.start())
        if not started:
            beat.close()
            beat = site.start()
        commands.has_happened = False
        commands.happens, commands.loses = (lambda: None, error) if answer else (fail, None)
        if answer:
            commands.before = lambda: setattr(commands, "number", commands.number + 1)  # type: ignore[method-assign]
        is_reached = run(site, beat, commands, at, forward, started=started)
        assert Counter(site.sent()) == {"a": 1, "b": 1}, f"at command {at}"
        assert site.kept("a")["count"] == 1
        assert site.kept("a")["id"] in {each["id"] for each in site.headers()}
        if not is_reached:
            break
        reached += 1
    assert 5 <= reached < MOST - 1


def test_beat_that_slept__sends_nothing_when_it_goes_on(beats: Make, forward: Forward) -> None:
    site = beats(SCHEDULE)
    old, new = site.start(), site.start()
    site.go(old)
    site.pass_on()
    site.go(new)
    for _ in range(3):
        forward(61)
        site.go(new)
    before = site.client.hgetall(site.hash)
    old.tick()
    assert site.client.hgetall(site.hash) == before
    for _ in range(3):
        old.tick()
    assert Counter(site.sent()) == {"a": 3, "b": 3}
    assert not old.leadership.in_charge
    assert new.leadership.in_charge


def test_old_beat_that_slept__does_not_send_what_the_one_in_charge_has_not_sent_yet(
    beats: Make, forward: Forward
) -> None:
    """The one in charge may have other code: its arguments are those that count."""
    site = beats({"a": every(60, "old")})
    old = site.start()
    site.go(old)
    site.app.conf.beat_schedule = {"a": every(60, "new")}
    new = site.start()
    site.pass_on()
    site.go(new)
    forward(61)
    old.tick()
    assert site.sent() == []
    site.go(new)
    assert site.sent() == ["new"]


def test_server_that_has_gone_back_to_older_data__no_tick_twice(beats: Make, forward: Forward) -> None:
    site = beats({"a": every(60, "a")})
    site.go(beat := site.start())
    older = site.client.hgetall(site.hash)
    forward(61)
    site.go(beat)
    site.client.hset(site.hash, mapping=older)
    beat._is_loaded = False
    site.go(beat)
    assert site.sent() == ["a"]
    assert site.kept("a")["count"] == 1


def test_run_noted_by_another_hand__is_not_repeated(beats: Make, forward: Forward) -> None:
    site = beats({"a": every(60, "a")})
    site.go(beat := site.start())
    forward(61)
    run = LastRun(at=beat.clock.now(), count=9, task_id="theirs")
    site.client.hset(site.hash, "entry:a", run.text())
    for _ in range(3):
        site.go(beat)
    assert site.sent() == []
    forward(61)
    site.go(beat)
    assert site.sent() == ["a"]
    assert site.kept("a")["count"] == 10


def begin(name: str, kept: LastRun | None) -> LastRun:
    return LastRun(at=datetime.now(timezone.utc), count=0)


def take(site: Beats, beat: Scheduler) -> None:
    beat.ledger.open().hold("", 60)
    beat.ledger.take_charge(begin, ["a"])


def test_take_charge__needs_the_lease(beats: Make) -> None:
    site = beats({"a": every(60, "a")})
    beat = site.start()
    for held in (None, "somebody else", f"{beat.ledger.token}x "):
        beat.ledger.open()
        if held:
            site.client.set(site.lease, held)
        with pytest.raises(Overtaken):
            beat.ledger.take_charge(begin, ["a"])
        assert not site.client.exists(site.hash)
    site.client.delete(site.lease)
    take(site, beat)
    assert site.client.hget(site.hash, "charge") == beat.ledger.token.encode()


def test_take_charge__that_another_has_taken_since_the_look(beats: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = beats({"a": every(60, "a")})
    beat = site.start()
    read = beat.ledger._read

    def then_other() -> Any:
        found = read()
        site.client.hset(site.hash, "charge", "other")
        return found

    monkeypatch.setattr(beat.ledger, "_read", then_other)
    with pytest.raises(Overtaken):
        take(site, beat)
    assert site.client.hgetall(site.hash) == {b"charge": b"other"}


def test_take_charge__whose_lease_passes_on_before_its_end(beats: Make, commands: Commands) -> None:
    site = beats({"a": every(60, "a")})
    beat = site.start()
    take(site, beat)
    before = site.client.hgetall(site.hash)
    commands.happens, commands.at = lambda: site.client.set(site.lease, "other text"), 5
    commands.beat = beat
    with pytest.raises(Overtaken):
        beat.ledger.take_charge(begin, ["b"])  # HGETALL, WATCH, WATCH, GET, HGETALL, and the transaction
    commands.beat = None
    assert commands.number == 6
    assert site.client.hgetall(site.hash) == before


def test_two_beats_that_both_believe_to_be_in_charge__each_tick_once(beats: Make, forward: Forward) -> None:
    """The lease goes to and fro, and neither asks for it unless it must."""
    site = beats(SCHEDULE)
    both = [site.start(), site.start()]
    for n in range(40):
        site.pass_on()
        site.go(both[n % 2])
        both[n % 2].leadership._renew_at = float("inf")
        forward(61)
        for beat in (both[(n + 1) % 2], *both):
            beat.tick()
    last = site.start()
    site.pass_on()
    site.go(last)
    assert Counter(site.sent()) == {"a": 40, "b": 40}
    assert site.kept("a")["count"] == 40
