"""What one log may be told: the topic-level settings of Kafka that reach the storage core.

Names are Kafka's with dots as underscores and the unit last; defaults are those of Apache Kafka
4.3. A LogConfig is a value: change it with kcore.values.replace, then call Log.update_config.
"""

from kcore.values import frozen

NO_LIMIT = -1
LONG_MAX = (1 << 63) - 1
DAY_MS = 24 * 60 * 60 * 1000

TIMESTAMP_CREATE = 0
TIMESTAMP_APPEND = 1

COMPRESSIONS = ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")

SEGMENT_BYTES_MIN = 14
SEGMENT_BYTES_MAX = (1 << 31) - 1


@frozen(kw_only=True)
class LogConfig:
    """Settings of one log; raises ValueError when a value makes no sense.

    segment_bytes             a segment rolls before it would grow beyond this (segment.bytes)
    segment_ms                ... or when its batches span more time than this (segment.ms)
    segment_jitter_ms         up to this much is taken off segment_ms, so that not all roll at once
    segment_index_bytes       size of a full offset or time index, which makes its segment roll
    index_interval_bytes      one index entry for about that many bytes of log
    max_message_bytes         largest batch that a client may append
    retention_bytes           oldest segments go while the log is larger; -1: no limit
    retention_ms              segments whose newest record is older go; -1: no limit
    file_delete_delay_ms      how long a ".deleted" file stays on disk
    delete, compact           cleanup.policy
    timestamp_type            0: the producer's, 1: the time of the append
    timestamp_before_max_ms   how far a create timestamp may lie in the past
    timestamp_after_max_ms    ... and in the future
    compression               "producer" keeps what came; otherwise batches are recompressed
    compression_level         None: the codec's default
    decompressed_bytes_max    bound on what a compressed batch may grow to while it is checked
    producer_id_expiration_ms idle producers are forgotten after this
    preallocate_bytes         True: a new segment takes all of segment_bytes on disk at once
    flush_messages, flush_ms  Kafka's flush.messages and flush.ms; the caller acts on them with
                              Log.unflushed_messages and Log.last_flush_ms
    """

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * DAY_MS
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    max_message_bytes: int = 1048588
    retention_bytes: int = NO_LIMIT
    retention_ms: int = 7 * DAY_MS
    file_delete_delay_ms: int = 60_000
    delete: bool = True
    compact: bool = False
    timestamp_type: int = TIMESTAMP_CREATE
    timestamp_before_max_ms: int = LONG_MAX
    timestamp_after_max_ms: int = 3_600_000
    compression: str = "producer"
    compression_level: int | None = None
    decompressed_bytes_max: int = 8 * (1_048_576 + 12)
    producer_id_expiration_ms: int = DAY_MS
    preallocate_bytes: bool = False
    flush_messages: int = LONG_MAX
    flush_ms: int = LONG_MAX

    def __post_init__(self) -> None:
        if not SEGMENT_BYTES_MIN <= self.segment_bytes <= SEGMENT_BYTES_MAX:
            raise ValueError(f"segment_bytes {self.segment_bytes} is not within 14 and 2^31 - 1")
        if self.segment_index_bytes < 4:
            raise ValueError(f"segment_index_bytes {self.segment_index_bytes} is below 4")
        if self.compression not in COMPRESSIONS:
            raise ValueError(
                f"compression {self.compression!r} is none of {', '.join(COMPRESSIONS)}"
            )
        if self.timestamp_type not in (TIMESTAMP_CREATE, TIMESTAMP_APPEND):
            raise ValueError(f"timestamp_type {self.timestamp_type} is neither 0 nor 1")
        for name in (
            "segment_jitter_ms",
            "index_interval_bytes",
            "max_message_bytes",
            "file_delete_delay_ms",
            "timestamp_before_max_ms",
            "timestamp_after_max_ms",
            "flush_ms",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} is negative")
        for name in ("segment_ms", "decompressed_bytes_max", "producer_id_expiration_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not positive")
        if self.flush_messages < 1:
            raise ValueError(f"flush_messages {self.flush_messages} is not positive")
