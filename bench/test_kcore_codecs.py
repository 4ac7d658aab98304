"""The codecs of a batch's records, beside the libraries called directly on the same bytes.

    pytest bench/test_kcore_codecs.py --benchmark-enable -s

The libraries get every help that their packages offer: contexts that are used again, output of the
right size known before, memory that is there. Ours does what an append does: it walks the frames
for the most that they can hold, and holds to a limit.
"""

import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import lz4.frame
import pytest
import zstandard

from bench import beside
from kcore import Codec, RecordBatch, build, compress, decompress

NOW_MS = 1_700_000_000_000
BYTES_MAX = 1 << 24
BLOCK = 32 << 10
SIZES = [16 << 10, 128 << 10, 1 << 20]
COMPRESSING = list(Codec)[1:]
ROUNDS = 75


def payload_of(size: int) -> bytes:
    """The records of one batch, JSON of a few fields each, as they stand behind its header."""
    source = random.Random(size)
    records: list[tuple[None, bytes, tuple[()], int]] = []
    filled = 0
    while filled < size:
        row = {
            "id": source.randrange(10**6),
            "name": source.choice(["alice", "bob", "carol", "dave"]),
            "amount": source.random(),
            "tag": source.randbytes(6).hex(),
        }
        records.append((None, json.dumps(row).encode(), (), NOW_MS + len(records)))
        filled += len(records[-1][1]) + 8
    return bytes(RecordBatch(build(records)).payload())


def compressor(codec: Codec, payload: bytes) -> Callable[[], object]:
    """The library's own way to compress it."""
    if codec is Codec.GZIP:
        return lambda: zlib.compress(payload, -1, 31)
    if codec is Codec.ZSTD:
        machine = zstandard.ZstdCompressor(level=3)
        return lambda: machine.compress(payload)
    if codec is Codec.LZ4:
        return lambda: lz4.frame.compress(
            payload,
            block_size=lz4.frame.BLOCKSIZE_MAX64KB,
            block_linked=False,
            store_size=False,
        )
    view = memoryview(payload)
    blocks = [(view[at : at + BLOCK], bytearray(2 * BLOCK)) for at in range(0, len(payload), BLOCK)]

    def snappy() -> None:
        for block, room in blocks:
            cramjam.snappy.compress_raw_into(block, room)

    return snappy


def decompressor(codec: Codec, payload: bytes, packed: bytes) -> Callable[[], object]:
    """The library's own way to get it back."""
    size = len(payload)
    if codec is Codec.GZIP:
        return lambda: zlib.decompress(packed, 31, size)
    if codec is Codec.ZSTD:
        machine = zstandard.ZstdDecompressor()
        return lambda: machine.decompress(packed, size)
    if codec is Codec.LZ4:
        context = lz4.frame.create_decompression_context()
        return lambda: lz4.frame.decompress_chunk(context, packed, size + 1)
    view = memoryview(bytearray(size))
    blocks = [
        (bytes(cramjam.snappy.compress_raw(payload[at : at + BLOCK])), view[at : at + BLOCK])
        for at in range(0, size, BLOCK)
    ]

    def snappy() -> None:
        for block, room in blocks:
            cramjam.snappy.decompress_raw_into(block, room)

    return snappy


@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name.lower())
@pytest.mark.parametrize("size", SIZES)
def test_compress(benchmark: Any, codec: Codec, size: int) -> None:
    """What building a batch, or building it anew for another compression.type, does."""
    payload = payload_of(size)
    library = compressor(codec, payload)
    if codec is not Codec.SNAPPY:
        assert compress(codec, payload) == library()
    beside.record(
        benchmark,
        len(payload),
        lambda: compress(codec, payload),
        library,
        rounds=ROUNDS,
    )


@pytest.mark.parametrize("codec", COMPRESSING, ids=lambda codec: codec.name.lower())
@pytest.mark.parametrize("size", SIZES)
def test_decompress(benchmark: Any, codec: Codec, size: int) -> None:
    """What validating a batch does."""
    payload = payload_of(size)
    packed = bytes(compress(codec, payload))
    library = decompressor(codec, payload, packed)
    library()
    assert bytes(decompress(codec, packed, bytes_max=BYTES_MAX)) == payload
    beside.record(
        benchmark,
        len(payload),
        lambda: decompress(codec, packed, bytes_max=BYTES_MAX),
        library,
        rounds=ROUNDS,
    )
