"""What runworker settles before it starts: options that cannot be, or not together, and a pool that needs another Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasktools.environment import monkey
from tasktools.exceptions import UsageError
from tasktools.management import become_green, become_supervisor
from tasktools.management.run_base import reloads
from tasktools.supervisor.line import Line

if TYPE_CHECKING:
    from tasktools.management.run_base import RunCommand


#: Options in which %h and others stand for something; in those that are True, %p stands for the name of the node too.
_FORMATS = {"hostname": False, "logfile": True, "pidfile": True, "statedb": True}


def settle(command: RunCommand, options: dict[str, Any]) -> None:
    """Raise UsageError for options that cannot be, or not together. For a green pool, start again if Python is not patched."""
    _require_formats(options)
    alone = next((word for word in ("pidfile", "beat") if options["reload"] and options.get(word)), None)
    if alone:
        raise UsageError(
            f"--reload and --{alone} exclude each other: for a while there are two workers.",
            hint="run manage.py runbeat beside it" if alone == "beat" else f"leave out --{alone}",
        )
    pool = become_green.pool_of_worker(options.get("pool"), lambda: command.find_app(options["app"]).app)
    if options.get("beat") and pool in monkey.POOLS:
        raise UsageError(f"--beat does not work with the pool {pool}.", hint="run manage.py runbeat beside it")
    if not options.get("detach") and become_green.lacks_patches(pool, own_process=command._called_from_command_line):
        if reloads(options) and not Line.is_there():
            become_supervisor.become_supervisor(command.celery_command, options, pool=pool)
        become_green.start_again(pool)


def _require_formats(options: dict[str, Any]) -> None:
    """Raise UsageError for what Celery would put into a name or a path and does not know: it would end with a traceback."""
    from celery.utils.nodenames import host_format

    for option, takes_name in _FORMATS.items():
        more: dict[str, Any] = {"p": "celery@host"} if takes_name else {}
        try:
            host_format(options.get(option) or "", **more)
        except ValueError as error:
            raise UsageError(
                f"--{option}: {str(error).splitlines()[0]}",
                hint="%h is the name of the host, %n its first part, %d its domain; %% is a percent sign",
            ) from None
