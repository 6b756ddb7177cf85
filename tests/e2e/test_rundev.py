"""The whole site in one terminal: it serves, it stops in order, it can be forced, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys

import pexpect
import pytest

from tests.e2e.test_runworker import begin_slow_task, end_slow_task, recorded, slow_site
from tests.e2e.test_web import URLS, get
from tests.servers import free_port
from tests.support import LIMIT, Running, Site, save, wait_for

QUICK = "--without-mingle --without-gossip -c 1"


def table() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of every process."""
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    return {int(pid): (int(parent), state) for pid, parent, state in map(str.split, lines.splitlines())}


def family(pid: int) -> list[int]:
    """Return a process, its children, theirs, and so on."""
    parents = table()
    found = [pid]
    for each in found:
        found += [child for child, (parent, _) in parents.items() if parent == each]
    return found


def part(rundev: Running, word: str) -> int:
    """Return the process id of one part."""
    for pid in family(rundev.process.pid)[1:]:
        line = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        if word in line:
            return pid
    raise AssertionError(f"no process {word}")


def await_end(pids: list[int]) -> None:
    def left() -> list[int]:
        running = table()
        return [pid for pid in pids if pid in running and "Z" not in running[pid][1]]

    wait_for(lambda: not left(), what=f"{pids} to end")


def begin(site: Site, *words: str, worker: str = QUICK, urls: str = URLS) -> tuple[Running, int]:
    """Start rundev, and return it with its port once the page is served and the worker ready."""
    site.write("urls.py", urls)
    port = free_port()
    rundev = site.start_manage("rundev", str(port), "--worker", worker, *words)
    if "--no-worker" not in words:
        rundev.wait_for_output(" ready.")
    wait_for(lambda: get(port) is not None, what="the page")
    return rundev, port


@pytest.mark.smoke
def test_rundev__serves_works_and_stops_clean(site: Site) -> None:
    rundev, port = begin(site.minimal())
    done = site.manage("taskresult", str(get(port)), "--wait", "--timeout", "60s")
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    rundev.wait_for_output("beat: Starting...")
    pids = family(rundev.process.pid)
    assert len(pids) >= 6  # rundev, web, worker and its child and its pool, beat and its child
    assert rundev.end(signal.SIGINT) == 0
    await_end(pids)
    lines = rundev.output.splitlines()
    assert lines[0].startswith(f"rundev: web on http://127.0.0.1:{port}/, worker, beat | broker redis+socket://")
    assert lines.count("rundev: stopping beat, web, worker") == 1
    assert [line for line in lines if not re.match(r"(web   |worker|beat  ) \| |rundev: ", line)] == []
    assert "\033" not in rundev.output


@pytest.mark.measured
def test_stop__waits_for_the_running_task_when_web_has_gone(site: Site) -> None:
    rundev, port = begin(slow_site(site), "--no-beat")
    begin_slow_task(site)
    rundev.process.send_signal(signal.SIGTERM)
    wait_for(lambda: get(port) is None, what="the web server to end")
    assert recorded(site) == ["began"]
    end_slow_task(site)
    assert rundev.wait() == 0
    assert recorded(site) == ["began", "ended"]


@pytest.mark.parametrize("worker", [QUICK, f"{QUICK} --noreload"], ids=["reload", "noreload"])
def test_second_ctrl_c__forces(site: Site, worker: str) -> None:
    rundev, _ = begin(slow_site(site), "--no-beat", worker=worker)
    begin_slow_task(site)
    pids = family(rundev.process.pid)
    rundev.process.send_signal(signal.SIGINT)
    rundev.wait_for_output("Warm shutdown")
    assert rundev.process.poll() is None

    def forced() -> bool:
        rundev.process.send_signal(signal.SIGINT)  # one that follows the first at once counts as the same
        return "by force" in rundev.output

    wait_for(forced)
    assert rundev.wait() == 130
    await_end(pids)
    assert recorded(site) == ["began"]
    assert "rundev: ending worker by force" in rundev.output


def test_part_that_dies__ends_the_rest(site: Site) -> None:
    rundev, _ = begin(site.minimal())
    pids = family(rundev.process.pid)
    os.kill(part(rundev, "runserver"), signal.SIGKILL)
    assert rundev.wait() == 137
    await_end(pids)
    assert "rundev: web ended by itself with SIGKILL: stopping the rest" in rundev.output


@pytest.mark.measured
def test_worker_that_cannot_start__is_named_with_its_code(site: Site) -> None:
    site.minimal()
    rundev = site.start_manage("rundev", str(free_port()), "--no-beat", "--worker", "--noreload -P nosuch")
    assert rundev.wait() == 2
    assert "rundev: worker ended by itself with exit code 2: stopping the rest" in rundev.output
    assert re.search(r"^worker \| Hint: ", rundev.output, re.MULTILINE)


