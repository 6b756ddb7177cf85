"""The parts of the site of the docs; `make docs` builds the whole of it."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site import check, pages, pictures, processes, reference, terminal
from docs.site.__main__ import main, require_replaceable
from docs.site.pages import Fault
from tasktools import conf
from tasktools.checks.run import IDS
from tests.support import REPOSITORY, wait_for
from tests.unit.test_docs import parser_of
from tests.walk import matches, steps

NO_PICTURES = pictures.markdown(set())


@pytest.fixture(scope="module")
def collected() -> pages.Pages:
    return pages.collect(NO_PICTURES)


def made(**texts: str) -> pages.Pages:
    """Return the pages of the site, and those of docs/ that are given."""
    found = pages.Pages()
    for name in ("index", *(each for names in pages.MENU.values() for each in names if each != "..."), *texts):
        found.add(name, f"docs/{name}.md", texts.get(name, ""))
    return found


def test_pages__each_of_the_docs_is_in_the_menu(collected: pages.Pages) -> None:
    listed = {name for names in pages.menu(collected).values() for name in names}
    in_docs = {file.stem for file in (REPOSITORY / "docs").glob("*.md")}
    assert in_docs <= listed
    assert set(collected.texts) == listed | {"index"} | {f"commands/{name}" for name in reference.COMMANDS}


def test_menu__a_page_that_is_new_is_among_the_guides() -> None:
    assert pages.menu(made(novelty="# New"))["How-to"][-1] == "novelty"


def test_menu__has_the_guides_where_a_reader_looks_for_them() -> None:
    assert {"admin", "django-tasks", "jobs"} < set(pages.MENU["How-to"])


def test_menu__a_page_that_is_gone_is_named() -> None:
    found = made()
    del found.texts["adopt"]
    with pytest.raises(Fault, match=r'the page "adopt", and docs/adopt\.md does not exist'):
        pages.menu(found)


def test_readme__each_section_is_on_the_first_page_or_in_the_tour() -> None:
    text = (REPOSITORY / "README.md").read_text()
    first, tour = pages.split_readme(text)
    shown = {**pages.sections_of(first), **pages.sections_of(tour)}
    assert set(pages.sections_of(text)) - set(shown) == {"More"}


def test_readme__without_a_section_of_the_first_page() -> None:
    with pytest.raises(Fault, match='has no section "Use it in your site"'):
        pages.split_readme("# tasktools\n\n## Run tasks by the clock\n")


def test_section__a_comment_in_code_begins_none() -> None:
    assert set(pages.sections_of("# A\n\n```python\n## no\n```\n\n## B\n")) == {"", "B"}


@pytest.mark.parametrize(
    ("source", "link", "there"),
    [
        ("docs/adopt.md", "settings.md#settings", "settings.md#settings"),
        ("docs/adopt.md", "../README.md#production-redis-and-systemd", "tour.md#production-redis-and-systemd"),
        ("docs/adopt.md", "../README.md", "index.md"),
        ("docs/adopt.md", "../CONTRIBUTING.md", "contributing.md"),
        ("docs/adopt.md", "deploy/compose.yaml", "files/docs/deploy/compose.yaml"),
        ("docs/adopt.md", "#tests", "#tests"),
        ("docs/adopt.md", "https://example.com/#a", "https://example.com/#a"),
        ("docs/commands/enqueue.md", "../commands.md#a", "../commands.md#a"),
        ("docs/commands/enqueue.md", "../../README.md", "../index.md"),
    ],
)
def test_link__leads_to_the_page_of_the_site(source: str, link: str, there: str, collected: pages.Pages) -> None:
    name = source.removeprefix("docs/").removesuffix(".md")
    assert pages._target(collected, name, link) == there


def test_link__to_nothing_is_a_fault(collected: pages.Pages) -> None:
    with pytest.raises(Fault, match=r'docs/adopt\.md links to "gone\.md", and docs/gone\.md does not exist'):
        pages._target(collected, "adopt", "gone.md")


@pytest.mark.parametrize("name", reference.COMMANDS)
def test_reference__has_each_option_and_exit_code_of_the_command(name: str) -> None:
    text = reference.reference(name)
    shared = {"-h", "--help", "--version", "-v", "--verbosity", "--settings", "--pythonpath", "--traceback"}
    shared |= {"--no-color", "--force-color", "--skip-checks"}
    options = parser_of(name)._option_string_actions.items()
    shown = {option for option, action in options if action.help != argparse.SUPPRESS}
    assert {option for option in shown if f"`{option}" not in text} <= shared
    codes = re.findall(r"^  (\d+) ", reference.EPILOGS[name].partition("exit codes:")[2], re.MULTILINE)
    assert codes
    assert [code for code in codes if f"| {code} | " not in text] == []


def test_reference__an_option_stands_in_the_page_of_its_command(collected: pages.Pages) -> None:
    assert (
        "`--max-age DURATION`\n: exit code 1 if a message has waited longer" in collected.texts["commands/showqueues"]
    )


def test_reference__has_each_setting_with_its_default(collected: pages.Pages) -> None:
    table = collected.texts["settings"].partition("## All settings of tasktools")[2]
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE))
    assert list(rows) == list(conf.NAMES)
    assert (rows["TASKTOOLS_APP"], rows["TASKTOOLS_BEAT_LEASE"]) == ("not set", "1.4")


def test_reference__has_each_check_with_its_level(collected: pages.Pages) -> None:
    table = collected.texts["checks"].partition("## All ids")[2]
    rows = dict(re.findall(r"^\| \[`([\w.]+)`\]\(#\w+\) \| (\w+) \|$", table, re.MULTILINE))
    assert tuple(rows) == IDS
    assert (rows["tasktools.E002"], rows["tasktools.W017"]) == ("error", "warning")


def test_run__what_does_not_end_is_a_sentence_and_all_of_it_is_killed(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 60 & echo $! > {child}; wait"
    with pytest.raises(Fault, match=r"^The browser has not ended after 0\.5 s\.$"):
        processes.run(["sh", "-c", script], "The browser", 0.5)
    wait_for(lambda: not is_running(int(child.read_text())))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_run__returns_how_it_ended(tmp_path: Path) -> None:
    done = processes.run(["sh", "-c", "pwd; echo $A >&2; exit 3"], "It", 30, folder=tmp_path, env={"A": "b"})
    assert (done.stdout, done.stderr, done.returncode) == (f"{tmp_path}\n", "b\n", 3)


def test_picture__that_nobody_makes_is_a_fault() -> None:
    with pytest.raises(Fault, match=r'the picture "nosuch", and pictures\.py does not make it'):
        NO_PICTURES("nosuch")


def test_picture__that_could_not_be_made_is_left_out() -> None:
    assert NO_PICTURES("admin-failed-tasks") == ""
    assert pictures.markdown({"admin-failed-tasks"})("admin-failed-tasks").count("{image}") == 2


def test_terminal__is_one_for_the_command_and_its_colours_are_in_the_picture() -> None:
    script = "import sys; print('\\x1b[31mred\\x1b[0m', sys.stdout.isatty()); print('x' * 30); sys.exit(3)"
    code, written = terminal.recorded([sys.executable, "-c", script], REPOSITORY, {}, 20, 30)
    svg = terminal.picture("some", "command", written, 20)
    assert code == 3
    assert "red" in svg
    assert "True" in svg
    assert "x" * 20 in svg
    assert "x" * 21 not in svg
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]


def test_terminal__a_command_that_runs_on_is_stopped_after_its_steps() -> None:
    seen: list[str] = []
    script = "import time; print('one', flush=True); print('two', flush=True); time.sleep(60)"
    steps = [("one", lambda: seen.append("one")), ("two", lambda: seen.append("two"))]
    code, written = terminal.recorded([sys.executable, "-c", script], REPOSITORY, {}, 80, 30, steps)
    assert (code, seen, written) == (-15, ["one", "two"], "one\ntwo\n")


def test_terminal__what_is_written_over_is_not_seen() -> None:
    assert terminal.plain("50 %\r\x1b[2Kdone\n\x1b[?25l\x1b[32mok\x1b[0m") == "done\n\x1b[32mok\x1b[0m"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="https://example.com">x</a>'
    )
    (tmp_path / "b.html").write_text('<a id="there" href="#there">here</a><img src="data:image/png;base64,AA">')
    return tmp_path


def test_check__of_a_sound_site_finds_nothing(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check.faults(built) == []
    monkeypatch.chdir(built.parent)
    assert check.faults(Path(built.name)) == []


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="gone.html">', 'a.html links to "gone.html", which leads nowhere.'),
        ('<a href="b.html#gone">', 'a.html links to "b.html#gone", which leads nowhere.'),
        ('<a href="../../../etc/hostname">', 'a.html links to "../../../etc/hostname", which leads nowhere.'),
        ('<img src="gone.png">', 'a.html links to "gone.png", which leads nowhere.'),
        ('<script src="https://cdn.example/x.js">', 'a.html loads "https://cdn.example/x.js" from another host.'),
        ('<link href="//cdn.example/x.css">', 'a.html loads "//cdn.example/x.css" from another host.'),
    ],
)
def test_check__finds_a_fault(built: Path, page: str, fault: str) -> None:
    (built / "a.html").write_text(page)
    assert check.faults(built) == [fault]


def test_check__finds_a_font_from_another_host(built: Path) -> None:
    (built / "a.css").write_text('@font-face { src: url("https://cdn.example/font.woff2") }')
    assert check.faults(built) == ['a.css loads "https://cdn.example/font.woff2" from another host.']


PAGE = """
Write `shop/tasks.py`:

