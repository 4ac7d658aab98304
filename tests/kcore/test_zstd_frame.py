"""Zstandard frames: what is read and what refused; libzstd itself writes what its binding does."""

import random
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard

from kcore import Codec, DecompressedTooLarge, DecompressionFailed, compress, decompress
from kcore.zstd_frame import use_zstd_writer_directly

RNG = random.Random(11)
TEXT = bytes(RNG.choices(b"abcdefgh ", k=300_000))
NOISE = RNG.randbytes(300_000)
MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"

needs_writer = pytest.mark.skipif(
    not use_zstd_writer_directly(True), reason="this zstandard hides all of libzstd"
)


@pytest.fixture(autouse=True)
def _directly_afterwards() -> Iterator[None]:
    yield
    use_zstd_writer_directly(True)


def read(data: bytes, bytes_max: int = 1 << 20) -> bytes | type[Exception]:
    """The output, or the type of the error."""
    try:
        output = bytes(decompress(Codec.ZSTD, data, bytes_max=bytes_max))
    except (DecompressedTooLarge, DecompressionFailed) as error:
        return type(error)
    assert len(output) <= bytes_max
    return output


def whole(data: bytes, level: int = 3, *, checksum: bool = False) -> bytes:
    """A frame with its content size."""
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(data)


