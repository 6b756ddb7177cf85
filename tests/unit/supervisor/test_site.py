"""The owner of the site's parts: its lines, its order, its forces. The parts are fakes, the clock too."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tasktools.supervisor import output, site
from tasktools.supervisor.output import Lines, Output, prefixes
from tasktools.supervisor.part import Part
from tasktools.supervisor.reports import MARK
from tasktools.supervisor.site import Site, SitePlan


def test_lines__come_whole_whatever_the_pieces() -> None:
    lines = Lines(b"web | ")
    assert [lines.feed(piece) for piece in (b"on", b"e\ntw", b"o\nthr")] == [b"", b"web | one\n", b"web | two\n"]
    assert lines.end() == b"web | thr\n"
    assert lines.end() == b""


def test_lines__empty_ones_and_any_bytes_are_kept() -> None:
    assert Lines(b"> ").feed(b"\n\xff\x00\n") == b"> \n> \xff\x00\n"


def test_lines__a_report_is_no_output() -> None:
    told: list[str] = []
    assert Lines(b"web | ", told.append).feed(f"one\n{MARK}Broken: \xe9.\ntwo\n".encode()) == b"web | one\nweb | two\n"
    assert told == ["Broken: \xe9."]


def test_lines__one_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LONGEST_LINE", 3)
    assert Lines(b"> ").feed(b"abcd") == b"> abcd\n"


def test_prefixes__are_of_one_width() -> None:
    assert prefixes(["web", "worker"], color=False) == {"web": b"web    | ", "worker": b"worker | "}


def test_prefixes__each_has_its_colour() -> None:
    found = prefixes(["web", "worker", "beat"], color=True)
    assert len({text.partition(b"m")[0] for text in found.values()}) == 3
    assert found["web"] == b"\033[32mweb    |\033[0m "


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def leave(pipe: tuple[int, int]) -> None:
    """Close the reader's end; its number stays taken for the fixture."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, pipe[0])
    os.close(null)


def test_output__a_slow_reader_makes_nobody_wait_and_loses_nothing(pipe: tuple[int, int]) -> None:
    out, sent = Output(pipe[1]), bytes(range(256)) * 1024
    out.write(sent)
    assert out.waiting
    received = b""
    while len(received) < len(sent):
        received += os.read(pipe[0], 65536)
        out.push()
    assert (received, out.waiting, out.gone) == (sent, b"", False)


