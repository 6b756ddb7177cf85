"""Standard streams that were closed when Python began."""

from __future__ import annotations

import io
import sys

import pytest

from tasktools.management.streams import flush, open_closed


def test_open_closed__leads_them_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, None)
    open_closed()
    for stream in (sys.stdout, sys.stderr):
        assert not stream.isatty()
        stream.write("x")
        stream.close()
    assert sys.__stderr__ is sys.stderr


def test_open_closed__leaves_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    open_closed()
    assert sys.stdout is stream


def test_flush__of_streams_that_are_closed_or_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    full = open("/dev/full", "w")  # noqa: SIM115
    full.write("x")
    monkeypatch.setattr(sys, "stderr", full)
    flush()
    with pytest.raises(OSError):
        full.close()
