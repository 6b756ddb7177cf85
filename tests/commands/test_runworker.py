from __future__ import annotations

import pytest

from tests.support import Site

DRAIN = ("runworker", "--noreload", "--drain", "-P", "solo", "--without-mingle", "--without-gossip")


@pytest.mark.parametrize(
    ("settings", "words", "shown"),
    [
        ("", (), True),
        ("", ("-l", "WARNING"), False),
        ("DEBUG = False\nALLOWED_HOSTS = ['*']\nCELERY_BROKER_URL = 'memory://'", (), False),
        ("LOGGING = {'version': 1, 'root': {'level': 'ERROR'}}", (), False),
    ],
)
def test_level__with_debug_is_info(site: Site, settings: str, words: tuple[str, ...], shown: bool) -> None:
    """A worker without -l INFO said neither that it was ready nor which task it ran."""
    ran = site.minimal(settings=settings).manage(*DRAIN, *words)
    assert (" ready." in ran.stderr + ran.stdout) is shown
    assert ran.returncode == 0
