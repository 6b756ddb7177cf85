"""The strategies of the supervisor, with real processes that do what a test types: no Django, no Celery."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools.supervisor.beat import BeatReloader
from tasktools.supervisor.child import Child
from tasktools.supervisor.loop import Loop
from tasktools.supervisor.process import Process, spawn
from tasktools.supervisor.reloader import Plan, Reloader, named
from tasktools.supervisor.watcher import Files
from tasktools.supervisor.worker import WorkerReloader
from tests.support import wait_for

#: Says "ready" when a file `ready` is there, and writes down what it hears; ends with the number in the file `exit`.
CHILD = """
import json, os, signal, socket, sys, time
number, before = map(int, os.environ["TASKTOOLS_LINE"].split())
line = socket.socket(fileno=number)
line.setblocking(False)
if os.path.exists("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
said = False
while True:
    if os.path.exists("hopeless") and not said:
        line.sendall(b'{"say": "hopeless"}\\n')
    if os.path.exists("done"):
        line.sendall(b'{"say": "done"}\\n')
        sys.exit(0)
    if os.path.exists("exit"):
        sys.exit(int(open("exit").read()))
    if os.path.exists("ready") and not said:
        said = True
        line.sendall(b'{"say": "ready"}\\n')
    try:
        heard = line.recv(1000)
    except BlockingIOError:
        time.sleep(0.01)
        continue
    if not heard:
        sys.exit(0)
    with open(f"heard-{before + 1}", "ab") as file:
        file.write(heard)
    if b'"go"' in heard and not os.path.exists("fails"):
        line.sendall(b'{"say": "runs"}\\n')
"""


class Bench:
    """A reloader whose children run in `folder`."""

    def __init__(self, folder: Path, kind: type[Reloader], **plan: object) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.now = 0.0
        script = folder / "child.txt"
        script.write_text(CHILD)
        words = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r}); exec(open('child.txt').read())"]
        self.reloader = kind(
            Plan(kind="", command=words, **plan), Files([str(folder)]), self.said.append, lambda: self.now
        )

    def flag(self, name: str, text: str = "", *, on: bool = True) -> None:
        """Set or take away what the children look at. A child never sees it half written."""
        path = self.folder / name
        if on:
            written = self.folder / f"{name}.written"
            written.write_text(text)
            written.replace(path)
        else:
            path.unlink()

    def turn_until(self, done: object) -> None:
        def turn() -> bool:
            self.reloader.call(lambda: None)  # so that it does not sleep
            self.reloader.tick()
            return bool(done())  # type: ignore[operator]

        wait_for(turn)

    def heard(self, number: int) -> str:
        path = self.folder / f"heard-{number}"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        for process in self.reloader.processes:
            process.kill()
        self.reloader.stopping = 1
        self.turn_until(lambda: not self.reloader.processes)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, WorkerReloader, grace=10.0)
    bench.flag("ready")
    bench.reloader.begin()
    current = bench.reloader.current
    bench.turn_until(lambda: current is not None and current.ready)
    yield bench
    bench.end()


@pytest.fixture
def beat(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, BeatReloader)
    bench.flag("ready")
    bench.reloader.begin()
    bench.turn_until(lambda: bench.reloader.current is not None)
    yield bench
    bench.end()


def test_worker__old_one_pauses_at_once_and_leaves_when_the_new_one_is_ready(worker: Bench) -> None:
    reloader = worker.reloader
    old = reloader.current
    worker.flag("ready", on=False)
    reloader.take_up(["a.py"])
    worker.turn_until(lambda: '"pause"' in worker.heard(1))
    assert reloader.current is old
    worker.now = 1.5
    worker.flag("ready")
    worker.turn_until(lambda: reloader.current is not old)
    worker.turn_until(lambda: old not in reloader.processes)
    assert worker.said == ["reload: a.py changed, reloading", "reload: new code runs after 1.50 s"]


def test_worker__new_one_that_ends_has_the_old_one_go_on(worker: Bench) -> None:
    reloader = worker.reloader
    old = reloader.current
    worker.flag("ready", on=False)
    reloader.take_up(["a.py"])
    new = reloader.next
    assert new is not None
    new.send(signal.SIGKILL)
    worker.turn_until(lambda: '"resume"' in worker.heard(1))
    assert reloader.current is old
    assert worker.said[-1] == (
        "reload: the new code did not start (SIGKILL): the old worker goes on until the next change"
    )


def test_worker__change_while_the_new_one_starts_ends_that(worker: Bench) -> None:
    reloader = worker.reloader
    worker.flag("ready", on=False)
    reloader.take_up(["a.py"])
    second = reloader.next
    reloader.take_up(["b.py"])
    third = reloader.next
    assert third is not second
    worker.turn_until(lambda: second not in reloader.processes)
    assert len(reloader.processes) == 2
    worker.flag("ready")
    worker.turn_until(lambda: reloader.current is third)


def stubborn_one(worker: Bench) -> Child:
    """Have a worker in charge that does not end when it is told to, and return it."""
    worker.flag("stubborn")
    worker.reloader.take_up(["a.py"])
    started = worker.reloader.next
    assert started is not None
    worker.turn_until(lambda: worker.reloader.current is started)
    return started


def test_worker__that_does_not_end_is_killed_after_the_grace(worker: Bench) -> None:
    reloader, stubborn = worker.reloader, stubborn_one(worker)
    reloader.take_up(["a.py"])
    worker.turn_until(lambda: stubborn.asked_to_end is not None)
    stubborn.asked_to_end = worker.now
    worker.now += 14.9
    worker.turn_until(lambda: reloader.current is not stubborn)
    assert stubborn in reloader.processes
    worker.now += 0.2
    worker.turn_until(lambda: stubborn.exit_code == -signal.SIGKILL)


def test_worker__that_has_done_its_share_ends_all(worker: Bench) -> None:
    worker.flag("done")
    worker.turn_until(lambda: worker.reloader.exit_code == 0)
    assert worker.said == []


@pytest.mark.parametrize("code", [0, 2])
def test_worker__that_ends_all_waits_for_one_that_was_replaced(worker: Bench, code: int) -> None:
    """It may run a task. As PID 1 of a container, the supervisor ends it with itself."""
    reloader, old = worker.reloader, stubborn_one(worker)
    reloader.take_up(["a.py"])
    worker.turn_until(lambda: reloader.current is not old)
    assert reloader.current is not None
    os.kill(old.pid, signal.SIGSTOP)  # it is at its task, and does not see the files
    reloader.current.done, reloader.current.hopeless = not code, bool(code)
    worker.flag("exit", str(code))
    worker.turn_until(lambda: reloader.current is None)
    assert (reloader.exit_code, reloader.processes) == (None, [old])
    reloader.take_up(["a.py"])  # too late
    assert reloader.next is None
    old.send(signal.SIGKILL)
    worker.turn_until(lambda: reloader.exit_code == code)


@pytest.mark.parametrize("kind", [WorkerReloader, BeatReloader])
def test_first_one_that_ends__is_waited_for_unless_it_is_hopeless(tmp_path: Path, kind: type[Reloader]) -> None:
    bench = Bench(tmp_path, kind)
    bench.flag("exit", "2")
    bench.reloader.begin()
    bench.turn_until(lambda: bench.said)
    assert bench.said[0].endswith("did not start (exit code 2): waiting for a change")
    bench.flag("hopeless")
    bench.reloader.take_up(["a.py"])
    bench.turn_until(lambda: len(bench.said) > 2 or bench.reloader.exit_code is not None)
    bench.end()


def end_by_itself(bench: Bench, code: str = "1") -> None:
    """Have the one in charge end, and see that it is to be started again."""
    said = len(bench.said)
    bench.flag("exit", code)
    bench.turn_until(lambda: len(bench.said) > said)
    bench.flag("exit", on=False)


def come_back(bench: Bench, seconds: float) -> None:
    """Let so much time pass, and see it run again then and not before."""
    number = bench.reloader.started
    bench.now += seconds - 0.1
    bench.turn_until(lambda: True)
    assert bench.reloader.started == number
    assert bench.reloader.is_busy()
    bench.now += 0.1
    bench.turn_until(lambda: bench.said[-1] == "reload: it runs again")
    assert bench.reloader.current is not None


@pytest.mark.parametrize(("kind", "name", "code"), [("worker", "the worker", "0"), ("beat", "beat", "3")])
def test_ended_by_itself__starts_again_after_a_pause_that_grows(
    request: pytest.FixtureRequest, kind: str, name: str, code: str
) -> None:
    bench = request.getfixturevalue(kind)
    for pause in (1, 2, 4):
        end_by_itself(bench, code)
        assert bench.said[-1] == f"reload: {name} ended by itself (exit code {code}): it starts again in {pause} s"
        come_back(bench, pause)
    bench.reloader._pause = 40
    end_by_itself(bench, code)
    assert bench.said[-1].endswith("in 60 s")
    come_back(bench, 60)
    bench.now += 60
    end_by_itself(bench, code)
    assert bench.said[-1].endswith("in 1 s")


def test_ended_by_itself__change_does_not_wait_for_the_pause(worker: Bench) -> None:
    end_by_itself(worker)
    worker.reloader.take_up(["a.py"])
    worker.turn_until(lambda: worker.reloader.current is not None)
    assert worker.said[-1] == "reload: new code runs after 0.00 s"
    worker.now += 60
    worker.turn_until(lambda: True)
    assert worker.reloader.started == 2


def test_ended_by_itself__one_that_does_not_start_again_is_waited_for(worker: Bench) -> None:
    end_by_itself(worker)
    worker.flag("ready", on=False)
    worker.flag("exit", "2")
    worker.now += 1
    worker.turn_until(lambda: "did not start" in worker.said[-1])
    assert worker.said[-1] == "reload: the worker did not start (exit code 2): waiting for a change"
    assert not worker.reloader.is_busy()


def test_ended_by_itself__signal_ends_the_pause(worker: Bench) -> None:
    end_by_itself(worker)
    worker.reloader.asked(signal.SIGTERM)
    worker.now += 2
    worker.turn_until(lambda: worker.reloader.exit_code == 0)
    assert worker.reloader.started == 1


def test_hopeless_first_one__ends_with_its_code(tmp_path: Path) -> None:
    bench = Bench(tmp_path, WorkerReloader)
    bench.flag("hopeless")
    bench.flag("exit", "2")
    bench.reloader.begin()
    bench.turn_until(lambda: bench.reloader.exit_code == 2)
    assert bench.said == []


def test_beat__that_began_and_is_hopeless_ends_with_its_code(beat: Bench) -> None:
    """Celery reads its command line when beat has begun."""
    reloader = beat.reloader
    assert reloader.current is not None
    reloader.current.hopeless = True
    beat.flag("exit", "2")
    beat.turn_until(lambda: reloader.exit_code == 2)
    assert (beat.said, reloader.started) == ([], 1)


def test_beat__that_does_not_begin_is_not_said_to_run(beat: Bench) -> None:
    end_by_itself(beat)
    beat.flag("fails")
    beat.now += 1
    beat.turn_until(lambda: '"go"' in beat.heard(2))
    end_by_itself(beat)
    assert "reload: it runs again" not in beat.said


def test_stale__content_that_is_the_same_has_the_worker_go_on(worker: Bench) -> None:
    path = worker.folder / "a.py"
    path.write_text("x")
    reloader = worker.reloader
    reloader.files.read()
    reloader._hear(reloader.current, {"say": "stale", "paths": [str(path)]})  # type: ignore[arg-type]
    worker.turn_until(lambda: '"resume"' in worker.heard(1))
    path.write_text("y")
    reloader._hear(reloader.current, {"say": "stale", "paths": [str(path)]})  # type: ignore[arg-type]
    worker.turn_until(lambda: any("a.py changed, reloading" in each for each in worker.said))


def test_beat__new_one_begins_when_the_old_one_has_gone(beat: Bench) -> None:
    reloader = beat.reloader
    old = reloader.current
    assert old is not None
    beat.turn_until(lambda: '"go"' in beat.heard(1))
    reloader.take_up(["a.py"])
    new = reloader.next
    beat.turn_until(lambda: '"go"' in beat.heard(2))
    assert old.exit_code is not None
    assert reloader.current is new


def test_beat__old_one_that_does_not_end_is_killed(beat: Bench) -> None:
    beat.flag("stubborn")
    reloader = beat.reloader
    reloader.take_up(["a.py"])
    beat.turn_until(lambda: '"go"' in beat.heard(2))
    stubborn = reloader.current
    assert stubborn is not None
    reloader.take_up(["a.py"])
    beat.turn_until(lambda: stubborn.asked_to_end is not None)
    stubborn.asked_to_end = beat.now
    beat.now += 10.1
    beat.turn_until(lambda: '"go"' in beat.heard(3))
    assert stubborn.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("kind", [WorkerReloader, BeatReloader])
@pytest.mark.parametrize("adopted", [True, False])
def test_signal_before_it_has_begun__leaves_nothing(tmp_path: Path, kind: type[Reloader], adopted: bool) -> None:
    plan = {}
    if adopted:
        ours, theirs = socket.socketpair()
        theirs.close()
        plan = {"pid": spawn([sys.executable, "-c", "import time; time.sleep(60)"]), "line": ours.detach()}
    bench = Bench(tmp_path, kind, **plan)
    bench.reloader.asked(signal.SIGTERM)
    assert bench.reloader.exit_code is None
    bench.reloader.begin()
    bench.turn_until(lambda: bench.reloader.exit_code is not None)
    assert bench.reloader.processes == []


def test_signals__three_are_handed_on_and_what_is_left_is_killed(worker: Bench) -> None:
    worker.flag("stubborn")
    reloader = worker.reloader
    reloader.take_up(["a.py"])
    stubborn = reloader.next
    worker.turn_until(lambda: reloader.current is stubborn)
    reloader.asked(signal.SIGTERM)
    reloader.asked(signal.SIGHUP)
    reloader.take_up(["a.py"])  # too late
    assert reloader.next is None
    reloader.asked(signal.SIGTERM)
    worker.turn_until(lambda: True)
    assert stubborn in reloader.processes
    worker.now += 1.6
    worker.turn_until(lambda: reloader.exit_code == 128 + signal.SIGKILL)
    assert any("it is killed; what it ran is cut off" in each for each in worker.said)


def test_named__three_and_how_many_more() -> None:
    assert named(["a", "b", "c"]) == "a, b, c"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("code", "told"), [(0, "exit code 0"), (2, "exit code 2"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_process__tells_its_end(code: int, told: str) -> None:
    process = Process(0)
    process.exit_code = code
    assert process.how_it_ended() == told
    assert process.has_ended()
    process.send(signal.SIGTERM)  # not to anybody
    process.kill()


def test_process__exit_code_of_a_real_one() -> None:
    process = Process(spawn([sys.executable, "-c", "raise SystemExit(3)"]))
    wait_for(process.has_ended)
    assert process.exit_code == 3


def test_loop__leaves_the_rest_to_its_strategies() -> None:
    loop = Loop(print)
    for call in (loop.begin, lambda: loop.asked(2), lambda: loop.ended(Process(0))):
        with pytest.raises(NotImplementedError):
            call()
    assert not loop.is_busy()


def test_supervisor__imports_neither_django_nor_celery() -> None:
    code = """
import sys, tasktools.supervisor.worker, tasktools.supervisor.beat
heavy = {"django", "celery", "kombu", "asyncio", "hashlib", "dataclasses", "inspect"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
