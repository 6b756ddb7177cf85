"""A part of rundev knows that it is one, and nothing that it starts believes the same."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tasktools.supervisor import reports


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    reports.is_part.cache_clear()
    yield
    reports.is_part.cache_clear()


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(reports.VARIABLE, "1")


@pytest.mark.usefixtures("part")
def test_is_part__is_taken_out_of_the_environment() -> None:
    assert reports.is_part()
    assert reports.VARIABLE not in os.environ
    assert reports.is_part()


def test_is_part__alone_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(reports.VARIABLE, raising=False)
    assert not reports.is_part()
    reports.pass_on()
    assert reports.VARIABLE not in os.environ


@pytest.mark.usefixtures("part")
def test_pass_on__the_next_program_is_one_too() -> None:
    assert reports.is_part()
    reports.pass_on()
    assert os.environ[reports.VARIABLE] == "1"


def test_report__is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reports.report("one\ntwo\x1b")
    assert capsys.readouterr().err == f"{reports.MARK}one\\ntwo\\x1b\n"
