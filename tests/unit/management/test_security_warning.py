from __future__ import annotations

import os
import warnings
from typing import Any

import pytest
from celery.exceptions import SecurityWarning

from tasktools.exceptions import TasktoolsError
from tasktools.management.security_warning import HINT, ROOT, in_plain_words

CELERYS = "You're running the worker with superuser privileges: this is\nabsolutely not recommended!\n"


@pytest.mark.parametrize(
    ("uid", "sentence"),
    [
        (0, ROOT),
        (
            1000,
            "Celery warns: You're running the worker with superuser privileges: this is absolutely not recommended!",
        ),
    ],
)
def test_security_warning__is_a_sentence_and_other_warnings_stay(
    monkeypatch: pytest.MonkeyPatch, uid: int, sentence: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    warned: list[TasktoolsError] = []
    shown: list[Any] = []
    monkeypatch.setattr(warnings, "showwarning", lambda *given, **_: shown.append(given[:2]))
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = before
        with in_plain_words(warned.append):
            warnings.warn(SecurityWarning(CELERYS), stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)
    assert [(each.sentence, each.hint) for each in warned] == [(sentence, HINT)]
    assert [(str(message), kind) for message, kind in shown] == [("another", UserWarning)]
    assert warnings.showwarning is before


def test_security_warning__what_celery_puts_in_its_place_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """logging.captureWarnings, when Celery sets up logging."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with in_plain_words(lambda error: None):
        captured: Any = lambda *_: None  # noqa: E731
        warnings.showwarning = captured
    assert warnings.showwarning is captured


def test_security_warning__of_root_in_a_group_that_nobody_knows__is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Celery warns of the group first, and then of root."""
    monkeypatch.setattr(os, "getuid", lambda: 0)
    warned: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with in_plain_words(lambda error: warned.append(error.sentence)):
            warnings.warn(SecurityWarning("An entry for the specified gid or egid was not found."), stacklevel=1)
            warnings.warn(SecurityWarning(CELERYS), stacklevel=1)
    assert warned == [ROOT]
