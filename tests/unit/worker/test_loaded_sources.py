from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

from tasktools.worker.loaded_sources import Sources

NOW = time.time()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a project that was written long ago and has been loaded."""
    path = tmp_path / "loaded_for_the_test.py"
    path.write_text("VALUE = 1\n")
    os.utime(path, (1000, 1000))
    load(path, monkeypatch)
    return path


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    monkeypatch.setitem(sys.modules, path.stem, importlib.util.module_from_spec(spec))


def test_sources__unchanged(module: Path) -> None:
    assert Sources([module.parent], since=NOW).changed() == []


def test_sources__other_time_stamp_until_it_is_renewed(module: Path) -> None:
    sources = Sources([module.parent], since=NOW)
    os.utime(module, (2000, 2000))
    assert sources.changed() == [str(module)]
    sources.renew()
    assert sources.changed() == []
    module.unlink()
    assert sources.changed() == [str(module)]


def test_sources__one_that_has_gone_is_renewed_too(module: Path) -> None:
    """Or a worker would take no task any more when it is a file that the supervisor does not watch."""
    sources = Sources([module.parent], since=NOW)
    module.unlink()
    sources.renew()
    assert sources.changed() == []
    module.write_text("VALUE = 1\n")
    assert sources.changed() == [str(module)]


def test_sources__written_while_it_was_loaded(module: Path) -> None:
    os.utime(module, (2000, 2000))
    assert Sources([module.parent], since=1500).changed() == [str(module)]
    assert Sources([module.parent], since=2500).changed() == []


def test_sources__module_that_is_loaded_later(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources([module.parent], since=NOW)
    later = module.with_name("loaded_later_for_the_test.py")
    later.write_text("")
    os.utime(later, (1000, 1000))
    load(later, monkeypatch)
    assert sources.changed() == []
    os.utime(later, (2000, 2000))
    assert sources.changed() == [str(later)]


def test_sources__not_what_is_ignored_or_elsewhere(module: Path) -> None:
    elsewhere = Sources([module.parent / "other"], since=NOW)
    ignored = Sources([module.parent.parent], [module.parent], since=NOW)
    os.utime(module, (2000, 2000))
    assert elsewhere.changed() == []
    assert str(module) not in ignored.changed()
