"""Types of kcore.compression."""

import enum

from typing_extensions import Buffer

XERIAL_MAGIC: bytes
XERIAL_HEADER: bytes
LEVELS: dict[int, tuple[int, int, int]]

class Codec(enum.IntEnum):
    """The codec numbers of a batch's attributes, by the names of compression.type."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

def decompress(codec: int, payload: Buffer, *, bytes_max: int) -> bytes | bytearray | memoryview:
    """The decompressed payload as a bytes-like object of at most bytes_max bytes.

    Raises DecompressedTooLarge beyond the limit (without having decompressed more than that),
    DecompressionFailed for anything that is not one well-formed stream, UnsupportedCompression for
    another codec.
    """

def compress(codec: int, payload: Buffer, level: int | None = None) -> bytes | memoryview:
    """The payload compressed as Kafka's own clients do, a bytes-like object; level by Kafka's
    numbers, None for its default.

    Raises UnsupportedCompression for another codec, ValueError for a level that the codec does not
    have.
    """
