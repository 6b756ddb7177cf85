"""A stop that tells, in a given time, and workers that end by themselves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest

from tests.support import LIMIT, Running, Site, wait_for

TASKS = """
import os
import time
from celery import shared_task

@shared_task(acks_late=LATE)
def slow(seconds: float):
    print("slow has begun")
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists("end"):
        time.sleep(0.05)

@shared_task
def held(path: str):
    while not os.path.exists(path):
        time.sleep(0.01)

@shared_task
def note(path, key):
    with open(path, "a") as file:
        print(key, file=file)
"""


def make(site: Site, *, acks_late: bool = False, settings: str = "") -> Site:
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS.replace("LATE", str(acks_late)))
    return site


def begin(site: Site, worker: Running, *seconds: str) -> None:
    for each in seconds:
        assert site.manage("enqueue", "slow", each).returncode == 0
    wait_for(lambda: worker.output.count(" received") >= len(seconds) and "slow has begun" in worker.output)


def end_slow(site: Site) -> None:
    (site.root / "end").touch()


def queued(site: Site) -> int:
    purged = site.manage("celery", "purge", "-f").stdout
    return int((re.search(r"Purged (\d+)", purged) or ["", "0"])[1])


def test_warm_stop__says_once_what_it_waits_for_and_what_finished(site: Site) -> None:
    worker = make(site).start_worker()
    begin(site, worker, "600")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_output("waiting for shop.tasks.slow[")
    end_slow(site)
    assert worker.wait() == 0
    assert len(re.findall(r"^waiting for shop\.tasks\.slow\[[\w-]{36}\] \(\d+ s\)$", worker.output, re.M)) == 1
    assert re.search(r"^finished: shop\.tasks\.slow\[[\w-]{36}\]$", worker.output, re.M)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_stop__what_was_fetched_ahead_is_next_in_its_order(site: Site, how: int) -> None:
    go, noted = site.root / "go", site.root / "noted"
    worker = make(site).start_worker("-c", "1")
    assert site.manage("enqueue", "held", str(go)).returncode == 0
    site.write("lines.jsonl", "".join(f'["{noted}", {n}]\n' for n in range(6)))
    assert site.manage("enqueue", "note", "--from", "lines.jsonl").returncode == 0
    wait_for(lambda: worker.output.count(" received") == 5)
    worker.process.send_signal(how)
    if how == signal.SIGTERM:
        worker.wait_for_output("waiting for shop.tasks.held")
    go.touch()
    worker.wait()
    assert not noted.exists()
    site.start_worker("-c", "1", "--drain").wait()
    assert noted.read_text().split() == list("012345")


def test_idle_worker__stops_without_a_word(site: Site) -> None:
    worker = make(site).start_worker()
    worker.end(signal.SIGTERM)
    assert not re.search("^(waiting|finished|went|cut)", worker.output, re.M)


@pytest.mark.measured
@pytest.mark.parametrize("acks_late", [False, True], ids=["early", "late"])
def test_cold_stop__says_what_is_lost_and_what_went_back(site: Site, acks_late: bool) -> None:
    worker = make(site, acks_late=acks_late).start_worker()
    begin(site, worker, "600", "600", "600")
    worker.end(signal.SIGQUIT)
    lost = "".join(re.findall(r"^cut off and lost: (.*)$", worker.output, re.M)).count("slow[")
    back = "".join(re.findall(r"^went back to the queue: (.*)$", worker.output, re.M)).count("slow[")
    assert (lost, back) == ((0, 3) if acks_late else (2, 1))
    assert queued(site) == back


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_grace__ends_in_time_and_gives_late_acknowledged_tasks_back(site: Site, pool: str) -> None:
    worker = make(site, acks_late=True).start_worker("--grace", "3s", "-P", pool)
    begin(site, worker, "600")
    worker.end(signal.SIGTERM)
    assert "they have 0.75 s more" in worker.output
    assert "went back to the queue: shop.tasks.slow[" in worker.output
    assert queued(site) == 1


def test_grace__task_that_ends_within_it_finishes(site: Site) -> None:
    worker = make(site).start_worker("--grace", "5m")
    begin(site, worker, "600")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_output("waiting for shop.tasks.slow[")
    end_slow(site)
    assert worker.wait() == 0
    assert "finished: shop.tasks.slow[" in worker.output


SLOW_READER = """
from celery.concurrency.asynpool import ResultHandler
from celery.signals import task_received

make = ResultHandler._make_process_result
received = []
note_received = task_received.connect(lambda **_: received.append(1), weak=False)

def read_later(self, hub):
    read = make(self, hub)
    return lambda fd: None if received else read(fd)

