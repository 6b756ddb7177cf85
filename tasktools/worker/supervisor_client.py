"""What a supervised worker does when it gets messages from the supervisor (tasktools.supervisor.line)."""

from __future__ import annotations

from tasktools import celery_compat
from tasktools.supervisor.line import Line
from tasktools.worker.admission import Intake
from tasktools.worker.loaded_sources import Sources
from tasktools.worker.shutdown import Stop


def obey(line: Line, intake: Intake, sources: Sources, stop: Stop) -> None:
    """Make the worker that is about to start in this process obey the supervisor."""
    from celery.signals import worker_ready
    from celery.worker import state

    def resume() -> None:
        sources.renew()
        intake.resume()

    def is_stale() -> bool:
        changed = sources.changed()
        if changed and not intake.paused:
            intake.paused = True  # first, because the answer might come before it
            line.say("stale", paths=changed)
        return bool(changed)

    def end() -> None:
        if celery_compat.SHOULD_STOP.of(state) is None:
            celery_compat.SHOULD_STOP.put(state, 0)

    intake.refuses = is_stale
    worker_ready.connect(lambda **_: line.say("ready"), weak=False)
    line.listen(pause=intake.pause, resume=resume, leave=stop.be_replaced, end=end)
