"""A Redis or Valkey that cannot write to its disk refuses: MISCONF."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tasktools import conf
from tasktools.brokers.reach import remedy
from tasktools.publishing import batch, single
from tests.conftest import Ran

Run = Callable[..., Ran]

MISCONF = "MISCONF Errors writing to the AOF file: No space left on device"

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


def refuse(*_: Any, **__: Any) -> None:
    raise ResponseError(MISCONF)


@pytest.fixture
def hint(settings: Any) -> str:
    return rf'make room on the disk of "{re.escape(str(conf.data_dir()))}": [\d,.]+ of [\d,.]+ MB are free'


def test_enqueue__nothing_was_sent(run_command: Run, monkeypatch: pytest.MonkeyPatch, hint: str) -> None:
    monkeypatch.setattr(single, "_send", refuse)
    ran = run_command("enqueue", "echo", "1")
    sentence, printed = ran.err.splitlines()
    assert (ran.out, ran.code) == ("", 69)
    assert sentence.endswith(f'" refuses: {MISCONF}. Nothing was sent.')
    assert re.fullmatch(f"Hint: {hint}", printed)


@pytest.mark.parametrize(
    ("more", "go_on"),
    [
        ((), "To go on: the same command with --start 3"),
        (("--resume", "QUEUE"), "The same command goes on where it stopped."),
    ],
)
def test_enqueue_from__what_is_said_is_right_for_every_batch(
    typed: Run,
    tmp_path: Path,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    hint: str,
    more: tuple[str, ...],
    go_on: str,
) -> None:
    transact, sent = batch.transact, []

    def refuse_the_second(*given: Any) -> None:
        if sent:
            refuse()
        sent.append(given)
        transact(*given)

    monkeypatch.setattr(batch, "transact", refuse_the_second)
    path, ids = tmp_path / "calls.jsonl", tmp_path / "ids"
    path.write_text("[1, 2]\n" * 6)
    words = ("--batch-size", "2", "--queue", queue, "--ids", str(ids), *(each.replace("QUEUE", queue) for each in more))
    ran = typed("enqueue", "add", "--from", str(path), *words)
    counted, sentence, printed = ran.err.splitlines()
    assert ran.code == 69
    assert counted.startswith("2 sent in ")
    assert sentence.endswith(f'" refuses: {MISCONF}. This batch was not sent.')
    assert re.fullmatch(rf"Hint: {hint}\. {re.escape(go_on)}", printed)
    assert len(ids.read_text().split()) == 2


def test_remedy__a_server_that_is_not_ours() -> None:
    error = ResponseError(MISCONF)
    hint = remedy('The broker "redis://elsewhere:6379/0"', error)
    assert hint == "make room on the disk of that server; its log says what it cannot write"
