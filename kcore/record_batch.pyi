"""Types of kcore.record_batch: record batch v2 seen from Python."""

from collections.abc import Iterator
from typing import NamedTuple, Self, final

from typing_extensions import Buffer

HEADER_BYTES: int
LOG_OVERHEAD: int

class Record(NamedTuple):
    """One record. `timestamp` is in milliseconds, -1 when there is none; key and value are None
    when null; header values likewise."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]

class Validated(NamedTuple):
    """What `validate` found out."""

    max_timestamp_ms: int
    max_timestamp_index: int
    decompressed_bytes: int
    rewrite_timestamps: bool
    recompress: bool

@final
class RecordBatch:
    """A view of one batch at the start (or at `position`) of a buffer.

    The header is checked for length and magic only (CorruptBatch, UnsupportedMagic); call
    `check_crc` or `validate` before trusting the rest. Keeps the buffer exported while it lives.
    """

    def __new__(
        cls, buffer: Buffer, position: int = 0, *, decompressed_bytes_max: int = ...
    ) -> Self: ...
    @property
    def position(self) -> int: ...
    @property
    def base_offset(self) -> int: ...
    @property
    def last_offset(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def magic(self) -> int: ...
    @property
    def crc(self) -> int: ...
    @property
    def attributes(self) -> int: ...
    @property
    def last_offset_delta(self) -> int: ...
    @property
    def base_timestamp(self) -> int: ...
    @property
    def max_timestamp(self) -> int: ...
    @property
    def producer_id(self) -> int: ...
    @property
    def producer_epoch(self) -> int: ...
    @property
    def base_sequence(self) -> int: ...
    @property
    def last_sequence(self) -> int: ...
    @property
    def records_count(self) -> int: ...
    @property
    def codec(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def is_transactional(self) -> bool: ...
    @property
    def is_control(self) -> bool: ...
    @property
    def delete_horizon_ms(self) -> int | None: ...
    @property
    def view(self) -> memoryview: ...
    def check_crc(self) -> None: ...
    def payload(self) -> Buffer: ...
    def __iter__(self) -> Iterator[Record]: ...

def batches(
    buffer: Buffer, *, decompressed_bytes_max: int = ..., allow_partial: bool = False
) -> Iterator[RecordBatch]:
    """The batches of a buffer in turn. A batch cut short at the end raises CorruptBatch, unless
    `allow_partial` (a fetch answer may end so)."""

def validate(
    buffer: Buffer,
    *,
    now_ms: int,
    from_client: bool = True,
    timestamp_type: int = 0,
    timestamp_before_max_ms: int = ...,
    timestamp_after_max_ms: int = ...,
    decompressed_bytes_max: int = ...,
    require_keys: bool = False,
    zstd_allowed: bool = True,
    target_codec: int = -1,
) -> Validated:
    """Do what Kafka's LogValidator does to exactly one batch, without changing it.

    Raises CorruptBatch, BadCrc, DecompressionFailed, UnsupportedMagic, InvalidRecord,
    InvalidTimestamp, UnsupportedCompression, DecompressedTooLarge.
    """

def assign(buffer: bytearray | memoryview, base_offset: int, leader_epoch: int) -> None:
    """Write base offset and leader epoch into the batch at the start of a writable buffer."""

def set_max_timestamp(
    buffer: bytearray | memoryview, timestamp_type: int, timestamp_ms: int
) -> None:
    """Write timestamp type, max timestamp and the new checksum, when they differ."""
