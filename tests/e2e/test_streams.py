"""Streams and files that cannot be written: a full disk, a reader that has gone, a closed descriptor."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Site

#: What an error must never look like.
UGLY = re.compile("Traceback|Exception ignored|BrokenPipe|OSError")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("shop")) as made:
        made.minimal(settings='TASKTOOLS_LINGER = "20s"')
        (made.root / "calls.jsonl").write_text("[1, 2]\n" * 3000)
        yield made


def shell(shop: Site, words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with the words, as a shell reads them."""
    return shop.run("bash", "-c", f"set -o pipefail; {sys.executable} manage.py {words}", env=more)


FULL = "stdout cannot be written: No space left on device."


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("showtasks --json", ""),
        ("completion bash", ""),
        ("taskresult nosuch --json", ""),
        ("runtask add 1 2", ""),
        ("enqueue add 1 2", " shop.tasks.add was sent, its id is [0-9a-f-]{36}."),
        ("enqueue add 1 2 --json", " shop.tasks.add was sent, its id is [0-9a-f-]{36}."),
        ("enqueue add --from calls.jsonl --json", " 3,000 sent in .*"),
    ],
)
def test_stdout_on_a_full_disk__is_an_error_that_says_what_was_done(shop: Site, words: str, more: str) -> None:
    ran = shell(shop, f"{words} > /dev/full")
    if "nosuch" in words:  # what it found counts, and it is said on stderr
        assert ran.returncode in (4, 74), ran.stderr
    else:
        assert ran.returncode == 74, ran.stderr
        told = json.loads(ran.stderr)["error"] if "--json" in words else ran.stderr.splitlines()[0]
        assert re.fullmatch(f"{re.escape(FULL)}{more}", told), told
    assert not UGLY.search(ran.stderr), ran.stderr


@pytest.mark.parametrize("words", ["showtasks --json", "enqueue add 1 2", "showtasks --help"])
def test_reader_that_has_gone__is_no_error(shop: Site, words: str) -> None:
    ran = shell(shop, f"{words} | true")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2> >(true)"])
def test_stderr_that_cannot_be_written__is_no_reason_to_stop(shop: Site, where: str) -> None:
    ran = shell(shop, f"enqueue add --from calls.jsonl --json {where}")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["sent"] == 3000
    refused = shell(shop, f"enqueue nosuch {where}")
    assert refused.returncode == 2
    assert refused.stdout == ""


def test_stdout_that_is_closed__is_told(shop: Site) -> None:
    ran = shell(shop, "showtasks >&-")
    assert ran.returncode == 74
    assert ran.stderr.startswith("stdout cannot be written: Bad file descriptor.")


@pytest.mark.parametrize("option", ["--ids", "--skip-bad"])
@pytest.mark.parametrize("resume", ["", "--resume r-{option}"], ids=["", "resume"])
def test_output_that_is_full__what_is_said_to_be_sent_was_sent(shop: Site, option: str, resume: str) -> None:
    """RLIMIT_FSIZE stands for a full disk: the write that crosses it is cut short, and the next one fails."""
    lines = ["[1, 2]" if option == "--ids" or number % 2 else "[broken" for number in range(3000)]
    (shop.root / "some.jsonl").write_text("\n".join(lines))
    out = shop.root / f"out{bool(resume)}"
    shop.manage("enqueue", "add", "1", "2", "--queue", "other")  # or the server would be started under the limit
    words = f"enqueue add --from some.jsonl {option} {out.name} --queue full {resume.format(option=option)}"
    ran = shop.run("bash", "-c", f"ulimit -f 40; {sys.executable} manage.py {words} --json")
    assert ran.returncode == 74, ran.stderr
    told, error = json.loads(ran.stdout), json.loads(ran.stderr)
    assert not UGLY.search(ran.stderr)
    assert (
        error["error"]
        == f'"{out.name}" cannot be written: File too large. Nothing after line {told["lines"]} was sent.'
    )
    assert ("--start" not in error["hint"]) is bool(resume)
    assert told["sent"] == (told["lines"] if option == "--ids" else told["lines"] // 2)
    assert len(out.read_text().splitlines()) == (told["sent"] if option == "--ids" else told["bad"])
    out.chmod(0o600)
    go_on = resume.format(option=option) or f"--start {told['lines'] + 1}"
    rest = shop.manage(*f"enqueue add --from some.jsonl {option} {out.name} --queue full {go_on} --json".split())
    assert rest.returncode == 0, rest.stderr
    assert told["sent"] + json.loads(rest.stdout)["sent"] == (3000 if option == "--ids" else 1500)
    assert len(out.read_text().splitlines()) == (3000 if option == "--ids" else 1500)


def test_mark_that_cannot_be_written__is_told(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.minimal(settings='CELERY_BROKER_URL = "memory://"')
        (site.root / "calls.jsonl").write_text("[1, 2]\n" * 10)
        runs = site.data / "runs"
        runs.mkdir(parents=True)
        (runs / "run.new").mkdir()
        ran = site.manage("enqueue", "add", "--from", "calls.jsonl", "--resume", "run")
    assert ran.returncode == 74
    assert '" cannot be written: Is a directory. Nothing after line 0 was sent.' in ran.stderr
    assert not UGLY.search(ran.stderr)


@pytest.mark.parametrize("where", ["<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "words",
    [
        "runworker --reload --max-tasks 1 -l INFO -Q QUEUE",
        "runworker --noreload --max-tasks 1 -l INFO -Q QUEUE",
        "rundev --no-web --no-beat --worker '--max-tasks 1 -Q QUEUE'",
    ],
    ids=["reload", "noreload", "rundev"],
)
def test_streams_that_are_closed__stop_no_worker(shop: Site, where: str, words: str) -> None:
    queue = re.sub(r"\W", "", words + where)
    task_id = shop.manage("enqueue", "add", "1", "2", "--queue", queue).stdout.strip()
    ran = shell(shop, f"{words.replace('QUEUE', queue)} {where}")
    assert ran.returncode == 0, ran.stderr
    assert not UGLY.search(ran.stderr + ran.stdout), ran.stderr
    assert shop.manage("taskresult", task_id).stdout.strip() == "3"


def test_stdin_that_is_closed__is_told(shop: Site) -> None:
    ran = shell(shop, "enqueue add --from - <&-")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("--from - reads stdin, which is closed.")