```python
x = 1
```

Add to the end of `mysite/settings.py`:

```python
Y = 2
```

1. In `shop/tasks.py`, change the line:

   ```python
   x = 3
   ```

This is in no file:

```python
z = 4
```

```console
$ python manage.py one  # a comment
printed
$ python manage.py two
```
"""


def test_walk__sees_the_steps_of_a_page() -> None:
    assert [(step.kind, step.what, step.text) for step in steps(PAGE)] == [
        ("write", "shop/tasks.py", "x = 1\n"),
        ("append", "mysite/settings.py", "Y = 2\n"),
        ("change", "shop/tasks.py", "x = 3\n"),
        ("run", "python manage.py one", "printed"),
        ("run", "python manage.py two", ""),
    ]


@pytest.mark.parametrize(
    ("page", "printed", "same"),
    [
        ("4", "4\n", True),
        ("4", "5\n", False),
        ("", "", True),
        ("", "something\n", False),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nb\n", False),
        ("In charge: ...", "In charge: host (pid 1)\n", True),
        ("0f0c1fd0-6f43-4b05-9f5c-1f6a9b3d4e01 x", "219acb28-bca4-49af-954e-4f36ba7f33da x\n", True),
        ("A  B\n1  2030-01-31 18:02:11", "A   B\n2   2026-11-28 00:00:00\n", True),
    ],
)
def test_walk__compares_what_is_printed_with_the_page(page: str, printed: str, same: bool) -> None:
    assert matches(page, printed) is same


def test_output__a_folder_with_other_files_is_not_emptied(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("x")
    words = [sys.executable, "-m", "docs.site", "--without-pictures", "--output", str(tmp_path)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f'The site is not built: "{tmp_path}" has files that are no site of Sphinx. Name a new folder: it is emptied first.\n'
    )
    assert kept.exists()


def test_output__a_new_folder_or_a_site_is_replaced(tmp_path: Path) -> None:
    require_replaceable(tmp_path / "new")
    require_replaceable(tmp_path)
    (tmp_path / ".buildinfo").write_text("# Sphinx build info version 1")
    (tmp_path / "index.html").write_text("x")
    require_replaceable(tmp_path)


def test_main__a_folder_that_cannot_be_written_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(output: Path, *, with_pictures: bool) -> int:
        raise OSError(30, "Read-only file system", "build/docs-source")

    monkeypatch.setattr("docs.site.__main__.build", full)
    monkeypatch.setattr(sys, "argv", ["docs.site"])
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    assert main() == 1
    assert capsys.readouterr().err == ("The site is not built: [Errno 30] Read-only file system: 'build/docs-source'\n")


def test_first_page__leads_on_to_a_view_a_failure_and_production(collected: pages.Pages) -> None:
    """These are the next questions of a reader, and their answers are on another page of the site."""
    for anchor in ("call-a-task-from-a-view", "when-a-task-fails", "production-redis-and-systemd"):
        assert f"](tour.md#{anchor})" in collected.texts["index"]
