"""The codecs: round trips, what other writers make, limits, and everything that is refused."""

import contextlib
import gzip
import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kcore.compression import LEVELS, XERIAL_HEADER, Codec, compress, decompress
from kcore.errors import DecompressedTooLarge, DecompressionFailed, UnsupportedCompression
from kcore.gzip_stream import use_zlib_directly

COMPRESSING = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
TEXT = bytes(random.Random(4).choices(b"abcdefgh ", k=150_000))
NOISE = random.Random(5).randbytes(150_000)


def snappy_raw(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def zstd_streamed(data: bytes, level: int = 3) -> bytes:
    """As Java's stream writer makes it: without content size, with the level's own window."""
    machine = zstandard.ZstdCompressor(level=level).compressobj()
    return machine.compress(data) + machine.flush()


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("size", [0, 1, 100, 32767, 32768, 32769, 65535, 65536, 65537, 150_000])
@pytest.mark.parametrize("source", [TEXT, NOISE, bytes(150_000)], ids=["text", "noise", "zeros"])
def test_round_trip_within_exactly_its_size(codec: Codec, size: int, source: bytes) -> None:
    data = source[:size]
    packed = compress(codec, data)
    assert bytes(decompress(codec, packed, bytes_max=size)) == data
    if size:
        with pytest.raises(DecompressedTooLarge):
            decompress(codec, packed, bytes_max=size - 1)


@given(st.binary(max_size=3000), st.sampled_from(COMPRESSING))
def test_round_trip_of_anything(data: bytes, codec: Codec) -> None:
    assert bytes(decompress(codec, compress(codec, data), bytes_max=3000)) == data


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_levels_are_kafkas(codec: int) -> None:
    default, smallest, largest = LEVELS[codec]
    for level in (smallest, default, largest):
        packed = compress(codec, TEXT[:5000], level)
        assert bytes(decompress(codec, packed, bytes_max=5000)) == TEXT[:5000]
    for level in (smallest - 1, largest + 1):
        with pytest.raises(ValueError, match="no level"):
            compress(codec, b"x", level)
    assert compress(codec, TEXT) == compress(codec, TEXT, default)


def test_unknown_codecs_are_refused() -> None:
    for codec in (-1, 5, 7):
        with pytest.raises(UnsupportedCompression):
            decompress(codec, b"x", bytes_max=10)
        with pytest.raises(UnsupportedCompression):
            compress(codec, b"x")


@pytest.mark.parametrize("codec", list(Codec))
def test_no_limit_is_the_largest_number(codec: Codec) -> None:
    packed = compress(codec, TEXT[:300])
    assert bytes(decompress(codec, packed, bytes_max=2**63 - 1)) == TEXT[:300]
    with pytest.raises(DecompressedTooLarge):
        decompress(codec, packed, bytes_max=-1)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_every_truncation_is_refused(codec: Codec) -> None:
    packed = bytes(compress(codec, TEXT[:300]))
    for length in range(len(packed)):
        if codec is Codec.SNAPPY and length == len(XERIAL_HEADER):
            # The framing alone is a stream of nothing.
            assert bytes(decompress(codec, packed[:length], bytes_max=300)) == b""
            continue
        with pytest.raises(DecompressionFailed):
            decompress(codec, packed[:length], bytes_max=300)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_bytes_after_the_stream_are_refused(codec: Codec) -> None:
    with pytest.raises(DecompressionFailed):
        decompress(codec, bytes(compress(codec, TEXT[:300])) + b"\x07", bytes_max=1000)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_damage_is_a_typed_error_or_other_bytes(codec: Codec) -> None:
    packed = bytearray(compress(codec, TEXT[:400]))
    for at in range(len(packed)):
        for bit in (1, 0x80):
            packed[at] ^= bit
            with contextlib.suppress(DecompressionFailed, DecompressedTooLarge):
                assert len(decompress(codec, packed, bytes_max=1000)) <= 1000
            packed[at] ^= bit


@pytest.mark.parametrize("codec", COMPRESSING)
def test_bombs_cost_no_more_than_the_limit(codec: Codec) -> None:
    bomb = bytes(compress(codec, bytes(50_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(DecompressedTooLarge):
            decompress(codec, bomb, bytes_max=100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.fixture(params=[True, False], ids=["zlib", "binding"])
def directly(request: pytest.FixtureRequest) -> Iterator[bool]:
    """By zlib's functions, and by the standard library's binding."""
    use_zlib_directly(request.param)
    yield request.param
    use_zlib_directly(True)


@pytest.mark.usefixtures("directly")
class TestGzip:
    def test_members_one_after_the_other(self) -> None:
        packed = gzip.compress(TEXT[:500]) + gzip.compress(b"") + gzip.compress(TEXT[500:900])
        assert bytes(decompress(1, packed, bytes_max=900)) == TEXT[:900]
        with pytest.raises(DecompressedTooLarge):
            decompress(1, packed, bytes_max=899)

    def test_any_stream_as_the_binding_has_it(self) -> None:
        """Whole, cut anywhere, with a byte changed: the same output, or refused by both."""
        packed = gzip.compress(TEXT[:700]) + gzip.compress(TEXT[700:900])
        rng = random.Random(7)
        changed = [bytearray(packed) for _ in range(300)]
        for one in changed:
            one[rng.randrange(len(one))] ^= 1 << rng.randrange(8)
        streams = [packed[:cut] for cut in range(len(packed))] + [bytes(one) for one in changed]
        for stream in [*streams, packed + b"x", packed + bytes(8)]:
            said: list[bytes | None] = []
            for on in (True, False):
                use_zlib_directly(on)
                try:
                    said.append(bytes(decompress(Codec.GZIP, stream, bytes_max=900)))
                except (DecompressionFailed, DecompressedTooLarge):
                    said.append(None)
            assert said[0] == said[1]

    def test_room_grows_with_the_output(self) -> None:
        text = bytes(3_000_000)
        packed = gzip.compress(text)
        assert bytes(decompress(Codec.GZIP, packed, bytes_max=1 << 40)) == text
        packed = gzip.compress(b"x") + gzip.compress(text) + gzip.compress(b"y")
        assert bytes(decompress(Codec.GZIP, packed, bytes_max=3_000_002)) == b"x" + text + b"y"

    def test_small_members_cost_what_is_in_them(self) -> None:
        use_zlib_directly(False)
        member = gzip.compress(b"a", mtime=0)
        given = 0

        class Counting:
            """A decompressor that adds up what the binding copies."""

            def __init__(self, machine: object) -> None:
                self.machine = machine

            def decompress(self, data: memoryview, limit: int) -> bytes:
                nonlocal given
                given += len(data)
                return self.machine.decompress(data, limit)

            def __getattr__(self, name: str) -> object:
                return getattr(self.machine, name)

        count = 20_000
        packed = member * count
        made = zlib.decompressobj
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(zlib, "decompressobj", lambda *bits: Counting(made(*bits)))
            assert decompress(Codec.GZIP, packed, bytes_max=count) == b"a" * count
        assert given < len(packed) + 4096 * count

    @pytest.mark.parametrize("sizes", [(40_000, 3), (3, 40_000), (0, 70_000, 0), (9, 9, 9)])
    def test_members_of_other_sizes_than_the_last_ones(self, sizes: tuple[int, ...]) -> None:
        packed = b"".join(gzip.compress(TEXT[:size]) for size in sizes)
        expected = b"".join(TEXT[:size] for size in sizes)
        assert decompress(Codec.GZIP, packed, bytes_max=len(expected)) == expected
        with pytest.raises(DecompressedTooLarge):
            decompress(Codec.GZIP, packed, bytes_max=len(expected) - 1)

    @pytest.mark.parametrize("claim", [0, 1, 299, 301, 2**31, 2**32 - 1])
    def test_a_wrong_size_is_refused(self, claim: int) -> None:
        packed = gzip.compress(TEXT[:300])[:-4] + struct.pack("<I", claim)
        for bytes_max in (299, 300, 301, 1000):
            with pytest.raises((DecompressionFailed, DecompressedTooLarge)):
                decompress(Codec.GZIP, packed, bytes_max=bytes_max)

    def test_a_wrong_checksum_is_refused(self) -> None:
        packed = bytearray(gzip.compress(TEXT[:500]))
        packed[-5] ^= 1
        with pytest.raises(DecompressionFailed, match="gzip"):
            decompress(1, packed, bytes_max=500)

    def test_bare_zlib_is_refused(self) -> None:
        with pytest.raises(DecompressionFailed):
            decompress(1, zlib.compress(TEXT), bytes_max=len(TEXT))


class TestSnappy:
    def test_bare_as_librdkafka_writes_it(self) -> None:
        for size in (1, 500, 70_000):
            assert bytes(decompress(2, snappy_raw(TEXT[:size]), bytes_max=size)) == TEXT[:size]

    def test_xerial_framing_is_what_java_writes(self) -> None:
        packed = bytes(compress(2, TEXT[:40_000]))
        assert packed[:16] == b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
        first = struct.unpack(">i", packed[16:20])[0]
        block = bytes(cramjam.snappy.decompress_raw(packed[20 : 20 + first]))
        assert block == TEXT[:32768]

    def test_framed_streams_one_after_the_other(self) -> None:
        packed = bytes(compress(2, TEXT[:500])) + bytes(compress(2, TEXT[500:900]))
        assert bytes(decompress(2, packed, bytes_max=900)) == TEXT[:900]

    def test_a_claim_beyond_the_formats_ratio_is_refused_unallocated(self) -> None:
        # CVE-2023-34455: two bytes that claim 4 GiB.
        for claim in (b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x08"):
            for packed in (claim + b"\x00", XERIAL_HEADER + b"\x00\x00\x00\x06" + claim + b"\x00"):
                with pytest.raises(DecompressionFailed):
                    decompress(2, packed, bytes_max=1 << 40)

    def test_a_block_that_leaves_the_payload_is_refused(self) -> None:
        for size in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff"):
            with pytest.raises(DecompressionFailed):
                decompress(2, XERIAL_HEADER + size + snappy_raw(b"abc"), bytes_max=1000)

    def test_nothing_at_all_is_refused(self) -> None:
        with pytest.raises(DecompressionFailed):
            decompress(2, b"", bytes_max=10)


class TestLz4:
    def test_the_frame_is_kafkas(self) -> None:
        packed = bytes(compress(3, TEXT))
        assert packed[:4] == b"\x04\x22\x4d\x18"
        assert packed[4] == 0x60, "version 1, independent blocks, no checksums, no size"
        assert packed[5] == 0x40, "blocks of 64 KiB"
        assert packed[-4:] == bytes(4)

    @pytest.mark.parametrize(
        "options",
        [
            {"content_checksum": True},
            {"block_checksum": True},
            {"store_size": True},
            {"block_size": lz4.frame.BLOCKSIZE_MAX4MB},
            {"compression_level": 12},
        ],
        ids=str,
    )
    def test_other_frames_that_java_reads(self, options: dict) -> None:
        packed = lz4.frame.compress(TEXT, **{"block_linked": False, "store_size": False} | options)
        assert bytes(decompress(3, packed, bytes_max=len(TEXT))) == TEXT

    def test_linked_blocks_are_refused_since_java_cannot_read_them(self) -> None:
        packed = lz4.frame.compress(TEXT, block_linked=True, block_size=4)
        assert not packed[4] & 0x20
        with pytest.raises(DecompressionFailed, match="linked"):
            decompress(3, packed, bytes_max=len(TEXT))

    def test_a_second_frame_is_refused(self) -> None:
        packed = bytes(compress(3, b"abc"))
        with pytest.raises(DecompressionFailed, match="after the frame"):
            decompress(3, packed + packed, bytes_max=100)

    def test_a_wrong_header_checksum_is_refused(self) -> None:
        packed = bytearray(compress(3, b"abc"))
        packed[6] ^= 1
        with pytest.raises(DecompressionFailed):
            decompress(3, packed, bytes_max=100)

    @pytest.mark.parametrize("byte", [0x20, 0xE0, 0x61, 0x62])
    def test_other_versions_reserved_bits_and_dictionaries_are_refused(self, byte: int) -> None:
        packed = bytearray(compress(3, b"abc"))
        packed[4] = byte
        with pytest.raises(DecompressionFailed):
            decompress(3, packed, bytes_max=100)

    @pytest.mark.parametrize("byte", [0x00, 0x30, 0xC0, 0x41])
    def test_unknown_block_sizes_are_refused(self, byte: int) -> None:
        packed = bytearray(compress(3, b"abc"))
        packed[5] = byte
        with pytest.raises(DecompressionFailed, match="block size"):
            decompress(3, packed, bytes_max=100)

    def test_a_lying_content_size_allocates_nothing(self) -> None:
        packed = bytearray(lz4.frame.compress(b"abc" * 50, block_linked=False, store_size=True))
        packed[6:14] = struct.pack("<Q", 1 << 50)
        tracemalloc.start()
        try:
            with pytest.raises(DecompressionFailed):
                decompress(3, packed, bytes_max=1 << 40)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestZstd:
    @pytest.mark.parametrize("level", [-5, 3, 19, 22])
    def test_streamed_frames_of_every_window(self, level: int) -> None:
        # Level 22 announces a window of 128 MiB for however little data; Java's reader takes it.
        packed = zstd_streamed(TEXT, level)
        assert bytes(decompress(4, packed, bytes_max=len(TEXT))) == TEXT
        with pytest.raises(DecompressedTooLarge):
            decompress(4, packed, bytes_max=len(TEXT) - 1)

    def test_frames_and_skippable_frames_one_after_the_other(self) -> None:
        skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
        packed = zstd_streamed(TEXT[:500]) + skippable + bytes(compress(4, TEXT[500:900]))
        assert bytes(decompress(4, packed, bytes_max=900)) == TEXT[:900]

    def test_a_wrong_checksum_is_refused(self) -> None:
        packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(TEXT[:500]))
        packed[-1] ^= 1
        with pytest.raises(DecompressionFailed, match="zstd"):
            decompress(4, packed, bytes_max=500)

    def test_a_window_beyond_javas_is_refused(self) -> None:
        packed = bytearray(zstd_streamed(b"abc"))
        assert not packed[4] & 0x20
        packed[5] = (28 - 10) << 3
        with pytest.raises(DecompressionFailed, match="window"):
            decompress(4, packed, bytes_max=100)

    def test_a_dictionary_is_refused(self) -> None:
        packed = bytearray(zstd_streamed(b"abc"))
        packed[4] |= 1
        packed[6:6] = b"\x09"
        with pytest.raises(DecompressionFailed, match="dictionary"):
            decompress(4, packed, bytes_max=100)

    def test_a_lying_content_size_allocates_nothing(self) -> None:
        # Single segment, an 8-byte content size of 100 MiB, then one raw block of three bytes.
        packed = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 100 << 20) + b"\x19\x00\x00abc"
        tracemalloc.start()
        try:
            with pytest.raises(DecompressionFailed, match="content size"):
                decompress(4, packed, bytes_max=1 << 40)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_a_content_size_that_is_too_small_is_refused(self) -> None:
        packed = b"\x28\xb5\x2f\xfd\x20\x02\x19\x00\x00abc"
        with pytest.raises(DecompressionFailed):
            decompress(4, packed, bytes_max=100)

    def test_a_reserved_block_kind_is_refused(self) -> None:
        with pytest.raises(DecompressionFailed):
            decompress(4, b"\x28\xb5\x2f\xfd\x20\x03\x1f\x00\x00abc", bytes_max=100)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_contexts_that_failed_are_not_used_again(codec: Codec) -> None:
    packed = bytes(compress(codec, TEXT[:5000]))
    damaged = packed[:20] + b"\xff" * 40 + packed[60:]
    for wrong in (packed[:-3], packed + packed[:9]):
        for _ in range(20):
            with contextlib.suppress(DecompressionFailed, DecompressedTooLarge):
                decompress(codec, damaged, bytes_max=5000)  # lz4 may call it other bytes
            with pytest.raises((DecompressionFailed, DecompressedTooLarge)):
                decompress(codec, wrong, bytes_max=5000)
            with pytest.raises(DecompressedTooLarge):
                decompress(codec, packed, bytes_max=4999)
            assert bytes(decompress(codec, packed, bytes_max=5000)) == TEXT[:5000]


@pytest.mark.parametrize("codec", COMPRESSING)
def test_threads_share_no_context(codec: Codec) -> None:
    sources = [TEXT[i : i + 20_000 + 4000 * i] for i in range(8)]

    def work(data: bytes) -> bool:
        return all(
            bytes(decompress(codec, compress(codec, data), bytes_max=len(data))) == data
            for _ in range(30)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, sources))
