from __future__ import annotations

import logging

from tasktools.environment import loggers


def test_stay_enabled__undoes_what_disables_them() -> None:
    printing, silent = logging.getLogger("tests.printing"), logging.getLogger("tests.silent")
    silent.disabled = True
    with loggers.stay_enabled():
        printing.disabled = True
    assert (printing.disabled, silent.disabled) == (False, True)
