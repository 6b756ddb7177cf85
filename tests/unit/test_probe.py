"""python -m tasktools.probe: what it says of the files of workers and beats, and what it costs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasktools import probe
from tests.unit.test_imports import imported_by

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files; the project is the working folder."""
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.setenv("TASKTOOLS_PROBE_DIR", str(tmp_path / "probes"))
    return tmp_path / "probes"


@pytest.fixture
def write(base: Path) -> Write:
    def write(kind: str, name: str, *, state: str = "alive", reason: str = "", age: float = 0) -> Path:
        folder = Path(probe.folders(".")[-1])
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"{kind}-{probe.escaped(name)}"
        file.write_text(f"{state}\n{name}\n17\n{reason}\n")
        os.utime(file, (time.time() - age,) * 2)
        return file

    return write


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return the exit code, and what was said on stderr."""

    def ask(*words: str) -> tuple[int, str]:
        code = probe.main(list(words))
        printed = capsys.readouterr()
        assert printed.out == ""
        return code, printed.err

    return ask


def test_alive__says_nothing(ask: Callable[..., object], write: Write) -> None:
    write("worker", "celery@web1")
    assert ask("worker") == (0, "")


def test_dead__says_why(ask: Callable[..., object], write: Write) -> None:
    write("worker", "celery@web1", state="dead", reason="its loop has not come around for 21 s")
    expected = "worker celery@web1 (process 17) is not alive: its loop has not come around for 21 s.\n"
    assert ask("worker") == (1, expected)


@pytest.mark.parametrize(
    ("words", "age", "code"),
    [((), 29, 0), ((), 31, 1), (("--max-age", "2m"), 119, 0), (("--max-age=2m",), 121, 1), (("--max-age", "5"), 6, 1)],
)
def test_age__may_be_up_to_the_most(
    ask: Callable[..., tuple[int, str]], write: Write, words: list[str], age: float, code: int
) -> None:
    write("worker", "celery@web1", age=age)
    found, said = ask("worker", *words)
    assert found == code
    assert ("has written nothing for" in said) is bool(code)


def test_age__of_a_time_to_come_proves_nothing(ask: Callable[..., tuple[int, str]], write: Write) -> None:
    write("worker", "celery@web1", age=-86_400)
    code, said = ask("worker")
    assert code == 1
    assert "the clock was set back" in said
    write("worker", "celery@web1", age=-29)
    assert ask("worker") == (0, "")


def test_several__all_must_be_alive_unless_one_is_named(ask: Callable[..., tuple[int, str]], write: Write) -> None:
    write("worker", "a@h")
    write("worker", "b@h", age=60)
    write("beat", "h:17", state="dead")
    assert ask("worker")[0] == 1
    assert ask("worker", "--name", "a@h")[0] == 0
    assert ask("worker", "--name", "b@h")[0] == 1
    code, said = ask("worker", "--name", "c@h")
    assert (code, said.startswith("no worker c@h has written to ")) == (4, True)


def test_none__has_an_exit_code_of_its_own(ask: Callable[..., tuple[int, str]], write: Write, base: Path) -> None:
    assert ask("beat") == (4, f'no beat has written to "{probe.folders(".")[-1]}": No such file or directory.\n')
    write("worker", "celery@web1")
    assert ask("beat") == (4, f'no beat has written to "{probe.folders(".")[-1]}".\n')


def test_folder__that_cannot_be_read_is_no_missing_file(
    ask: Callable[..., tuple[int, str]], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.parent.joinpath("file").write_text("")
    monkeypatch.setenv("TASKTOOLS_PROBE_DIR", str(base.parent / "file/probes"))
    assert ask("worker") == (1, f'no worker can be looked for in "{base.parent}/file/probes": Not a directory.\n')


def test_project__its_path_may_change_if_the_folder_of_the_files_is_named(
    ask: Callable[..., tuple[int, str]], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "1")
    monkeypatch.chdir(tmp_path / "current")
    write("worker", "celery@web1")
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(tmp_path / "2")
    monkeypatch.chdir(tmp_path / "current")
    assert ask("worker") == (0, "")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a user has for all projects if none is named; here it is not in /tmp."""
    monkeypatch.delenv("TASKTOOLS_PROBE_DIR")
    real = probe.folders
    monkeypatch.setattr(
        probe, "folders", lambda project: [each.replace("/tmp/", f"{tmp_path}/", 1) for each in real(project)]
    )
    return Path(probe.folders(".")[0])


