"""Both ends of the line between supervisor and worker, and the age of a process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from tasktools.supervisor.child import LINE, Child
from tasktools.supervisor.line import Line
from tests.support import wait_for


def test_line__an_answer_that_fails_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, signum: ended.append(pid))
    ours, theirs = socket.socketpair()
    line = Line(theirs.detach())
    child = Child(0, ours, number=1)
    heard: list[str] = []
    line.listen(pause=lambda: {}["nothing"], resume=lambda: heard.append("resume"))
    child.say("pause")
    child.say("resume")
    wait_for(lambda: heard == ["resume"])
    assert "an answer to the supervisor failed" in caplog.text
    ours.close()
    wait_for(lambda: ended == [os.getpid()])
    line._socket.close()


def test_began__is_when_the_process_began() -> None:
    code = "import time; time.sleep(0.3); from tasktools.supervisor.age import began; print(time.time() - began())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.26 < float(done.stdout) < 60  # it says rather too late: both clocks have steps of 0.01 s


def test_line__is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        monkeypatch.setenv(LINE, f"{theirs.detach()} 3")
        line = Line.from_environment()
        assert line is not None
        assert line.before == 3
        assert LINE not in os.environ
        assert Line.from_environment() is None
        line.say("ready")
        assert json.loads(ours.recv(100)) == {"say": "ready"}
        line._socket.close()


def test_line__calls_what_answers_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, signum: ended.append(pid))
    ours, theirs = socket.socketpair()
    line = Line(theirs.detach())
    child = Child(0, ours, number=1)
    heard: list[object] = []
    line.listen(pause=lambda: heard.append("pause"), leave=lambda grace: heard.append(grace))
    child.say("pause")
    child.say("nonsense")
    child.say("leave", grace=1.5)
    wait_for(lambda: heard == ["pause", 1.5])
    waiting = threading.Thread(target=line.wait_for_go)
    waiting.start()
    child.say("go")
    waiting.join(60)
    assert not waiting.is_alive()
    assert not ended
    ours.close()
    wait_for(lambda: ended == [os.getpid()])  # the supervisor has gone
    line.say("ready")  # and nobody hears it
    line._socket.close()


def test_child__hears_whole_lines() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        child = Child(0, ours, number=1)
        assert list(child.heard()) == []
        theirs.sendall(b'{"say": "ready"}\n{"say":')
        wait_for(lambda: list(child.heard()) == [{"say": "ready"}], 5)
        theirs.sendall(b' "stale", "paths": []}\n')
        assert list(child.heard()) == [{"say": "stale", "paths": []}]
    assert list(child.heard()) == []
    child.say("pause")  # to nobody
    ours.close()
