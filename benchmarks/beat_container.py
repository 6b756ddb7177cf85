"""A beat in what is like a container: killed and started again once a minute, it sends a crontab of each minute once.

Each start sees all file systems read-only, has a user id and a host name that no start before it had, and no HOME. Every
second SIGKILL comes at a random moment, the others around the beginning of a minute, when the tick is due. It needs Linux
and root (unshare, mount, setpriv).
"""

from __future__ import annotations

import math
import os
import random
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beat_messages import reader
from benchmarks.beat_processes import Beats, beats
from benchmarks.beat_server import server
from benchmarks.beat_sites import Maker
from benchmarks.common import PYTHON, environment, folder

SCHEDULE = '{"60s-000": _entry("60s-000", crontab())}'

#: The first user id.
USERS = 20_000

#: Called with a host name, a user id, and the command. Each program becomes the next one, so that the process stays the same.
CONFINE = """\
name=$1 user=$2
shift 2
hostname "$name" && mount --make-rprivate / || exit 125
cut -d ' ' -f 2 /proc/self/mounts | sort -r | while read -r at; do
    case $at in /proc*|/sys*|/dev|/dev/pts) ;; *) mount -o remount,ro,bind "$at" 2>/dev/null ;; esac
done
unset HOME
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
"""

#: What must hold inside, or else the figures are of something else.
PROBE = '''\
import os, socket, sys, tempfile
for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", os.getcwd()):
    try:
        tempfile.TemporaryFile(dir=folder)
    except OSError:
        continue
    raise SystemExit(folder + " can be written")
assert "HOME" not in os.environ, "HOME is set"
assert os.getuid() == USER and socket.gethostname() == "beat-0", "neither user nor host name is as it should be"
assert sys.version == """VERSION""", "another Python runs there"
import django, redis, tasktools
'''


@dataclass(frozen=True, kw_only=True)
class Minutes:
    """What one side has done."""

    maker: Maker
    #: How often each minute's entry was sent.
    sent: list[int]
    #: At which second of its minute each SIGKILL came.
    kills: list[float]
    ended: int


def confined(number: int, command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` confined, the `number`-th time."""
    named = [f"beat-{number}", str(USERS + number)]
    return ["unshare", "--mount", "--uts", "sh", "-c", CONFINE, "sh", *named, *_reading(), "--", *command]


def _reading() -> list[str]:
    """Let the user read everything if this Python is where only root may look, as in root's home; never write."""
    prefix = Path(sys.base_prefix)
    if all(each.stat().st_mode & stat.S_IXOTH for each in (prefix, *prefix.parents)):
        return []
    return ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]


def why_not() -> str:
    """Return why this cannot be measured here; "" if it can."""
    if os.name != "posix" or os.geteuid():
        return "This benchmark needs Linux and root: it makes file systems read-only."
    probe = [PYTHON, "-c", PROBE.replace("USER", str(USERS)).replace("VERSION", sys.version)]
    try:
        done = subprocess.run(
            confined(0, probe), env=environment(), capture_output=True, text=True, timeout=60, cwd="/"
        )
    except OSError as error:
        return f"This benchmark needs unshare: {error}."
    return f"A process cannot be confined here: {done.stderr.strip()[-500:]}" if done.returncode else ""


def container(maker: Maker, minutes: int, seed: int) -> Minutes:
    """Kill the beat once in each of some minutes."""
    dice = random.Random(seed)
    with folder() as root, server(root / "server") as broker:
        project = maker.project(root / "site", broker, SCHEDULE)
        root.chmod(0o755)
        with (
            reader(broker.client) as messages,
            beats(lambda n: confined(n, maker.command(n)), project, 1) as running,
        ):
            running.wait(10)
            begin = math.ceil((time.time() + 2) / 60) * 60
            kills = [_kill(running, maker, number, begin, dice) for number in range(minutes)]
            running.wait(begin + minutes * 60 + 3 - time.time())
            sent = messages.everything()
        counted = Counter(math.floor(each.made) // 60 * 60 for each in sent)
        found = [counted[begin + 60 * n] for n in range(minutes)]
        return Minutes(maker=maker, sent=found, kills=kills, ended=len(running.ended))


def _kill(running: Beats, maker: Maker, number: int, begin: int, dice: random.Random) -> float:
    """Kill the beat in the minute `number`; what is started next is another container. Return the second of the minute."""
    second = dice.uniform(5, 55) if number % 2 == 0 else dice.uniform(-1.5, 0.5)
    running.wait(max(0.0, begin + 60 * number + second - time.time()))
    [beat] = running.all
    beat.command = confined(number + 1, maker.command(number + 1))
    beat.kill()
    return second