ResultHandler._make_process_result = read_later
"""


def test_warm_stop__task_that_has_just_begun_runs_once(site: Site) -> None:
    """The loop of a busy worker has not yet read that a process of the pool has begun the task."""
    make(site).write("shop/tasks.py", TASKS.replace("LATE", "False") + SLOW_READER)
    worker = site.start_worker()
    assert site.manage("enqueue", "slow", "1").returncode == 0
    worker.wait_for_output("slow has begun")
    assert worker.end(signal.SIGTERM) == 0
    assert re.search(r"^finished: shop\.tasks\.slow\[[\w-]{36}\]$", worker.output, re.M)
    assert queued(site) == 0


@contextlib.contextmanager
def in_a_terminal(site: Site, *words: str) -> Iterator[Any]:
    """Start runworker in a terminal of its own, and send it a task when it is ready; the last word is its seconds."""
    *options, seconds = words
    worker = pexpect.spawn(
        sys.executable,
        ["manage.py", "runworker", *options, "-l", "INFO", "-c", "2"],
        cwd=str(site.root),
        env={**site.variables(), "TERM": "dumb"},
        encoding="utf-8",
        timeout=LIMIT,
    )
    try:
        worker.expect(" ready.")
        assert site.manage("enqueue", "slow", seconds).returncode == 0
        worker.expect("slow has begun")  # received is not begun: such a task goes back
        worker.sendintr()
        yield worker
        worker.expect(pexpect.EOF)
    finally:
        worker.close(force=True)


@pytest.mark.parametrize("reload", ["--reload", "--noreload"])
def test_terminal__ctrl_c_tells_each_second_and_twice_is_cold(site: Site, reload: str) -> None:
    with in_a_terminal(make(site), reload, "--without-mingle", "600") as worker:
        worker.expect(r"waiting for shop\.tasks\.slow\[[\w-]{36}\] \(\d+ s\)")
        worker.expect(r"waiting for shop\.tasks\.slow\[[\w-]{36}\] \(\d+ s\)")
        worker.sendintr()
        worker.expect(r"cut off and lost: shop\.tasks\.slow\[")


def test_terminal__ctrl_c_once_is_warm(site: Site) -> None:
    with in_a_terminal(make(site), "600") as worker:
        worker.expect(r"waiting for shop\.tasks\.slow\[")
        end_slow(site)
        worker.expect(r"finished: shop\.tasks\.slow\[")


def test_shell_as_pid_1__is_named(site: Site) -> None:
    """In a container whose command is a shell's, SIGTERM never reaches the worker."""
    make(site, settings="CELERY_BROKER_URL = 'memory://'")  # the private server's process ids would be of another world
    shell = f"{sys.executable} manage.py runworker --noreload -c 1 & wait"
    unshare = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", shell)
    if site.run("unshare", "--pid", "--fork", "true").returncode:
        pytest.skip("this machine does not let us make a PID namespace")
    worker = site.start(*unshare)
    worker.wait_for_output("PID 1 is sh, which keeps SIGTERM to itself: start this with exec")


def fill(site: Site, count: int) -> None:
    record = str(site.root / "record")
    code = f"""
import django; django.setup()
from shop.tasks import note
for key in range({count}): note.delay({record!r}, key)
"""
    done = site.run(sys.executable, "-c", code, env={"DJANGO_SETTINGS_MODULE": site.settings_module})
    assert done.returncode == 0, done.stderr


def noted(site: Site) -> list[int]:
    path = site.root / "record"
    return sorted(map(int, path.read_text().split())) if path.exists() else []


@pytest.mark.measured
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_drain__ends_when_all_is_done(site: Site, pool: str) -> None:
    fill(make(site), 200)
    done = site.manage("runworker", "--drain", "-c", "2", "-P", pool)
    assert done.returncode == 0, done.stderr
    assert noted(site) == list(range(200))


def test_drain__of_empty_queues_ends_at_once(site: Site) -> None:
    done = make(site).manage("runworker", "--drain", "-c", "1", "-Q", "celery,never.used")
    assert done.returncode == 0, done.stderr


@pytest.mark.measured
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_max_tasks__ends_after_exactly_so_many(site: Site, pool: str) -> None:
    fill(make(site), 20)
    done = site.manage("runworker", "--max-tasks", "7", "-c", "2", "-P", pool, "--noreload")
    assert done.returncode == 0, done.stderr
    assert len(noted(site)) == 7
    assert queued(site) == 13


