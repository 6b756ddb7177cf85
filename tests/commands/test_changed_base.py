"""Projects and libraries that put methods of their own in the place of BaseCommand's, with Django's signatures."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import BaseCommand, load_command_class
from django.core.management.base import CommandParser

from tasktools.management.commands.celery import without_django_options
from tasktools.management.epilogs import EPILOGS


@pytest.fixture
def configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What django-configurations does: an option of its own, and no keywords."""
    plain = BaseCommand.create_parser

    def create_parser(self: BaseCommand, prog_name: str, subcommand: str) -> CommandParser:
        parser = plain(self, prog_name, subcommand)
        parser.add_argument("--configuration")
        return parser

    monkeypatch.setattr(BaseCommand, "create_parser", create_parser)


@pytest.mark.usefixtures("configurations")
@pytest.mark.parametrize("name", ["enqueue", "runworker", "rundev", "showtasks"])
def test_changed_base__a_create_parser_without_keywords(name: str) -> None:
    parser = load_command_class("tasktools", name).create_parser("manage.py", name)
    assert "--configuration" in parser._option_string_actions
    assert parser.allow_abbrev is False
    assert "exit codes:\n  0    " in parser.format_help()


@pytest.mark.usefixtures("configurations")
def test_changed_base__a_command_runs(run_command: Any) -> None:
    done = run_command("showtasks", "elsewhere.total", "--configuration", "Dev", as_json=True)
    assert (done.code, '"elsewhere.total"' in done.out) == (0, True), done.err


def test_create_parser__hands_on_what_django_gives_it() -> None:
    parser = load_command_class("tasktools", "enqueue").create_parser("manage.py", "enqueue", usage="short")
    assert (parser.usage, parser.epilog) == ("short", EPILOGS["enqueue"])


def test_subclass__in_a_project_has_the_exit_codes_of_its_base() -> None:
    kind = type(load_command_class("tasktools", "runworker"))
    parser = type("Command", (kind,), {"__module__": "shop.management.commands.worker"})().create_parser("m", "worker")
    assert parser.epilog == EPILOGS["runworker"]


def test_celery__the_option_of_django_configurations_is_not_celery_s() -> None:
    assert without_django_options(["--configuration", "Dev", "inspect", "ping"]) == ["inspect", "ping"]
    assert without_django_options(["--configuration=Dev", "report"]) == ["report"]
