"""runworker with DEBUG on changes to new code by itself: nothing is lost, nothing waits, and nothing is left running."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import load
from tests.support import Running, Site, save, stop, wait_for

TASKS = """
import os
import time
from celery import shared_task

@shared_task
def version():
    return VERSION

@shared_task(acks_late=LATE)
def slow(path, seconds: float):
    with open(path, "a") as file:
        print("began on VERSION", file=file)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists(path + ".end"):
        time.sleep(0.05)
    with open(path, "a") as file:
        print("ended on VERSION", file=file)
"""


def write_version(site: Site, version: int, *, acks_late: bool = False) -> None:
    site.write("shop/tasks.py", TASKS.replace("VERSION", str(version)).replace("LATE", str(acks_late)))


def running_version(site: Site) -> str:
    done = site.manage("enqueue", "version", "--wait")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start(site: Site, *words: str, settings: str = "", acks_late: bool = False) -> Running:
    """Start a worker with reload, and return it when it is ready."""
    site.minimal(settings=settings)
    write_version(site, 1, acks_late=acks_late)
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "2", *words)
    worker.wait_for_output(" ready.")
    return worker


def begin_slow(site: Site, seconds: str = "600") -> Path:
    """Have a worker run a task for so long, or until `end` is called."""
    record = site.root / "record"
    assert site.manage("enqueue", "slow", str(record), seconds).returncode == 0
    wait_for(record.exists)
    return record


def end(record: Path) -> None:
    """Have the slow task of `record` come to its end."""
    record.with_name(f"{record.name}.end").touch()


@contextlib.contextmanager
def at_once(worker: Running) -> Iterator[None]:
    """Have the supervisor see several changes at once: it does not look in the middle, on a busy machine too."""
    stop(worker.process.pid)
    try:
        yield
    finally:
        worker.process.send_signal(signal.SIGCONT)


def children(pid: int) -> list[int]:
    """Return the living children of a process (Linux)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in listed.read_text().split()] if listed.exists() else []


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def family(pid: int) -> list[int]:
    """Return the process and all that come from it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


@pytest.mark.measured
@pytest.mark.smoke
def test_change__next_task_runs_on_the_new_code(site: Site) -> None:
    worker = start(site)
    assert running_version(site) == "1"
    write_version(site, 2)
    assert running_version(site) == "2"
    worker.wait_for_output("new code runs after")
    assert "reload: shop/tasks.py changed, reloading\n" in worker.output
    assert re.search(r"^reload: new code runs after \d+\.\d\d s$", worker.output, re.M)
    assert worker.output.count(" | broker and results: ") == 1  # the first line is not said again
    assert worker.end() == 0


@pytest.mark.parametrize(("pool", "acks_late"), [("prefork", False), ("threads", True), ("solo", False)])
def test_load__every_task_runs_once_and_on_code_no_older_than_it(site: Site, pool: str, acks_late: bool) -> None:
    found = load.run(site, reloads=4, pool=pool, acks_late=acks_late)
    assert found.sent > 10  # how many there are in all depends on how quick the reloads are
    assert found.good, found


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_no_prefetch__does_not_hold_short_tasks_up(site: Site, pool: str) -> None:
    start(site, "-P", pool)
    code = """
