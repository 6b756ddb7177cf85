from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.connection import Encoder, PythonRespSerializer

from tasktools.brokers.packing import Packer, pack_whole

ENCODE = Encoder("utf-8", "strict", decode_responses=False).encode


@pytest.mark.parametrize(
    "words",
    [
        ("PING",),
        ("LPUSH", "key", "ä", b"\x00\r\n", 7, 1.5, memoryview(b"view")),
        ("CONFIG GET", "maxmemory"),
        (b"CLIENT SETINFO", "LIB-NAME", "x"),
        ("LPUSH", "key", *["x" * 900] * 40, "y" * 10_000),
    ],
    ids=lambda words: str(words[0]),
)
def test_packer__gives_what_redis_py_sends(words: tuple[Any, ...]) -> None:
    [packed] = Packer(ENCODE).pack(*words)
    assert packed == b"".join(bytes(piece) for piece in PythonRespSerializer(6000, ENCODE).pack(*words))


def test_packer__refuses_what_redis_py_refuses() -> None:
    with pytest.raises(redis.DataError):
        Packer(ENCODE).pack("SET", "key", None)


def test_pack_whole__connections_of_a_pool() -> None:
    pool = redis.ConnectionPool()
    pack_whole(pool)
    assert len(pool.make_connection().pack_command("LPUSH", "key", *["x" * 900] * 40)) == 1
