from __future__ import annotations

import pytest

from tests.fuzz_texts import KINDS, check_text, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_fuzz__a_few_examples(kind: str) -> None:
    fuzz(kind, 50)


@pytest.mark.parametrize("part", ["a:/b:", "token", "password-", "x.", "://", "redis:/", "a@", ";a:/", "key=", "\x1b"])
def test_long_text__takes_no_time(part: str) -> None:
    check_text(part * 1_000 + "@")
