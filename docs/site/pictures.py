"""The pictures: what the commands print on the demo site, and how its admin looks. Each is made from a run, none by hand."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from docs.site import browser, terminal
from docs.site.pages import ROOT, Fault
from docs.site.site_run import NODE, SiteRun, free_port, ids, running, wait_for

COLUMNS = 100


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture of a terminal."""

    name: str
    words: str  # after manage.py; {failed} is an id
    codes: tuple[int, ...] = (0,)
    #: Of a command that runs until it is stopped: what is waited for, and the commands that are then started beside it.
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()
    columns: int = COLUMNS


#: While the worker runs and some tasks have failed. The names are those of `<!-- picture: NAME -->` in the pages.
SHOTS = (
    Shot(name="enqueue", words="enqueue add 2 2 --wait", columns=80),
    Shot(name="showtasks", words="showtasks"),
    Shot(name="showqueues", words="showqueues"),
    Shot(name="showworkers", words="showworkers"),
    Shot(name="showschedule", words="showschedule"),
    Shot(name="taskresult", words="taskresult {failed}", codes=(1,)),
    Shot(name="showfailed", words="showfailed"),
    Shot(name="showfailed-group", words="showfailed --group"),
    Shot(name="retryfailed", words="retryfailed --task greet --dry-run"),
    Shot(
        name="watchtasks",
        words="watchtasks",
        steps=(
            ("Watching", ("enqueue greet Dora seconds=-1", "enqueue greet Ann seconds=3")),
            ("FAILURE", ()),
            ("SUCCESS", ()),
        ),
        codes=(0, 130),
    ),
)

#: Before there is a worker: its first lines.
START = Shot(name="runworker", words=f"runworker -c 2 -n {NODE}", steps=(("ready", ()),))

#: It sends a task of its own, which the other pictures do not have.
LAST = Shot(name="taskdoctor", words="taskdoctor --live", codes=(0, 1))

#: What is sent before the pictures are taken: calls that fail, one that waits for its time, and one in a queue without a worker.
CALLS = (
    "greet Ann seconds=-1",
    "greet Ben seconds=-1",
    "greet Cleo seconds=-1",
    "add 20 22",
    "fragile 9 --countdown 1h",
    "add 1 2 --queue mails",
)

#: Pages of the demo's admin, by the names of their pictures. A page that is new gets a line here and a comment in docs/.
ADMIN: tuple[tuple[str, str], ...] = (
    ("admin-failed-tasks", "/admin/tasktools/failedtask/"),
    ("admin-tasks", "/admin/tasktools/taskoverview/?wait=1"),  # with the first look at the broker
)


def make(folder: Path, say: Callable[[str], None]) -> set[str]:
    """Write the pictures to a folder, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    admin = {name: path for name, path in ADMIN if browser.find()}
    if not admin:
        say(f"no Chromium is installed: there is no picture of the admin ({', '.join(name for name, _ in ADMIN)}).")
    # Most of their time the commands wait for an answer.
    with running() as site, ThreadPoolExecutor(3) as pool:
        first = pool.submit(_shoot, site, START, {})
        site.manage("preparedemo")
        written = {START.name: first.result()}
        port = _start_parts(site)
        known = _prepare(site, pool)
        shots = {shot.name: pool.submit(_shoot, site, shot, known) for shot in SHOTS}
        written |= {name: shot.result() for name, shot in shots.items()}
        last = pool.submit(_shoot, site, LAST, known)
        wait_for("the web server", lambda: _answers(port))
        pages = [
            pool.submit(browser.take, f"http://127.0.0.1:{port}{path}", folder / name) for name, path in admin.items()
        ]
        written[LAST.name] = last.result()
        for page in pages:
            page.result()
        for name, svg in written.items():
            (folder / f"{name}.svg").write_text(_without_traces(name, svg, site))
    return {*written, *admin}


def _start_parts(site: SiteRun) -> int:
    """Start worker, beat and web server; return the port of the last when the worker takes tasks."""
    port = free_port()
    worker = site.start("runworker", "--noreload", "-c", "2", "-n", NODE)
    site.start("runbeat", "--noreload")
    site.start("runserver", "--noreload", f"127.0.0.1:{port}")
    wait_for("the worker", lambda: " ready" in worker.read_text(errors="replace"))
    return port


def _prepare(site: SiteRun, pool: ThreadPoolExecutor) -> dict[str, str]:
    """Have something to show: tasks that succeed, tasks that fail, tasks that wait; return ids of them."""
    sent = [pool.submit(site.manage, "enqueue", *shlex.split(words)) for words in CALLS]
    printed = [each.result() for each in sent]
    wait_for("the failed tasks", lambda: len(ids(site.manage("showfailed", "--json"))) >= 3)
    return {"failed": ids(printed[0])[0]}


def _start(site: SiteRun, commands: Sequence[str]) -> None:
    for each in commands:
        site.start(*shlex.split(each))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _shoot(site: SiteRun, shot: Shot, known: dict[str, str]) -> str:
    """Return the picture of a command.

    Raises Fault when it ends with an exit code that is not expected.
    """
    words = shlex.split(shot.words.format(**known))
    steps = [(text, partial(_start, site, beside)) for text, beside in shot.steps]
    code, written = site.record(*words, columns=shot.columns, steps=steps)
    if code not in shot.codes:
        raise Fault(f"manage.py {shlex.join(words)} ended with {code} while its picture was taken:\n{written}")
    return terminal.picture(shot.name, f"python manage.py {shlex.join(words)}", written, shot.columns)


def _without_traces(name: str, svg: str, site: SiteRun) -> str:
    """Return a picture that names no folder of the machine on which it was made.

    Raises Fault where it does.
    """
    for path in (str(ROOT), str(site.folder), str(Path.home())):
        if path in svg and path != "/":
            raise Fault(f'The picture "{name}" shows {path}, which is a folder of this machine.')
    return svg


def markdown(names: set[str]) -> Callable[[str], str]:
    """Return what makes the Markdown of a picture by its name; of one that could not be made there is none."""
    admin = dict(ADMIN)
    shots = {shot.name: shot for shot in (START, *SHOTS, LAST)}

    def made(name: str) -> str:
        if name not in admin and name not in shots:
            raise Fault(f'A page shows the picture "{name}", and pictures.py does not make it.')
        if name not in names:
            return ""
        if name in admin:
            alt = f"{admin[name].partition('?')[0]} of the demo site"
            schemes = ("light", "dark")
            return "\n\n".join(_image(f"{name}-{each}.png", f"picture page only-{each}", alt) for each in schemes)
        words = shots[name].words.format(failed="ID")
        return _image(f"{name}.svg", "picture", f"What manage.py {words} prints")

    return made


def _image(file: str, style: str, alt: str) -> str:
    image = f"```{{image}} /pictures/{file}\n:class: {style}\n:alt: {alt}\n```"
    return f"````{{container}} scrolled\n{image}\n````"
