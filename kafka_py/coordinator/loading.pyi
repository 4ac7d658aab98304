"""Replaying ``__consumer_offsets`` into a shard; what any compacted partition comes to."""

from kafka_py.coordinator.shard import GroupShard
from kcore.log import Log

def replay(partition_log: Log, shard: GroupShard, end_offset: int) -> int:
    """Apply every record below ``end_offset``, from the log's start on; how many there were.

    For a worker thread and a shard that nobody else sees yet: it waits for the disk, and lets the
    GIL go about every megabyte. ``end_offset`` is where a batch ends. Control records count too.

    Record types that are unknown are passed over with a warning. Raises CorruptBatch (and the other
    errors of kcore for bad batches), MalformedRequest for a record that is damaged, LogFailed; the
    shard is of no use then.
    """

def latest(
    partition_log: Log, end_offset: int, read_bytes: int
) -> tuple[dict[bytes, bytes | None], int]:
    """The last value of each key below ``end_offset`` (None: a tombstone), in the order in which
    the keys first came, and how many records there were, control records included.

    For a worker thread, like `replay`, and raises what it raises.
    """
