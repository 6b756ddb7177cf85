"""What rundev starts: the command line of each part, and whether each can start."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.core.management.commands.runserver import naiveip_re
from django.utils.autoreload import get_child_arguments

from tasktools.arguments.names import shown
from tasktools.exceptions import UsageError
from tasktools.management import become_supervisor, launch
from tasktools.management.run_base import RunCommand


def commands(options: dict[str, Any], server: str, *, color: bool) -> dict[str, list[str]]:
    """Return the command line of each part to run, by its name.

    Raises UsageError for options that a part would not take, and if no part is left.
    """
    found = {}
    if options["web"]:
        found["web"] = [server, *[options["addrport"]] * bool(options["addrport"])]
    app = ["--app", options["app"]] if options["app"] else []
    for name in ("worker", "beat"):
        if options[f"use_{name}"]:
            found[name] = [f"run{name}", *app, *run_words(f"run{name}", f"--{name}", options[name])]
        elif options[name]:
            raise UsageError(f"--{name} and --no-{name} exclude each other.", hint=f"leave out --no-{name}")
    if not found:
        raise UsageError("Nothing is left to run.", hint="leave out --no-web, --no-worker or --no-beat")
    shared = [*_typed(options), *["--force-color"] * color]
    commands = {name: [*_start(), *words, *shared] for name, words in found.items()}
    if "web" in commands and is_reloaded(server):
        watched = {"roots": become_supervisor.roots(), "ignore": become_supervisor.ignored()}
        commands["web"] = launch.command(commands["web"], {name: [*map(str, paths)] for name, paths in watched.items()})
    return commands


def is_reloaded(server: str) -> bool:
    """Whether rundev is the autoreloader of the web server. That of runserver_plus is Werkzeug's."""
    return server == "runserver"


def run_words(command: str, option: str, text: str) -> list[str]:
    """Return the words of `--worker "OPTIONS"`, after the command that gets them has accepted them."""
    kind = _load(command)
    if not isinstance(kind, RunCommand):
        raise UsageError(
            f'"{command}" is here the command of "{get_commands()[command]}".',
            hint='put "tasktools" before it in INSTALLED_APPS',
        )
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f'{option} "{shown(text)}" cannot be read: {error}.', hint="quote it as for a shell"
        ) from error
    try:
        parsed = vars(kind.create_parser("manage.py", command).parse_args(words))
    except UsageError as error:
        raise UsageError(f'{option} "{shown(text)}": {error.sentence}', hint=error.hint) from error
    if parsed.get("detach"):
        raise UsageError(f'{option} "{shown(text)}": --detach would leave rundev.', hint="leave out --detach")
    if "loglevel" in parsed or (settings.DEBUG and not settings.LOGGING):  # then a part chooses INFO itself
        return words
    return ["-l", "INFO", *words]


def server_command(*, plus: bool) -> str:
    """Return the name of the command that is the web server.

    Raises UsageError if --plus asks for one that is not installed.
    """
    if not plus:
        return "runserver"
    if importlib.util.find_spec("werkzeug") is None:
        raise UsageError("--plus needs Werkzeug, which is not installed.", hint="pip install Werkzeug")
    if "runserver_plus" not in get_commands():
        raise UsageError(
            "--plus needs the command runserver_plus, which is not there.",
            hint='add "django_extensions" to INSTALLED_APPS',
        )
    return "runserver_plus"


def address(typed: str | None, server: str) -> tuple[str, int]:
    """Return the host and the port that the web server will take.

    Raises UsageError for an address that it would not accept.
    """
    kind: Any = _load(server)
    if not typed and server == "runserver_plus":
        typed = getattr(settings, "RUNSERVERPLUS_SERVER_ADDRESS_PORT", None)
    text = str(typed or getattr(kind, "default_port", "8000"))
    match = re.match(naiveip_re, text)
    if match is None:
        raise UsageError(
            f'"{shown(text)}" is no port and no ADDR:PORT.', hint="manage.py rundev 8001, manage.py rundev 0.0.0.0:8000"
        )
    port = int(match["port"][:18])
    if port > 65535:
        raise UsageError(f'"{shown(match["port"])}" is no port.', hint="give one from 1024 to 65535")
    return (match["addr"] or getattr(kind, "default_addr", "127.0.0.1")).strip("[]"), port


def require_free(host: str, port: int) -> None:
    """Raise UsageError if the web server could not listen. Then nothing is started."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does: a connection that has just ended does not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if isinstance(error, socket.gaierror):
            sentence, hint = f'No address belongs to "{shown(host)}"', "manage.py rundev 127.0.0.1:8000"
        elif error.errno == errno.EADDRINUSE:
            sentence, hint = f"Port {port} of {host} is taken", f"another port: manage.py rundev {other(port)}"
        else:
            sentence, hint = f"Port {port} of {host} cannot be had: {error.strerror}", "manage.py rundev 127.0.0.1:8000"
        raise UsageError(f"{sentence}.", hint=hint) from error


def other(port: int) -> int:
    """Return a port to try in place of one that is taken."""
    return port + 1 if port < 65535 else 8000


def colored(stream: Any, options: dict[str, Any]) -> bool:
    """Whether output to `stream` has colours."""
    if options["no_color"] or "NO_COLOR" in os.environ:
        return False
    return bool(options["force_color"] or stream.isatty())


def _load(name: str) -> BaseCommand:
    found = get_commands()[name]
    return found if isinstance(found, BaseCommand) else load_command_class(found, name)


def _start() -> list[str]:
    """Return the command line up to (and without) the word rundev: manage.py or python -m django, with Python's options."""
    arguments = [str(word) for word in get_child_arguments()]
    return arguments[: len(arguments) - len(sys.argv[1:])]


def _typed(options: dict[str, Any]) -> Sequence[str]:
    """Return Django's own options, as far as they were typed."""
    words = [f"--{name}={options[name]}" for name in ("settings", "pythonpath") if options[name]]
    words += ["--verbosity", str(options["verbosity"])] if options["verbosity"] != 1 else []
    return [*words, *(f"--{name.replace('_', '-')}" for name in ("no_color", "traceback") if options[name])]


def _takes(name: str, option: str) -> bool:
    """Whether a command has that option."""
    command = load_command_class("tasktools", name)
    return option.partition("=")[0] in command.create_parser("manage.py", name)._option_string_actions


def refusing(refuse: Callable[[str], NoReturn]) -> Callable[[str], NoReturn]:
    """Name the way to give an option to a part to whoever gives it to rundev."""

    def error(message: str) -> NoReturn:
        try:
            refuse(message)
        except UsageError as error:
            option = message.removeprefix("unrecognized arguments: ").partition(" ")[0]
            part = next((each for each in ("worker", "beat") if _takes(f"run{each}", option)), None)
            if part is None:
                raise
            hint = f'an option of run{part} is written --{part} "{option} ..."'
            raise UsageError(error.sentence, hint=hint) from None

    return error


def joined(words: Sequence[str]) -> list[str]:
    """Join --worker and --beat to the word after them: argparse would treat "-c 2" as an option of rundev."""
    left, found = list(words), []
    while left:
        word = left.pop(0)
        found.append(f"{word}={left.pop(0)}" if word in ("--worker", "--beat") and left else word)
    return found
