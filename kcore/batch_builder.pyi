"""Types of kcore.batch_builder."""

from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeAlias

from typing_extensions import Buffer, disjoint_base

from kcore.record_batch import Record

CONTROL_ABORT: int
CONTROL_COMMIT: int
CONTROL_LEADER_CHANGE: int
CONTROL_SNAPSHOT_HEADER: int
CONTROL_SNAPSHOT_FOOTER: int
CONTROL_KRAFT_VERSION: int
CONTROL_KRAFT_VOTERS: int

_Headers: TypeAlias = Mapping[str, Buffer | None] | Iterable[tuple[str | bytes, Buffer | None]]

@disjoint_base
class BatchBuilder:
    """Collects records and makes one batch of them.

    Not for two threads at once. A builder makes one batch: after `close` it takes nothing more
    (ValueError). ValueError as well for what no batch can be: a transactional one without producer
    id, a producer id without epoch or (outside of control batches) sequence.
    """

    def __new__(
        cls,
        *,
        base_offset: int = 0,
        compression: int | str = 0,
        level: int | None = None,
        timestamp_type: int = 0,
        log_append_time_ms: int = -1,
        producer_id: int = -1,
        producer_epoch: int = -1,
        base_sequence: int = -1,
        leader_epoch: int = -1,
        transactional: bool = False,
        control: bool = False,
        delete_horizon_ms: int = -1,
        bytes_max: int = 2147483647,
    ) -> Self: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def records_count(self) -> int: ...
    def __len__(self) -> int: ...
    def append(
        self,
        key: Buffer | None,
        value: Buffer | None,
        headers: _Headers = (),
        timestamp: int = -1,
        *,
        offset: int | None = None,
    ) -> int:
        """Add a record and return its offset.

        timestamp in milliseconds. offset is the next one unless given, and has to ascend.
        BatchTooLarge beyond bytes_max, after which the builder is as it was.
        """

    def size_bytes_with(
        self,
        key: Buffer | None,
        value: Buffer | None,
        headers: _Headers = (),
        timestamp: int = -1,
    ) -> int:
        """What size_bytes would become by appending this record."""

    def close(self) -> bytes:
        """The batch as bytes; b"" when there is no record in it. ValueError when called twice."""

def build(
    records: Iterable[
        Record
        | tuple[Buffer | None, Buffer | None]
        | tuple[Buffer | None, Buffer | None, _Headers]
        | tuple[Buffer | None, Buffer | None, _Headers, int]
    ],
    **options: Any,
) -> bytes:
    """One batch of records as bytes; the options are `BatchBuilder`'s.

    A record is a `kcore.Record` (its offset is not looked at) or
    (key, value[, headers[, timestamp]]).
    """

def control_key(type: int, version: int = 0) -> bytes:
    """The key of a control record: its version and type."""

def build_control(
    type: int, version: int, value: Buffer | None, *, timestamp: int, **options: Any
) -> bytes:
    """A control batch of one record, whose key says type and version and whose value is given; the
    options are `BatchBuilder`'s. Several control records in one batch: `BatchBuilder(control=True)`
    and `control_key`."""

def build_end_marker(
    committed: bool,
    *,
    producer_id: int,
    producer_epoch: int,
    coordinator_epoch: int,
    timestamp: int,
    base_offset: int = 0,
    leader_epoch: int = -1,
) -> bytes:
    """The marker that ends a transaction in a partition (KIP-98)."""

def parse_control_key(key: Buffer) -> tuple[int, int]:
    """(version, type) of a control record's key; InvalidRecord below 4 bytes or version < 0."""

def parse_end_marker(record: Record) -> tuple[bool, int]:
    """(committed, coordinator epoch) of an end-of-transaction record; InvalidRecord otherwise."""

def recompress(
    batch: Buffer,
    compression: int | str,
    level: int | None = None,
    *,
    timestamp_type: int = 0,
    log_append_time_ms: int = -1,
    decompressed_bytes_max: int = ...,
) -> bytes:
    """The batch with its records compressed by another codec, as Kafka's broker rebuilds it when
    compression.type is not the producer's. Base offset and leader epoch of the result are 0 and -1.

    Only the records' structure is checked: call `validate` first. Raises what `kcore.decompress`
    raises, InvalidRecord, UnsupportedCompression.
    """