import django; django.setup()
from shop.tasks import slow, version
[version.delay() for _ in range(150)][-1].get(timeout=60)
slow.delay("record", SECONDS)  # which takes one of the two places
[version.delay() for _ in range(150)][-1].get(timeout=60)
open("record.end", "w").close()
""".replace("SECONDS", "1" if pool == "solo" else "600")
    done = site.run(sys.executable, "-c", code, env={"DJANGO_SETTINGS_MODULE": site.settings_module})
    assert done.returncode == 0, done.stderr


def test_touched_file__is_no_change(site: Site) -> None:
    worker = start(site)
    os.utime(site.root / "shop/tasks.py")
    write_version(site, 1)
    assert running_version(site) == "1"  # the worker has paused to ask, and goes on
    write_version(site, 2)
    worker.wait_for_output("new code runs")
    assert worker.output.count("changed, reloading") == 1


def test_broken_code__is_shown_and_the_old_goes_on_until_the_next_change(site: Site) -> None:
    worker = start(site)
    site.write("shop/tasks.py", "def broken(:\n")
    worker.wait_for_output("the old worker goes on until the next change")
    assert "SyntaxError" in worker.output
    # By name alone: the module is broken for whoever sends, too.
    sent = site.manage("enqueue", "shop.tasks.version", "--unregistered")
    assert sent.returncode == 0, sent.stderr
    worker.wait_for_output("succeeded in")
    write_version(site, 3)
    assert running_version(site) == "3"


FOLDER_BROKER = """
CELERY_BROKER_URL = "filesystem://"
CELERY_RESULT_BACKEND = f"db+sqlite:///{BASE_DIR}/results.sqlite3"
(BASE_DIR / "messages").mkdir(exist_ok=True)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(BASE_DIR / "messages"),
    "data_folder_out": str(BASE_DIR / "messages"),
    "control_folder": str(BASE_DIR / "messages"),
}
"""


@pytest.mark.measured
def test_another_broker__worker_that_was_paused_takes_tasks_again(site: Site) -> None:
    worker = start(site, settings=FOLDER_BROKER)
    assert running_version(site) == "1"
    os.utime(site.root / "shop/tasks.py")
    assert running_version(site) == "1"  # it has paused to ask
    site.write("shop/tasks.py", "def broken(:\n")
    worker.wait_for_output("the old worker goes on until the next change")
    assert site.manage("enqueue", "shop.tasks.version", "--unregistered").returncode == 0
    wait_for(lambda: worker.output.count("succeeded in") == 3)
    write_version(site, 2)
    assert running_version(site) == "2"


def test_broker_that_forbids_to_unblock__pauses_all_the_same(site: Site) -> None:
    """The user of a Redis in a company may lack CLIENT UNBLOCK."""
    site.minimal()
    write_version(site, 1)
    assert site.manage("enqueue", "version").returncode == 0  # starts the server
    import redis

    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        client.execute_command("ACL", "SETUSER", "default", "-client|unblock")
        worker = site.start_manage("runworker", "-l", "INFO", "-c", "2")
        worker.wait_for_output("succeeded in")
        site.write("shop/tasks.py", "def broken(:\n")
        worker.wait_for_output("the old worker goes on until the next change")
        assert site.manage("enqueue", "shop.tasks.version", "--unregistered").returncode == 0
        wait_for(lambda: worker.output.count("succeeded in") == 2)
        [child] = children(worker.process.pid)
        worker.process.kill()
        wait_for(lambda: not lives(child))


def test_folder_that_is_made_again__is_watched(site: Site) -> None:
    worker = start(site)
    folder = site.root / "extra"
    for number in range(3):
        with at_once(worker):
            site.write("extra/part.py", f"VALUE = {number}\n")
        wait_for(lambda: worker.output.count("new code runs") == 2 * number + 1)  # noqa: B023
        with at_once(worker):
            shutil.rmtree(folder)
        wait_for(lambda: worker.output.count("new code runs") == 2 * number + 2)  # noqa: B023


def test_home_that_is_the_project__is_watched(site: Site) -> None:
    site.environment["HOME"] = str(site.root)
    worker = start(site)
    site.write("mysite/more.py", "VALUE = 1\n")
    worker.wait_for_output("reload: mysite/more.py changed, reloading")


@pytest.mark.fresh
def test_save_while_the_settings_wait__is_noticed(site: Site) -> None:
    site.minimal(settings="from mysite.slow import *")
    write_version(site, 1)
    site.write("mysite/slow.py", "import time; open('waiting', 'w').close(); time.sleep(2); GREETING = 1")
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    wait_for((site.root / "waiting").exists)
    site.write("mysite/slow.py", "GREETING = 2")
    worker.wait_for_output("mysite/slow.py changed, reloading")


@pytest.mark.parametrize("ignored", [True, False])
def test_hangup__ends_unless_nohup(site: Site, ignored: bool) -> None:
    site.minimal()
    trap = 'trap "" HUP; ' if ignored else ""
    command = f"{trap}exec {sys.executable} manage.py runworker -l INFO -c 1"
    worker = site.start("sh", "-c", command)
    worker.wait_for_output(" ready.")
    worker.process.send_signal(signal.SIGHUP)
    if ignored:
        assert site.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"
        assert worker.end() == 0
    else:
        assert worker.wait() == 0


@pytest.mark.measured
def test_long_task__goes_on_in_the_old_code_while_the_new_serves(site: Site) -> None:
    worker = start(site)
    record = begin_slow(site)
    write_version(site, 2)
    assert running_version(site) == "2"
    worker.wait_for_output("waiting for shop.tasks.slow[")
    assert record.read_text() == "began on 1\n"
    end(record)
    wait_for(lambda: record.read_text() == "began on 1\nended on 1\n")
    worker.wait_for_output("finished: shop.tasks.slow[")
    assert running_version(site) == "2"


@pytest.mark.parametrize(("acks_late", "pool"), [(False, "prefork"), (True, "threads")])
def test_reload_grace__task_that_takes_longer_is_named_and_stopped(site: Site, acks_late: bool, pool: str) -> None:
    worker = start(site, "--reload-grace", "1s", "-P", pool, acks_late=acks_late)
    record = begin_slow(site)
    write_version(site, 2, acks_late=acks_late)
    worker.wait_for_output("tasks still run after 1 s: they are stopped")
    what = "went back to the queue" if acks_late else "cut off and lost"
    worker.wait_for_output(f"{what}: shop.tasks.slow[")
    wait_for(lambda: len(children(worker.process.pid)) == 1, what="the end of the old worker, and of its thread")
    end(record)  # when it runs again
    assert running_version(site) == "2"
    if acks_late:
        wait_for(lambda: record.read_text() == "began on 1\nbegan on 2\nended on 2\n")
    else:
        assert record.read_text() == "began on 1\n"


def test_storm_of_saves__ends_with_the_last_and_two_workers_at_most(site: Site) -> None:
    worker = start(site)
    most = 0
    for version in range(2, 22):
        write_version(site, version)
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            # One that was told to end while it loads may be there for a moment more.
            most = max(most, len(children(worker.process.pid)))
    assert running_version(site) == "21"
    wait_for(lambda: len(children(worker.process.pid)) == 1)
    assert most <= 4


@pytest.mark.measured
def test_burst_of_changes__is_one_reload(site: Site) -> None:
    worker = start(site)
    with at_once(worker):
        for number in range(30):
            site.write(f"shop/part{number}.py", f"VALUE = {number}\n")
    worker.wait_for_output("new code runs")
    wait_for(lambda: len(children(worker.process.pid)) == 1)
    assert worker.output.count("changed, reloading") == 1
    assert re.search(r"reload: shop/part0.py, shop/part1.py, shop/part10.py and \d+ more changed", worker.output)


@pytest.mark.parametrize("name", [".env", "templates/letter.txt", "new/package/deep.py"])
def test_other_files__count_where_they_are_asked_for(site: Site, name: str) -> None:
    worker = start(site, "--reload-include", "templates/*.txt")
    for ignored in ("node_modules/x.py", ".git/x.py", "letter.txt", ".tasktools/x.py"):
        (site.root / ignored).parent.mkdir(exist_ok=True)
        (site.root / ignored).write_text("x")
    path = site.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, "VALUE = 1\n")
    worker.wait_for_output("new code runs")
    assert re.findall(r"reload: (.*) changed", worker.output) == [name]


def test_file_deleted__is_a_change(site: Site) -> None:
    site.minimal()
    extra = site.write("shop/extra.py", "VALUE = 1\n")
    write_version(site, 1)
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output(" ready.")
    extra.unlink()
    worker.wait_for_output("reload: shop/extra.py changed, reloading")


def test_first_start_that_fails__waits_for_a_change(site: Site) -> None:
    site.minimal()
    site.write("shop/tasks.py", "from nowhere import nothing\n")
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output("reload: the worker did not start (exit code 2): waiting for a change")
    assert "nowhere" in worker.output
    write_version(site, 1)
    worker.wait_for_output(" ready.")
    assert worker.end() == 0


def test_waiting_for_a_change__can_be_ended(site: Site) -> None:
    site.minimal()
    site.write("shop/tasks.py", "from nowhere import nothing\n")
    worker = site.start_manage("runworker", "-c", "1")
    worker.wait_for_output("waiting for a change")
    assert worker.end(signal.SIGINT) == 0


def test_supervisor_killed__worker_ends_warmly(site: Site) -> None:
    worker = start(site)
    record = begin_slow(site)
    [child] = children(worker.process.pid)
    pool = children(child)
    worker.process.kill()
    wait_for(lambda: "Warm shutdown" in worker.output)
    end(record)
    wait_for(lambda: not any(map(lives, [child, *pool])))
    assert record.read_text() == "began on 1\nended on 1\n"


def test_worker_killed__is_said_and_another_starts(site: Site) -> None:
    worker = start(site)
    [child] = children(worker.process.pid)
    pool = children(child)
    os.kill(child, signal.SIGKILL)
    worker.wait_for_output("reload: the worker ended by itself (SIGKILL): it starts again in 1 s")
    wait_for(lambda: not any(map(lives, pool)))
    worker.wait_for_output("reload: it runs again")
    write_version(site, 2)
    assert running_version(site) == "2"


@pytest.mark.parametrize("ends", ["sys.exit()", "os._exit(0)"])
def test_task_that_ends_a_solo_worker__others_run_all_the_same(site: Site, ends: str) -> None:
    site.minimal()
    site.write(
        "shop/tasks.py",
        f"""
        import os, sys
        from celery import shared_task

        @shared_task
        def leave():
            {ends}

        @shared_task
        def version():
            return 1
        """,
    )
    worker = site.start_manage("runworker", "-P", "solo", "-l", "INFO")
    worker.wait_for_output(" ready.")
    assert site.manage("enqueue", "leave").returncode == 0
    assert running_version(site) == "1"
    assert re.search(
        r"^reload: the worker ended by itself \(exit code [01]\): it starts again in 1 s$", worker.output, re.M
    )
    assert worker.end() == 0


def test_pool_process_killed__celery_replaces_it(site: Site) -> None:
    worker = start(site)
    [child] = children(worker.process.pid)
    os.kill(children(child)[0], signal.SIGKILL)
    worker.wait_for_output("exited with 'signal 9 (SIGKILL)'")
    assert running_version(site) == "1"


def test_sigterm_to_the_group__finishes_what_runs(site: Site) -> None:
    worker = start(site)
    record = begin_slow(site)
    everybody = family(worker.process.pid)
    assert len(everybody) >= 4
    os.killpg(worker.process.pid, signal.SIGTERM)
    worker.wait_for_output("Warm shutdown")
    end(record)
    assert worker.wait() == 0
    assert record.read_text() == "began on 1\nended on 1\n"
    wait_for(lambda: not any(map(lives, everybody)))


@pytest.mark.parametrize("count", [3, 4])
def test_many_signals__kill_at_last(site: Site, count: int) -> None:
    worker = start(site, "-P", "threads")
    begin_slow(site)
    everybody = family(worker.process.pid)
    for _ in range(count):
        before = worker.output
        worker.process.send_signal(signal.SIGINT)
        wait_for(lambda: worker.output != before or not lives(worker.process.pid))  # noqa: B023
    assert worker.wait() in (1, 128 + signal.SIGKILL)
    wait_for(lambda: not any(map(lives, everybody)))


@pytest.mark.measured
def test_worker_that_has_done_its_share__ends_the_supervisor(site: Site) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    assert site.manage("runworker", "-c", "1", "--drain").returncode == 0


OFF = [
    (("--noreload",), "", False),
    (("--pidfile", "worker.pid"), "", False),
    (("-B",), "", False),
    ((), "DEBUG = False", False),
    (("--reload",), "DEBUG = False", True),
]


@pytest.mark.parametrize(("words", "settings", "expected"), OFF)
def test_reload__is_on_with_debug_unless_told_otherwise(
    site: Site, words: tuple[str, ...], settings: str, expected: bool
) -> None:
    broker = "CELERY_BROKER_URL = 'memory://'"
    site.minimal(settings=f"{settings}\n{broker}")
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1", *words)
    worker.wait_for_output(" ready.")
    [*_, command] = Path(f"/proc/{worker.process.pid}/cmdline").read_text().partition("supervisor")
    assert bool(command) is expected


def test_threads_of_the_project__are_in_the_worker(site: Site) -> None:
    """A process that is split has none of the threads that the project has started: then it is not split."""
    site.minimal("shop.apps.ShopConfig")
    site.write("shop/__init__.py")
    write_version(site, 1)
    site.write(
        "shop/apps.py",
        """
        import os, threading, time
        from django.apps import AppConfig

        def tell():
            while True:
                open(f"alive-{os.getpid()}", "w").close()
                time.sleep(0.1)

        class ShopConfig(AppConfig):
            name = "shop"
            def ready(self):
                threading.Thread(target=tell, daemon=True).start()
        """,
    )
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output(" ready.")
    [child] = children(worker.process.pid)
    wait_for((site.root / f"alive-{child}").exists)
