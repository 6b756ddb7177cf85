"""The worker's end of the line, and what it knows of its own files."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasktools.supervisor.child import LINE, Child
from tasktools.worker.supervisor_client import Line, Sources
from tests.support import wait_for

NOW = time.time()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a project that was written long ago and has been loaded."""
    path = tmp_path / "loaded_for_the_test.py"
    path.write_text("VALUE = 1\n")
    os.utime(path, (1000, 1000))
    load(path, monkeypatch)
    return path


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    monkeypatch.setitem(sys.modules, path.stem, importlib.util.module_from_spec(spec))


def test_sources__unchanged(module: Path) -> None:
    assert Sources([module.parent], since=NOW).changed() == []


def test_sources__other_time_stamp_until_it_is_renewed(module: Path) -> None:
    sources = Sources([module.parent], since=NOW)
    os.utime(module, (2000, 2000))
    assert sources.changed() == [str(module)]
    sources.renew()
    assert sources.changed() == []
    module.unlink()
    assert sources.changed() == [str(module)]


def test_sources__one_that_has_gone_is_renewed_too(module: Path) -> None:
    """Or a worker would take no task any more when it is a file that the supervisor does not watch."""
    sources = Sources([module.parent], since=NOW)
    module.unlink()
    sources.renew()
    assert sources.changed() == []
    module.write_text("VALUE = 1\n")
    assert sources.changed() == [str(module)]


def test_sources__written_while_it_was_loaded(module: Path) -> None:
    os.utime(module, (2000, 2000))
    assert Sources([module.parent], since=1500).changed() == [str(module)]
    assert Sources([module.parent], since=2500).changed() == []


def test_sources__module_that_is_loaded_later(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources([module.parent], since=NOW)
    later = module.with_name("loaded_later_for_the_test.py")
    later.write_text("")
    os.utime(later, (1000, 1000))
    load(later, monkeypatch)
    assert sources.changed() == []
    os.utime(later, (2000, 2000))
    assert sources.changed() == [str(later)]


def test_sources__not_what_is_ignored_or_elsewhere(module: Path) -> None:
    elsewhere = Sources([module.parent / "other"], since=NOW)
    ignored = Sources([module.parent.parent], [module.parent], since=NOW)
    os.utime(module, (2000, 2000))
    assert elsewhere.changed() == []
    assert str(module) not in ignored.changed()


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
    code = "import time; time.sleep(0.3); from tasktools.worker.supervisor_client import began; print(time.time() - began())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.3 < float(done.stdout) < 10


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
    waiting.join(10)
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
