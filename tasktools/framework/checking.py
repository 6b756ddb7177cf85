"""What is wrong with the backend's part of TASKS."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connections

#: The option that makes a call wait for the end of the transaction that it is made in.
ON_COMMIT = "enqueue_on_commit"

#: The options that there are.
OPTIONS = (ON_COMMIT,)


def check(alias: str, options: Any) -> Iterator[CheckMessage]:
    """Yield an error for each option that there is not, and for one with a value that it cannot have."""
    where = f'TASKS["{alias}"]["OPTIONS"]'
    if not isinstance(options, Mapping):
        hint = f'{where} = {{"{ON_COMMIT}": True}}'
        yield Error(f"{where} is {options!r}, which is no dictionary.", hint=hint, id="tasktools.E091")
        return
    for name in options:
        if name not in OPTIONS:
            close = difflib.get_close_matches(str(name), OPTIONS, 1)
            hint = f"did you mean {close[0]}?" if close else f"the options are: {', '.join(OPTIONS)}"
            sentence = f'{where} has "{name}", which is no option of CeleryBackend.'
            yield Error(sentence, hint=hint, id="tasktools.E091")
    chosen = options.get(ON_COMMIT, False)
    if not isinstance(chosen, bool) and chosen not in list(connections):
        hint = f"set it to True, or to the alias of a database: {', '.join(connections)}"
        sentence = f'{where}["{ON_COMMIT}"] is {chosen!r}, which is neither a bool nor a database of DATABASES.'
        yield Error(sentence, hint=hint, id="tasktools.E092")
