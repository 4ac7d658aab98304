"""The values that a Log answers with, and what opening it reports."""

from typing import NamedTuple

REPLICA = 0
CLIENT = 1
COORDINATOR = 2
RAFT = 3

EPOCH_CHECKPOINT = "leader-epoch-checkpoint"


class Appended(NamedTuple):
    """What an append did; duplicate: nothing was written, the offsets are those of the first time.

    log_append_time_ms is -1 with create timestamps.
    """

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    log_start_offset: int
    duplicate: bool
    max_timestamp_ms: int
    leader_epoch: int


class OffsetAndTimestamp(NamedTuple):
    """A record found by its timestamp."""

    offset: int
    timestamp_ms: int
    leader_epoch: int


class SegmentInfo(NamedTuple):
    """One segment as it stands; max_timestamp_ms is -1 when none is known yet."""

    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp_ms: int
    path: str
    active: bool
    mapped: bool


class DeletedSegment(NamedTuple):
    """A segment that retention removed, and why: "size", "time" or "start-offset"."""

    base_offset: int
    next_offset: int
    size_bytes: int
    reason: str


class Cut(NamedTuple):
    """Bytes that recovery threw away: from position of file to its end."""

    file: str
    position: int
    size_bytes: int
    offset: int
    reason: str


class RecoveryReport(NamedTuple):
    """What opening a log found and did.

    cuts is empty when nothing but preallocated zeros was cut.
    """

    clean: bool
    segments_scanned: int
    bytes_scanned: int
    cuts: tuple[Cut, ...]
    rebuilt_indexes: tuple[str, ...]
    removed_files: tuple[str, ...]
