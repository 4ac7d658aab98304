"""One entry of ``log.dirs``: its lock, identity, checkpoints, logs, and the failure of its disk.

The file names are Kafka's: ``.lock``, ``meta.properties``, ``recovery-point-offset-checkpoint``,
``log-start-offset-checkpoint``, ``replication-offset-checkpoint``, ``.kafka_cleanshutdown``, and
one directory a partition called ``TOPIC-INDEX``. Directories that end in ``-delete`` are remains of
deleted or moved replicas, ``-stray`` those of partitions that the metadata knows nothing of: both
are left out when logs are opened. ``TOPIC-INDEX.HEX-future`` is a replica on its way here
(KIP-113).
"""

import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Final, Protocol

from kafka_py.protocol.types import uuid_from_text
from kcore.checkpoints import (
    LOG_START_OFFSET_CHECKPOINT,
    RECOVERY_POINT_CHECKPOINT,
    REPLICATION_OFFSET_CHECKPOINT,
    CleanShutdown,
    MetaProperties,
    OffsetCheckpoint,
)
from kcore.errors import CorruptFile, DirectoryLocked, KcoreError
from kcore.log import Log, LogDirFailure
from kcore.log_config import LogConfig
from kcore.syscalls import fsync_dir

__all__ = [
    "DirectoryLock",
    "LogDirectory",
    "LogDirectoryError",
    "PartitionKey",
    "parse_partition_directory",
]

log = logging.getLogger("kafka_py.replication")

PartitionKey = tuple[str, int]

METADATA_TOPIC: Final = "__cluster_metadata"
_NAME: Final = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)-(?P<index>0|[1-9][0-9]{0,9})")
_DELETED: Final = re.compile(r"[A-Za-z0-9._-]+\.[0-9a-f]{32}-delete")
_FUTURE: Final = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]+)-(?P<index>0|[1-9][0-9]{0,9})\.[0-9a-f]{32}-future"
)
NAME_BYTES_MAX: Final = 255
_LOCKED: Final[set[tuple[int, int]]] = set()
_LOCKED_GUARD: Final = threading.Lock()


def parse_partition_directory(name: str) -> PartitionKey | None:
    """(topic, index) of a partition's directory name, None for anything else."""
    found = _NAME.fullmatch(name)
    if found is None or name.endswith(("-delete", "-stray", "-future")):
        return None
    return found["topic"], int(found["index"])


def parse_future_directory(name: str) -> PartitionKey | None:
    """(topic, index) of a future replica's directory name, None for anything else."""
    found = _FUTURE.fullmatch(name)
    return None if found is None else (found["topic"], int(found["index"]))


def directory_name(key: PartitionKey) -> str:
    """The name of a partition's directory."""
    return f"{key[0]}-{key[1]}"


def future_name_fits(key: PartitionKey) -> bool:
    """Whether a file system has room for the name of this partition's future replica."""
    return len(directory_name(key)) + len(f".{bytes(16).hex()}-future") <= NAME_BYTES_MAX


class LogDirectoryError(Exception):
    """A directory that belongs to another node or cluster, or to none; the text says which."""


class DirectoryLock:
    """The exclusive hold on a data directory, against other processes (Kafka's too) and this one.

    POSIX record locks, as Java's FileChannel.lock takes, do not exclude within a process: a table
    does that.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock at once.

        Raises DirectoryLocked, or OSError when the directory cannot be written.
        """
        self.path = path
        self._fd = os.open(f"{path}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        status = os.fstat(self._fd)
        self._key = (status.st_dev, status.st_ino)
        with _LOCKED_GUARD:
            if self._key in _LOCKED:
                # Closing any descriptor of the file would drop the process's record lock, so this
                # one stays open for the life of the process; it is one descriptor for each refused
                # attempt.
                raise DirectoryLocked(f"{path} is in use by another broker in this process")
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._fd)
                raise DirectoryLocked(f"{path} is in use by another process") from error
            _LOCKED.add(self._key)

    def release(self) -> None:
        """Let go; twice is fine."""
        with _LOCKED_GUARD:
            if self._key in _LOCKED:
                _LOCKED.discard(self._key)
                os.close(self._fd)


class Randomness(Protocol):
    """Where unique names come from: random.Random is one."""

    def randbytes(self, n: int, /) -> bytes:
        """That many random bytes."""
        ...


