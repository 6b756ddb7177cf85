"""runworker is `celery worker` with the right app: its signals, pools, options and exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support import LOGGING, Site, refusing_port, silent_port, wait_for

SLOW = """
import os
import time
from celery import shared_task

@shared_task
def add(x, y):
    return x + y

@shared_task
def slow(path, seconds: float):
    open(path, "a").write("began\\n")
    end = time.monotonic() + seconds
    while time.monotonic() < end and not os.path.exists(path + ".end"):
        time.sleep(0.05)
    open(path, "a").write("ended\\n")
"""


def slow_site(site: Site, **options: str) -> Site:
    site.minimal(**options)
    site.write("shop/tasks.py", SLOW)
    return site


def begin_slow_task(site: Site) -> None:
    """Have a worker run a task until `end_slow_task` is called."""
    assert site.manage("enqueue", "slow", str(site.root / "record"), "600").returncode == 0
    wait_for(lambda: recorded(site) == ["began"])


def end_slow_task(site: Site) -> None:
    (site.root / "record.end").touch()


def recorded(site: Site) -> list[str]:
    path = site.root / "record"
    return path.read_text().split() if path.exists() else []


def test_first_line__names_app_broker_backend_queues_and_tasks(site: Site) -> None:
    site.minimal()
    worker = site.start_worker("-Q", "celery,letters")
    server = "broker and results: the private Valkey"
    expected = f"app mysite (-A tasktools.celery:app) | {server} | queues celery, letters | 2 tasks"
    assert worker.output.splitlines()[0] == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_root__is_a_sentence_without_a_line_of_celery_s_source(site: Site) -> None:
    site.minimal()
    worker = site.start_manage("runworker", "-P", "solo", env={"PYTHONWARNINGS": "default"})
    worker.wait_for_output(" ready.")
    site.write("shop/tasks.py", "# changed")
    worker.wait_for_output("new code runs")
    assert worker.output.count("The worker runs as root: its tasks may do anything on this machine.") == 1
    assert "SecurityWarning" not in worker.output
    assert "superuser" not in worker.output


@pytest.mark.measured
def test_sigterm__is_warm(site: Site) -> None:
    worker = slow_site(site).start_worker()
    begin_slow_task(site)
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for_output("Warm shutdown")
    end_slow_task(site)
    assert worker.wait() == 0
    assert recorded(site) == ["began", "ended"]


def test_sigint__once_is_warm(site: Site) -> None:
    worker = slow_site(site).start_worker()
    begin_slow_task(site)
    worker.process.send_signal(signal.SIGINT)
    worker.wait_for_output("Warm shutdown")
    end_slow_task(site)
    worker.wait()
    assert recorded(site) == ["began", "ended"]


@pytest.mark.measured
def test_sigint__twice_is_cold(site: Site) -> None:
    worker = slow_site(site).start_worker()
    begin_slow_task(site)
    worker.process.send_signal(signal.SIGINT)
    worker.wait_for_output("Warm shutdown")  # Celery announces what a second signal does before it has its handler
    worker.process.send_signal(signal.SIGINT)
    worker.wait()
    assert recorded(site) == ["began"]


def test_exit_codes__are_those_of_celery_worker(site: Site) -> None:
    """Warm and cold, ours and stock's, in one run."""
    slow_site(site)
    env = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    options = ("-l", "INFO", "-c", "1", "--without-mingle", "--without-gossip")
    codes = []
    for command in (("manage.py", "runworker", "--noreload"), ("-m", "celery", "-A", "tasktools", "worker")):
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            worker = site.start(sys.executable, *command, *options, env=env)
            worker.wait_for_output(" ready.")
            codes.append(worker.end(signum))
    assert codes[:3] == codes[3:]


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_pool__runs_a_task(site: Site, pool: str) -> None:
    site.minimal()
    worker = site.start_worker("-P", pool)
    assert site.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"
    assert worker.end() == 0


def test_pidfile__holds_the_process_id_and_goes_with_it(site: Site) -> None:
    site.minimal()
    pidfile = site.root / "worker.pid"
    worker = site.start_worker("--pidfile", str(pidfile))
    assert int(pidfile.read_text()) == worker.process.pid
    worker.end()
    assert not pidfile.exists()


@pytest.mark.measured
def test_detach__goes_to_the_background_and_can_be_ended(site: Site) -> None:
    site.minimal()
    pidfile, log = site.root / "worker.pid", site.root / "worker.log"
    words = ("--detach", "-c", "1", "-l", "INFO", "--pidfile", str(pidfile), "--logfile", str(log))
    started = site.manage("runworker", *words)
    assert started.returncode == 0, started.stderr
    wait_for(lambda: log.exists() and " ready." in log.read_text())
    pid = int(pidfile.read_text())
    try:
        assert site.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not pidfile.exists())


@pytest.mark.measured
def test_embedded_beat__ticks(site: Site) -> None:
    site.minimal(
        settings="CELERY_BEAT_SCHEDULE = {'often': {'task': 'shop.tasks.add', 'schedule': 0.5, 'args': (2, 2)}}"
    )
    worker = site.start_worker("-B", "-s", str(site.root / "schedule"))
    worker.wait_for_output("succeeded in")


