"""Celery's click commands as argparse options and back: --help shows exactly the options that the installed Celery takes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from django.core.management.base import CommandParser

from tasktools import terminal
from tasktools.brokers.masking import hide
from tasktools.celery_compat import CELERY_COMMAND
from tasktools.exceptions import UsageError
from tasktools.management.completion import completed_by, listed, one_of, queue_names

if TYPE_CHECKING:
    from celery import Celery


#: What the options do that Celery leaves without a text.
_TEXTS = {
    "purge": "delete all messages that wait in its queues, before it starts",
    "queues": "the queues that it takes from, separated by commas",
    "exclude_queues": "the queues of the project that it does not take from",
    "include": "more modules to import, separated by commas",
    "without_gossip": "do not follow the events of other workers",
    "without_mingle": "do not ask other workers at the start which tasks are revoked",
    "without_heartbeat": "send no heartbeat events",
    "heartbeat_interval": "seconds between two heartbeat events",
    "autoscale": "MAX,MIN processes, as many as there is work for",
    "beat": "run beat inside this worker; only for a single worker",
    "schedule_filename": "the file of the schedule, with -B",
    "scheduler": "the class of the scheduler",
    "detach": "start it in the background",
    "max_interval": "longest pause between two looks at the schedule, in seconds",
    "loglevel": "the log level",
}


def options_of(name: str, app: Celery | None = None) -> list[click.Option]:
    """Return the options of `celery NAME`, with those that the app adds (app.user_options)."""
    celery = CELERY_COMMAND.here()

    own = [param for param in celery.commands[name].params if isinstance(param, click.Option)]
    return own + [each for each in (app.user_options.get(name, ()) if app else ()) if each not in own]


#: A setting that each of Celery's commands takes after its options.
_EXAMPLES = {"worker": "worker.send_task_events=1", "beat": "beat.max_loop_interval=60"}


def add_options(parser: CommandParser, command: str, options: Sequence[click.Option]) -> None:
    """Add the options of a command of Celery to an argparse parser, in Celery's groups.

    An option that was not typed is absent from the result.
    """
    groups: dict[str, Any] = {}
    for option in options:
        title = f"Celery: {getattr(option, 'help_group', None) or 'Options'}"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        group = groups[title]
        common: dict[str, Any] = {
            "dest": option.name,
            "default": argparse.SUPPRESS,
            # Celery writes some of its texts for argparse, which shows %% as %.
            "help": (option.help or _TEXTS.get(option.name or "", "")).replace("%%", "%").replace("%", "%%"),
        }
        if option.is_flag:
            group.add_argument(*_sorted(option.opts), action="store_const", const=True, **common)
            if option.secondary_opts:
                group.add_argument(
                    *option.secondary_opts, action="store_const", const=False, **{**common, "help": argparse.SUPPRESS}
                )
        else:
            action = group.add_argument(*_sorted(option.opts), metavar=_metavar(option), **common)
            if isinstance(option.type, click.Choice):
                completed_by(action, one_of(option.type.choices))
            elif option.name in ("queues", "exclude_queues"):
                completed_by(action, listed(queue_names))
    parser.add_argument(
        "config",
        nargs="*",
        metavar="setting=value",
        help=f"further settings, as celery takes them: {_EXAMPLES[command]}",
    )


def words_of(options: Sequence[click.Option], given: dict[str, Any]) -> list[str]:
    """Return the typed options as `celery` takes them; `given` maps names to what argparse or call_command found."""
    words: list[str] = []
    for option in options:
        value = given.get(option.name or "")
        if value is None:
            continue
        long = max(option.opts, key=len)
        if option.is_flag:
            words += [long] if value else option.secondary_opts[:1]
        else:
            words += [long, ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]
    return [*words, *given.get("config", ())]


def run_celery(app: Celery | None, words: Sequence[str], *, program: str, hint: str) -> int:
    """Run `celery WORDS` in this process with `app`, and return its exit code.

    Raises UsageError for words that click does not accept.
    """
    celery = CELERY_COMMAND.here()

    with _as_default_app(celery, app):
        try:
            code = celery.main(args=list(words), prog_name=program, standalone_mode=False, auto_envvar_prefix="CELERY")
        except click.exceptions.Exit as error:
            return error.exit_code
        except click.exceptions.Abort:
            return 130
        except click.UsageError as error:
            raise UsageError(_sentence(error), hint=hint) from error
        except click.ClickException as error:
            click.echo(f"Error: {terminal.block(hide(error.format_message()))}", file=sys.stderr)
            return error.exit_code
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def _as_default_app(group: Any, app: Celery | None) -> Iterator[None]:
    """Make `app` the default of -A, with precedence over the environment (as celery.app.base.Celery.start does)."""
    option = next(param for param in group.params if param.name == "app")
    before = option.default, option.envvar, option.allow_from_autoenv
    option.default, option.envvar, option.allow_from_autoenv = app, None, False
    try:
        yield
    finally:
        option.default, option.envvar, option.allow_from_autoenv = before


def _sentence(error: click.UsageError) -> str:
    return " ".join(error.format_message().split()) or "That is no command of celery."


def _sorted(names: Sequence[str]) -> list[str]:
    return sorted(names, key=len)


def _metavar(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "{" + ",".join(map(str, option.type.choices)) + "}"
    return option.metavar or (option.name or "value").upper()
