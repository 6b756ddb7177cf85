"""Beat's strategy: the new one loads while the old one ticks, and begins when the old one has ended. Two never tick at once."""

from __future__ import annotations

from tasktools.supervisor.child import Child
from tasktools.supervisor.reloader import PATIENCE, Reloader


class BeatReloader(Reloader):
    """One beat ticks; a beat that loads waits for "go"."""

    def begin(self) -> None:
        super().begin()
        self.current, self.next = None, self.current

    def changed(self) -> None:
        if self.next:
            self.next.kill()  # it has not begun
        self.next = self.start()

    def ready(self, child: Child) -> None:
        if child is not self.next:
            return
        if self.current:
            self.current.end()
        else:
            self._hand_over(child)

    def left(self, child: Child) -> None:
        if child is self.next:
            self.next = None
            if self.current and self.current.asked_to_end is None:
                self.say(
                    f"the new code did not start ({child.how_it_ended()}): the old beat goes on until the next change"
                )
            else:
                self.wait_for_change(child, "beat did not start")
        elif child is self.current:
            self.current = None
            if child.hopeless and not self.next:
                self.wait_for_change(child, "beat did not start")
            elif self.next and self.next.ready:
                self._hand_over(self.next)
            elif not self.next:
                self.start_later(child, "beat ended by itself")

    def due(self) -> None:
        """Kill a beat that does not end: two must never tick."""
        super().due()
        current = self.current
        if current and current.asked_to_end is not None and self.clock() - current.asked_to_end > 2 * PATIENCE:
            current.kill()

    def _hand_over(self, child: Child) -> None:
        self.current, self.next = child, None
        child.say("go")

    def runs(self, child: Child) -> None:
        if child.number > 1:
            self.say_ready(child)
