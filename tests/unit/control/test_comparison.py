from __future__ import annotations

import pytest

from tasktools.control.comparison import Difference, difference, task_names

HERE = {"shop.add": "celery", "shop.mail": "mails", "shop.any": ""}


@pytest.mark.parametrize(
    ("queues", "lacks"),
    [
        ([], ["shop.any"]),
        (["celery"], ["shop.add", "shop.any"]),
        (["mails", "celery"], ["shop.add", "shop.any", "shop.mail"]),
    ],
)
def test_difference__what_a_worker_gets_and_does_not_know(queues: list[str], lacks: list[str]) -> None:
    assert difference(set(), queues, HERE) == Difference(lacks=lacks, has_more=[])


def test_difference__what_it_knows_alone() -> None:
    found = difference({*HERE, "shop.old", "shop.elder"}, ["celery"], HERE)
    assert (found, found.is_none) == (Difference(lacks=[], has_more=["shop.elder", "shop.old"]), False)
    assert difference(HERE, ["celery"], HERE).is_none
    assert not difference(set(), ["celery"], HERE).is_none


def test_task_names__without_their_options() -> None:
    assert task_names(["shop.add [rate_limit=1/s]", "shop.mail", 5]) == {"shop.add", "shop.mail", "5"}
