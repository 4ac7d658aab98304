"""Replicas between two log directories: begun, given up, and found half-done at a start (KIP-113).

What a start may find of a partition, and what it means. *There* is the directory in which the
metadata has the replica; it is changed before the future log takes the partition's name.

=====================  ===================  =====================================================
logs                   futures              what follows
=====================  ===================  =====================================================
one                    none                 nothing
one                    one, not *there*     the move goes on, after the future was cut to fit
one                    one *there*, behind  the move goes on and ends without asking again
one                    one *there*, not     the swap was under way: the future becomes the log, the
                       behind               other is deleted
two, one of them       none                 the swap is done: the one *there* gets what it lacks,
*there*                                     the other is deleted
two, neither *there*   any                  nobody can tell: the partition is offline (Apache's
                                            broker does not start)
none                   one *there*          it becomes the log
none                   one, not *there*     set aside as a stray
=====================  ===================  =====================================================

Logs and futures of another topic id than the partition's are strays.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from kafka_py.metadata.image import MetadataImage
from kafka_py.replication.log_directory import (
    LogDirectory,
    PartitionKey,
    directory_name,
    future_name_fits,
)
from kafka_py.replication.move import Move, fit
from kafka_py.replication.partition import Partition
from kcore.errors import CorruptLog, KcoreError
from kcore.log import REPLICA, Log
from kcore.log_config import LogConfig

__all__ = ["Found", "Moves"]

log = logging.getLogger("kafka_py.replication")

NONE: Final = 0
UNKNOWN_TOPIC_OR_PARTITION: Final = 3
REPLICA_NOT_AVAILABLE: Final = 9
INVALID_TOPIC_EXCEPTION: Final = 17
INVALID_REPLICA_ASSIGNMENT: Final = 39
KAFKA_STORAGE_ERROR: Final = 56
LOG_DIR_NOT_FOUND: Final = 57
MERGE_BYTES: Final = 1 << 20


class Found(NamedTuple):
    """A log that was opened at the start, and where."""

    log: Log
    directory: LogDirectory


class Settings(Protocol):
    """The typed broker configuration, by Kafka's names."""

    def __getitem__(self, name: str) -> Any: ...


