"""manage.py celery hands everything on: words, stdin, output, exit code."""

from __future__ import annotations

import pytest

from tests.support import Site


def test_inspect_ping__with_a_worker_and_without(site: Site) -> None:
    site.minimal()
    nobody = site.manage("celery", "inspect", "ping")
    assert nobody.returncode == 69
    site.start_worker()
    found = site.manage("celery", "inspect", "ping")
    assert (found.returncode, "pong" in found.stdout) == (0, True)


def test_purge__asks_on_stdin(site: Site) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    kept = site.manage("celery", "purge", input="n\n")
    assert "Purged" not in kept.stdout
    purged = site.manage("celery", "purge", input="y\n")
    assert (purged.returncode, "Purged 1 message" in purged.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--help"], 0, "Usage: celery [OPTIONS] "),
        (["worker", "--help"], 0, "--prefetch-multiplier"),
        (["--version"], 0, "("),
        (["report"], 0, "software -> celery:"),
        (["--settings=mysite.settings", "report"], 0, "software -> celery:"),
        (["--settings", "mysite.settings", "report"], 0, "software -> celery:"),
        (["-A", "mysite.other:app", "report"], 0, "memory://"),
    ],
)
def test_words__reach_celery(site: Site, words: list[str], code: int, text: str) -> None:
    site.minimal()
    site.write("mysite/other.py", "from celery import Celery\napp = Celery('other', broker='memory://')\n")
    done = site.manage("celery", *words)
    assert (done.returncode, text in done.stdout) == (code, True), done.stdout + done.stderr


def test_unknown_subcommand__ends_with_2(site: Site) -> None:
    site.minimal()
    done = site.manage("celery", "inspekt")
    assert done.returncode == 2
    assert "No such command 'inspekt'." in done.stderr


def test_worker__starts_with_the_app(site: Site) -> None:
    site.minimal()
    worker = site.start_manage("celery", "worker", "-l", "INFO", "-c", "1", "--without-mingle")
    worker.wait_for_output(" ready.")
    assert site.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"


def test_help_of_django__describes_it(site: Site) -> None:
    site.minimal()
    assert "Run any celery command with this project's app" in site.manage("help", "celery").stdout
