"""When a node makes a snapshot of its metadata, and what it then throws away (KIP-630)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka_py.clock import Clock
from kafka_py.controller.log_store import LogStore
from kafka_py.controller.raft_types import SnapshotId, VoterSet
from kafka_py.controller.settings import ControllerSettings
from kafka_py.controller.snapshots import encode_snapshot
from kafka_py.metadata.features import record_version
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.snapshot import image_records
from kafka_py.protocol.records_metadata import encode_record

__all__ = ["Snapshotting"]

#: A stop that would leave more records than this to the next start's replay writes a snapshot.
RECORDS_AT_STOP_MAX = 4096


class Snapshotting:
    """Counts what was appended and writes a snapshot every so many bytes or so often.

    `run_blocking` and `fail` are the node's. One snapshot is written at a time.
    """

    def __init__(
        self,
        store: LogStore,
        settings: ControllerSettings,
        clock: Clock,
        run_blocking: Callable[[Callable[[], Any], Callable[[Any], None]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._run_blocking = run_blocking
        self._fail = fail
        self._bytes = 0
        self._writing = False
        self.closed = False
        #: Monotonic time of the next one, when anything came.
        self.due_at_ms = clock.monotonic_ms() + settings.snapshot_interval_ms

    def note_appended(self, size_bytes: int) -> None:
        """So much went to the log."""
        self._bytes += size_bytes

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time for one."""
        due = self._bytes >= self._settings.snapshot_bytes
        if now_ms >= self.due_at_ms:
            due = due or self._bytes > 0
            self.due_at_ms = now_ms + self._settings.snapshot_interval_ms
        return due and not self._writing

    def wanted_at_stop(self, applied_offset: int) -> bool:
        """Whether the next start would have much to replay: a restart changes every partition."""
        latest = self._store.latest_snapshot
        return applied_offset - (0 if latest is None else latest.offset) >= RECORDS_AT_STOP_MAX

    def take(
        self,
        snapshot_id: SnapshotId,
        image: MetadataImage,
        *,
        last_timestamp_ms: int,
        kraft_version: int,
        voters: VoterSet,
    ) -> SnapshotId | None:
        """Write `image`, which nobody changes meanwhile; None when there is nothing new in it."""
        latest = self._store.latest_snapshot
        if self._writing or (latest is not None and latest >= snapshot_id):
            return None
        self._writing = True
        self._bytes = 0
        level, now_ms = image.metadata_version, self._clock.now_ms()

        def write() -> None:
            values = (
                encode_record(record, record_version(record, level))
                for record in image_records(image)
            )
            batches = encode_snapshot(
                snapshot_id,
                values,
                last_timestamp_ms=last_timestamp_ms,
                now_ms=now_ms,
                kraft_version=kraft_version,
                voters=voters,
            )
            self._store.write_snapshot(snapshot_id, batches)

        self._run_blocking(write, self._written)
        return snapshot_id

    def _written(self, result: Any) -> None:
        self._writing = False
        if isinstance(result, BaseException):
            self._fail(result)
        elif not self.closed:
            settings = self._settings
            self._store.clean(settings.retention_bytes, settings.retention_ms, self._clock.now_ms())
