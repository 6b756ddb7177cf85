"""What the reader of the page may do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True)
class May:
    """The permissions of a request's user."""

    request: HttpRequest

    @property
    def key(self) -> tuple[bool, ...]:
        """All of it: two readers with the same key see the same page."""
        return self.pause, self.revoke, self.run, self.see_failed, self.retry

    def _has(self, name: str) -> bool:
        return bool(self.request.user.has_perm(f"tasktools.{name}"))

    @property
    def pause(self) -> bool:
        return self._has("pause_taskoverview")

    @property
    def revoke(self) -> bool:
        return self._has("revoke_taskoverview")

    @property
    def run(self) -> bool:
        return self._has("run_taskoverview")

    @property
    def see_failed(self) -> bool:
        """Whether there are pages of failed tasks, and the reader may see them: a project may have taken them off its site."""
        return self._has("view_failedtask") and self._has_pages

    @cached_property
    def _has_pages(self) -> bool:
        try:
            reverse("admin:tasktools_failedtask_changelist", current_app=getattr(self.request, "current_app", None))
        except NoReverseMatch:
            return False
        return True

    @property
    def retry(self) -> bool:
        return self.see_failed and self._has("retry_failedtask")
