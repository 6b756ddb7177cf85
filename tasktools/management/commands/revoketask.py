"""manage.py revoketask."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tasktools.exceptions import UsageError
from tasktools.management.base import TasktoolsCommand


class Command(TasktoolsCommand):
    help = "Keep workers from running tasks, and with --terminate end those that run."

    def add_arguments(self, parser: CommandParser) -> None:
        from tasktools.management.worker_options import DEFAULT_LIMIT

        super().add_arguments(parser)
        parser.add_argument("ids", nargs="+", metavar="id", help="what enqueue printed, or AsyncResult.id")
        parser.add_argument("--terminate", action="store_true", help="end the process that runs it, too; asks first")
        parser.add_argument("--signal", metavar="NAME", help="the signal for that (TERM)")
        parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask")
        answers = f"how long workers have to answer ({DEFAULT_LIMIT})"
        parser.add_argument("--timeout", metavar="DURATION", default=DEFAULT_LIMIT, help=answers)

    def run(self, *, ids: list[str], terminate: bool, interactive: bool, **options: Any) -> None:
        from tasktools.arguments.names import check_id
        from tasktools.control.revoke import revoke
        from tasktools.management import revoke_output
        from tasktools.management.worker_options import queues_of_tasks, require_remote, seconds_of
        from tasktools.results.revocable import find

        ids = [check_id(each) for each in dict.fromkeys(ids)]
        limit, signal = seconds_of(options["timeout"]), revoke_output.signal_of(options["signal"], terminate=terminate)
        asks = terminate and interactive
        if asks and (self.as_json or not self.is_answered):
            raise UsageError("--terminate asks first, and nobody is there to say yes.", hint="--noinput does not ask")
        found = self.find_app(options["app"])
        require_remote(found)
        targets = find(found.app, ids, limit)
        if asks and not self.ask(revoke_output.question(targets, signal)):
            self.note("Nothing was revoked.")
            self.end_with(1, "Nothing was revoked.")

        def routed() -> set[str]:
            return {queue for queue in (queues_of_tasks(self, found) or {}).values() if queue}

        confirmed = revoke(found.app, ids, terminate=terminate, signal=signal, limit=limit, routed=routed)
        revoke_output.show(self, targets, confirmed, signal if terminate else None)
        revoke_output.require_done(targets, confirmed, terminate=terminate)
