"""Types of kcore.columns."""

from typing import TypedDict, type_check_only

import numpy
from numpy.typing import NDArray
from typing_extensions import Buffer

@type_check_only
class Columns(TypedDict):
    """One entry a record. A length of -1 is a null; positions are into `arena`.

    The columns lie in one piece of memory, which lives as long as any of them does.
    """

    offset: NDArray[numpy.int64]
    timestamp: NDArray[numpy.int64]
    key_position: NDArray[numpy.int64]
    key_length: NDArray[numpy.int32]
    value_position: NDArray[numpy.int64]
    value_length: NDArray[numpy.int32]
    arena: Buffer

def decode_columns(
    buffer: Buffer,
    *,
    check_crc: bool = True,
    allow_partial: bool = False,
    include_control: bool = False,
    decompressed_bytes_max: int = 4294967296,
) -> Columns:
    """Decode all records of a run of batches, one after the other, into columns.

    `arena` is what positions point into: the buffer itself when no batch is compressed, else a new
    byte string that holds every batch's payload, decompressed, of at most decompressed_bytes_max
    bytes in all. Control batches are left out unless include_control. A batch cut short at the end
    is an error unless allow_partial.

    Raises CorruptBatch, BadCrc (unless check_crc is off), UnsupportedMagic, InvalidRecord,
    DecompressionFailed, DecompressedTooLarge, UnsupportedCompression.
    """