def test_output__is_full_beyond_its_limit(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LIMIT", 10)
    out = Output(pipe[1])
    out.write(b"x" * (1 << 17))
    assert out.full
    waiting = out.waiting
    out.write(b"dropped")
    assert out.waiting == waiting


def test_output__knows_that_its_reader_has_gone(pipe: tuple[int, int]) -> None:
    leave(pipe)
    out = Output(pipe[1])
    out.write(b"anybody?\n")
    assert (out.gone, out.waiting) == (True, b"")


class Fake(Part):
    """A part without a process. It writes down what is done to it."""

    def __init__(self, name: str, prefix: bytes, log: list[str]) -> None:
        ours, self.theirs = os.pipe()
        os.set_blocking(ours, False)
        super().__init__(0, name, ours, prefix)
        self.log = log

    def step(self) -> None:
        self.sent += 1
        self.log.append(f"{self.name} {self.sent}")

    def kill(self) -> None:
        self.log.append(f"{self.name} killed")

    def has_ended(self) -> bool:
        return self.exit_code is not None

    def print(self, data: bytes) -> None:
        os.write(self.theirs, data)

    def die(self, code: int = 0) -> None:
        os.close(self.theirs)
        self.exit_code = code


class Stage:
    """A site of fakes, a clock that is set by hand, and what was said and done."""

    def __init__(self, descriptor: int, *names: str, keep_going: bool = False) -> None:
        self.now, self.said, self.log = 100.0, [], []  # type: ignore[var-annotated]
        commands = {name: [name] for name in names or ("web", "worker", "beat")}
        plan = SitePlan(commands, keep_going, reloaded=["web"])
        self.site = Site(plan, self.said.append, Output(descriptor), lambda: self.now, self._start)
        self.fakes: dict[str, Fake] = {}
        self.site.begin()

    def _start(self, name: str, command: Sequence[str], prefix: bytes) -> Fake:
        self.fakes[name] = Fake(name, prefix, self.log)
        return self.fakes[name]

    def after(self, seconds: float = 0, do: Callable[[], Any] = lambda: None) -> list[str]:
        """Let time go by, do something, turn the loop; return what was done to the parts."""
        self.now += seconds
        do()
        self.site.call(lambda: None)  # else the loop would sleep
        self.site.tick()
        done, self.log[:] = list(self.log), []
        return done

    def die(self, name: str, code: int = 0) -> list[str]:
        return self.after(0, lambda: self.fakes[name].die(code))

    def close(self) -> None:
        for fake in self.fakes.values():
            self.site.forget(fake.pipe)
            if fake.exit_code is None:
                os.close(fake.theirs)

    def ask(self, seconds: float = 1, signum: int = signal.SIGINT) -> list[str]:
        return self.after(seconds, lambda: self.site.asked(signum))


@pytest.fixture
def staged(pipe: tuple[int, int]) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(*names: str, **options: Any) -> Stage:
        made.append(Stage(pipe[1], *names, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Stage:
    return staged()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop__beat_then_web_then_worker(stage: Stage, signum: int) -> None:
    assert stage.ask(signum=signum) == ["beat 1"]
    assert stage.after(1) == []
    assert stage.die("beat") == ["web 1"]
    assert stage.die("web") == ["worker 1"]
    assert stage.after(3600) == []
    assert stage.site.exit_code is None
    stage.die("worker", 1)
    assert stage.site.exit_code == 0
    assert stage.said == ["rundev: stopping beat, web, worker"]


def test_stop__a_part_that_ends_out_of_turn_is_not_waited_for(stage: Stage) -> None:
    stage.ask()
    stage.die("web")
    assert stage.die("beat") == ["worker 1"]


def test_stop__web_that_does_not_end_is_killed(stage: Stage) -> None:
    stage.ask()
    stage.die("beat")
    assert stage.after(site.PATIENCE + 1) == ["web killed"]


def test_stop__beat_that_does_not_end_is_pressed_then_killed(stage: Stage) -> None:
    stage.ask()
    assert stage.after(site.PATIENCE + 0.5) == ["beat 2"]
    assert stage.after(site.THIRD + 0.5) == ["beat 3"]
    assert stage.after(site.KILL) == ["beat killed"]


def test_stop__before_the_parts_have_started_starts_none(pipe: tuple[int, int]) -> None:
    started: list[str] = []

    def start(name: str, command: Sequence[str], prefix: bytes) -> Part:
        started.append(name)
        raise AssertionError

    early = Site(SitePlan({"web": ["web"]}), lambda text: None, Output(pipe[1]), start=start)
    early.asked(signal.SIGINT)
    early.begin()
    assert (started, early.exit_code) == ([], 0)


def test_second_signal__forces(stage: Stage) -> None:
    stage.ask()
    assert stage.ask() == ["beat 2", "web killed", "worker 1", "worker 2"]
    assert stage.after(site.THIRD + 0.5) == ["beat 3", "worker 3"]
    assert stage.after(site.KILL) == ["beat killed", "web killed", "worker killed"]
    for name in ("beat", "web", "worker"):
        stage.die(name, -9)
    assert stage.site.exit_code == 130
    assert stage.said[-1] == "rundev: ending beat, web, worker by force"


def test_third_signal__hurries(stage: Stage) -> None:
    stage.ask()
    stage.ask()
    assert "worker 3" in stage.ask(0.5)


def test_two_signals_at_once__are_one(stage: Stage) -> None:
    """A terminal that closes sends SIGHUP, and so does its shell."""
    stage.ask(signum=signal.SIGHUP)
    assert stage.ask(site.TOGETHER / 2, signal.SIGHUP) == []
    assert stage.ask(site.TOGETHER * 2, signal.SIGHUP) != []


@pytest.mark.parametrize(
    ("code", "told", "expected"), [(1, "exit code 1", 1), (-9, "SIGKILL", 137), (0, "exit code 0", 0)]
)
def test_part_that_dies__ends_the_rest_with_its_code(stage: Stage, code: int, told: str, expected: int) -> None:
    assert stage.die("web", code) == ["beat 1"]
    assert stage.said == [f"rundev: web ended by itself with {told}: stopping the rest"]
    assert stage.die("beat") == ["worker 1"]
    stage.die("worker", 1)
    assert stage.site.exit_code == expected


def test_part_that_dies__then_one_signal_waits_on_and_two_force(stage: Stage) -> None:
    stage.die("web", 1)
    stage.die("beat")
    assert stage.ask() == []
    assert stage.said[-1] == "rundev: still waiting for worker; once more ends it by force"
    assert stage.ask() == ["worker 2"]
    stage.die("worker", -9)
    assert stage.site.exit_code == 130


def test_keep_going__goes_on_to_the_last_and_ends_as_the_first_that_failed(staged: Callable[..., Stage]) -> None:
    stage = staged(keep_going=True)
    for name, code in (("beat", 0), ("worker", 4), ("web", 5)):
        assert stage.site.exit_code is None
        assert stage.die(name, code) == []
    assert stage.site.exit_code == 4
    assert stage.said == [
        "rundev: beat ended by itself with exit code 0: web, worker go on",
        "rundev: worker ended by itself with exit code 4: web goes on",
        "rundev: web ended by itself with exit code 5: nothing else runs",
    ]


def test_keep_going__a_stop_that_was_asked_for_is_clean(staged: Callable[..., Stage]) -> None:
    stage = staged("web", "worker", keep_going=True)
    stage.die("web", 1)
    assert stage.ask() == ["worker 1"]
    stage.die("worker")
    assert stage.site.exit_code == 0


def test_web_whose_code_has_changed__starts_again(stage: Stage, pipe: tuple[int, int]) -> None:
    first = stage.fakes["web"]
    assert stage.die("web", site.CHANGED) == []
    again = stage.fakes["web"]
    assert again is not first
    assert (stage.said, list(stage.site.parts)) == ([], ["beat", "web", "worker"])
    stage.after(0, lambda: again.print(b"new\n"))
    assert os.read(pipe[0], 100) == b"web    | new\n"


def test_web_whose_code_has_changed__does_not_start_in_a_stop(stage: Stage) -> None:
    stage.ask()
    stage.die("web", site.CHANGED)
    assert list(stage.site.parts) == ["beat", "worker"]


def test_report__of_several_parts_is_printed_once(stage: Stage) -> None:
    def report(name: str, text: str) -> None:
        stage.after(0, lambda: stage.fakes[name].print(f"{MARK}{text}\n".encode()))

    for name in ("worker", "beat", "web"):
        report(name, "Broken (a.py, line 1).")
    assert stage.said == ["rundev: Broken (a.py, line 1)."]
    report("beat", "Broken (a.py, line 2).")
    report("worker", "Broken (a.py, line 1).")  # saved again
    report("beat", "Broken (a.py, line 1).")
    assert stage.said[1:] == ["rundev: Broken (a.py, line 2).", "rundev: Broken (a.py, line 1)."]


def test_report__that_is_the_last_word_is_printed(stage: Stage) -> None:
    stage.fakes["worker"].print(f"{MARK}Broken.".encode())
    stage.die("worker", 2)
    assert stage.said[0] == "rundev: Broken."


def test_output_of_parts__last_words_stand_before_the_note_of_their_end(
    staged: Callable[..., Stage], pipe: tuple[int, int]
) -> None:
    stage = staged("web", "worker")
    stage.after(0, lambda: stage.fakes["web"].print(b"one\ntwo"))
    assert os.read(pipe[0], 100) == b"web    | one\n"
    stage.die("web", 1)
    assert os.read(pipe[0], 100) == b"web    | two\n"


def test_reader_that_goes_away__stops_all(stage: Stage, pipe: tuple[int, int]) -> None:
    leave(pipe)
    stage.after(0, lambda: stage.fakes["web"].print(b"hello\n"))
    assert stage.said == ["rundev: nobody reads the output any more", "rundev: stopping beat, web, worker"]


def test_reader_that_sleeps__stops_the_reading_until_it_wakes(
    staged: Callable[..., Stage], pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LIMIT", 1000)
    stage = staged("web")
    web = stage.fakes["web"]
    for _ in range(2):
        stage.after(0, lambda: web.print(b"x" * 50000 + b"\n"))
    assert stage.site.output.full
    before = len(stage.site.output.waiting)
    stage.after(0, lambda: web.print(b"more\n"))
    assert len(stage.site.output.waiting) == before
    received = b""
    while not received.endswith(b"more\n"):
        received += os.read(pipe[0], 65536) if select.select([pipe[0]], [], [], 0)[0] else b""
        stage.after()
    assert received.count(b"web | x") == 2
