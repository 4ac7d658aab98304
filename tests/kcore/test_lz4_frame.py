"""LZ4 frames block by block: offsets and lengths, the rules of the end, checksums, limits."""

import random
import struct
from concurrent.futures import ThreadPoolExecutor

import lz4.block
import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore import Codec, DecompressedTooLarge, DecompressionFailed, compress, decompress
from kcore.lz4_frame import use_lz4_writer_directly

TAIL = b"-tail"
STORED = 0x80000000
FULL = 65536
PLAIN = {"block_linked": False, "store_size": False}


def length_bytes(length: int) -> bytes:
    """What follows a token's half that is full."""
    return b"" if length < 15 else b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])


def sequence(literals: bytes, offset: int = 0, length: int = 0) -> bytes:
    """One sequence of a block; without a length the last one."""
    match = max(length - 4, 0)
    made = bytes([min(len(literals), 15) << 4 | min(match, 15)])
    made += length_bytes(len(literals)) + literals
    return made + struct.pack("<H", offset) + length_bytes(match) if length else made


def frame(*blocks: bytes) -> bytes:
    """Blocks of at most 64 KiB in a frame without checksums."""
    made = b"\x04\x22\x4d\x18\x60\x40\x82"
    for block in blocks:
        made += struct.pack("<I", len(block)) + block
    return made + bytes(4)


def read(data: bytes, bytes_max: int = 1 << 20) -> bytes:
    return bytes(decompress(Codec.LZ4, data, bytes_max=bytes_max))


def repeated(history: bytes, offset: int, length: int) -> bytes:
    """What a match makes of what is before it."""
    made = bytearray(history)
    for _ in range(length):
        made.append(made[-offset])
    return bytes(made)


@pytest.mark.parametrize("far_from_the_end", [True, False])
def test_every_offset_and_length(far_from_the_end: bool) -> None:
    start = bytes(range(48))
    filler = bytes(200) if far_from_the_end else b""
    for offset in range(1, 49):
        for length in [*range(4, 40), 63, 64, 65, 273, 274, 275, 529, 1000]:
            packed = frame(sequence(start, offset, length) + sequence(filler + TAIL))
            expected = repeated(start, offset, length) + filler + TAIL
            assert read(packed) == expected
            assert read(packed, len(expected)) == expected
            with pytest.raises(DecompressedTooLarge):
                read(packed, len(expected) - 1)


@pytest.mark.parametrize("count", [*range(5, 40), 269, 270, 271, 524, 525, 526, 5000])
def test_every_length_of_literals(count: int) -> None:
    literals = random.Random(count).randbytes(count)
    assert read(frame(sequence(literals))) == literals
    packed = frame(sequence(literals, 5, 4) + sequence(TAIL))
    assert read(packed) == repeated(literals, 5, 4) + TAIL


@given(
    st.lists(
        st.tuples(st.binary(max_size=20), st.integers(1, 400), st.integers(4, 400)),
        min_size=1,
        max_size=40,
    ),
    st.binary(min_size=5, max_size=60),
)
def test_any_sequences(sequences: list[tuple[bytes, int, int]], end: bytes) -> None:
    expected, block = b"", b""
    for literals, offset, length in sequences:
        literals = literals or b"."
        offset = min(offset, len(expected + literals))
        expected = repeated(expected + literals, offset, length)
        block += sequence(literals, offset, length)
    packed = frame(block + sequence(end))
    assert read(packed) == expected + end
    assert lz4.block.decompress(block + sequence(end), uncompressed_size=FULL) == expected + end


def test_a_match_does_not_reach_into_the_block_before() -> None:
    first = sequence(b"0123456789")
    with pytest.raises(DecompressionFailed, match="decompressionFailed"):
        read(frame(first, sequence(b"abc", 4, 8) + sequence(TAIL)))
    assert read(frame(first, sequence(b"abc", 3, 8) + sequence(TAIL)))[10:] == b"abcabcabcab-tail"


@pytest.mark.parametrize(
    "block",
    [
        sequence(b"abcd", 5, 4) + sequence(TAIL),
        sequence(b"", 1, 4) + sequence(TAIL),
        sequence(b"abcd", 4, 8),
        sequence(b"abcd", 4, 8) + sequence(b"tail"),
        sequence(b"abcd", 4, 300) + sequence(b"il"),
        b"\x50abcd",
        b"\xf0\xff",
        b"\xf0" + b"\xff" * 200,
        b"\x4fabcd\x01\x00" + b"\xff" * 60,
    ],
    ids=[
        "before-the-block",
        "before-any-output",
        "no-last-literals",
        "four-last-literals",
        "two-last-literals-after-a-long-match",
        "literals-beyond-the-end",
        "length-beyond-the-end",
        "length-without-end",
        "match-length-without-end",
    ],
)
def test_malformed_blocks(block: bytes) -> None:
    with pytest.raises(DecompressionFailed, match="decompressionFailed"):
        read(frame(block))


