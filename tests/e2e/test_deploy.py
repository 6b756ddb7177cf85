"""The files of docs/deploy: they are valid, their commands run, and SIGTERM ends them as it should."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from tasktools import probe
from tasktools.arguments.durations import parse_duration
from tests.e2e.test_health import ask
from tests.servers import free_port
from tests.support import REPOSITORY, Site, wait_for

FILES = REPOSITORY / "docs/deploy"
UNITS = sorted(path.name for path in FILES.glob("mysite-*"))
PYTHON = "/srv/mysite/.venv/bin/python"


def unit(name: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#", ";"), delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FILES / name)
    return {section: dict(parser[section]) for section in parser.sections()}


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FILES / "kubernetes.yaml").read_text()))


def services() -> dict[str, Any]:
    found = yaml.safe_load((FILES / "compose.yaml").read_text())["services"]
    return {name: service for name, service in found.items() if name != "redis"}


def commands() -> Iterator[tuple[str, list[str], float | None]]:
    """Yield each command with where it stands, and after how many seconds it would be killed."""
    for name in ("mysite-worker.service", "mysite-beat.service"):
        service = unit(name)["Service"]
        yield name, shlex.split(service["ExecStart"]), float(service.get("TimeoutStopSec", 90))
    for section, program in unit("supervisord.conf").items():
        yield section, shlex.split(program["command"]), float(program["stopwaitsecs"])
    for name, service in services().items():
        yield f"compose {name}", service["command"], _seconds(service.get("stop_grace_period", "10s"))
    for document in documents():
        pod = document["spec"]["template"]["spec"]
        seconds = float(pod["terminationGracePeriodSeconds"])
        yield document["metadata"]["name"], pod["containers"][0]["command"], seconds


def _seconds(word: str) -> float:
    return parse_duration(word).total_seconds()


COMMANDS = list(commands())
BY_PLACE = pytest.mark.parametrize(("place", "words", "limit"), COMMANDS, ids=[each[0] for each in COMMANDS])


@BY_PLACE
def test_command__is_one_that_the_parser_takes(place: str, words: list[str], limit: float) -> None:
    assert words[1] == "manage.py"
    options = load_command_class("tasktools", words[2]).create_parser("manage.py", words[2]).parse_args(words[3:])
    assert words[2] == ("runbeat" if "beat" in place else "runworker")
    assert bool(options.health) is not place.startswith("compose")  # whose health check reads the file


@BY_PLACE
def test_command__ends_by_itself_before_it_is_killed(place: str, words: list[str], limit: float) -> None:
    if "runworker" in words:
        grace = _seconds(words[words.index("--grace") + 1])
        assert 5 <= limit - grace <= 30
    else:
        assert limit >= 10


def probes() -> Iterator[tuple[str, list[str]]]:
    for name, service in services().items():
        yield f"compose {name}", service["healthcheck"]["test"][1:]
    for document in documents():
        container = document["spec"]["template"]["spec"]["containers"][0]
        if "exec" in container["livenessProbe"]:
            yield document["metadata"]["name"], container["livenessProbe"]["exec"]["command"]
    words = shlex.split(
        shlex.split(unit("mysite-worker-probe.service")["Service"]["ExecStart"])[-1].replace(";", " ; ")
    )
    yield "systemd", words[words.index(PYTHON) : words.index(";", words.index(PYTHON))]


@pytest.mark.parametrize(("place", "words"), list(probes()), ids=[each[0] for each in probes()])
def test_probe__is_one_that_can_be_asked(place: str, words: list[str]) -> None:
    assert words[1:3] == ["-m", "tasktools.probe"]
    assert probe.typed(words[3:])["kind"] == ("beat" if "beat" in place else "worker")


@pytest.mark.parametrize("document", documents(), ids=lambda each: each["metadata"]["name"])
def test_kubernetes__probes_ask_where_the_command_listens(document: dict[str, Any]) -> None:
    template = document["spec"]["template"]
    assert document["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    container = template["spec"]["containers"][0]
    words = container["command"]
    [port] = [each["containerPort"] for each in container["ports"] if each["name"] == "health"]
    assert words[words.index("--health") + 1] == f"0.0.0.0:{port}"
    assert template["metadata"].get("annotations", {}).get("prometheus.io/port", str(port)) == str(port)
    asked = [
        container[name]["httpGet"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
        if "httpGet" in container[name]
    ]
    assert {each["port"] for each in asked} == {"health"}
    assert {each["path"] for each in asked} <= {"/livez", "/readyz"}
    folder = next(each["value"] for each in container["env"] if each["name"] == probe.VARIABLE)
    # In the volume, and not the volume itself: everybody may write to that.
    assert str(Path(folder).parent) in {each["mountPath"] for each in container["volumeMounts"]}


def test_kubernetes__a_beat_stops_before_the_next_one_starts() -> None:
    [beat] = [each for each in documents() if each["metadata"]["name"] == "mysite-beat"]
    assert beat["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("code", "ends", "asked", "restarts"),
    [(0, 0, 1, False), (1, 0, 3, True), (2, 2, 1, False), (4, 4, 1, False), (127, 127, 1, False)],
    ids=["alive", "not alive", "typed wrong", "no file yet", "no python"],
)
def test_probe_unit__restarts_as_root_what_the_user_of_the_site_has_found(
    tmp_path: Path, code: int, ends: int, asked: int, restarts: bool
) -> None:
    service = unit("mysite-worker-probe.service")["Service"]
    assert "User" not in service
    assert service["SuccessExitStatus"] == "4"
    for name, more in (("runuser", f"exit {code}"), ("systemctl", ""), ("sleep", "")):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/calls\n{more}\n')
        (tmp_path / name).chmod(0o755)
    words = [word.replace("$$", "$") for word in shlex.split(service["ExecStart"])]
    ran = subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    calls = [call.replace(f"{tmp_path}/", "") for call in (tmp_path / "calls").read_text().splitlines()]
    probe_call = f"runuser -u mysite -- {PYTHON} -m tasktools.probe worker"
    assert (ran.returncode, calls.count(probe_call)) == (ends, asked)
    assert ("systemctl restart mysite-worker.service" in calls) is restarts
    assert {call.split()[0] for call in calls} <= {"runuser", "systemctl", "sleep"}


def test_units__are_what_systemd_takes(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for name in UNITS:  # with an interpreter and a folder that exist here
        text = (FILES / name).read_text().replace(PYTHON, sys.executable).replace("/srv/mysite", str(tmp_path))
        (tmp_path / name).write_text(text.replace("User=mysite", "User=root"))
    ran = subprocess.run(
        [program, "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)], capture_output=True, text=True
    )
    lines = [line for line in ran.stderr.splitlines() if "mysite" in line]
    assert (ran.returncode, lines) == (0, [])


@pytest.mark.parametrize("kind", ["worker", "beat"])
@pytest.mark.parametrize("place", ["systemd", "supervisor"])
def test_unit__runs_answers_and_ends_on_sigterm(site: Site, kind: str, place: str) -> None:
    if place == "systemd":
        words = shlex.split(unit(f"mysite-{kind}.service")["Service"]["ExecStart"])
    else:
        words = shlex.split(unit("supervisord.conf")[f"program:mysite-{kind}"]["command"])
    site.minimal()
    port = free_port()
    words = [re.sub(r"^127\.0\.0\.1:\d+$", f"127.0.0.1:{port}", word) for word in words]
    process = site.start(sys.executable, *words[1:], "--noreload")
    wait_for(lambda: ask(port, "/readyz")[0] == 200)
    assert site.run(sys.executable, "-m", "tasktools.probe", kind).returncode == 0
    assert process.end(signal.SIGTERM) == 0
    assert site.run(sys.executable, "-m", "tasktools.probe", kind).returncode == 4