class LogDirectory:
    """An opened (locked, identified) log directory.

    Attributes:
        path, directory_id (16 bytes), lock.
        failure: shared by every log in it; :attr:`offline` once the disk failed, for good.
        clean: the last run ended with a clean shutdown (the marker was there; it is taken away on
        opening). recovery_points, log_starts, high_watermarks: what the checkpoints said at
        opening.
    """

    def __init__(
        self,
        path: Path,
        lock: DirectoryLock,
        *,
        node_id: int,
        cluster_id: str | None,
        random: Randomness,
        meta: MetaProperties | None = None,
    ) -> None:
        """Checks meta.properties and reads the checkpoints; ``random`` is for unique names.

        ``meta``: what meta.properties says, where it was read since the lock was taken.

        Raises LogDirectoryError or CorruptFile, naming what does not fit.
        """
        self.path = path
        self.lock = lock
        self._random = random
        self.failure = LogDirFailure(str(path))
        meta = meta or MetaProperties.read(path)
        if meta is None:
            raise LogDirectoryError(f"{path} has no meta.properties: it is not formatted")
        if cluster_id is not None and meta.cluster_id != cluster_id:
            raise LogDirectoryError(
                f"{path} belongs to cluster {meta.cluster_id}, not to {cluster_id}"
            )
        if meta.node_id != node_id:
            raise LogDirectoryError(f"{path} belongs to node {meta.node_id}, not to node {node_id}")
        if meta.directory_id is None:
            raise LogDirectoryError(f"{path} has no directory.id in its meta.properties")
        self.cluster_id = meta.cluster_id
        self.directory_id: bytes = uuid_from_text(meta.directory_id)
        self._recovery_file = OffsetCheckpoint(f"{path}/{RECOVERY_POINT_CHECKPOINT}")
        self._start_file = OffsetCheckpoint(f"{path}/{LOG_START_OFFSET_CHECKPOINT}")
        self._mark_file = OffsetCheckpoint(f"{path}/{REPLICATION_OFFSET_CHECKPOINT}")
        self.recovery_points = self._read(self._recovery_file)
        self.log_starts = self._read(self._start_file)
        self.high_watermarks = self._read(self._mark_file)
        self._written: dict[str, dict[PartitionKey, int]] = {}
        self._named: dict[str, frozenset[PartitionKey]] = {
            "recovery": frozenset(self.recovery_points),
            "start": frozenset(self.log_starts),
            "mark": frozenset(self.high_watermarks),
        }
        self.clean = CleanShutdown.exists(path)
        self.broker_epoch_at_stop = self._read_epoch() if self.clean else -1

    @property
    def offline(self) -> bool:
        """Whether the disk failed; it stays so until the broker is started anew."""
        return self.failure.failed

    def _read_epoch(self) -> int:
        """The broker epoch of the last clean stop; -1 when there was none or it cannot be read."""
        try:
            marker = CleanShutdown.read(self.path)
        except CorruptFile:
            return -1
        return -1 if marker is None else marker.broker_epoch

    @staticmethod
    def _read(file: OffsetCheckpoint) -> dict[PartitionKey, int]:
        try:
            return dict(file.read())
        except CorruptFile as error:
            # Without its checkpoint a log is recovered from its beginning, which is slow and always
            # right.
            log.warning("%s; going on without it", error)
            return {}

    def begin_run(self) -> None:
        """Take the clean-shutdown marker away, durably, before the first write of this run."""
        if self.clean:
            CleanShutdown.delete(self.path)

    def names_found(self) -> list[str]:
        """The directories in it, by name, sorted: what a start looks through."""
        with os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())

    def partition_keys(self, names: Iterable[str] | None = None) -> list[PartitionKey]:
        """The partitions found on disk (among `names_found`), without the metadata log, sorted."""
        keys = map(parse_partition_directory, self.names_found() if names is None else names)
        return sorted(key for key in keys if key is not None and key[0] != METADATA_TOPIC)

    def futures(self, names: Iterable[str] | None = None) -> list[tuple[PartitionKey, str]]:
        """The future replicas found likewise, each with the name of its directory, sorted."""
        pairs = (
            (parse_future_directory(name), name)
            for name in (self.names_found() if names is None else names)
        )
        return sorted((key, name) for key, name in pairs if key is not None)

    def unique_name(self, key: PartitionKey, suffix: str) -> str:
        """``TOPIC-INDEX.HEX-suffix`` as Kafka names it, cut where that would be too long."""
        ending = f".{self._random.randbytes(16).hex()}-{suffix}"
        return directory_name(key)[: NAME_BYTES_MAX - len(ending)] + ending

    def open_log(
        self,
        key: PartitionKey,
        config: LogConfig,
        *,
        now_ms: int,
        topic_id: bytes | None = None,
        name: str | None = None,
    ) -> Log:
        """Open or create one partition's log, with what the checkpoints know of it.

        It lies in the directory of that ``name``, if it is not the partition's usual one. Raises
        LogFailed and what else Log.open raises.
        """
        return Log.open(
            f"{self.path}/{name or directory_name(key)}",
            config,
            now_ms=now_ms,
            clean=self.clean,
            recovery_point=self.recovery_points.get(key, 0),
            log_start_offset=self.log_starts.get(key, 0),
            topic_id=topic_id,
            failure=self.failure,
        )

    def open_logs(
        self,
        config_of: Callable[[str], LogConfig],
        names: Iterable[str] | None = None,
        *,
        now_ms: int,
        threads: int,
    ) -> tuple[dict[PartitionKey, Log], dict[PartitionKey, KcoreError]]:
        """Open every log found, ``threads`` at a time when they have to be checked.

        Each has the topic id of its partition.metadata: the name alone does not say whose log it
        is, for the topic may have been deleted and made again while this broker was down. A log
        that cannot be opened is returned with the reason.
        """

        def open_one(key: PartitionKey) -> Log | KcoreError:
            try:
                return self.open_log(key, config_of(key[0]), now_ms=now_ms)
            except KcoreError as error:
                return error

        keys = self.partition_keys(names)
        if len(keys) <= 1 or threads <= 1 or self.clean:
            # After a clean stop it is a few short calls a log. Two threads that let the GIL go for
            # each of them wait for each other: it took several times as long with 10,000 logs.
            results: Iterable[Log | KcoreError] = map(open_one, keys)
            opened = dict(zip(keys, results, strict=True))
        else:
            with futures.ThreadPoolExecutor(threads, thread_name_prefix="kafka-py-open") as pool:
                opened = dict(zip(keys, pool.map(open_one, keys), strict=True))
        logs = {key: result for key, result in opened.items() if isinstance(result, Log)}
        errors = {key: result for key, result in opened.items() if isinstance(result, KcoreError)}
        for key, result in logs.items():
            for cut in result.recovery_report.cuts:
                log.warning(
                    "%s-%d: cut %d bytes from byte %d of %s (offset %d): %s",
                    *key,
                    cut.size_bytes,
                    cut.position,
                    cut.file,
                    cut.offset,
                    cut.reason,
                )
        return logs, errors

    def set_aside(self, key: PartitionKey, suffix: str, *, name: str | None = None) -> Path:
        """Rename a closed partition directory to ``TOPIC-INDEX.HEX-suffix`` as Kafka does.

        ``name`` is what it is called now, if not as usual. The new name is durable. Raises OSError.
        """
        target = self.rename_aside(key, suffix, name=name)
        self.sync_names()
        return target

    def rename_aside(self, key: PartitionKey, suffix: str, *, name: str | None = None) -> Path:
        """Like :meth:`set_aside`, but durable only after :meth:`sync_names`: one quick call."""
        target = self.path / self.unique_name(key, suffix)
        os.rename(self.path / (name or directory_name(key)), target)
        return target

    def sync_names(self) -> None:
        """Make renames in this directory durable. Raises OSError."""
        fsync_dir(str(self.path))

    def forget(self, key: PartitionKey) -> None:
        """The partition's log is here no more: nor is what the checkpoints said of it."""
        for known in (self.recovery_points, self.log_starts, self.high_watermarks):
            known.pop(key, None)

    def names(self, key: PartitionKey) -> bool:
        """Whether a checkpoint file on disk says something of a partition.

        A log that is made anew must not be there with it: after a crash it would be taken for the
        one before it, cut off below its recovery point or below its start.
        """
        return any(key in named for named in self._named.values())

    def remove_leftovers(self, names: Iterable[str] | None = None) -> int:
        """Remove what earlier runs left of deleted and moved replicas; how many there were."""
        left = [
            name
            for name in (self.names_found() if names is None else names)
            if _DELETED.fullmatch(name)
        ]
        for name in left:
            import shutil  # not at a start that finds none

            shutil.rmtree(self.path / name, ignore_errors=True)  # a link stays where it is
        return len(left)

    # Checkpoints; each call may block on the disk for milliseconds and is safe in a worker thread.

    def _write(
        self, what: str, file: OffsetCheckpoint, entries: Mapping[PartitionKey, int]
    ) -> None:
        if self.offline or self._written.get(what) == entries:
            return
        try:
            file.write(dict(entries))
        except (OSError, KcoreError) as error:
            self.failure.fail(error)
            return
        self._written[what] = dict(entries)
        self._named[what] = frozenset(entries)

    def write_recovery_points(self, entries: Mapping[PartitionKey, int]) -> None:
        """recovery-point-offset-checkpoint; a failure takes the directory offline."""
        self._write("recovery", self._recovery_file, entries)

    def write_log_starts(self, entries: Mapping[PartitionKey, int]) -> None:
        """log-start-offset-checkpoint; likewise."""
        self._write("start", self._start_file, entries)

    def write_high_watermarks(self, entries: Mapping[PartitionKey, int]) -> None:
        """replication-offset-checkpoint; likewise."""
        self._write("mark", self._mark_file, entries)

    def end_run(self, broker_epoch: int) -> None:
        """Put the clean-shutdown marker down.

        Only after every log is closed and every checkpoint written.
        """
        if not self.offline:
            CleanShutdown(broker_epoch).write(self.path)

    def close(self) -> None:
        """Release the lock."""
        self.lock.release()
