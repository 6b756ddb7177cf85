from __future__ import annotations

from typing import Any

import pytest

from tasktools.control import revoke as module
from tasktools.control.answers import Answers
from tasktools.control.revoke import revoke


@pytest.mark.parametrize("terminate", [False, True])
def test_revoke__says_who_has_confirmed(monkeypatch: pytest.MonkeyPatch, terminate: bool) -> None:
    asked: list[Any] = []

    def ask(app: Any, commands: Any, limit: float) -> Answers:
        asked.append(commands)
        said = {"w@h": {"revoke": {"ok": "flagged"}}}
        return Answers(said=said, failed={"v@h": {"revoke": "broken"}}, listening=3, silent=1)

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
