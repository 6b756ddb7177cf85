from __future__ import annotations

import pytest

from tasktools.queues import purge_pass
from tasktools.queues.purge_pass import Pass


def raw(text: str) -> list[bytes]:
    return [each.encode() for each in text]


def begun(read: str, chosen: str = "") -> Pass:
    made = Pass()
    made.advance(raw(read), set(raw(chosen)))
    return made


def test_pass__at_the_begin_everything_is_in_place() -> None:
    made = Pass()
    assert (made.start, made.is_sure, made.is_in_place(raw("ab")), made.is_in_place([])) == (0, True, True, True)


def test_advance__what_is_gone_does_not_count() -> None:
    made = begun("abcd", chosen="bd")
    assert made.start == 2
    assert made.is_in_place(raw("cef"))
    assert not made.is_in_place(raw("aef"))
    assert not made.is_in_place(raw("xc"))
    assert not made.is_in_place([])


def test_advance__nothing_stays() -> None:
    made = begun("ab", chosen="ab")
    assert (made.start, made.is_in_place(raw("c"))) == (0, True)
    made.start = 1  # others have pushed
    assert not made.is_in_place(raw("c"))


@pytest.mark.parametrize(
    ("around", "first", "is_all", "start", "rest", "is_sure"),
    [
        ("abcdef", 0, True, 3, "def", True),
        ("xabcdef", 0, True, 4, "def", True),  # others have pushed
        ("cdef", 0, True, 1, "def", True),  # others have removed
        ("bcde", 5, False, 7, "de", True),
        ("cac", 5, False, 8, "", True),  # the last of them counts
        ("def", 0, True, 0, "def", True),  # all that was read has gone
        ("", 0, True, 0, "", True),
        ("def", 2, False, 3, "ef", False),  # nobody knows
        ("defgh", 4, False, 4, "defgh", False),
        ("de", 0, False, 2, "", False),
    ],
)
def test_find__the_place_after_what_was_read(
    around: str, first: int, is_all: bool, start: int, rest: str, is_sure: bool
) -> None:
    made = begun("abc")
    found = made.find(raw(around), first, is_all=is_all)
    assert (made.start, list(found), made.is_sure) == (start, raw(rest), is_sure)


def test_find__remembers_so_many() -> None:
    made = Pass()
    many = [str(number).encode() for number in range(purge_pass._REMEMBERED + 1)]
    made.advance(many, ())
    assert made.find(many[:1], 0, is_all=False) == []
    assert (made.start, made.is_sure) == (1, False)
    made = Pass()
    made.advance(many, ())
    assert made.find(many[1:2], 0, is_all=False) == []
    assert (made.start, made.is_sure) == (1, True)
