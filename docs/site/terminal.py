"""What a command writes to a terminal, and the picture of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

LINES = 50

#: rich's own form of the picture asks another host for its font; this one takes what the reader's machine has.
FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{ font-family: {fonts}; font-size: {char_height}px; line-height: {line_height}px; }}
    .{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}" /></clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
  </g>
</svg>
""".replace("{fonts}", '"Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace')

#: Each colour has a contrast of at least 4.5 to the background.
THEME = TerminalTheme(
    (24, 27, 33),
    (222, 226, 232),
    [
        (125, 133, 145),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 184, 255),
        (210, 168, 255),
        (86, 212, 221),
        (222, 226, 232),
    ],
    [
        (148, 158, 172),
        (255, 161, 152),
        (126, 231, 135),
        (240, 200, 100),
        (165, 214, 255),
        (226, 197, 255),
        (134, 236, 243),
        (255, 255, 255),
    ],
)


#: Texts that are waited for one after the other, each with what is done when it is there.
Steps = Sequence[tuple[str, Callable[[], object]]]


def recorded(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int, limit: float, steps: Steps = ()
) -> tuple[int, str]:
    """Run a command in a terminal of `columns`; return its exit code and what it has written.

    With `steps` it is stopped after the last of them, and what it writes from then on is left out. It is killed after `limit`
    seconds.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    variables = {**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(LINES)}
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        text = _read(ours, time.monotonic() + limit, [*steps, ("", process.terminate)] if steps else [])
        return process.wait(limit), text
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL, text
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def _read(terminal: int, deadline: float, steps: list[tuple[str, Callable[[], object]]]) -> str:
    """Return what is written to a terminal until its other end is closed, or until the last of the steps."""
    read = b""
    is_stopped = False
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            some = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last writer has closed its end
            break
        if not some:
            break
        read += b"" if is_stopped else some
        while steps and steps[0][0].encode() in read:
            steps.pop(0)[1]()
            is_stopped = not steps
    return read.decode(errors="replace").replace("\r\n", "\n")


def picture(name: str, command: str, written: str, columns: int) -> str:
    """Return a terminal as SVG: the prompt with a command, and what that has written."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, color_system="truecolor")
        lines = [Text.assemble(("$ ", "bold green"), (command, "bold"))]
        lines += Text.from_ansi(plain(written)).split(allow_blank=True)
        while not lines[-1].plain.strip():  # a colour may end on a line of its own
            lines.pop()
        for line in lines:
            for part in line.divide(range(columns, max(len(line), 1), columns)):
                console.print(part, soft_wrap=True)
    return console.export_svg(title=command, theme=THEME, code_format=FORM, unique_id=f"terminal-{name}")


def plain(written: str) -> str:
    """Return the lines as they are seen in the end: what was written over is gone. Colours stay."""
    written = re.sub(r"\x1b\[\??[0-9;]*[A-LN-Zac-ln-z]", lambda found: found[0] if found[0][-1] == "K" else "", written)
    lines = (line.rpartition("\r")[2].replace("\x1b[K", "").replace("\x1b[2K", "") for line in written.split("\n"))
    return "\n".join(lines)
