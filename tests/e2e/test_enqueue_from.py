"""enqueue --from as a real process: what survives kills, a broker that goes, pipes that stop, and two at the same time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests import crashes, servers
from tests.support import LIMIT, Site, refusing_port, stop, wait_for

FOLDER = """
CELERY_BROKER_URL = "filesystem://"
(BASE_DIR / "messages").mkdir(exist_ok=True)
CELERY_BROKER_TRANSPORT_OPTIONS = dict.fromkeys(
    ["data_folder_in", "data_folder_out", "control_folder"], str(BASE_DIR / "messages")
)
"""


def write_calls(site: Site, count: int) -> Path:
    path = site.root / "calls.jsonl"
    path.write_text("".join(f"[{number}, 0]\n" for number in range(count)))
    return path


def queued(site: Site) -> int:
    import redis

    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        return int(client.llen("celery"))


def has_sent(site: Site, count: int) -> bool:
    """Whether so many are in the queue; a server that starts may not answer yet."""
    import redis

    with contextlib.suppress(redis.ConnectionError):
        return queued(site) >= count
    return False


def test_kills_of_command_and_server__every_line_runs_exactly_once(site: Site) -> None:
    found = crashes.run(site, lines=4000, kills=5, seed=7)
    assert sum(found.killed.values()) >= 3
    assert found.good, found
    assert found.ids == 4000


def test_kills_with_a_key_prefix_and_two_commands__every_line_runs_exactly_once(site: Site, tmp_path: Path) -> None:
    with servers.started(servers.Redis, tmp_path / "redis") as started:
        server = crashes.RedisServer(started, "site:")
        found = crashes.run(site, lines=2000, kills=3, seed=7, server=server, prefix="site:", commands=2)
    assert found.good, found
    assert found.ids == 2000


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [((), "Another process sends the same run"), (("--ids", "ids"), '"ids" is written by another process')],
)
def test_two_with_the_same_run__do_not_send_twice(site: Site, ids: tuple[str, ...], sentence: str) -> None:
    write_calls(site.minimal(), 3000)
    words = ("enqueue", "add", "--from", "calls.jsonl", "--resume", "run", *ids, "--batch-size", "10", "--rate")
    first = site.start_manage(*words, "1000")
    wait_for(lambda: has_sent(site, 1))
    stop(first.process.pid)  # it has not come to its end when the second one begins, on a busy machine too
    second = site.manage(*words, "1000")
    first.process.send_signal(signal.SIGCONT)
    codes = {first.wait(), second.returncode}
    assert codes == {0, 2}, first.output + second.stderr  # without a lock, the first may find that the second has sent
    assert sentence in first.output + second.stderr
    assert site.manage(*words[:-1]).returncode == 0
    assert queued(site) == 3000
    if ids:
        assert len(set((site.root / "ids").read_text().split())) == 3000


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal__ends_and_can_be_resumed(site: Site, signum: int) -> None:
    write_calls(site.minimal(), 5000)
    words = ("enqueue", "add", "--from", "calls.jsonl", "--resume", "run", "--rate", "500", "--batch-size", "20")
    command = site.start_manage(*words)
    wait_for(lambda: has_sent(site, 100))
    assert command.end(signum) == 130
    assert "Interrupted. The same command goes on where it stopped." in command.output
    assert re.search(r"^[\d,]+ sent in ", command.output, re.M)
    sent = queued(site)
    assert sent < 5000
    done = site.manage(*words[:6], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 5000 - sent
    assert queued(site) == 5000


def test_signal__without_a_run_the_ids_are_those_that_were_sent(site: Site) -> None:
    write_calls(site.minimal(), 5000)
    words = ("--ids", "ids", "--rate", "500", "--batch-size", "50")
    command = site.start_manage("enqueue", "add", "--from", "calls.jsonl", *words)
    wait_for(lambda: has_sent(site, 100))
    assert command.end(signal.SIGTERM) == 130
    sent, ids = queued(site), len((site.root / "ids").read_text().split())
    if "are in doubt" in command.output:  # it came while the server was about to answer
        assert f"Lines {ids - 49} to {ids} are in doubt." in command.output
        assert sent in (ids - 50, ids)
        return
    assert ids == sent < 5000
    assert f"Interrupted. To go on: the same command with --start {sent + 1}\n" in command.output


def test_pipe_that_is_silent__what_has_come_is_sent(site: Site) -> None:
    site.minimal()
    command = subprocess.Popen(
        [sys.executable, "manage.py", "enqueue", "add", "--from", "-"],
        cwd=site.root,
        env=site.variables(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdin is not None
    command.stdin.write(b"[1, 2]\n[3, 4]\n[5, ")
    command.stdin.flush()
    try:
        wait_for(lambda: has_sent(site, 2))
        command.stdin.write(b"6]\n[7")
        command.stdin.close()  # whoever wrote has died in the middle of a line
        assert command.wait(LIMIT) == 2
    finally:
        command.kill()
    assert command.stderr is not None
    told = command.stderr.read().decode()
    assert "3 sent" in told
    assert "Line 4 is bad: it is not JSON" in told
    command.stderr.close()
    assert queued(site) == 3


def test_max_queue__waits_until_a_worker_has_taken_some(site: Site) -> None:
    write_calls(site.minimal(), 300)
    words = ("--max-queue", "50", "--batch-size", "20")
    command = site.start_manage("enqueue", "add", "--from", "calls.jsonl", *words)
    command.wait_for_output('waiting: the queue "celery" has ')
    assert queued(site) <= 70
    site.start_worker()
    assert command.wait() == 0
    assert command.output.count("waiting: ") < 30


def test_broker_without_transactions__says_which_lines_are_in_doubt(site: Site) -> None:
    write_calls(site.minimal(settings=FOLDER), 2000)
    words = ("enqueue", "add", "--from", "calls.jsonl", "--resume", "run", "--rate", "500", "--batch-size", "100")
    command = site.start_manage(*words)
    messages = site.root / "messages"
    wait_for(lambda: messages.exists() and len(list(messages.iterdir())) > 250)
    command.end(signal.SIGKILL)
    mark = json.loads((site.data / "runs" / "run.json").read_text())
    done = site.manage(*words[:6], "--json")
    assert done.returncode == 0, done.stderr
    if mark["begun"] != mark["line"]:
        doubt = rf"Lines {int(mark['line']) + 1} to {mark['begun']} are in doubt: they may have been sent, and are sent again\."
        assert re.search(doubt, done.stderr)
    assert json.loads(done.stdout)["sent"] == 2000 - int(mark["line"])
    found = len([path for path in messages.iterdir() if path.name.endswith(".msg")])
    assert 2000 <= found <= 2100  # at least once


def test_broker_that_goes__is_told_with_how_to_go_on(site: Site) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = 'redis://127.0.0.1:{refusing_port()}/0'")
    write_calls(site, 10)
    done = site.manage("enqueue", "add", "--from", "calls.jsonl")
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert "Nothing more was sent." in done.stderr
    assert "0 sent." in done.stderr


def test_terminal__shows_a_bar(site: Site) -> None:
    write_calls(site.minimal(), 3000)
    command = pexpect.spawn(
        sys.executable,
        ["manage.py", "enqueue", "add", "--from", "calls.jsonl", "--rate", "1500", "--batch-size", "100"],
        cwd=str(site.root),
        env={**site.variables(), "TERM": "xterm", "COLUMNS": "120"},
        encoding="utf-8",
        timeout=LIMIT,
    )
    try:
        command.expect(r"\d+/3000")
        command.expect("3,000 sent in")
        command.expect(pexpect.EOF)
    finally:
        command.close(force=True)
    assert command.exitstatus == 0


def test_pipe_without_terminal__says_a_line_now_and_then(site: Site) -> None:
    write_calls(site.minimal(), 7000)
    done = site.manage("enqueue", "add", "--from", "calls.jsonl", "--rate", "1000", "--batch-size", "50")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[\d,]+ of 7,000 lines, [\d,]+ a second, \d+ s left$", done.stderr, re.M)


def test_million_lines__take_no_more_memory(site: Site) -> None:
    """A tenth of it here; the whole stands in benchmarks."""
    site.minimal()

    def peak(count: int) -> int:
        write_calls(site, count)
        log = site.root / "log"
        with log.open("wb") as output:
            command = subprocess.Popen(
                [sys.executable, "manage.py", "enqueue", "add", "--from", "calls.jsonl"],
                cwd=site.root,
                env=site.variables(),
                stdout=output,
                stderr=output,
            )
            _, status, usage = os.wait4(command.pid, 0)
            command.returncode = os.waitstatus_to_exitcode(status)
        assert command.returncode == 0, log.read_text()
        return usage.ru_maxrss

    assert peak(100_000) - peak(1000) < 30 * 1024
