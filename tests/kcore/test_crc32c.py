"""CRC-32C against published vectors, a slow definition, and its own implementations."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.crc32c import copy_with, crc32c, crc32c_with, implementations

# RFC 3720, appendix B.4, and the check value of the CRC catalogue.
VECTORS = [
    (b"", 0),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


def slow(data: bytes, crc: int = 0) -> int:
    """Bit by bit, from the definition."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("implementation", implementations())
@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_vectors(implementation: str, data: bytes, expected: int) -> None:
    assert crc32c_with(implementation, data) == expected
    assert crc32c(data) == expected


@pytest.mark.parametrize("implementation", implementations())
def test_every_length_around_the_block_sizes(implementation: str) -> None:
    data = random.Random(1).randbytes(3 * 4096 * 2 + 3 * 512 + 300)
    lengths = [
        *range(400),
        *range(3 * 352 - 9, 3 * 352 + 260, 3),
        *range(3 * 512 - 9, 3 * 512 + 200, 7),
        3 * 4096 - 1,
        3 * 4096,
        len(data),
    ]
    for length in lengths:
        expected = crc32c_with("table", data[:length])
        assert crc32c_with(implementation, data[:length]) == expected, length
    assert crc32c_with("table", data[:500]) == slow(data[:500])


@pytest.mark.parametrize("implementation", implementations())
def test_unaligned_starts(implementation: str) -> None:
    data = memoryview(random.Random(2).randbytes(5000))
    for start in range(9):
        assert crc32c_with(implementation, data[start:]) == crc32c(bytes(data[start:]))


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_sum_goes_on(a: bytes, b: bytes) -> None:
    assert crc32c(b, crc32c(a)) == crc32c(a + b)
    assert crc32c_with("table", b, crc32c(a)) == crc32c(a + b)


def test_large_buffers_are_summed_without_the_gil_alike() -> None:
    data = random.Random(3).randbytes(300_001)
    assert crc32c(data) == crc32c(data[150_000:], crc32c(data[:150_000]))


def test_an_unknown_implementation_is_refused() -> None:
    with pytest.raises(ValueError, match="abacus"):
        crc32c_with("abacus", b"")


@pytest.mark.parametrize("implementation", implementations())
def test_a_copy_on_the_way_is_the_bytes_and_only_those(implementation: str) -> None:
    data = bytes(range(256)) * 70
    for size in (
        *range(0, 1200, 7),
        *range(1050, 1064),
        1536,
        1537,
        255,
        256,
        257,
        16384,
        16385,
        len(data),
    ):
        target = bytearray(b"\xaa" * (size + 64))
        crc = copy_with(implementation, memoryview(target)[1:], memoryview(data)[:size], 77)
        assert crc == crc32c(data[:size], 77)
        assert target == b"\xaa" + data[:size] + b"\xaa" * 63


def test_a_copy_needs_room_and_a_known_implementation() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        copy_with("table", bytearray(3), b"four")
    with pytest.raises(ValueError, match="implementation"):
        copy_with("abacus", bytearray(4), b"four")