@pytest.mark.measured
@pytest.mark.parametrize("options", ["rate_limit='50/s'", "countdown"])
def test_max_tasks__counts_those_that_wait_for_their_time_too(site: Site, options: str) -> None:
    make(site)
    later = options == "countdown"
    if not later:
        site.write(
            "shop/tasks.py", TASKS.replace("@shared_task\n", f"@shared_task({options})\n").replace("LATE", "False")
        )
    record = str(site.root / "record")
    code = f"""
import django; django.setup()
from shop.tasks import note
for key in range(12): note.apply_async(({record!r}, key), countdown={0.1 if later else None})
"""
    assert site.run(sys.executable, "-c", code, env={"DJANGO_SETTINGS_MODULE": site.settings_module}).returncode == 0
    done = site.manage("runworker", "--max-tasks", "3", "-c", "2", "--noreload", "--without-mingle")
    assert done.returncode == 0, done.stderr
    assert len(noted(site)) == 3
    assert queued(site) == 9


@pytest.mark.measured
def test_max_tasks__on_a_broker_that_pushes(site: Site) -> None:
    folder = site.root / "messages"
    folder.mkdir()
    options = dict.fromkeys(["data_folder_in", "data_folder_out", "control_folder"], str(folder))
    fill(make(site, settings=f"CELERY_BROKER_URL = 'filesystem://'\nCELERY_BROKER_TRANSPORT_OPTIONS = {options}"), 20)
    done = site.manage("runworker", "--max-tasks", "7", "-c", "2", "--noreload", "--without-mingle", "--without-gossip")
    assert done.returncode == 0, done.stderr
    assert len(noted(site)) == 7
    assert queued(site) == 13


def test_grace__holds_for_an_end_by_a_limit_too(site: Site) -> None:
    assert (
        make(site).manage("enqueue", "slow", "600").returncode == 0
    )  # ahead: on a busy machine it takes the three seconds
    worker = site.start_worker("--max-time", "3s", "--grace", "2s")
    wait_for(lambda: " received" in worker.output)
    worker.wait()
    assert "cut off and lost: shop.tasks.slow[" in worker.output


def test_grace__holds_for_a_shutdown_by_remote_control(site: Site) -> None:
    worker = make(site).start_worker("--grace", "2s")
    begin(site, worker, "600")
    site.manage("celery", "control", "shutdown")
    worker.wait()
    assert "cut off and lost: shop.tasks.slow[" in worker.output


@pytest.mark.measured
def test_requeued_task__is_not_told_as_finished(site: Site) -> None:
    """The whole group gets the signal, and the pool's processes with it."""
    make(site, acks_late=True, settings="CELERY_TASK_REJECT_ON_WORKER_LOST = True")
    worker = site.start_worker()
    begin(site, worker, "600")
    os.killpg(worker.process.pid, signal.SIGTERM)
    worker.wait()
    assert "went back to the queue: shop.tasks.slow[" in worker.output
    assert "finished" not in worker.output
    assert queued(site) == 1


def test_signals_in_a_soft_shutdown__tell_what_went_back(site: Site) -> None:
    make(site, acks_late=True, settings="CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 6")
    worker = site.start_worker()
    begin(site, worker, "600")
    for text in ("initiate cold shutdown", "Initiating Soft Shutdown", "Waiting gracefully for cold shutdown"):
        worker.process.send_signal(signal.SIGINT)
        worker.wait_for_output(text)
    worker.wait()
    assert "went back to the queue: shop.tasks.slow[" in worker.output
    assert queued(site) == 1


@pytest.mark.measured
def test_max_time__ends_warmly(site: Site) -> None:
    began = time.monotonic()
    done = make(site).manage("runworker", "--max-time", "1s", "-c", "1", "--without-mingle")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began > 1


BAD = [
    (("--max-tasks", "0"), '--max-tasks "0" is no number of tasks.'),
    (("--max-tasks", "many"), '--max-tasks "many" is no number of tasks.'),
    (("--max-time", "soon"), '"soon"'),
    (("--grace", "soon"), '"soon"'),
    (("--reload-grace", "soon"), '"soon"'),
    (("--reload", "--pidfile", "x"), "--reload and --pidfile exclude each other"),
    (("--reload", "-B"), "--reload and --beat exclude each other"),
    (("-n", "w%z"), "--hostname: Unknown format %z in string 'w%z'."),
    (("-f", "%p-%z.log"), "--logfile: Unknown format %z in string '%p-%z.log'."),
]


@pytest.mark.parametrize(("words", "sentence"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_value__ends_with_2_and_a_sentence(site: Site, words: tuple[str, ...], sentence: str) -> None:
    done = make(site).manage("runworker", *words)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "broker" not in done.stderr  # nothing was begun
