from __future__ import annotations

from typing import Any

import pytest

from tasktools.brokers.keys import Keys
from tasktools.queues.peek import peek

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_peek__goes_over_all_priorities_and_no_farther(keys: Keys, queue: str, fill: Any, count: int) -> None:
    fill("first", "second")
    fill("third", "fourth", "fifth", priority=2)
    found = [each.task for each in peek(keys, queue, count)]
    assert found == ["first", "second", "third", "fourth", "fifth"][:count]