class Moves:
    """The future replicas of this broker.

    All on the event loop, as the replica manager's. `started` is told of every move that begins or
    goes on, `unassigned` of a partition whose replica stays where it is after the metadata was told
    otherwise, `given_up` of directories that may be deleted once their new names are durable.
    `make_room` is called before a log is made in a directory.
    """

    def __init__(self, settings: Settings, log_dirs: list[LogDirectory]) -> None:
        self._settings = settings
        self._log_dirs = log_dirs
        self._by_key: dict[PartitionKey, Move] = {}
        self._retiring: dict[PartitionKey, Move] = {}
        self._preferred: dict[PartitionKey, LogDirectory] = {}
        self._twice: dict[PartitionKey, list[Found]] = {}
        self._futures: dict[PartitionKey, list[Found]] = {}
        self._pending: dict[PartitionKey, tuple[Found, bool]] = {}
        self.started: Callable[[Move], None] = lambda _move: None
        self.unassigned: Callable[[Partition], None] = lambda _partition: None
        self.given_up: Callable[[LogDirectory, Path], None] = lambda _directory, _path: None
        self.make_room: Callable[[PartitionKey, LogDirectory], None] = lambda _key, _into: None

    def __iter__(self) -> Iterator[Move]:
        return iter(list(self._by_key.values()))

    def of(self, partition: Partition) -> Move | None:
        """The partition's move, while its future log is not its log yet."""
        found = self._by_key.get((partition.topic, partition.index))
        return found if found is not None and found.partition is partition else None

    # What users ask for

    def alter(
        self,
        key: PartitionKey,
        path: str,
        partition: Partition | None,
        image: MetadataImage,
        *,
        now_ms: int,
    ) -> int:
        """Move the replica into the directory at ``path``: the wire's error, 0 when it goes there.

        Where it is already: a move that is under way is given up. A replica that is not here yet
        will be made there.
        """
        if not future_name_fits(key):
            return INVALID_TOPIC_EXCEPTION
        target = next((one for one in self._log_dirs if os.path.abspath(one.path) == path), None)
        if target is None:
            return LOG_DIR_NOT_FOUND
        if target.offline:
            return KAFKA_STORAGE_ERROR
        if self.is_cordoned(target):
            return INVALID_REPLICA_ASSIGNMENT
        if partition is None:
            self._preferred[key] = target
            topic = image.topics.get(key[0])
            known = topic is not None and key[1] in topic.partitions
            return REPLICA_NOT_AVAILABLE if known else UNKNOWN_TOPIC_OR_PARTITION
        if partition.offline or partition.log is None:
            return KAFKA_STORAGE_ERROR
        before = self._by_key.get(key)
        if before is not None and before.directory is not target:
            self.cancel(before)
            before = None
        if partition.directory is target or before is not None:
            return NONE
        if any(one.offline for one in self._log_dirs):
            # One of them may hold a future log of this partition already.
            return KAFKA_STORAGE_ERROR
        try:
            self._begin(key, partition, target, now_ms)
        except (KcoreError, OSError) as error:
            log.error("%s-%d cannot be moved to %s: %s", *key, target.path, error)
            return KAFKA_STORAGE_ERROR
        return NONE

    def _begin(
        self, key: PartitionKey, partition: Partition, target: LogDirectory, now_ms: int
    ) -> None:
        self.make_room(key, target)
        future = target.open_log(
            key,
            partition.log.config,
            now_ms=now_ms,
            topic_id=partition.topic_id,
            name=target.unique_name(key, "future"),
        )
        move = self._by_key[key] = Move(partition, future, target, assigned=False)
        log.info("%s-%d: moving from %s to %s", *key, partition.directory.path, target.path)
        self.started(move)

    def is_cordoned(self, directory: LogDirectory) -> bool:
        """Whether the directory takes no new replicas (KIP-1066)."""
        named = self._settings["cordoned.log.dirs"] or ()
        names = ("*", str(directory.path), os.path.abspath(directory.path))
        return any(one in names for one in named)

    def preferred(self, key: PartitionKey) -> LogDirectory | None:
        """Where a log that is made now was asked to be; asked once."""
        return self._preferred.pop(key, None)

    def cancel(self, move: Move) -> None:
        """Give a move up: its future log goes, and the metadata hears where the replica is."""
        self._drop(move)
        if move.asked:
            self.unassigned(move.partition)

    def _drop(self, move: Move) -> None:
        if self._by_key.get(move.key) is move:
            del self._by_key[move.key]
        gone = move.give_up()
        if gone is not None:
            self.given_up(move.directory, gone)

    # How a move ends

    def swap(self, move: Move, *, now_ms: int) -> bool:
        """Let the partition go on in the future log; False when the move is over or cannot end.

        Raises KcoreError when a disk failed; the directory's failure says which.
        """
        if move.ended or move.partition.log is not move.source:
            return False
        move.swap(now_ms=now_ms)
        del self._by_key[move.key]
        self._retiring[move.key] = move
        return True

    def retire(self, move: Move) -> None:
        """The future log is on disk: delete the one it was copied from."""
        if self._retiring.get(move.key) is move:
            del self._retiring[move.key]
        gone = move.retire()
        if gone is not None:
            self.given_up(move.source_directory, gone)

    def partition_deleted(self, partition: Partition) -> None:
        """Neither a future log nor one that was left behind may outlive the partition."""
        key = (partition.topic, partition.index)
        move = self._by_key.get(key)
        if move is not None and move.partition is partition:
            self._drop(move)
        left = self._retiring.get(key)
        if left is not None and left.partition is partition:
            self.retire(left)

    def directory_failed(self, directory: LogDirectory) -> None:
        """What moves from or to it is over; a future log elsewhere stays for the next start."""
        for move in self:
            if directory in (move.directory, move.source_directory):
                del self._by_key[move.key]
                move.ended = True
                move.log.abandon()
                if move.asked and directory is not move.source_directory:
                    # Or the controller would take the replica for lost with its future log.
                    self.unassigned(move.partition)
        for move in list(self._retiring.values()):
            if move.source_directory is directory:
                self.retire(move)

    def close(self, *, clean: bool) -> bool:
        """Close every future log, and delete what was moved away; False when something failed."""
        self.given_up = lambda _directory, _path: None
        for move in self:
            try:
                move.log.close()
            except KcoreError as error:
                log.error("closing %s failed: %s", move.log.path, error)
                clean = False
        for move in list(self._retiring.values()):
            if clean and not move.directory.offline:
                self.retire(move)
            else:
                move.source.abandon()
        return clean

    # What a start finds

    def found_twice(self, key: PartitionKey, found: Found) -> None:
        """There is another log of that name, in a directory that was opened before."""
        self._twice.setdefault(key, []).append(found)

    def open_futures(
        self,
        directory: LogDirectory,
        names: Iterable[str],
        config_of: Callable[[str], LogConfig],
        *,
        now_ms: int,
    ) -> None:
        """Open the future logs among the names in a directory; what cannot be is set aside."""
        for key, name in directory.futures(names):
            try:
                opened = directory.open_log(key, config_of(key[0]), now_ms=now_ms, name=name)
            except KcoreError as error:
                log.error("%s of %s cannot be opened: %s", name, directory.path, error)
                if not directory.offline:
                    directory.set_aside(key, "stray", name=name)
                continue
            self._futures.setdefault(key, []).append(Found(opened, directory))

    def settle(
        self, key: PartitionKey, topic_id: bytes, there: bytes, found: Found | None, *, now_ms: int
    ) -> Found | None:
        """The log that a partition begins with, by the table above.

        ``there`` is the id of the directory that the metadata names. Raises KcoreError when that
        cannot be told, or a disk failed.
        """
        if found is None and key not in self._futures and key not in self._twice:
            return None
        logs = self._own(key, topic_id, [*([found] if found else []), *self._twice.pop(key, ())])
        futures = self._own(key, topic_id, self._futures.pop(key, []))
        if len(logs) > 1:
            logs = [self._merge(key, logs, there, now_ms)]
        futures.sort(key=lambda one: one.directory.directory_id != there)
        for other in futures[1:]:
            self.stray(key, other)
        if not futures:
            return logs[0] if logs else None
        future = futures[0]
        is_there = future.directory.directory_id == there
        if not logs:
            if is_there:
                return self._promote(key, future)
            self.stray(key, future)
            return None
        if logs[0].directory is future.directory:
            self.stray(key, future)
        elif is_there and future.log.log_end_offset >= logs[0].log.log_end_offset:
            return self._take_over(key, future, logs[0])
        else:
            fit(future.log, logs[0].log)
            self._pending[key] = (future, is_there)
        return logs[0]

    def resume(self, partition: Partition) -> None:
        """The partition has its log: a move that was found goes on."""
        key = (partition.topic, partition.index)
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        (future, directory), assigned = pending
        move = self._by_key[key] = Move(partition, future, directory, assigned=assigned)
        if future.config != partition.log.config:
            future.update_config(partition.log.config)
        log.info("%s-%d: the move to %s goes on at %d", *key, directory.path, future.log_end_offset)
        self.started(move)

    def _own(self, key: PartitionKey, topic_id: bytes, found: list[Found]) -> list[Found]:
        """Those of this topic id, or of none; the others are strays."""
        kept = []
        for one in found:
            if one.log.topic_id in (None, topic_id):
                kept.append(one)
            else:
                self.stray(key, one)
        return kept

    def _merge(self, key: PartitionKey, logs: list[Found], there: bytes, now_ms: int) -> Found:
        chosen = next((one for one in logs if one.directory.directory_id == there), None)
        if chosen is None:
            for one in logs:
                one.log.close()
            paths = " and ".join(one.log.path for one in logs)
            raise CorruptLog(
                f"{directory_name(key)} is in {paths}, and the metadata names neither: "
                "delete one of them"
            )
        for other in logs:
            if other is not chosen:
                if other.log.log_end_offset > chosen.log.log_end_offset:
                    _append_rest(chosen.log, other.log, now_ms)
                self._delete(key, other)
        return chosen

    def _take_over(self, key: PartitionKey, future: Found, before: Found) -> Found:
        promoted = self._promote(key, future)
        self._delete(key, before)
        return promoted

    def _promote(self, key: PartitionKey, future: Found) -> Found:
        """A future log takes the partition's name, for good."""
        future.log.flush()
        # Its directory holds no other log of that name: a second one was dealt with before.
        future.log.rename(str(future.directory.path / directory_name(key)))
        future.directory.sync_names()
        log.info("%s-%d: the move to %s is done", *key, future.directory.path)
        return future

    def _delete(self, key: PartitionKey, left: Found) -> None:
        left.log.abandon()
        left.directory.forget(key)
        gone = left.directory.set_aside(key, "delete")
        self.given_up(left.directory, gone)

    def stray(self, key: PartitionKey, stray: Found) -> None:
        """Set a log aside that belongs to no partition, as Kafka does; nothing is deleted."""
        name = Path(stray.log.path).name
        try:
            stray.log.close()
            target = stray.directory.set_aside(key, "stray", name=name)
            log.warning("%s is not in the metadata; its directory is now %s", name, target.name)
        except (KcoreError, OSError) as error:
            log.error("%s is a stray and cannot be set aside: %s", name, error)

    def set_strays_aside(self) -> None:
        """What no partition has claimed."""
        for left in (self._twice, self._futures):
            for key in list(left):
                for one in left.pop(key):
                    self.stray(key, one)


def _append_rest(short: Log, long: Log, now_ms: int) -> None:
    """Append what one log has and the other lacks: what a swap was about to make durable."""
    end = long.log_end_offset
    if short.log_end_offset < long.log_start_offset:
        raise CorruptLog(f"{short.path} ends before {long.path} begins")
    while short.log_end_offset < end:
        piece = long.read(short.log_end_offset, MERGE_BYTES, end_offset=end)
        if not len(piece):
            break
        short.append(piece.view, leader_epoch=0, now_ms=now_ms, origin=REPLICA)
    short.flush()
