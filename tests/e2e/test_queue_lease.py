"""The lease in RabbitMQ: an exclusive queue."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator

import amqp
import pytest

from tasktools.brokers.lease import Lease
from tasktools.brokers.queue_lease import HEARTBEAT, QueueLease
from tasktools.exceptions import ConfigurationError, Unreachable
from tests.brokers.lease_contract import *  # noqa: F403 - the tests of every lease
from tests.brokers.lease_contract import SECONDS, SHORT, Make, Place, start
from tests.brokers.lease_process import open_lease
from tests.servers import RabbitMQ
from tests.support import LIMIT, Site, refusing_port, stop, wait_for


@pytest.fixture
def place(rabbitmq: RabbitMQ) -> Place:
    return {"url": rabbitmq.url}


@pytest.fixture
def channel(rabbitmq: RabbitMQ) -> Iterator[amqp.Channel]:
    with amqp.Connection(f"127.0.0.1:{rabbitmq.port}") as connection:
        yield connection.channel()


def log_of(rabbitmq: RabbitMQ) -> str:
    return (rabbitmq.folder / "log").read_text(errors="replace")


@contextlib.contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Keep a lease while something takes longer than the server waits for a sign of life: rabbitmqctl on a busy machine."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(0.5):
            assert lease.hold("one", SECONDS) is None

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_wait__leaves_no_error_in_the_log_of_the_server(make_lease: Make, rabbitmq: RabbitMQ, name: str) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    before = log_of(rabbitmq)
    for _ in range(5):
        assert second.hold("two", SECONDS) is not None
        second.wait("two", 0.05)
    first.give_up("one")
    wait_for(lambda: second.hold("two", SECONDS) is None)
    assert "error" not in log_of(rabbitmq)[len(before) :]


def test_hold__opens_no_channel_that_stays(make_lease: Make) -> None:
    first, second = make_lease(), make_lease()
    assert isinstance(first, QueueLease)
    assert isinstance(second, QueueLease)
    counts = []
    for _ in range(4):
        assert first.hold("one", SECONDS) is None
        assert second.hold("two", SECONDS) is not None
        counts.append([len(each._connection.connection.channels) for each in (first, second)])
    assert counts[1:] == counts[:1] * 3


def test_queues__hold_no_message_of_those_that_wait_and_go_with_the_lease(
    make_lease: Make, rabbitmq: RabbitMQ, name: str
) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    for _ in range(3):
        second.hold("two", SECONDS)
    with kept(first):
        lengths = rabbitmq.lengths()
    assert (lengths[name], lengths[f"{name}:holder"]) == ((0, 0), (1, 0))
    first.give_up("one")
    assert not [each for each in rabbitmq.lengths() if each.startswith(name)]


def test_hold__says_what_the_holder_says_also_after_one_that_was_killed(
    make_lease: Make, site: Site, place: Place, name: str
) -> None:
    killed = start(site, place, name, "one")
    killed.wait_for_output(" held")
    killed.end(signal.SIGKILL)
    second, third = make_lease(), make_lease()
    wait_for(lambda: second.hold("two", SECONDS) is None)
    for _ in range(2):
        held = third.hold("three", SECONDS)
        assert held is not None
        assert held.text == "two"


def test_hold__after_the_server_has_ended_the_connection(make_lease: Make, rabbitmq: RabbitMQ) -> None:
    first = make_lease()
    first.hold("one", SECONDS)
    rabbitmq.control("close_all_connections", "enough")
    with pytest.raises(ConnectionError, match=r"^the connection of the lease is lost: .+"):
        first.hold("one", SECONDS)
    with pytest.raises(ConnectionError, match="the connection of the lease is lost"):
        first.hold("one", SECONDS)
    began = time.monotonic()
    first.close()
    assert time.monotonic() - began < 20  # without a limit, it would wait for an answer
    assert make_lease().hold("two", SECONDS) is None


def test_wait__after_the_server_has_ended_the_connection(make_lease: Make, rabbitmq: RabbitMQ) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    second.hold("two", SECONDS)
    rabbitmq.control("close_all_connections", "enough")
    with pytest.raises(ConnectionError):
        second.wait("two", SHORT)


@pytest.mark.parametrize("held", [True, False])
def test_hold__while_the_server_is_silent(make_lease: Make, rabbitmq: RabbitMQ, held: bool) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    second.hold("two", SECONDS)
    asker = first if held else second
    rabbitmq.suspend()
    try:
        began = time.monotonic()
        with pytest.raises(ConnectionError, match="the connection of the lease is lost: "):
            asker.hold("one", SECONDS)
        assert 0.9 < time.monotonic() - began < 20
        asker.give_up("one")
        asker.close()
        assert time.monotonic() - began < 40
    finally:
        rabbitmq.resume()


def test_hold__after_a_restart_of_the_server(rabbitmq: RabbitMQ, place: Place, name: str) -> None:
    first = open_lease(place, name, "one")
    first.hold("one", SECONDS)
    rabbitmq.kill()
    with pytest.raises(ConnectionError):
        first.hold("one", SECONDS)
    with pytest.raises(Unreachable, match=r'The broker "amqp://guest:\*\*@.*" cannot be reached: .*refused'):
        open_lease(place, name, "two")
    rabbitmq.start()
    second = open_lease(place, name, "two")
    assert second.hold("two", SECONDS) is None
    second.give_up("two")
    first.close()


def test_holder__that_is_stopped_loses_it_and_is_told(make_lease: Make, site: Site, place: Place, name: str) -> None:
    first = start(site, place, name, "one")
    first.wait_for_output(" held")
    stop(first.process.pid)
    began = time.monotonic()
    second = make_lease()
    while second.hold("two", SECONDS) is not None:
        assert time.monotonic() - began < LIMIT
        second.wait("two", SHORT)
    assert time.monotonic() - began > HEARTBEAT  # the server waits for two; the first may have been late already
    said = first.output
    first.process.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert re.search(r"\A\d+\.\d+ lost: the connection of the lease is lost: ", first.output[len(said) :].lstrip())
    assert second.hold("two", SECONDS) is None
    assert second.terms == 1


def test_queue__of_that_name_that_is_no_lease(make_lease: Make, channel: amqp.Channel, name: str) -> None:
    channel.queue_declare(name, durable=True, auto_delete=False)
    lease = make_lease()
    for _ in range(2):
        held = lease.hold("one", SECONDS)
        assert held is not None
        assert held.text == ""
    channel.queue_delete(name)
    wait_for(lambda: lease.hold("one", SECONDS) is None)


def test_queue__of_the_holder_s_name_that_is_another(make_lease: Make, channel: amqp.Channel, name: str) -> None:
    """The lease does not depend on it."""
    channel.queue_declare(f"{name}:holder", durable=True, auto_delete=False, arguments={"x-max-length": 7})
    first, second = make_lease(), make_lease()
    for _ in range(2):
        assert first.hold("one", SECONDS) is None
        held = second.hold("two", SECONDS)
        assert held is not None
        assert held.text == ""


def test_holder_s_text__does_not_expire_while_nobody_asks(make_lease: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.brokers.queue_lease._KEPT", 600)
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert first.hold("one", SECONDS) is None
        first.wait("one", 0.2)
    held = second.hold("two", SECONDS)
    assert held is not None
    assert held.text == "one"


def test_holder_s_text__that_is_not_there_leaves_no_error_in_the_log(
    make_lease: Make, rabbitmq: RabbitMQ, channel: amqp.Channel, name: str
) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    channel.queue_delete(f"{name}:holder")
    before = log_of(rabbitmq)
    for _ in range(2):
        held = second.hold("two", SECONDS)
        assert held is not None
        assert held.text == ""
    assert "error" not in log_of(rabbitmq)[len(before) :]


def test_hold__names_an_error_without_a_text(make_lease: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise TimeoutError

    lease = make_lease()
    monkeypatch.setattr(lease, "_is_free", fail)
    with pytest.raises(ConnectionError, match=r"^the connection of the lease is lost: TimeoutError$"):
        lease.hold("one", SECONDS)


def test_take__two_that_have_both_found_it_free(make_lease: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_lease(), make_lease()
    first.hold("one", SECONDS)
    with monkeypatch.context() as patch:
        patch.setattr(second, "_is_free", lambda: True)
        for _ in range(2):
            held = second.hold("two", SECONDS)
            assert held is not None
            assert held.text == "one"
    assert second.terms == 0
    first.give_up("one")
    wait_for(lambda: second.hold("two", SECONDS) is None)


@pytest.mark.parametrize("rules", [("celery.*", ".*", ".*"), (".*", "celery.*", ".*")])
def test_user__without_the_permission_is_told(rabbitmq: RabbitMQ, name: str, rules: tuple[str, str, str]) -> None:
    user = f"user-{name.split(':')[2]}"
    rabbitmq.control("add_user", user, "secret")
    rabbitmq.control("set_permissions", user, *rules)
    lease = open_lease({"url": rabbitmq.url.replace("guest:guest", f"{user}:secret")}, name, "one")
    with pytest.raises(ConfigurationError) as caught:
        lease.hold("one", SECONDS)
    assert caught.value.sentence.startswith("The broker gives no lease: ")
    assert "ACCESS_REFUSED" in caught.value.sentence
    assert name in caught.value.hint
    lease.close()


def test_user__who_may_not_log_in(rabbitmq: RabbitMQ, name: str) -> None:
    with pytest.raises(Unreachable, match="ACCESS_REFUSED"):
        open_lease({"url": rabbitmq.url.replace("guest:guest", "guest:wrong")}, name, "one")


def test_lease__of_a_server_that_is_away(name: str) -> None:
    with pytest.raises(Unreachable, match="refused"):
        open_lease({"url": f"amqp://guest:guest@127.0.0.1:{refusing_port()}//"}, name, "one")