def streamed(data: bytes, level: int = 3, *, checksum: bool = False, window_log: int = 0) -> bytes:
    """A frame without its content size, as Java's writer makes it."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, write_checksum=checksum, window_log=window_log, write_content_size=False
    )
    machine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return machine.compress(data) + machine.flush()


def raw_frame(header: bytes, *blocks: bytes) -> bytes:
    """A frame of blocks that are not compressed."""
    made = MAGIC + header
    for i, block in enumerate(blocks):
        made += struct.pack("<I", len(block) << 3 | (i == len(blocks) - 1))[:3] + block
    return made


FRAMES = {
    "whole": whole(TEXT[:700]),
    "whole, checksum": whole(TEXT[:700], checksum=True),
    "streamed": streamed(TEXT[:700]),
    "streamed, checksum": streamed(TEXT[:700], checksum=True),
    "noise": whole(NOISE[:300]),
    "repeated": whole(bytes(700)),
    "several": whole(TEXT[:300]) + SKIPPABLE + streamed(TEXT[300:600]) + whole(b"") + SKIPPABLE,
    "empty": whole(b"", checksum=True),
    "empty, streamed": streamed(b"", checksum=True),
    "window of 128 MiB": streamed(TEXT[:700], window_log=27),
}


@pytest.mark.parametrize("name", FRAMES)
def test_whole_and_cut_at_each_byte(name: str) -> None:
    frame = FRAMES[name]
    content = read(frame)
    assert isinstance(content, bytes)
    assert read(frame, len(content)) == content
    if content:
        assert read(frame, len(content) - 1) is DecompressedTooLarge
        assert read(frame, 0) is DecompressedTooLarge
    for cut in range(len(frame)):
        said = read(frame[:cut])
        if name == "several" and isinstance(said, bytes):
            assert content.startswith(said)
        else:
            assert said is DecompressionFailed
    assert read(frame + b"\x00") is DecompressionFailed
    assert read(frame + frame[:4]) is DecompressionFailed
    assert read(frame + frame) == content * 2


@pytest.mark.parametrize("name", FRAMES)
def test_changed_bytes_are_refused_or_are_what_the_library_reads(name: str) -> None:
    frame = FRAMES[name]
    rng = random.Random(name)
    accepted = 0
    for _ in range(600):
        changed = bytearray(frame)
        for _ in range(rng.choice((1, 1, 2, 5))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        for bytes_max in (2000, 700, 300):
            said = read(bytes(changed), bytes_max)
            if isinstance(said, bytes):
                accepted += 1
                machine = zstandard.ZstdDecompressor(max_window_size=1 << 27)
                reader = machine.stream_reader(bytes(changed), read_across_frames=True)
                assert said == reader.read()
    assert accepted or "checksum" in name or "empty" in name


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 300_000])
@pytest.mark.parametrize("source", [TEXT, NOISE, bytes(300_000)], ids=["text", "noise", "zeros"])
def test_sizes_and_limits(source: bytes, size: int) -> None:
    for frame in (whole(source[:size]), streamed(source[:size], window_log=17)):
        for bytes_max in (size, size + 1, 1 << 40):
            assert read(frame, bytes_max) == source[:size]
        for bytes_max in (size - 1, size // 2, 0):
            assert read(frame, bytes_max) is DecompressedTooLarge


def test_the_limit_is_that_of_all_frames() -> None:
    frame = whole(TEXT[:500]) + streamed(TEXT[500:900]) + whole(TEXT[900:1000])
    assert read(frame, 1000) == TEXT[:1000]
    for bytes_max in (999, 900, 899, 500, 499):
        assert read(frame, bytes_max) is DecompressedTooLarge
    # What comes first has the say.
    assert read(frame + b"\x00", 999) is DecompressedTooLarge
    assert read(frame + b"\x00", 1000) is DecompressionFailed
    assert read(whole(TEXT[:500]) + b"\x00" + whole(TEXT[:500]), 600) is DecompressionFailed


def test_checksums_are_checked() -> None:
    for make in (whole, streamed):
        for data in (TEXT[:500], NOISE[:500], b""):
            frame = bytearray(make(data, checksum=True))
            assert read(bytes(frame)) == data
            frame[-1] ^= 1
            assert read(bytes(frame)) is DecompressionFailed


@pytest.mark.parametrize(
    ("claim", "said"),
    [(3, b"abc"), (2, DecompressionFailed), (4, DecompressionFailed), (0, DecompressionFailed)],
)
def test_content_sizes_that_are_not_so(claim: int, said: object) -> None:
    for header in (b"\xa0" + struct.pack("<I", claim), b"\x80\x00" + struct.pack("<I", claim)):
        assert read(raw_frame(header, b"abc")) == said
    frame = bytearray(whole(TEXT[:700]))
    assert frame[4] >> 6 == 1
    assert frame[4] & 0x20
    for wrong in (699, 701, 300):
        frame[5:7] = struct.pack("<H", wrong - 256)
        assert read(bytes(frame)) is DecompressionFailed


def test_a_claim_is_refused_before_there_is_memory_for_it() -> None:
    for header in (
        b"\xe0" + struct.pack("<Q", 100 << 20),
        b"\xc0\x88" + struct.pack("<Q", 1 << 62),
    ):
        assert read(raw_frame(header, b"abc"), 1 << 40) is DecompressionFailed


def test_windows() -> None:
    for exponent in (0, 10, 17):
        assert read(raw_frame(bytes([0, exponent << 3]), b"abc")) == b"abc"
    for descriptor in (17 << 3 | 1, 18 << 3, 0xFF):
        assert read(raw_frame(bytes([0, descriptor]), b"abc")) is DecompressionFailed
    # No block is larger than the window.
    assert read(raw_frame(b"\x00\x00", NOISE[:1024], NOISE[:1024])) == NOISE[:1024] * 2
    assert read(raw_frame(b"\x00\x00", NOISE[:1025])) is DecompressionFailed


def test_dictionaries() -> None:
    for flag, size in ((1, 1), (2, 2), (3, 4)):
        assert read(raw_frame(bytes([0x20 | flag, *bytes(size), 3]), b"abc")) == b"abc"
        named = raw_frame(bytes([0x20 | flag, *bytes(size - 1), 9, 3]), b"abc")
        assert read(named) is DecompressionFailed


def test_reserved_bits_and_blocks() -> None:
    assert read(raw_frame(b"\x28\x03", b"abc")) is DecompressionFailed
    assert read(MAGIC + b"\x20\x03\x1f\x00\x00abc") is DecompressionFailed
    assert read(MAGIC + b"\x20\x03\x1b\x00\x00a") == b"aaa"
    assert read(b"") is read(b"\x27" + MAGIC[1:] + b"\x20\x00\x01\x00\x00") is DecompressionFailed
    assert read(SKIPPABLE) == b""


@pytest.mark.parametrize("level", [-131072, -100, *range(-7, 0), *range(1, 23)])
def test_what_is_written_is_what_the_binding_writes(level: int) -> None:
    sources = [b"", b"a", TEXT[:300], TEXT[:16_384], NOISE[:20_000], TEXT[:70_000]]
    if level < 16:
        sources += [TEXT, NOISE, bytes(300_000)]
    for source in sources:
        use_zstd_writer_directly(True)
        ours = compress(Codec.ZSTD, source, level)
        use_zstd_writer_directly(False)
        assert bytes(ours) == compress(Codec.ZSTD, source, level)
        assert bytes(ours) == zstandard.ZstdCompressor(level=level).compress(source)


def test_a_context_that_was_used_at_other_levels_writes_the_same() -> None:
    rng = random.Random(3)
    expected: dict[tuple[int, int], bytes] = {}
    for _ in range(300):
        key = rng.choice((-5, 1, 3, 6, 12)), rng.choice((0, 100, 5000, 70_000, 200_000))
        packed = bytes(compress(Codec.ZSTD, TEXT[: key[1]], key[0]))
        assert expected.setdefault(key, packed) == packed


def test_threads() -> None:
    sources = [TEXT[i * 999 : i * 999 + size] for i, size in enumerate((9, 5000, 70_000, 200_000))]

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            data = rng.choice(sources)
            packed = bytes(compress(Codec.ZSTD, data, rng.choice((-1, 3, 5))))
            assert read(packed, len(data)) == data
            assert read(packed[:-1], len(data)) is DecompressionFailed
            assert read(packed, len(data) - 1) is DecompressedTooLarge
            assert read(streamed(data, window_log=17), len(data)) == data

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_a_context_with_which_something_went_wrong_is_not_used_again() -> None:
    good = [whole(TEXT[:5000]), streamed(TEXT[:5000]), streamed(TEXT, window_log=17)]
    for frame in good:
        for cut in (30, len(frame) // 2):
            damaged = frame[:cut] + b"\xff" * 8 + frame[cut + 8 :]
            for _ in range(10):
                read(damaged, 1 << 20)
                read(frame, 3000)
                assert [read(one, 1 << 20) for one in good] == [TEXT[:5000], TEXT[:5000], TEXT]


def run(code: str) -> None:
    """In an interpreter of its own."""
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


@needs_writer
def test_it_is_loaded_when_first_used_and_no_package_with_it() -> None:
    run("""
        import sys
        import kafka_py, kcore
        def loaded():
            with open("/proc/self/maps") as maps:
                return "zstandard/_cffi" in maps.read()
        assert not loaded()
        packed = kcore.compress(kcore.Codec.ZSTD, b"abc")
        assert loaded() and "zstandard" not in sys.modules
        assert kcore.decompress(kcore.Codec.ZSTD, packed, bytes_max=3) == b"abc"
    """)


@needs_writer
@pytest.mark.parametrize(
    "hidden",
    [
        # Another copy of the library that everybody sees.
        """
        import ctypes, shutil, tempfile
        with tempfile.TemporaryDirectory() as directory:
            copy = shutil.copy(find_spec("zstandard._cffi").origin, directory)
            ctypes.CDLL(copy, mode=ctypes.RTLD_GLOBAL)
        """,
        # No such module.
        """
        PathFinder.find_spec = lambda *a: None if "_cffi" in a[0] else found(*a)
        """,
        # One without the functions.
        """
        import kcore.crc32c
        other = spec_from_file_location("zstandard._cffi", kcore.crc32c.__file__)
        PathFinder.find_spec = lambda *a: other if "_cffi" in a[0] else found(*a)
        """,
        # One that cannot be loaded.
        """
        other = spec_from_file_location("zstandard._cffi", "/nonexistent/_cffi.so")
        PathFinder.find_spec = lambda *a: other if "_cffi" in a[0] else found(*a)
        """,
    ],
    ids=["everybodys", "missing", "no-functions", "not-loadable"],
)
def test_the_binding_where_the_functions_cannot_be_had(hidden: str) -> None:
    start = """
        from importlib.machinery import PathFinder
        from importlib.util import find_spec, spec_from_file_location
        found = PathFinder.find_spec
    """
    end = """
        from kcore import Codec, compress, decompress
        from kcore.zstd_frame import use_zstd_writer_directly
        packed = compress(Codec.ZSTD, b"abc")
        assert type(packed) is bytes and not use_zstd_writer_directly(True)
        assert decompress(Codec.ZSTD, packed, bytes_max=3) == b"abc"
    """
    run("".join(textwrap.dedent(part) for part in (start, hidden, end)))


@needs_writer
def test_the_wheel_shows_libzstd() -> None:
    """What the tests of the writer are about; without it everything goes by the binding."""
    assert use_zstd_writer_directly(True)
    assert type(compress(Codec.ZSTD, b"abc")) is memoryview
    assert not use_zstd_writer_directly(False)
    assert type(compress(Codec.ZSTD, b"abc")) is bytes
