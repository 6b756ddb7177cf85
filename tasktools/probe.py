"""Whether the workers or the beats of a project are alive, by the files that they write: python -m tasktools.probe worker.

A probe runs every few seconds, so this module imports nothing but the standard library, and little of it.

Each process writes one file (tasktools.health.file) into the folder that `folders` names last: four lines, which are `alive` or
`dead`, the name of the process, its process id, and the reason. The age of the file shows a process that has stopped.
"""

from __future__ import annotations

import os
import sys
import time

KINDS = ("worker", "beat")

#: The variable of the environment that names a folder for the files of one project.
VARIABLE = "TASKTOOLS_PROBE_DIR"

#: How old a file of a process that is alive may be, in seconds.
MAX_AGE = 30.0

#: The longest name of a file, in bytes; most file systems allow 255.
LONGEST = 200

ALIVE, DEAD = "alive", "dead"

USAGE = """\
usage: python -m tasktools.probe worker|beat [--max-age 30s] [--name NODE] [--project FOLDER]

  --max-age   how old the file of a process may be
  --name      only the worker of that node name; without it, all workers of the folder must be alive
  --project   the folder in which manage.py was started, by default this one; not with TASKTOOLS_PROBE_DIR

exit codes: 0 alive, 1 not alive (stderr says why), 2 what was typed is wrong, 4 no file: it has not started yet
"""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Typed(Exception):
    """What was typed is wrong."""


class NoFile(Exception):
    """No process of that kind has written a file."""


def folders(project: str) -> list[str]:
    """Return the folder for the files of the processes that were started in the folder `project`, after those around it.

    By default each user has a folder, with one for each project. A folder that the variable names is of one project: the path
    of the project may change, as that of a release does.
    """
    if named := os.environ.get(VARIABLE):
        return [named]
    base = f"/tmp/tasktools-probe-{os.geteuid()}"
    return [base, os.path.join(base, escaped(os.path.realpath(project)))]


def escaped(text: str) -> str:
    """Return a text as the name of one file; different texts have different names."""
    name = text.replace("%", "%25").replace("/", "%2F")
    whole = os.fsencode(name)
    if len(whole) <= LONGEST:
        return name
    import binascii

    return f"{os.fsdecode(whole[-LONGEST:])}-{binascii.crc32(whole):08x}"


def refusal(path: str, *, only_own: bool = True) -> str:
    """Return why the files in a folder prove nothing: others may write there. Return "" if they do. Raises OSError.

    Without `only_own`, root may read those of another user.
    """
    found = os.lstat(path)
    if found.st_mode & 0o170000 != 0o040000:
        return f'"{path}" is not a folder'
    if found.st_uid != os.geteuid() and (only_own or os.geteuid()):
        return f'"{path}" belongs to another user'
    if found.st_mode & 0o022:
        return f'others may write to "{path}"'
    return ""


def why_not(kind: str, project: str, max_age: float, name: str = "") -> str:
    """Return why not all processes of that kind are alive; "" if they are. Raises NoFile."""
    # Anybody may have made a folder in /tmp.
    only_own = not os.environ.get(VARIABLE)
    try:
        for where in folders(project):
            if wrong := refusal(where, only_own=only_own):
                return wrong
        files = [each for each in sorted(os.listdir(where)) if each.startswith(f"{kind}-")]
    except FileNotFoundError as error:
        raise NoFile(f'no {kind} has written to "{where}": {error.strerror}') from error
    except OSError as error:
        return f'no {kind} can be looked for in "{where}": {error.strerror}'
    found = False
    for each in files:
        said = _read(os.path.join(where, each))
        if said is None or (name and said[1] != name):
            continue
        found = True
        if reason := _wrong(kind, said, max_age):
            return reason
    if not found:
        raise NoFile(f'no {kind}{f" {name}" if name else ""} has written to "{where}"')
    return ""


def _read(path: str) -> tuple[str, str, str, str, float] | None:
    """Return the lines of a file, and its age in seconds; None if it is gone or is another file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            age = time.time() - os.fstat(file.fileno()).st_mtime
            lines = file.read(10_000).split("\n")
    except OSError:
        return None
    return (lines[0], lines[1], lines[2], lines[3], age) if len(lines) >= 4 else None


def _wrong(kind: str, said: tuple[str, str, str, str, float], max_age: float) -> str:
    state, name, process, reason, age = said
    who = f"{kind} {name} (process {process})"
    if age > max_age:
        return f"{who} has written nothing for {age:.0f} s"
    if age < -max_age:
        return f"{who} has written at a time to come, {-age:.0f} s ahead: the clock was set back"
    return "" if state == ALIVE else f"{who} is not alive: {reason}"


def seconds(word: str) -> float:
    """Return a duration such as 90, 30s, 500ms or 2m in seconds. Raises Typed."""
    number, factor = word, 1.0
    for unit, each in _UNITS.items():
        if word.endswith(unit) and word[: -len(unit)].replace(".", "", 1).isdigit():
            number, factor = word[: -len(unit)], each
            break
    try:
        found = float(number) * factor
    except ValueError:
        found = 0.0
    if not 0 < found < 1e9:
        raise Typed(f'--max-age "{word}" is no duration: give 30s, 90 or 2m')
    return found


def typed(words: list[str]) -> dict[str, str]:
    """Return the options of the command line, and the kind as "kind". Raises Typed."""
    options = {"max-age": f"{MAX_AGE:g}", "name": "", "project": "."}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word[2:].partition("=")
        if word.startswith("--") and option in options:
            if not equals and not rest:
                raise Typed(f"{word} takes a value")
            options[option] = value if equals else rest.pop(0)
        elif word in KINDS and "kind" not in options:
            options["kind"] = word
        else:
            raise Typed(f'"{word}" is neither worker nor beat nor an option')
    if "kind" not in options:
        raise Typed("worker or beat is missing")
    return options


def main(words: list[str]) -> int:
    """Print why a process is not alive; return the exit code."""
    if "-h" in words or "--help" in words:
        sys.stdout.write(USAGE)
        return 0
    try:
        options = typed(words)
        max_age = seconds(options["max-age"])
    except Typed as error:
        sys.stderr.write(f"{error}.\n{USAGE}")
        return 2
    code = 1
    try:
        why = why_not(options["kind"], options["project"], max_age, options["name"])
    except NoFile as error:
        why, code = str(error), 4
    if why:
        sys.stderr.write(f"{''.join(each if each.isprintable() else repr(each)[1:-1] for each in why)}.\n")
    return code if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