@pytest.mark.parametrize("length", [4, 7, 8, 9, 18, 19, 40, 300])
def test_an_offset_of_0_makes_zeros_and_nothing_of_what_was_in_memory(length: int) -> None:
    """The format knows no such offset, the library takes it; outputs are made in used memory."""
    for filler in (b"", b"f" * 100):
        secret = lz4.frame.compress(b"secret" * 20_000, **PLAIN)
        assert len(read(secret)) == 120_000
        packed = frame(sequence(b"abcd", 0, length) + sequence(filler + TAIL))
        assert read(packed) == b"abcd" + bytes(length) + filler + TAIL


def test_a_block_holds_no_more_than_its_frame_says() -> None:
    def block(size: int) -> bytes:
        return sequence(b"x", 1, size - 13) + sequence(b"y" * 12)

    assert read(frame(block(FULL))) == b"x" * (FULL - 12) + b"y" * 12
    with pytest.raises(DecompressionFailed, match="decompressionFailed"):
        read(frame(block(FULL + 1)))
    with pytest.raises(DecompressionFailed, match="leaves its frame"):
        read(frame(sequence(b"x" * FULL)))
    # The last match begins 12 bytes before the end of a full block, and ends 5 before it.
    near = sequence(b"x", 1, FULL - 13) + sequence(b"z", 1, 6) + sequence(TAIL)
    with pytest.raises(DecompressionFailed, match="decompressionFailed"):
        read(frame(near))


def test_an_empty_block_is_refused_since_java_takes_it_for_the_end() -> None:
    stored = struct.pack("<I", STORED)
    packed = frame(sequence(TAIL))
    assert read(packed) == TAIL
    with pytest.raises(DecompressionFailed, match="empty block"):
        read(packed[:7] + stored + packed[7:])


def test_blocks_that_are_stored() -> None:
    packed = frame()[:7] + struct.pack("<I", STORED | 5) + b"hello" + bytes(4)
    assert read(packed) == read(packed, 5) == b"hello"
    with pytest.raises(DecompressedTooLarge):
        read(packed, 4)


NOISE = random.Random(9).randbytes(70_000)


@pytest.mark.parametrize("data", [b"abc" * 9, NOISE, b"ab" * 50_000, b""], ids=len)
@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("content_checksum", "contentChecksum"),
        ("block_checksum", "blockChecksum"),
        ("store_size", "frameSize"),
    ],
)
def test_checksums_and_size_are_checked(data: bytes, option: str, what: str) -> None:
    packed = bytearray(lz4.frame.compress(data, **PLAIN | {option: True}))
    assert read(bytes(packed)) == data
    at = len(packed) - (4 if option == "content_checksum" else 8)
    if not data and option != "content_checksum":
        return  # there is nothing to be wrong
    if option == "store_size":
        longer = lz4.frame.compress(data + b".", **PLAIN | {"store_size": True})
        assert packed[4] & longer[4] & 8
        packed[:15] = longer[:15]
    else:
        packed[at] ^= 1
    with pytest.raises(DecompressionFailed, match=what):
        read(bytes(packed))


@pytest.mark.parametrize("at", [4, 5, 6])
def test_the_header_is_checked(at: int) -> None:
    packed = bytearray(lz4.frame.compress(b"abc", **PLAIN | {"content_checksum": True}))
    packed[at] ^= 0x10
    with pytest.raises(DecompressionFailed):
        read(bytes(packed))


def test_outputs_live_as_long_as_they_are_looked_at() -> None:
    packed = [lz4.frame.compress(bytes([i]) * 70_000, **PLAIN) for i in range(12)]
    views = [decompress(Codec.LZ4, data, bytes_max=70_000) for data in packed]
    assert all(view == bytes([i]) * 70_000 for i, view in enumerate(views))
    kept = memoryview(views[3])[100:200]
    del views
    for data in packed:
        decompress(Codec.LZ4, data, bytes_max=70_000)
    assert kept == bytes([3]) * 100
    with pytest.raises(TypeError):
        kept[0] = 1


@pytest.mark.parametrize("level", range(1, 18))
def test_what_is_written_is_what_the_binding_writes(level: int) -> None:
    text = bytes(random.Random(4).choices(b"abcdefgh ", k=200_000))
    sources = [b"", b"a", text[:300], text[:FULL], text[: FULL + 1], text, NOISE, bytes(200_000)]
    for source in sources:
        written = []
        for on in (True, False):
            assert use_lz4_writer_directly(on) is on
            written.append(bytes(compress(Codec.LZ4, source, level)))
        use_lz4_writer_directly(True)
        assert written[0] == written[1]
        assert read(written[0]) == source
        theirs = lz4.frame.compress(
            source,
            compression_level=0 if level == 9 else min(max(level, 3), 12),
            block_size=lz4.frame.BLOCKSIZE_MAX64KB,
            **PLAIN,
        )
        assert written[0] == theirs


def test_writers_in_threads() -> None:
    sources = [NOISE[:size] + bytes(size) for size in (9, 5000, 40_000, 70_000)]

    def work(level: int) -> None:
        for _ in range(40):
            for source in sources:
                assert read(bytes(compress(Codec.LZ4, source, level))) == source

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (9, 9, 3, 4)))
