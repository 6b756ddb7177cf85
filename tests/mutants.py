"""Which changed lines of some rooms no test notices: `make mutants`, with the tests that `make quick` runs.

    python -m tests.mutants worker beat                                        # make mutants ROOMS="worker beat"
    python -m tests.mutants --only tasktools.worker.admission worker
    python -m tests.mutants --resume worker beat                               # go on with a run that was broken off
    python -m tests.mutants --again worker                                     # only those that have survived
    python -m tests.mutants --show --only tasktools.worker                     # what the survivors change

mutmut makes the mutants (mutate_file_contents). Its own runner is not used: it sees one process, and most of what a worker
does is in another one. Here every process that a test starts notes which functions it calls, and runs the mutant.

Everything is in build/mutants, a copy of the checkout. A mutant is tried with the tests that call its function, the quick
ones first, as many as take --seconds; `--again --seconds 600` gives a survivor all of them. It is killed if a test fails, or
takes too long, or a signal ends it. A mutant that no test calls has survived.

A mutant may do anything, such as send a signal to the wrong process: run this where nothing else is at stake.
"""

from __future__ import annotations

import argparse
import ast
import collections
import ctypes
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants"
SWITCH = "tasktools_mutant_switch"
RUN = ["-q", "-x", "-p", "no:cacheprovider", "--tb=no", "--no-header"]
TESTS = ["tests", "--ignore=tests/e2e"]

#: How long the first run of all tests may take, in seconds.
LONGEST = 1800

SWITCH_CODE = '''
"""Runs one mutant of a function in its place, or writes down which functions a test comes by."""
import functools, os
ACTIVE = os.environ.get("TASKMUTANT", "")
MutantDict = dict
_seen = set()
def _hit(name):
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if test and (test, name) not in _seen:
        _seen.add((test, name))
        file = os.open(os.environ["TASKMUTANT_HITS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{test}\\t{name}\\n".encode())
        os.close(file)
def switch(mutants, is_classmethod=False):
    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            chosen = mutants["_mutmut_orig"]
            if ACTIVE == "hits":
                _hit(function.__module__ + "." + chosen.__name__)
            elif ACTIVE:
                module, _, name = ACTIVE.rpartition(".")
                if module == function.__module__:
                    chosen = mutants.get(name, chosen)
            if is_classmethod:
                return getattr(args[0], chosen.__name__)(*args[1:], **kwargs)
            return chosen(*args, **kwargs)
        return call
    return decorate
'''


def make(rooms: list[str]) -> dict[str, list[str]]:
    """Copy the checkout and mutate its rooms; return the mutants by function, with module."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")[:-1]:
        (COPY / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, COPY / name)
    (COPY / f"{SWITCH}.py").write_text(SWITCH_CODE)
    made: dict[str, list[str]] = collections.defaultdict(list)
    for room in rooms:
        path = COPY / "tasktools" / room
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            module = ".".join(file.relative_to(COPY).with_suffix("").parts)
            mutated = mutate_file_contents(str(file), file.read_text())
            code = re.sub(
                r"(?m)^from mutmut\.mutation\.trampoline import wrap_in_trampoline",
                f"from {SWITCH} import switch",
                mutated.code,
            )
            file.write_text(code)
            for name in mutated.mutant_names:
                made[f"{module}.{name.rpartition('__mutmut_')[0]}"].append(f"{module}.{name}")
    return made


def come_by() -> tuple[dict[str, set[str]], dict[str, float]]:
    """Run the tests once; return those that came by each function, and how long each takes, in seconds."""
    hits = COPY / "hits"
    environment = {**os.environ, "TASKMUTANT": "hits", "TASKMUTANT_HITS": str(hits), "PYTHONPATH": str(COPY)}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "worksteal",
        "--durations=0",
        "-vv",
        "-p",
        "no:cacheprovider",
    ]
    ended = subprocess.run(
        [*words, *TESTS], cwd=COPY, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=LONGEST
    )
    (COPY / "first.log").write_text(ended.stdout)
    times: dict[str, float] = collections.defaultdict(float)
    for seconds, test in re.findall(r"(?m)^([\d.]+)s (?:call|setup|teardown) +(.*?)$", ended.stdout):
        times[test] += float(seconds)
    failed = set(re.findall(r"(?m)^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", ended.stdout))
    print(f"{ended.stdout.splitlines()[-1]}; left out: {sorted(failed)}", flush=True)
    tests: dict[str, set[str]] = collections.defaultdict(set)
    for line in hits.read_text().splitlines():
        test, _, function = line.partition("\t")
        if test not in failed:
            tests[function.removesuffix("__mutmut_orig")].add(test)
    return tests, times


def chosen(room: str, tests: set[str], times: dict[str, float], seconds: float) -> tuple[list[str], float]:
    """Return tests that together take no longer than `seconds`, at least one; and how long they take.

    The unit tests of the room come first, then the quick ones.
    """
    some: list[str] = []
    total = 0.0
    for test in sorted(tests, key=lambda each: (f"/unit/{room}/" not in each, times[each], each)):
        cost = times[test] + 0.01
        if some and total + cost > seconds:
            break
        some.append(test)
        total += cost
    return some, total


def serve() -> None:
    """Read a mutant a line, {"mutant", "tests", "limit"}, and answer with what became of it. Imports all tests once."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what a test leaves behind is ours to end
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    import pytest

    if pytest.main(["--collect-only", *RUN, *TESTS]):
        sys.exit("the tests cannot be collected")
    from django.conf import settings

    base = Path(settings.BASE_DIR)
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            base.mkdir(exist_ok=True)
            pid = os.fork()
            if not pid:
                os.setsid()  # a signal that a mutant sends to its whole group reaches nobody else
                os.environ["TASKMUTANT"] = asked["mutant"]
                __import__(SWITCH).ACTIVE = asked["mutant"]
                os._exit(int(pytest.main([*RUN, *asked["tests"]])))
            over = threading.Timer(asked["limit"], os.kill, (pid, signal.SIGKILL))
            over.start()
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            over.cancel()
            end_all()
            shutil.rmtree(base, ignore_errors=True)
            answers.write(json.dumps({"mutant": asked["mutant"], "code": code}) + "\n")
            answers.flush()
    finally:
        end_all()
        shutil.rmtree(base, ignore_errors=True)


