from __future__ import annotations

import pytest

from tasktools.doctor import clocks


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (4.9, "ok"), (-4.9, "ok"), (5, "warning"), (-59.9, "warning"), (60, "error")]
)
def test_line__its_status(ahead: float, status: str) -> None:
    assert clocks.line("the server", ahead).status == status


@pytest.mark.parametrize(("ahead", "how"), [(3600.4, "1 h ahead of"), (-3600.4, "1 h behind")])
def test_line__says_how_far(ahead: float, how: str) -> None:
    found = clocks.line("the server", ahead)
    assert found.text.startswith(f"The clock of the server is {how} that of this machine.")
    assert "NTP" in found.remedy
    assert clocks.line("the server", 1).text == "that of the server is as here"
