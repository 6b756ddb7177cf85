"""Build the site: pictures from a run of the demo, pages from docs/ and the commands, Sphinx, and a check of all links.

Exit code 0; 1 with a sentence when anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import django

from docs.site.pages import ROOT, Fault

BUILD = ROOT / "build"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=BUILD / "docs", help="the folder of the site; default build/docs"
    )
    parser.add_argument(
        "--without-pictures", action="store_true", help="pages alone, which takes less than half the time"
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    os.environ["NO_COLOR"], os.environ["COLUMNS"] = "1", "80"
    began = time.monotonic()
    try:
        django.setup()
        count = build(options.output, with_pictures=not options.without_pictures)
    except (Fault, OSError) as fault:  # OSError: a folder that cannot be written, a full disk
        sys.stderr.write(f"The site is not built: {fault}\n")
        return 1
    say(f"{options.output / 'index.html'}: {count} pages, all links checked. {time.monotonic() - began:.0f} s.")
    return 0


def build(output: Path, *, with_pictures: bool) -> int:
    """Build the site in a folder, and return how many pages it has."""
    from docs.site import check, pages, pictures

    require_replaceable(output)
    source = BUILD / "docs-source"
    shutil.rmtree(source, ignore_errors=True)
    names = pictures.make(source / "pictures", say) if with_pictures else set()
    collected = pages.collect(pictures.markdown(names))
    collected.write(source)
    for file in ("conf.py", "static"):
        copy = shutil.copytree if file == "static" else shutil.copy
        copy(Path(__file__).with_name(file), source / file)
    run_sphinx(source, output)
    faults = check.faults(output)
    if faults:
        raise Fault("\n".join(faults))
    return len(collected.texts)


def require_replaceable(output: Path) -> None:
    """Raise Fault for a folder with files that are no site of Sphinx: the folder is emptied, and they would be lost."""
    if output.resolve() == BUILD / "docs" or not output.exists() or (output / ".buildinfo").is_file():
        return
    if not output.is_dir() or any(output.iterdir()):
        raise Fault(f'"{output}" has files that are no site of Sphinx. Name a new folder: it is emptied first.')


def run_sphinx(source: Path, output: Path) -> None:
    from sphinx.cmd.build import build_main

    shutil.rmtree(output, ignore_errors=True)
    words = [
        "-W",
        "--keep-going",
        "-q",
        "-E",
        "-j",
        "2",
        "-b",
        "html",
        "-d",
        str(BUILD / "docs-trees"),
        str(source),
        str(output),
    ]
    if build_main(words):
        raise Fault("Sphinx has warnings; see above.")


def say(text: str) -> None:
    sys.stdout.write(f"docs: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
