"""W004: the commands of this project are those of tasktools. Django takes a command from the first app that has it."""

from __future__ import annotations

from pathlib import Path

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.core.management import find_commands, get_commands, load_command_class

from tasktools.exceptions import tried

#: The ids that this module can give.
IDS = ("tasktools.W004",)

_OURS = "tasktools"


def check() -> list[CheckMessage]:
    """Warn of each app whose commands hide ours. Commands that are built on ours are meant to do so."""
    used = get_commands()  # Django has made it to find `check` itself
    own = find_commands(str(Path(apps.get_app_config(_OURS).path, "management")))
    hidden: dict[str, list[str]] = {}
    for name in own:
        if used.get(name, _OURS) != _OURS and not _is_built_on_ours(used[name], name):
            hidden.setdefault(used[name], []).append(name)
    return [_message(app, names) for app, names in hidden.items()]


def _is_built_on_ours(app: str, name: str) -> bool:
    """Whether the command of `app` is derived from one of ours. Only a command that hides one is imported."""
    kind = tried(lambda: type(load_command_class(app, name)), lambda _: object)
    return any(each.__module__.startswith(f"{_OURS}.management.") for each in kind.__mro__)


def _message(app: str, names: list[str]) -> CheckMessage:
    listed = ", ".join(f'"{name}"' for name in sorted(names))
    sentence = f'The command {listed} comes from the app "{app}" and hides that of tasktools.'
    if len(names) > 1:
        sentence = f'The commands {listed} come from the app "{app}" and hide those of tasktools.'
    hint = f'put "{_OURS}" before "{app}" in INSTALLED_APPS'
    return CheckWarning(sentence, hint=hint, id="tasktools.W004")
