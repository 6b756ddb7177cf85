from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasktools import probe
from tasktools.health.answer import Answer, Limits
from tasktools.health.file import Heartbeat
from tests.support import wait_for


class Watch:
    limits = Limits(write=0.02)

    def __init__(self) -> None:
        self.answer = Answer(True, "waits for tasks")
        self.forgiven = 0

    def live(self) -> Answer:
        return self.answer

    def ready(self) -> Answer:
        return self.answer

    def forgive(self) -> None:
        self.forgiven += 1


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def heartbeat(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heartbeat]:
    monkeypatch.setenv("TASKTOOLS_PROBE_DIR", str(tmp_path / "probes"))
    made = Heartbeat("worker", "a/b@h", watch)
    yield made
    made.stop()


def why_not() -> str:
    return probe.why_not("worker", ".", 30)


def test_heartbeat__is_read_by_the_probe(heartbeat: Heartbeat, watch: Watch) -> None:
    assert heartbeat.start() == ""
    assert why_not() == ""
    watch.answer = Answer(False, "broken\nin two")
    wait_for(why_not)
    assert why_not() == f"worker a/b@h (process {os.getpid()}) is not alive: broken\\nin two"
    watch.answer = Answer(True, "")
    wait_for(lambda: not why_not())
    heartbeat.stop()
    with pytest.raises(probe.NoFile, match="no worker has written"):
        why_not()


def test_heartbeat__the_time_of_the_file_goes_on(heartbeat: Heartbeat) -> None:
    heartbeat.start()
    inode = heartbeat.path.stat().st_ino
    os.utime(heartbeat.path, (0, 0))
    wait_for(lambda: heartbeat.path.stat().st_mtime > 0)
    assert heartbeat.path.stat().st_ino == inode  # it was not written again


def test_heartbeat__comes_back_if_somebody_removes_it(heartbeat: Heartbeat) -> None:
    heartbeat.start()
    heartbeat.path.unlink()
    wait_for(heartbeat.path.exists)


def test_stop__leaves_the_file_of_the_next_process(heartbeat: Heartbeat) -> None:
    heartbeat.start()
    heartbeat._over.set()
    heartbeat.path.write_text("alive\na/b@h\n1\n\n")
    heartbeat.stop()
    assert heartbeat.path.exists()
    heartbeat.path.unlink()


def test_stop__writes_no_more(heartbeat: Heartbeat) -> None:
    heartbeat.start()
    heartbeat.stop()
    with pytest.raises(AssertionError, match="waited"):
        wait_for(heartbeat.path.exists, 0.2)


def test_folder__is_closed_to_others(heartbeat: Heartbeat) -> None:
    before = os.umask(0)
    try:
        heartbeat.start()
    finally:
        os.umask(before)
    assert heartbeat.folder.stat().st_mode & 0o777 == 0o700


def test_folder__that_others_may_write_to_is_refused(heartbeat: Heartbeat) -> None:
    heartbeat.folder.mkdir(parents=True)
    heartbeat.folder.chmod(0o777)
    assert heartbeat.start() == f'others may write to "{heartbeat.folder}"'
    assert not heartbeat.path.exists()


def test_folder__around_that_of_the_project_may_not_be_of_others(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "shared"
    monkeypatch.setattr(probe, "folders", lambda _: [str(base), str(base / "site")])
    made = Heartbeat("worker", "a@h", watch)
    base.mkdir(mode=0o700)
    base.chmod(0o777)
    assert made.start() == f'others may write to "{base}"'
    assert list(base.iterdir()) == []
    base.chmod(0o700)
    assert made.start() == ""
    made.stop()


def test_folder__of_another_user_is_refused_for_root_too(heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "refusal", lambda path, *, only_own=True: "of another user" if only_own else "")
    assert heartbeat.start() == "of another user"


def test_name__may_end_as_any_name_does(watch: Watch, heartbeat: Heartbeat) -> None:
    other = Heartbeat("worker", "web.new", watch)
    assert other.start() == ""
    assert probe.why_not("worker", ".", 30, "web.new") == ""
    assert [each.name for each in other.folder.iterdir()] == ["worker-web.new"]
    other.stop()


def test_folder__that_cannot_be_made(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv("TASKTOOLS_PROBE_DIR", str(tmp_path / "file"))
    assert Heartbeat("worker", "a@h", watch).start() == f'"{tmp_path}/file" is not a folder'
    monkeypatch.setenv("TASKTOOLS_PROBE_DIR", str(tmp_path / "file/probes"))
    made = Heartbeat("worker", "a@h", watch)
    assert made.start() == f'"{made.path}" cannot be written: Not a directory'


def test_beat__removes_the_files_of_beats_that_are_gone(heartbeat: Heartbeat, watch: Watch) -> None:
    heartbeat.start()
    gone, here, broken = (heartbeat.folder / f"beat-{name}" for name in ("gone", "here", "broken"))
    gone.write_text("alive\nh:1\n4194305\n\n")
    here.write_text(f"alive\nh:2\n{os.getppid()}\n\n")
    broken.write_text("x")
    beat = Heartbeat("beat", "h:3", watch)
    beat.start()
    assert (gone.exists(), here.exists(), broken.exists(), heartbeat.path.exists()) == (False, True, True, True)
    beat.stop()


def test_still__a_process_that_did_not_run_is_forgiven(
    heartbeat: Heartbeat, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.start()
    wait_for(lambda: heartbeat.path.exists())
    assert watch.forgiven == 0
    real = __import__("time").monotonic
    monkeypatch.setattr("tasktools.health.file.time.monotonic", lambda: real() + 100)
    wait_for(lambda: watch.forgiven == 1)