def test_project__may_be_another_folder(
    ask: Callable[..., tuple[int, str]], write: Write, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.mkdir(mode=0o700)
    write("worker", "celery@web1")
    site = Path.cwd()
    monkeypatch.chdir("/")
    assert ask("worker")[0] == 4
    assert ask("worker", "--project", str(site))[0] == 0


def test_folder__around_that_of_the_project_may_not_be_of_others(
    ask: Callable[..., tuple[int, str]], write: Write, shared: Path
) -> None:
    """Whoever may write there can put another folder in its place."""
    shared.mkdir(mode=0o700)
    write("worker", "celery@web1")
    assert ask("worker") == (0, "")
    shared.chmod(0o777)
    assert ask("worker") == (1, f'others may write to "{shared}".\n')


def test_folder__of_another_user_may_be_read_by_root_if_it_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write("worker", "celery@web1").parent
    real, owner = os.lstat, folder.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "lstat", lambda path: SimpleNamespace(st_mode=real(path).st_mode, st_uid=owner))
    assert probe.refusal(str(folder), only_own=False) == ""
    assert probe.refusal(str(folder)) == f'"{folder}" belongs to another user'
    assert probe.why_not("worker", ".", 30) == ""


def test_half_written__is_no_file(ask: Callable[..., tuple[int, str]], write: Write) -> None:
    file = write("worker", "celery@web1")
    file.with_name(".worker-celery@web1.17").write_text("dead\nx\n1\n\n")
    file.with_name("worker-other").write_text("dead")
    assert ask("worker") == (0, "")


def test_name__may_end_as_any_name_does(ask: Callable[..., tuple[int, str]], write: Write) -> None:
    write("worker", "celery@web.new", state="dead")
    assert ask("worker", "--name", "celery@web.new")[0] == 1


def test_folder__that_others_may_write_to_proves_nothing(ask: Callable[..., tuple[int, str]], write: Write) -> None:
    folder = write("worker", "celery@web1").parent
    folder.chmod(0o770)
    assert ask("worker") == (1, f'others may write to "{folder}".\n')


def test_folder__of_another_user_proves_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("worker", "celery@web1").parent
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert probe.refusal(str(folder)) == f'"{folder}" belongs to another user'


def test_folder__that_is_a_link_proves_nothing(base: Path, write: Write) -> None:
    folder = write("worker", "celery@web1").parent
    link = base / "link"
    link.symlink_to(folder)
    assert probe.refusal(str(link)) == f'"{link}" is not a folder'


def test_folder__by_default_is_of_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKTOOLS_PROBE_DIR")
    base = f"/tmp/tasktools-probe-{os.geteuid()}"
    assert probe.folders("/") == [base, f"{base}/%2F"]


@pytest.mark.parametrize(
    ("text", "name"), [("/srv/site", "%2Fsrv%2Fsite"), ("/srv%2Fsite", "%2Fsrv%252Fsite"), ("celery@h", "celery@h")]
)
def test_escaped__is_the_name_of_one_file(text: str, name: str) -> None:
    assert probe.escaped(text) == name


def test_escaped__long_texts_stay_apart_and_fit() -> None:
    names = {probe.escaped(f"/{letter}/{300 * 'ö'}") for letter in "ab"}
    assert len(names) == 2
    assert max(len(os.fsencode(name)) for name in names) < 255 - len(".worker-.4194304")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("worker", "beat"),
        ("worker", "--max-age"),
        ("worker", "--max-age", "soon"),
        ("worker", "--max-age", "0"),
        ("worker", "--max-age", "nan"),
        ("worker", "--nosuch", "1"),
    ],
)
def test_typed__what_is_wrong(ask: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    code, said = ask(*words)
    assert code == 2
    assert "usage: python -m tasktools.probe worker|beat" in said


@pytest.mark.parametrize(("word", "seconds"), [("90", 90), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), ("1h", 3600)])
def test_seconds__of_a_duration(word: str, seconds: float) -> None:
    assert probe.seconds(word) == seconds


def test_help__is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["worker", "--help"]) == 0
    assert capsys.readouterr().out == probe.USAGE


def test_text__of_a_file_does_not_reach_the_terminal_as_it_is(
    ask: Callable[..., tuple[int, str]], write: Write
) -> None:
    write("worker", "celery@web1", state="dead", reason="\x1b[31mred")
    assert "\\x1b[31mred" in ask("worker")[1]


def test_import__of_next_to_nothing() -> None:
    """A probe may take 0.05 s, and Python itself needs a third of that."""
    nothing = imported_by("pass")
    found = imported_by("import tasktools.probe") - nothing
    assert found <= {"tasktools", "__future__", "time"}
