"""manage.py enqueue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools import render
from tasktools.arguments.call import Call
from tasktools.discovery.celery_app import Found
from tasktools.environment.interrupts import heed_signals
from tasktools.exceptions import TaskNameError, TasktoolsError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.bulk_options import add_bulk_options, require_consistent
from tasktools.management.call_options import add_calling_options, add_entry_option, calling_options, listens, sender_of
from tasktools.management.first_lines import require_broker
from tasktools.management.wait_options import add_wait_options, require_result, waiting_time
from tasktools.publishing import single


class Command(TasktoolsCommand):
    help = "Send a task to a worker. Words become arguments by the task's signature; key=value is a keyword."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_calling_options(parser)
        add_bulk_options(parser)
        add = add_wait_options(parser.add_argument_group("what is done with it"), "wait for the result and print it")
        add_entry_option(parser)
        add("--dry-run", action="store_true", help="check the call, print it, send nothing")
        add("--unregistered", action="store_true", help="take the name as it is: another project's worker knows it")

    def prepare(self, options: dict[str, Any]) -> None:
        if self.is_own_process:
            heed_signals()

    def run(self, *, name: str | None, words: list[str], **options: Any) -> None:
        require_consistent(name, words, options)
        if options["from_file"] is not None:
            from tasktools.management.bulk import send_file

            send_file(self, name, options, listen=not self._called_from_command_line)
            return
        found = self.find_app(options["app"])
        timeout = waiting_time(options)
        found, call = self._prepare(found, name, words, options)
        if options["wait"]:
            require_result(found.app, call)
        if options["dry_run"]:
            self.print_json(single.routed(found.app, call))
            return
        require_broker(self, found)
        if options["wait"]:
            self._send_and_wait(found, call, timeout, options)
        else:
            sent = self._publish(found, call)
            self.print_line(render.as_json({"id": sent.id, "task": sent.task}) if options["as_json"] else sent.id)

    def _send_and_wait(self, found: Found, call: Call, timeout: float, options: dict[str, Any]) -> None:
        from tasktools.management.result_output import require_backend, show_awaited

        if not found.app.conf.task_always_eager:
            require_backend(self, found.app, sender=True)
        show_awaited(self, found.app, self._publish(found, call), timeout, options)

    def _publish(self, found: Found, call: Call) -> single.Sent:
        sent = single.publish(found.app, call, listen=not self._called_from_command_line or listens(found.app))
        self.done = f"{sent.task} was sent, its id is {sent.id}."
        if sent.eager:
            self.note("task_always_eager is set: the task ran here, no worker was asked.")
        return sent

    def _prepare(self, found: Found, name: str | None, words: list[str], options: dict[str, Any]) -> tuple[Found, Call]:
        """Return the app that sends, and the call."""
        if options["entry"] is not None:
            from tasktools.management.entry_call import entry_call

            return entry_call(self, found, options)
        if name is None:
            raise TaskNameError("No task is named.", hint="manage.py enqueue NAME; manage.py showtasks lists the names")
        if not options["unregistered"]:
            self.load_tasks(found, name)
        chosen = {key: options[key] for key in ("args_json", "kwargs_json", "unregistered")}
        call = single.prepare(found.app, name, words, options=calling_options(found.app, options), **chosen)
        if doubt := single.doubt(found.app, call):
            self.warn(TasktoolsError(doubt))
        return sender_of(self, found, call.task), call
