"""manage.py rundev."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from tasktools import render, startup, unimportable
from tasktools.brokers import broker_of
from tasktools.exceptions import AppError, ProjectError, UsageError
from tasktools.management import site_parts
from tasktools.management.base import TasktoolsCommand
from tasktools.management.become_supervisor import become
from tasktools.management.first_lines import doubts


class Command(TasktoolsCommand):
    help = "Start the whole site in one terminal: web server, worker and beat. Ctrl+C stops all of it."
    prints_data = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parse: Any = parser.parse_args

        def parse_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
            return parse(site_parts.joined(sys.argv[1:] if args is None else args), namespace)

        parser.parse_args = parse_args  # type: ignore[assignment, method-assign]
        parser.error = site_parts.refusing(parser.error)  # type: ignore[assignment, method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("addrport", nargs="?", metavar="ADDR:PORT", help="where the web server listens, as for runserver")
        add("--plus", action="store_true", help="runserver_plus of django-extensions, with its debugger")
        add("--no-web", action="store_false", dest="web", help="no web server")
        add("--no-worker", action="store_false", dest="use_worker", help="no worker")
        add("--no-beat", action="store_false", dest="use_beat", help="no beat")
        add("--worker", default="", metavar="OPTIONS", help='options of runworker: --worker "-c 2 -Q mails"')
        add("--beat", default="", metavar="OPTIONS", help='options of runbeat: --beat "--max-interval 5"')
        add("--keep-going", action="store_true", help="go on when a part has ended by itself")

    def run(self, **options: Any) -> None:
        if not self._called_from_command_line:
            raise UsageError("rundev takes the whole process, which is not its own here.", hint="call manage.py rundev")
        color = site_parts.colored(self.stdout, options)
        server = site_parts.server_command(plus=options["plus"])
        if not options["web"] and (options["plus"] or options["addrport"]):
            raise UsageError("There is no web server with --no-web.", hint="leave out --no-web")
        commands = site_parts.commands(options, server, color=color)
        where = ""
        if options["web"]:
            host, port = site_parts.address(options["addrport"], server)
            site_parts.require_free(host, port)
            where = f" on http://{f'[{host}]' if ':' in host else host}:{port}/"
        broker = self.broker(options) if {"worker", "beat"} & set(commands) else ""
        self.note(f"rundev: {', '.join(commands).replace('web', f'web{where}', 1)}{broker}")
        reloaded = ["web"] if options["web"] and site_parts.is_reloaded(server) else []
        plan = {"commands": commands, "keep_going": options["keep_going"], "color": color, "reloaded": reloaded}
        become({"kind": "site", **plan, "color_stderr": site_parts.colored(self.stderr, options)})

    def broker(self, options: dict[str, Any]) -> str:
        """Return the broker as text, and warn of what concerns all parts: they do not warn again.

        Report an error that a changed file may fix: the parts wait for that change.
        """
        try:
            found = self.find_app(options["app"])
        except (AppError, ProjectError) as error:
            if not (error.__cause__ and unimportable.place_of(error.__cause__)):  # the parts report code that is broken
                self.note(*render.error_lines(error), style=self.style.ERROR)
            return ""
        startup.require_broker(found)
        self.warn(*doubts(found.app, "site"))
        return f" | broker {broker_of(found.app).uri()}"
