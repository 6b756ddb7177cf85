from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from tasktools.beat import leadership as module
from tasktools.beat.clock import Clock
from tasktools.beat.leadership import RENEWAL, Leadership
from tasktools.beat.records import Beat
from tasktools.brokers.lease import Holder, Lease, ServerTime
from tasktools.brokers.transactions import Overtaken
from tasktools.exceptions import HeldElsewhere
from tasktools.project import Project

OTHER = Beat(host="b", pid=2, since=datetime(2026, 3, 2, tzinfo=timezone.utc), code="c", schedule="s", scheduler="x:Y")


class Fake(Lease):
    """A lease whose holder the test names."""

    def __init__(self) -> None:
        self.other: Holder | None = None
        self.held: list[tuple[str, float]] = []
        self.waited: list[tuple[str, float]] = []
        self.given_up: list[str] = []
        self.on_hold: Callable[[], None] = lambda: None

    def hold(self, text: str, seconds: float) -> Holder | None:
        self.on_hold()
        self.held.append((text, seconds))
        return self.other

    def give_up(self, text: str) -> None:
        self.given_up.append(text)

    def wait(self, text: str, seconds: float) -> None:
        self.waited.append((text, seconds))

    def close(self) -> None: ...


class Now:
    monotonic = 100.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    made = Now()
    monkeypatch.setattr(module.time, "monotonic", lambda: made.monotonic)
    return made


@pytest.fixture
def lead(now: Now) -> Leadership:
    clock = Clock(timezone.utc, wall=lambda: now.monotonic + 900, monotonic=lambda: now.monotonic)
    me = Beat(host="a", pid=1, since=None, code="c", schedule="s", scheduler="x:Y")
    return Leadership(me, clock, seconds=10, stands_by=True)


def test_lease__is_kept_in_time(lead: Leadership, now: Now, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "celery.beat")
    lease = Fake()
    assert lead.is_due()
    assert lead.ensure(lease)
    assert lead.in_charge
    assert not lead.is_due()
    assert lead.pause() == 10 * RENEWAL
    now.monotonic += 10 * RENEWAL
    assert lead.is_due()
    assert lead.pause() == 0
    assert lead.ensure(lease)
    assert caplog.messages == ["beat: in charge."]
    assert [seconds for _, seconds in lease.held] == [10, 10]
    texts = [Beat.of(text) for text, _ in lease.held]
    sinces = [each.since for each in texts if each is not None]
    assert sinces == [
        datetime.fromtimestamp(at, timezone.utc) for at in (1000, 1006)
    ]  # others see it if it is taken again
    lead.ask_again()
    assert lead.is_due()


def test_lease__its_time_counts_from_the_question(lead: Leadership, now: Now) -> None:
    """The answer may take long, and the lease has begun in between."""
    lease = Fake()
    lease.on_hold = lambda: setattr(now, "monotonic", now.monotonic + 4)
    assert lead.ensure(lease)
    assert lead.pause() == 10 * RENEWAL - 4


def test_standby__says_once_who_is_in_charge_and_takes_over(
    lead: Leadership, now: Now, caplog: pytest.LogCaptureFixture
) -> None:
    lease = Fake()
    lease.other = Holder(text=OTHER.text(), seconds=3)
    assert not lead.ensure(lease)
    now.monotonic += 3
    assert not lead.ensure(lease)
    assert not lead.in_charge
    assert lead.is_due()
    assert caplog.messages == ["beat: standing by. In charge: b (pid 2) since 2026-03-02 00:00:00+00:00."]
    (text, seconds), again = lease.waited
    assert 3 < seconds < 3.1
    assert again == (text, seconds)
    introduced = Beat.of(text)
    assert introduced is not None
    assert introduced.since == datetime.fromtimestamp(1000, timezone.utc)
    lease.other = None
    assert lead.ensure(lease)
    assert caplog.messages[1:] == ["beat: in charge now, after b (pid 2)."]
    lease.other = Holder(text=OTHER.text(), seconds=3)
    assert not lead.ensure(lease)
    assert caplog.messages[2].startswith("beat: standing by.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "d"}, ", with other code."),
        ({"schedule": "t"}, ", with another schedule."),
        (
            {"code": "d", "schedule": "t", "scheduler": "z"},
            ", with other code and another schedule and another scheduler.",
        ),
    ],
    ids=["code", "schedule", "all"],
)
def test_standby__another_version_is_named(
    lead: Leadership, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], said: str
) -> None:
    lease = Fake()
    text = Beat(**{**vars(OTHER), **changes}).text()
    lease.other = Holder(text=text, seconds=3)
    lead.ensure(lease)
    assert caplog.messages[0].endswith(said)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "another one"),
        ("garbage", "one that cannot be read"),
        (
            Beat(host="\x1b[31m\n", pid=1, since=None, code="c", schedule="s", scheduler="x:Y").text(),
            r"\x1b[31m\n (pid 1)",
        ),
    ],
    ids=["unknown", "garbage", "control characters"],
)
def test_standby__whoever_is_in_charge(
    lead: Leadership, caplog: pytest.LogCaptureFixture, text: str, named: str
) -> None:
    lease = Fake()
    lease.other = Holder(text=text, seconds=3)
    lead.ensure(lease)
    assert caplog.messages == [f"beat: standing by. In charge: {named}."]


