"""The worker's strategy: the new worker starts beside the old one, which takes no more tasks and ends after its running tasks."""

from __future__ import annotations

from tasktools.supervisor.child import Child
from tasktools.supervisor.reloader import PATIENCE, Reloader


class WorkerReloader(Reloader):
    """At most one worker is in charge, and one is starting; others may still finish their tasks."""

    def changed(self) -> None:
        if self.current:
            self.current.say("pause")
        if self.next:
            self.next.say("pause")
            self.next.end()
        self.next = self.start()

    def ready(self, child: Child) -> None:
        if child is not self.next:
            return
        former, self.current, self.next = self.current, child, None
        self.say_ready(child)
        if former:
            former.say("leave", grace=self.plan.grace)
            former.end()

    def left(self, child: Child) -> None:
        if child is self.next:
            self.next = None
            self._go_back(child)
        elif child is self.current:
            self.current = None
            self._lost_current(child)

    def due(self) -> None:
        """Kill workers that do not end after their grace."""
        super().due()
        for process in self.processes:
            if self.stopping or process.asked_to_end is None or not isinstance(process, Child):
                continue
            over = self.clock() - process.asked_to_end - self.plan.grace
            if over > PATIENCE:
                process.kill()

    def _go_back(self, child: Child) -> None:
        how = child.how_it_ended()
        if self.current:
            self.current.say("resume")
            self.say(f"the new code did not start ({how}): the old worker goes on until the next change")
        elif child.again:
            self.wait_for_change(child, "the worker did not start")
        else:
            self.say(f"the new code did not start ({how}): waiting for the next change")

    def _lost_current(self, child: Child) -> None:
        if self.next:
            return
        if child.done:
            self.finish_after_all(0)
        elif child.ready and not child.hopeless:
            self.start_later(child, "the worker ended by itself")
        else:
            self.wait_for_change(child, "the worker did not start")