@pytest.mark.measured
def test_keep_going__the_others_go_on(site: Site) -> None:
    site.minimal().write("urls.py", URLS)
    port = free_port()
    words = ("--no-beat", "--keep-going", "--worker", "--noreload -P nosuch")
    rundev = site.start_manage("rundev", str(port), *words)
    rundev.wait_for_output("rundev: worker ended by itself with exit code 2: web goes on")
    wait_for(lambda: get(port), what="the page")
    assert rundev.end(signal.SIGINT) == 0


@pytest.mark.measured
def test_port__taken_is_told_and_nothing_starts(site: Site) -> None:
    site.minimal()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = site.manage("rundev", str(port))
    assert done.stderr.startswith(f"Port {port} of 127.0.0.1 is taken.\nHint: another port: manage.py rundev ")
    assert (done.returncode, done.stdout) == (2, "")
    assert site.server_pid() is None


@pytest.mark.measured
def test_broken_tasks__are_told_and_the_site_comes_up_once_they_are_mended(site: Site) -> None:
    site.minimal().write("urls.py", URLS)
    broken = site.write("shop/tasks.py", "def broken(:\n")
    port = free_port()
    rundev = site.start_manage("rundev", str(port), "--no-beat", "--worker", QUICK)
    rundev.wait_for_output("waiting for a change")
    rundev.wait_for_output("Quit the server")
    place = f"({broken}, line 1)"
    assert [line for line in rundev.output.splitlines() if "SyntaxError" in line] == [
        f"rundev: The project cannot be imported: SyntaxError: invalid syntax {place}."
    ]
    assert "Traceback" not in rundev.output
    wait_for(lambda: get(port), what="the page of the error")
    assert "cannot be imported" not in rundev.output.partition("Quit the server")[2]
    save(broken, "from celery import shared_task\n\n@shared_task\ndef add(x, y):\n    return x + y\n")
    rundev.wait_for_output(" ready.")
    task_id = wait_for(lambda: get(port), what="the page")
    assert site.manage("taskresult", task_id, "--wait", "--timeout", "60s").stdout == "42\n"
    assert rundev.end(signal.SIGINT) == 0


@pytest.mark.measured
@pytest.mark.parametrize("name", ["mysite/settings.py", "shop/models.py"])
def test_broken_start__is_one_line_and_all_parts_recover(site: Site, name: str) -> None:
    file = site.minimal().write(name, (site.root / name).read_text() if (site.root / name).exists() else "")
    rundev, port = begin(site)
    rundev.wait_for_output("beat: Starting...")
    good = file.read_text()
    save(file, f"{good}\nnosuch\n")
    rundev.wait_for_output("the old worker goes on until the next change")
    rundev.wait_for_output("the old beat goes on until the next change")
    wait_for(lambda: get(port) is None, what="the web server to end")
    place = f"({file}, line {len(good.splitlines()) + 2})"
    assert [line for line in rundev.output.splitlines() if "NameError" in line] == [
        f"rundev: The project cannot be imported: NameError: name 'nosuch' is not defined {place}."
    ]
    assert "Traceback" not in rundev.output
    save(file, f"{good}\n# fixed\n")
    wait_for(lambda: get(port) is not None, what="the page")
    wait_for(lambda: rundev.output.count("reload: new code runs") == 2, what="worker and beat")
    assert rundev.end(signal.SIGINT) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's end")
def test_sigkill__leaves_nothing_running(site: Site) -> None:
    rundev, _ = begin(site.minimal())
    rundev.wait_for_output("beat: Starting...")
    pids = family(rundev.process.pid)
    rundev.end(signal.SIGKILL)
    try:
        await_end(pids)
    finally:  # where the test fails, they are nobody's
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_reader_that_goes_away__ends_all_of_it(site: Site) -> None:
    site.minimal().write("urls.py", URLS)
    port = free_port()
    words = f"{sys.executable} manage.py rundev {port} --no-beat --worker '{QUICK}'"
    shell = site.start("bash", "-c", f"{words} | head -n 1")
    shell.wait_for_output("rundev: nobody reads the output any more")
    pids = family(shell.process.pid)
    assert shell.wait() == 0
    await_end(pids)


@pytest.mark.measured
def test_terminal__has_colours_and_one_ctrl_c_ends_all(site: Site) -> None:
    site.minimal().write("urls.py", URLS)
    port = free_port()
    environment = {key: value for key, value in site.variables().items() if key != "NO_COLOR"}
    words = ["manage.py", "rundev", str(port), "--worker", QUICK]
    terminal = pexpect.spawn(sys.executable, words, cwd=site.root, env=environment, timeout=LIMIT, encoding="utf-8")
    terminal.logfile_read = log = io.StringIO()
    try:
        terminal.expect_exact("rundev: web on ")
        terminal.expect_exact(" ready.")
        wait_for(lambda: get(port), what="the page")
        pids = family(terminal.pid)
        terminal.sendintr()
        terminal.expect_exact("\033[36mrundev: stopping beat, web, worker\033[0m")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
        for name in ("\033[32mweb    |", "\033[35mworker |", "\033[33mbeat   |"):
            assert f"{name}\033[0m " in log.getvalue()
        await_end(pids)
    finally:
        terminal.close(force=True)