def test_no_standby__ends_with_one_sentence(lead: Leadership, project: Project) -> None:
    lead.stands_by = False
    lease = Fake()
    lease.other = Holder(text=OTHER.text(), seconds=3)
    with pytest.raises(HeldElsewhere) as ended:
        lead.ensure(lease)
    assert str(ended.value).startswith("Another beat is in charge: b (pid 2) since 2026-03-02 00:00:00+00:00.")
    assert ended.value.hint == "leave out --no-standby to wait for it"
    assert ended.value.exit_code == 75
    assert project.beat_end is ended.value
    assert lease.waited == []


@pytest.mark.parametrize(("unix", "side"), [(4600.0, "3600 s behind"), (-2600.0, "3600 s ahead of")])
def test_clock_of_the_machine__that_is_wrong_is_reported_once(
    lead: Leadership, now: Now, caplog: pytest.LogCaptureFixture, unix: float, side: str
) -> None:
    lease = Fake()
    lease.server_time = ServerTime(unix=unix, monotonic=100, within=0)
    for _ in range(3):
        lead.ensure(lease)
    assert caplog.messages == [f"beat: the clock of this machine is {side} that of the broker, which beat goes by."]
    assert lead.clock.time() == unix


def test_clock__jumps_when_the_server_s_does(lead: Leadership) -> None:
    lease = Fake()
    lease.server_time = ServerTime(unix=1000, monotonic=100, within=0)
    lead.ensure(lease)
    assert lead.jump == 0
    lease.server_time = ServerTime(unix=400, monotonic=100, within=0)
    lead.ensure(lease)
    assert lead.jump == -600
    lead.ensure(lease)
    assert lead.jump == 0


def test_long_round__the_lease_is_kept_between_two_pieces_of_work(lead: Leadership, now: Now) -> None:
    lease = Fake()
    with lead.at_work():
        lead.keep()  # before there is a connection
    lead.ensure(lease)
    with lead.at_work():
        for seconds in (1, 4, 0.5, 2):
            now.monotonic += seconds
            lead.keep()
    assert [seconds for _, seconds in lease.held] == [10, 12]  # after 7.5 s: three times as long as the longest piece
    assert lead.pause() == pytest.approx(12 * RENEWAL)
    assert lead.busy == 4
    now.monotonic += 100  # nothing to do
    with lead.at_work():
        now.monotonic += 1
    assert lead.busy == 4 * module.FORGOTTEN
    lead.ensure(lease)
    lease.other = Holder(text=OTHER.text(), seconds=3)
    with lead.at_work():
        lead.keep()
        now.monotonic += 50
        with pytest.raises(Overtaken):
            lead.keep()
    assert lead.busy == 50
    assert lease.waited == []


def test_overtaken__says_why(lead: Leadership, now: Now, caplog: pytest.LogCaptureFixture) -> None:
    lead.ensure(Fake())
    now.monotonic += 10
    lead.overtaken()
    assert lead.is_due()
    now.monotonic += 0.1
    lead.overtaken()
    assert caplog.messages == [
        "beat: another beat has taken charge, or the broker has lost what beat keeps there.",
        "beat: its work took longer than its lease lasts. It starts again and asks for a longer lease.",
    ]


def test_foreign_text_at_the_key__is_reported_once(lead: Leadership, caplog: pytest.LogCaptureFixture) -> None:
    lease = Fake()
    for _ in range(2):  # before it is in charge, and later
        lease.foreign = 'the key "\x1b" held something else'
        lead.ensure(lease)
        lead.ensure(lease)
    assert [each for each in caplog.messages if "held" in each] == [
        r'beat: the key "\x1b" held something else.',
    ] * 2


def test_foreign_text_at_a_key__is_reported_by_a_beat_that_stands_by(
    lead: Leadership, caplog: pytest.LogCaptureFixture
) -> None:
    lease = Fake()
    lease.other, lease.foreign = Holder(text=OTHER.text(), seconds=3), "the key held something else"
    lead.ensure(lease)
    assert "beat: the key held something else." in caplog.messages


def test_lease__recognizes_what_beats_say_of_themselves(lead: Leadership) -> None:
    lease = Fake()
    lead.ensure(lease)
    assert lease.recognizes is not None
    assert lease.recognizes(OTHER.text())
    assert lease.recognizes('{"version": 9}')
    assert not lease.recognizes("text of somebody")
    assert not lease.recognizes("[1]")


def test_terms__count_what_may_have_been_anothers(lead: Leadership) -> None:
    lease = Fake()
    lease.terms = 1
    lead.ensure(lease)
    lead.ensure(lease)
    assert lead.terms == 1
    lease.terms = 2  # it had ended, and was taken again
    lead.ensure(lease)
    assert lead.terms == 2
    lead.lost()
    assert lead.lease is None
    assert lead.is_due()
    again = Fake()  # over a new connection: the lease was still its own
    lead.ensure(again)
    assert lead.terms == 2
    third = Fake()
    third.terms = 1
    lead.ensure(third)
    assert lead.terms == 3


def test_give_up__says_who_stood_by_and_does_not_wait_for_a_broker_that_hangs(
    lead: Leadership, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead.give_up()  # before there is a connection
    lease = Fake()
    lease.other = Holder(text="", seconds=3)
    lead.ensure(lease)
    lead.give_up()
    assert lease.given_up == [lease.waited[0][0]]
    assert (lead.lease, lead.in_charge) == (None, False)
    lead.give_up()
    assert len(lease.given_up) == 1

    def hang(seconds: float, *call: Any) -> None:
        assert seconds == module.FAREWELL
        raise module.TimedOut

    monkeypatch.setattr(module, "within_thread", hang)
    lead.ensure(lease)
    lead.give_up()
    assert lead.lease is None
