"""What the files of the project are, and what a quick look at them shows."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from tasktools.discovery import sources, syntax


class Lazy(ModuleType):
    """A module that is imported when somebody asks for something in it."""

    def __getattribute__(self, name: str) -> Any:
        raise ImportError(f"{name} of a lazy module")


class Proxy:
    """No module at all."""

    def __getattr__(self, name: str) -> Any:
        raise ImportError(name)


MODULES = {"lazy": lambda: Lazy("lazy"), "proxy": Proxy, "blocked": lambda: None}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_imported_paths__runs_no_code_of_a_module(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setitem(sys.modules, "lazy_of_this_test", make())
    assert sources.imported_paths()[__file__] == [__name__]


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_value_of__runs_no_code_of_a_module(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setitem(sys.modules, "lazy_of_this_test", make())
    assert syntax.value_of("lazy_of_this_test.app") is None