def end_all() -> None:
    """End every process below this one."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for each in map(int, children):
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)


def trial(work: list[dict[str, object]], done: dict[str, int], save: Path) -> None:
    """Try each mutant, in two processes; put the exit code of its tests in `done`, and that in the file `save`.

    Ends this process if one of the two has gone.
    """
    lock = threading.Lock()
    lost: list[str] = []
    begun, total = time.monotonic(), len(work)

    def one() -> None:
        environment = {**os.environ, "PYTHONPATH": str(COPY)}
        words = [sys.executable, "-m", "tests.mutants", "--serve"]
        with subprocess.Popen(words, cwd=COPY, env=environment, stdin=-1, stdout=-1, text=True, bufsize=1) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            while True:
                with lock:
                    if not work:
                        break
                    asked = work.pop()
                try:
                    process.stdin.write(json.dumps(asked) + "\n")
                    answer = json.loads(process.stdout.readline())
                except (OSError, ValueError):
                    lost.append(str(asked["mutant"]))
                    break
                with lock:
                    done[answer["mutant"]] = answer["code"]
                    if len(work) % 20 < 2:  # two processes take from it
                        save.write_text(json.dumps(done, indent=0))
                        print(f"{total - len(work)} of {total} after {time.monotonic() - begun:.0f} s", flush=True)
            process.stdin.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    save.write_text(json.dumps(done, indent=0))
    if lost:
        sys.exit(f"The process that tried {' and '.join(lost)} has gone: --resume goes on.")


def is_killed(code: int) -> bool:
    """Whether tests that ended so have noticed the mutant: one has failed (1 of pytest.ExitCode), or a signal ended them."""
    return code == 1 or code < 0


def difference(mutant: str) -> str:
    """Return what a mutant changes."""
    module, _, name = mutant.rpartition(".")
    tree = ast.parse((COPY / f"{module.replace('.', '/')}.py").read_text())
    functions = {
        each.name: each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    original, changed = (
        ast.unparse(functions[each]).replace(each, "f").splitlines()
        for each in (f"{name.rpartition('__mutmut_')[0]}__mutmut_orig", name)
    )
    return "\n".join([mutant, *list(difflib.unified_diff(original, changed, lineterm="", n=1))[2:]])


def print_score(done: dict[str, int]) -> None:
    """Print how many mutants of each room are killed."""
    score: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for mutant, code in done.items():
        if code and not is_killed(code):
            print(f"{mutant}: its tests ended with {code}, which says nothing of it; not counted")
        else:
            score[mutant.split(".")[1]][bool(code)] += 1
    for room, (survived, killed) in sorted(score.items()):
        print(f"{room:<12} {killed:>5} of {killed + survived:>5} killed, {killed / (killed + survived):.1%}")
    survived, killed = map(sum, zip(*score.values(), strict=True))
    print(f"{'all':<12} {killed:>5} of {killed + survived:>5} killed, {killed / (killed + survived):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Which changed lines of some rooms no test notices.")
    parser.add_argument("rooms", nargs="*")
    parser.add_argument("--seconds", type=float, default=6.0, help="tests of so many seconds for each mutant")
    parser.add_argument("--only", default="", help="mutants whose name begins so")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was broken off")
    parser.add_argument("--show", action="store_true", help="print what the survivors change")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        return serve()
    save = ROOT / "build" / "mutants.json"
    kept = words.again or words.show or words.resume
    done: dict[str, int] = json.loads(save.read_text()) if save.exists() and kept else {}
    if words.show:
        for mutant in sorted(each for each, code in done.items() if code == 0 and each.startswith(words.only)):
            print(difference(mutant), end="\n\n")
        return None
    made = make(words.rooms)
    tests, times = come_by()
    work: list[dict[str, object]] = []
    for function, mutants in made.items():
        for mutant in mutants:
            if not mutant.startswith(words.only) or is_killed(done.get(mutant, 0)) or (words.resume and mutant in done):
                continue
            some, total = chosen(function.split(".")[1], tests[function], times, words.seconds)
            if some:
                work.append({"mutant": mutant, "tests": some, "limit": 3 * total + 8})
            else:
                done[mutant] = 0
    work.reverse()
    trial(work, done, save)
    print_score(done)
    return None


if __name__ == "__main__":
    main()