@pytest.mark.measured
def test_embedded_beat__ends_with_its_worker(site: Site) -> None:
    """Killed, the worker cannot tell its beat to end."""
    site.minimal(
        settings="CELERY_BEAT_SCHEDULE = {'often': {'task': 'shop.tasks.add', 'schedule': 0.5, 'args': (2, 2)}}"
    )
    worker = site.start_worker("-B")
    worker.wait_for_output("succeeded in")
    beat = int(json.loads(site.manage("showschedule", "--json").stdout)["in_charge"]["pid"])
    assert beat != worker.process.pid
    worker.process.kill()
    wait_for(lambda: not Path(f"/proc/{beat}").exists() or is_zombie(beat))


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.measured
def test_embedded_beat__refuses_a_schedule_that_cannot_run(site: Site) -> None:
    site.minimal(settings="CELERY_BEAT_SCHEDULE = {'often': {'task': 'shop.tasks.ad', 'schedule': 1}}")
    refused = site.manage("runworker", "-B", "--noreload")
    assert refused.returncode == 2
    assert 'The beat schedule\'s entry "often" cannot run' in refused.stderr


@pytest.mark.measured
def test_failed_system_check__refuses_to_start_unless_skipped(site: Site) -> None:
    site.minimal()
    site.write(
        "shop/models.py",
        """
        from django.core.checks import Error, register

        @register()
        def never(app_configs, **kwargs):
            return [Error("never again", id="shop.E001")]
        """,
    )
    refused = site.manage("runworker", "--noreload")
    assert refused.returncode == 1
    assert "(shop.E001) never again" in refused.stderr
    site.start_worker("--skip-checks")


@pytest.mark.measured
@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_broker_that_does_not_answer__is_named_soon_and_celery_tries_again(site: Site, kind: str) -> None:
    with silent_port() as silent:
        port = silent if kind == "silent" else refusing_port()
        site.minimal(settings=f"CELERY_BROKER_URL = 'redis://:secret@127.0.0.1:{port}/0'")
        worker = site.start_manage("runworker", "--noreload", "-c", "1")
        worker.wait_for_output(" | broker redis://")
        began = time.monotonic()
        worker.wait_for_output("Hint: start it, or fix its address in the settings")
        assert time.monotonic() - began < 20  # 2 s on a machine that is idle; kombu itself waits without a limit
        assert f'The broker "redis://:**@127.0.0.1:{port}/0" ' in worker.output
        assert "secret" not in worker.output
        assert worker.process.poll() is None
        if kind == "refusing":
            worker.wait_for_output("Trying again in")


def test_broker_retry_off__ends_the_worker_as_celery_does(site: Site) -> None:
    url = f"redis://127.0.0.1:{refusing_port()}/0"
    site.minimal(settings=f"CELERY_BROKER_URL = {url!r}\nCELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = False")
    worker = site.start_manage("runworker", "--noreload", "-c", "1")
    assert worker.wait() == 1
    assert f'The broker "{url}" cannot be reached' in worker.output


BAD_OPTIONS = [
    (("--nonsense",), "Unrecognized arguments: --nonsense."),
    (("-P", "nonsense"), "Invalid value for '-P' / '--pool'"),
    (("-l", "nonsense"), "Invalid value for '-l' / '--loglevel'"),
    (("nonsense",), "Unable to parse extra configuration"),
]


@pytest.mark.parametrize(("words", "sentence"), BAD_OPTIONS, ids=[" ".join(words) for words, _ in BAD_OPTIONS])
def test_bad_option__ends_with_2_and_a_sentence(site: Site, words: tuple[str, ...], sentence: str) -> None:
    site.minimal()
    done = site.manage("runworker", *words)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_extra_setting__reaches_celery(site: Site) -> None:
    site.minimal()
    worker = site.start_worker("worker.send_task_events=1")
    assert "task events: ON" in worker.output


@pytest.mark.measured
def test_logging_setting__keeps_its_handlers_and_level(site: Site) -> None:
    site.minimal(settings=LOGGING)
    worker = site.start_manage("runworker", "--noreload", "-c", "1")
    worker.wait_for_output("MINE INFO celery.apps.worker")
    assert "/MainProcess]" not in worker.output


@pytest.mark.measured
def test_celery_logging__takes_the_root_logger_over(site: Site) -> None:
    site.minimal(settings=LOGGING)
    worker = site.start_worker("--celery-logging")
    assert "INFO/MainProcess]" in worker.output
    assert "MINE" not in worker.output


@pytest.mark.measured
def test_user_options__of_the_app_are_taken(site: Site) -> None:
    site.minimal()
    site.write(
        "mysite/celery.py",
        """
        from celery import Celery, bootsteps
        from click import Option

        app = Celery("mysite")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
        app.user_options["worker"].add(Option(("--colour",), default="grey", help="The colour of the shed."))

        class Shed(bootsteps.Step):
            def __init__(self, parent, colour="none", **options):
                print(f"the shed is {colour}", flush=True)

        app.steps["worker"].add(Shed)
        """,
    )
    assert "The colour of the shed." in site.manage("runworker", "--help").stdout
    worker = site.start_worker("--colour", "red")
    assert "the shed is red" in worker.output


@pytest.mark.parametrize("signal_name", ["TERM", "KILL"])
def test_development__says_that_a_task_was_terminated(site: Site, signal_name: str) -> None:
    site.minimal().write(
        "shop/tasks.py",
        "import time\nfrom celery import shared_task\n\n\n@shared_task\ndef snooze():\n    time.sleep(60)\n",
    )
    worker = site.start_manage("runworker", "--noreload", "-c", "1", "--without-mingle", "--without-gossip")
    worker.wait_for_output(" ready.")
    task_id = site.manage("enqueue", "snooze").stdout.strip()
    worker.wait_for_output(f"snooze {task_id[:8]} started")
    site.manage("revoketask", task_id, "--terminate", "--signal", signal_name, "--noinput")
    worker.wait_for_output(f"snooze {task_id[:8]} was revoked: terminated")
    if signal_name == "TERM":
        worker.wait_for_output(f"snooze {task_id[:8]} was stopped after ")
    assert " none after " not in worker.output
    assert worker.output.count("was revoked: terminated") == 1
