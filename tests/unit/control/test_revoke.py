from __future__ import annotations

from typing import Any

import pytest

from tasktools.control import revoke as module
from tasktools.control.answers import Answers
from tasktools.control.presence import Presence
from tasktools.control.revoke import revoke
from tasktools.exceptions import Unreachable


@pytest.mark.parametrize("terminate", [False, True])
def test_revoke__says_who_has_confirmed(monkeypatch: pytest.MonkeyPatch, terminate: bool) -> None:
    asked: list[Any] = []

    def ask(app: Any, commands: Any, limit: float) -> Answers:
        asked.append(commands)
        said = {"w@h": {"revoke": {"ok": "flagged"}}}
        failed = {"v@h": {"revoke": "broken"}, "u@h": {"another command": "unknown"}}
        return Answers(said=said, failed=failed, listening=3, silent=1)

    monkeypatch.setattr(module, "ask", ask)
    found = revoke(None, ["1"], terminate=terminate, signal="SIGKILL")  # type: ignore[arg-type]
    assert (found.workers, found.failed, found.silent) == (["w@h"], {"v@h": "broken"}, 1)
    more = {"terminate": True, "signal": "SIGKILL"} if terminate else {}
    assert asked == [{"revoke": {"task_id": ["1"], **more}}]


def test_revoke__a_pool_that_cannot_end_tasks_has_taken_note(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"v@h": {"revoke": "NotImplementedError('no kill_job')"}, "u@h": {"revoke": "ValueError()"}}
    answers = Answers(said={}, failed=failed, listening=2, silent=0)
    monkeypatch.setattr(module, "ask", lambda *_: answers)
    found = revoke(None, ["1"], terminate=True)  # type: ignore[arg-type]
    assert (found.workers, found.unable, found.failed) == (["v@h"], ["v@h"], {"u@h": "ValueError()"})
    found = revoke(None, ["1"])  # type: ignore[arg-type]
    assert (found.workers, found.unable, list(found.failed)) == ([], [], ["u@h", "v@h"])


@pytest.mark.parametrize("answer", ["no", None, 5, {"no": "ok"}])
def test_revoke__an_answer_that_is_no_confirmation(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    answers = Answers(said={"w@h": {"revoke": answer}}, failed={}, listening=1, silent=0)
    monkeypatch.setattr(module, "ask", lambda *_: answers)
    found = revoke(None, ["1"])  # type: ignore[arg-type]
    assert (found.workers, found.failed) == ([], {"w@h": f"it answers {answer!r}"})


def test_revoke__who_is_there_if_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Presence(silent=["c@h"], unknown=[])
    asked: list[Any] = []
    monkeypatch.setattr(module, "ask", lambda *_: Answers(said={}, failed={}, listening=1, silent=1))
    monkeypatch.setattr(module, "presence", lambda *words: asked.append(words[2:]) or there)
    assert revoke(None, ["1"], routed=lambda: {"slow"}).others is there  # type: ignore[arg-type]
    assert asked == [((), {"slow"})]


def test_revoke__a_broker_that_goes_away_after_the_workers_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Presence:
        raise Unreachable("It is away.")

    monkeypatch.setattr(module, "ask", lambda *_: Answers(said={}, failed={}, listening=1, silent=1))
    monkeypatch.setattr(module, "presence", away)
    found = revoke(None, ["1"])  # type: ignore[arg-type]
    assert (found.silent, found.others) == (1, None)
