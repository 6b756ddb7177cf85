"""A TAB in real shells: bash is everywhere, zsh and fish where they are installed."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pexpect
import pytest

from tests.servers import unless_installed
from tests.support import LIMIT, REPOSITORY, Site, wait_for

SCRIPTS = files("tasktools").joinpath("completions")

SETTINGS = """
CELERY_TASK_ROUTES = {"shop.tasks.note": "mails"}
print("\\nsettings that talk")
"""

#: Ctrl-O writes the line as it stands to the file `line`, and the shell says when it is ready.
BASH = """
PS1='$ '
bind 'set enable-bracketed-paste off'
bind -x '"\\C-o": printf "%s" "$READLINE_LINE" >line'
"""
ZSH = """
PS1='$ '
setopt no_beep
save() { print -rn -- "$BUFFER" >line }
zle -N save
bindkey -e
bindkey '^O' save
"""


def shells(*names: str) -> list[object]:
    return [pytest.param(name, marks=unless_installed(name)) for name in names]


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal(settings=SETTINGS)
    # Shells find it by PATH and by path.
    script = site.root / "manage.py"
    script.write_text(f"#!{sys.executable}\n{script.read_text()}")
    script.chmod(0o755)
    more = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    site.environment.update(more, PYTHONPATH=f"{REPOSITORY}:{site.root}")
    return site


def bash(site: Site, line: str, folder: str = ".", **env: str) -> list[str]:
    """Return what bash's function answers to a TAB behind `line`."""
    code = f"""
        source {shlex.quote(str(SCRIPTS / "manage.bash"))}
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        cd {shlex.quote(folder)}
        _tasktools_manage
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = site.run("bash", "--norc", "-c", code, env=env)
    assert done.stderr == ""
    return done.stdout.split()


@contextlib.contextmanager
def interactive(site: Site, shell: str) -> Iterator[pexpect.spawn]:
    start, setup = {"bash": (["--norc", "-i"], BASH), "zsh": (["-f", "-i"], ZSH)}[shell]
    source = f"source {shlex.quote(str(SCRIPTS / f'manage.{shell}'))}\n"
    (site.root / "setup").write_text(setup + source + "echo re''ady\n")
    env = site.variables(TERM="dumb", HOME=str(site.root), ZDOTDIR=str(site.root), HISTFILE="")
    child = pexpect.spawn(shell, start, cwd=str(site.root), env=env, timeout=LIMIT, encoding="utf-8")
    try:
        child.sendline("source ./setup")
        child.expect("\nready")
        yield child
    finally:
        child.close(force=True)


def completed(site: Site, shell: str, line: str) -> str:
    """Type `line` and a TAB; return what then stands on the line."""
    with interactive(site, shell) as child:
        child.send(f"{line}\t\x0f")
        path = site.root / "line"
        wait_for(lambda: path.exists() and path.read_text(), what=f"{shell} to complete {line!r}")
        return path.read_text()


TYPED = [
    ("python manage.py showt", "python manage.py showtasks "),
    ("./manage.py enqueue ad", "./manage.py enqueue add "),
    ("python -W ignore ./manage.py enqueue shop.tasks.a", "python -W ignore ./manage.py enqueue shop.tasks.add "),
    ("python manage.py enqueue add --wa", "python manage.py enqueue add --wait "),
    ("python manage.py enqueue add x=2 ", "python manage.py enqueue add x=2 y="),
    ("python manage.py enqueue add --queue=m", "python manage.py enqueue add --queue=mails "),
    ("python manage.py runworker -Q celery,m", "python manage.py runworker -Q celery,mails "),
    ("cd / && python -m django runworker -P pref", "cd / && python -m django runworker -P prefork "),
    ("python man", "python manage.py "),
    ("python manage.py loaddata ur", "python manage.py loaddata urls.py "),
]


@pytest.mark.parametrize("shell", shells("bash", "zsh"))
@pytest.mark.parametrize(("line", "expected"), TYPED)
def test_tab__in_a_shell(shop: Site, shell: str, line: str, expected: str) -> None:
    assert completed(shop, shell, line) == expected


@pytest.mark.parametrize("shell", shells("fish"))
@pytest.mark.parametrize(("line", "expected"), TYPED)
def test_tab__in_fish(shop: Site, shell: str, line: str, expected: str) -> None:
    code = f"source {shlex.quote(str(SCRIPTS / 'manage.fish'))}; complete -C {shlex.quote(line)}"
    done = shop.run(shell, "--no-config", "-c", code, env={"HOME": str(shop.root)})
    assert done.stderr == ""
    assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == [expected.split()[-1]]


@pytest.mark.parametrize("shell", shells("bash", "zsh", "fish"))
def test_script__the_shell_can_read_it(shop: Site, shell: str) -> None:
    printed = shop.manage("completion", shell)
    assert printed.returncode == 0, printed.stderr
    (shop.root / "script").write_text(printed.stdout.partition("settings that talk\n")[2])
    assert shop.run(shell, "-n", "script").stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script__evaluates_nothing(shell: str) -> None:
    words = SCRIPTS.joinpath(f"manage.{shell}").read_text().split()
    assert "completion" in words
    assert "eval" not in words


def test_bash__all_that_may_follow(shop: Site) -> None:
    assert bash(shop, "python manage.py enqueue ") == ["add", "note", "shop.tasks.add", "shop.tasks.note"]
    assert bash(shop, "python manage.py enqueue note ") == ["key=", "path="]
    assert bash(shop, "python manage.py enqueue add --queue ") == ["celery", "mails"]


def test_bash__without_a_manage_py_of_django_s(shop: Site) -> None:
    assert bash(shop, "python manage.py enqueue ad", DJANGO_SETTINGS_MODULE="nosuch") == []
    assert bash(shop, "python other.py enqueue ad") == []
    assert bash(shop, "python nosuch/manage.py enqueue ad") == []


def test_bash__by_a_path(shop: Site) -> None:
    assert bash(shop, "python3 -u -W ignore ../manage.py enqueue ad", "shop") == ["add"]
    assert bash(shop, f"{shop.root}/manage.py enqueue ad", "/") == ["add"]
    assert bash(shop, "~/manage.py enqueue ad", "/", HOME=str(shop.root)) == ["add"]


@pytest.mark.parametrize("start", ["other.py manage.py", "-c code manage.py", "-Ic code manage.py", "-m other django"])
def test_bash__no_other_program_runs(shop: Site, start: str) -> None:
    shop.write("other.py", "open('ran', 'w')\n")
    assert bash(shop, f"python {start} enqueue ad") == []
    assert not (shop.root / "ran").exists()


@pytest.mark.parametrize("shell", shells("zsh"))
def test_zsh__no_other_program_runs(shop: Site, shell: str) -> None:
    shop.write("other.py", "open('ran', 'w')\n")
    assert completed(shop, shell, "python other.py manage.py enqueue ad") == "python other.py manage.py enqueue ad"
    assert not (shop.root / "ran").exists()


def test_bash__python_m_django_and_settings(shop: Site) -> None:
    shop.write("other.py", "from mysite.settings import *\nCELERY_TASK_DEFAULT_QUEUE = 'others'\n")
    assert bash(shop, "python -m django enqueue ad") == ["add"]
    found = bash(shop, "python manage.py enqueue --settings=other --queue o")
    assert found == ["others"]


def test_bash__nothing_that_is_typed_runs(shop: Site) -> None:
    for typed in ("$(touch ran)", "`touch ran`", "'; touch ran; '", "x; touch ran", "${x:=$(touch ran)}"):
        bash(shop, f"python manage.py enqueue {typed} ")
        bash(shop, f"python manage.py enqueue {typed}")
    assert not (shop.root / "ran").exists()


def test_tab__asks_no_broker_and_starts_none(shop: Site) -> None:
    asked = "python manage.py enqueue add --queue "
    assert bash(shop, asked) == ["celery", "mails"]
    assert not shop.data.exists()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        settings = shop.root / "mysite/settings.py"
        settings.write_text(
            f"{settings.read_text()}\nCELERY_BROKER_URL = CELERY_RESULT_BACKEND = {url!r}\n"
            'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nosuch/db"}}\n'
        )
        for line in ("enq", "enqueue ", "enqueue add ", "runworker -Q ", "showtasks ", "taskresult ", "celery "):
            bash(shop, f"python manage.py {line}")
        assert bash(shop, asked) == ["celery", "mails"]
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert not shop.data.exists()
