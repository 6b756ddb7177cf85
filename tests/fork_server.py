"""A process that has imported Django and Celery, and forks: most of the time of a test went into those imports.

What it forks is a process of its own: a session, an environment, a folder, files and words (sys.argv) of its own. It runs a
script (mostly manage.py) or the code of -c to the end, its threads and exit handlers too; then it ends without freeing its
objects. Only the modules in PRELOADED, none of them of the project or of tasktools, were imported before: coverage, which starts
as it does in a process of its own, sees all of tasktools. A test of the start or of the very end of a process (the smoke tests,
those marked `fresh`, another Python, another path) starts Python.
Output goes to files, so a child that keeps it open holds nothing up: test_streams.py and all that runs a shell have pipes.

As a script it serves the socket whose number it is given: each request is a line of JSON and three files, and is answered by
{"pid": ...} and, when the process has ended, {"code": ...}. It ends when the other end of the socket is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PRELOADED = (
    "django.core.management",
    "django.core.management.commands.check",
    "django.core.handlers.wsgi",
    "django.db.backends.sqlite3.base",
    "django.db.models",
    "django.template.backends.django",
    "django.urls",
    "django.utils.autoreload",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.log",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "click.shell_completion",
    "coverage",
    "kombu.transport.redis",
    "redis",
    "rich.console",
)


#: How long the server may take to import and to answer, in seconds; the machine may be busy.
LIMIT = 60.0


class Forked:
    """A process that the server has forked, as much of subprocess.Popen as tests use."""

    def __init__(self, args: Sequence[str], line: socket.socket) -> None:
        self.args = list(args)
        self.returncode: int | None = None
        self._line = line
        self._rest = b""
        line.settimeout(LIMIT)
        self.pid: int = self._answer()["pid"]

    def poll(self) -> int | None:
        """Return the exit code, -N for signal N, None while it runs."""
        if self.returncode is None and (b"\n" in self._rest or select.select([self._line], [], [], 0)[0]):
            self.returncode = self._answer()["code"]
            self._line.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            select.select([self._line], [], [], left)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the server is about to say so
                os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _answer(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            some = self._line.recv(4096)
            if not some:
                raise RuntimeError("the fork server has gone: what became of its processes is not known")
            self._rest += some
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


class ForkServer:
    """The server of one test process; made when it is first needed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is what Python itself reads when it starts."""
        self.environment = dict(environment)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())]
        root = Path(__file__).resolve().parent.parent
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env=self.environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is the test process's, which ends it
        )
        theirs.close()
        self._line = ours

    def start(self, args: Sequence[str], cwd: Path, environment: Mapping[str, str], files: Sequence[int]) -> Forked:
        """Fork a process for `args`, which are Python and a script or -c and code; `files` are its 0, 1 and 2."""
        ours, theirs = socket.socketpair()
        with theirs:
            request = json.dumps({"args": list(args), "cwd": str(cwd), "environment": dict(environment)})
            socket.send_fds(self._line, [request.encode()], [*files, theirs.fileno()])
        return Forked(args, ours)

    def close(self) -> None:
        self._line.close()
        try:
            self.process.wait(LIMIT)
        finally:
            self.process.kill()


def python_reads(environment: Mapping[str, str]) -> dict[str, str]:
    """Return of an environment what Python itself reads when it starts."""
    return {key: value for key, value in environment.items() if key.startswith(("PYTHON", "LC_", "LANG"))}


def _serve(line: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Return the request in what was forked; None in the server when it is to end."""
    wake, door = os.pipe()
    os.set_blocking(door, False)
    signal.set_wakeup_fd(door)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    alive: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([line, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(alive)
        if line not in ready:
            continue
        text, files, _, _ = socket.recv_fds(line, 1 << 20, 4)
        if not text:
            return None
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            for each in (line.fileno(), wake, door, *(each.fileno() for each in alive.values())):
                os.close(each)
            return {**json.loads(text), "files": files}
        # A failed fork ends the server, and every test that needs it fails with that.
        alive[pid] = socket.socket(fileno=files[3])
        for each in files[:3]:
            os.close(each)
        alive[pid].sendall(json.dumps({"pid": pid}).encode() + b"\n")


def _reap(alive: dict[int, socket.socket]) -> None:
    for pid in list(alive):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with alive.pop(pid) as line, contextlib.suppress(OSError):
                line.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


def _become(request: dict[str, Any]) -> Callable[[], object]:
    """Make this process the one that was asked for, up to its first line of Python; return what runs its script or its code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for number, each in enumerate(request["files"][:3]):
        os.dup2(each, number)
    for each in request["files"]:
        os.close(each)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # a site may have a package of this name
    sys.argv[:] = request["args"][1:]
    sys.orig_argv[:] = request["args"]
    import coverage  # which only some environments have; it is preloaded

    coverage.process_startup()  # where the environment asks for it; a process of its own does so in a .pth file
    script, *words = sys.argv
    sys.path[0] = "" if script == "-c" else os.path.dirname(os.path.abspath(script))
    sys.path[:] = [each for each in sys.path if each != _START]
    sys.path.insert(1, _START)  # PYTHONPATH names it
    if script == "-c":
        sys.argv[:] = ["-c", *words[1:]]
        return functools.partial(_run_code, words[0])
    return functools.partial(runpy.run_path, script, run_name="__main__")


def _run_code(code: str) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(code, "<string>", "exec"), main.__dict__)


def _run(main: Callable[[], object]) -> int:
    """Run `main` as Python runs a script, and return its exit code."""
    try:
        main()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _end(code: int) -> None:
    """End as Python does, but leave out to free each object: in a fork that takes longer than the command."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            each.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


_START = os.getcwd()

if __name__ == "__main__":
    for _name in PRELOADED:
        importlib.import_module(_name)
    gc.freeze()
    _request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if _request is not None:
        _end(_run(_become(_request)))
