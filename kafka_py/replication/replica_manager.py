"""The partitions that this broker hosts: made, led, followed and deleted as the image says.

One thread (the node's event loop) calls everything here, except the :class:`Job` bodies that
:meth:`ReplicaManager.due` hands out, which are made for worker threads. No event loop and no clock
in here: times are arguments.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ChangedMetadata, ConfigResource, PartitionImage, TopicImage
from kafka_py.replication.log_directory import LogDirectory, PartitionKey
from kafka_py.replication.moves import Found, Moves
from kafka_py.replication.partition import Partition
from kafka_py.replication.purgatory import AppendPurgatory, FetchPurgatory
from kcore.checkpoints import PartitionMetadata
from kcore.errors import KcoreError
from kcore.log import Log
from kcore.log_config import LogConfig
from kcore.values import frozen

__all__ = ["Job", "ReplicaManager", "TopicSettings"]

log = logging.getLogger("kafka_py.replication")

NOT_LEADER_OR_FOLLOWER = 6
KAFKA_STORAGE_ERROR = 56
TOPIC = int(ConfigResource.TOPIC)
BROKER = int(ConfigResource.BROKER)


@frozen
class TopicSettings:
    """What the partitions of a topic are told by its configuration."""

    log: LogConfig
    min_isr: int


class Settings(Protocol):
    """Where the manager gets its numbers: the typed broker configuration, by Kafka's names."""

    def __getitem__(self, name: str) -> Any: ...


@frozen
class Job:
    """Work for a worker thread; ``then`` is called on the loop afterwards."""

    name: str
    work: Callable[[], None]
    then: Callable[[], None]


class ReplicaManager:
    """All partitions of this broker.

    Attributes:
        log_dirs: the opened log directories.
        fetches, appends: who waits for what.
        by_id: {topic id: {index: Partition}}; by_name: the same by the topic name's UTF-8 bytes.
        The hot path reads them.
        moves: replicas between two directories. misplaced: is told of a partition that lies in
        another directory than the metadata says (KIP-858).
    """

    def __init__(
        self,
        settings: Settings,
        log_dirs: list[LogDirectory],
        *,
        broker_id: int,
        topic_settings: Callable[[Mapping[str, str | None]], TopicSettings],
    ) -> None:
        """``topic_settings(overrides)`` merges a topic's own settings with the broker's."""
        self.settings = settings
        self.log_dirs = log_dirs
        self.broker_id = broker_id
        self.fetches = FetchPurgatory()
        self.appends = AppendPurgatory()
        self.moves = Moves(settings, log_dirs)
        self.misplaced: Callable[[Partition], None] = lambda _partition: None
        self.by_name: dict[bytes, dict[int, Partition]] = {}
        self.by_id: dict[bytes, dict[int, Partition]] = {}
        self.generation = 0
        self._topic_settings = topic_settings
        self._settings_by_overrides: dict[tuple[tuple[str, str | None], ...], TopicSettings] = {}
        self._image = MetadataImage()
        self._unclaimed: dict[PartitionKey, Found] = {}
        self._unopened: dict[PartitionKey, tuple[KcoreError, LogDirectory]] = {}
        self._next_ms: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._retired: list[Log] = []
        self._checkpointing = threading.Lock()
        self.moves.make_room = self._make_room

    # Looking things up

    def partition(self, topic: str, index: int) -> Partition | None:
        """The hosted partition of that name, None when this broker does not have it."""
        partitions = self.by_name.get(topic.encode())
        return None if partitions is None else partitions.get(index)

    def partition_by_id(self, topic_id: bytes, index: int) -> Partition | None:
        """The hosted partition of that topic id."""
        partitions = self.by_id.get(topic_id)
        return None if partitions is None else partitions.get(index)

    def partitions(self) -> Iterator[Partition]:
        """Every hosted partition."""
        for partitions in self.by_id.values():
            yield from partitions.values()

    def partition_count(self) -> int:
        """How many there are."""
        return sum(len(partitions) for partitions in self.by_id.values())

    # Opening and following the image

    def open_logs(self, image: MetadataImage, *, now_ms: int) -> None:
        """Open every log in the directories, with the settings that ``image`` has for its topic."""
        threads = self.settings["num.recovery.threads.per.data.dir"]

        def config_of(topic: str) -> LogConfig:
            return self._settings_of(image.topic_config(topic)).log

        for directory in self.log_dirs:
            directory.begin_run()
            names = directory.names_found()
            directory.remove_leftovers(names)
            logs, errors = directory.open_logs(config_of, names, now_ms=now_ms, threads=threads)
            for key, opened in logs.items():
                found = Found(opened, directory)
                if self._unclaimed.setdefault(key, found) is not found:
                    self.moves.found_twice(key, found)
            self.moves.open_futures(directory, names, config_of, now_ms=now_ms)
            for key, error in errors.items():
                log.error("%s-%d cannot be opened: %s", *key, error)
                self._unopened[key] = (error, directory)

    def apply(self, image: MetadataImage, changed: ChangedMetadata, *, now_ms: int) -> None:
        """Follow a committed image: partitions made, led, followed, deleted; new settings."""
        self._image = image
        if changed.everything or any(kind == BROKER for kind, _ in changed.configs):
            self._settings_by_overrides.clear()
        if changed.everything:
            for topic_id in [known for known in self.by_id if known not in image.topics_by_id]:
                self._delete_topic(topic_id)
            for topic in image.topics.values():
                self._apply_topic(topic, topic.partitions.keys(), now_ms)
            self._set_strays_aside()
            self.refresh_settings()
            return
        for topic_id in changed.topics_deleted:
            self._delete_topic(topic_id)
        for topic_id, indexes in changed.topics.items():
            topic = image.topics_by_id.get(topic_id)
            if topic is not None:
                self._apply_topic(topic, indexes, now_ms)
        if any(kind == BROKER for kind, _ in changed.configs):
            self.refresh_settings()
        else:
            for kind, name in changed.configs:
                if kind == TOPIC:
                    self.refresh_topic(name)

    def _apply_topic(self, topic: TopicImage, indexes: Any, now_ms: int) -> None:
        for index in indexes:
            image = topic.partitions.get(index)
            if image is not None and self.broker_id in image.replicas:
                self._apply_partition(topic, index, image, now_ms)
            elif self.partition_by_id(topic.id, index) is not None:
                self._delete_partition(topic.id, index)

    def _apply_partition(
        self, topic: TopicImage, index: int, image: PartitionImage, now_ms: int
    ) -> None:
        partition = self.partition_by_id(topic.id, index)
        if partition is None:
            partition = self._create(topic, index, image, now_ms)
        was_leading = partition.leads
        if image.leader == self.broker_id:
            partition.become_leader(
                leader_epoch=image.leader_epoch,
                partition_epoch=image.partition_epoch,
                replicas=image.replicas,
                isr=image.isr,
                now_ms=now_ms,
            )
            self.fetches.touch(partition)
        else:
            partition.become_follower(
                leader_id=image.leader,
                leader_epoch=image.leader_epoch,
                partition_epoch=image.partition_epoch,
                replicas=image.replicas,
                isr=image.isr,
            )
            if was_leading:
                self._fail_waiters(partition, NOT_LEADER_OR_FOLLOWER)
        self._check_place(partition, image)

    def _check_place(self, partition: Partition, image: PartitionImage) -> None:
        """The metadata may name another directory: on purpose, or because nobody told it yet."""
        there = image.directory(self.broker_id)
        if partition.log is None or partition.directory.directory_id == there:
            return
        move = self.moves.of(partition)
        if move is None or not move.asked:
            self.misplaced(partition)

    def _create(
        self, topic: TopicImage, index: int, image: PartitionImage, now_ms: int
    ) -> Partition:
        partition = Partition(topic.name, topic.id, index, self.broker_id)
        settings = self._settings_of(self._image.topic_config(topic.name))
        partition.min_isr_setting = settings.min_isr
        partition.flush_messages = _flush_messages(settings.log)
        self._attach(partition, settings.log, image, now_ms)
        self.by_id.setdefault(topic.id, {})[index] = partition
        self.by_name[topic.name.encode()] = self.by_id[topic.id]
        self.generation += 1
        return partition

    def _attach(
        self, partition: Partition, config: LogConfig, image: PartitionImage, now_ms: int
    ) -> None:
        """Give the partition its log: the one on disk if the topic id fits, else a fresh one."""
        key = (partition.topic, partition.index)
        if key in self._unopened:
            error, directory = self._unopened[key]
            log.error("%s-%d stays offline: %s", *key, error)
            partition.directory = directory
            partition.offline = True
            return
        try:
            there = image.directory(self.broker_id)
            found = self.moves.settle(
                key, partition.topic_id, there, self._unclaimed.pop(key, None), now_ms=now_ms
            )
            if found is None:
                directory = self._choose_directory(key, image)
                self._make_room(key, *self.log_dirs)
                opened = directory.open_log(key, config, now_ms=now_ms, topic_id=partition.topic_id)
                mark = 0
            else:
                opened, directory = found
                if opened.topic_id is None:
                    # A directory from before topic ids: it is this topic's from now on.
                    PartitionMetadata(partition.topic_id).write(opened.path)
                if opened.config != config:
                    opened.update_config(config)
                # It may have come from another directory a moment before the end.
                mark = max(one.high_watermarks.get(key, 0) for one in self.log_dirs)
        except (KcoreError, OSError) as error:
            log.error("%s-%d cannot be created: %s", *key, error)
            partition.offline = True
            return
        partition.attach(opened, directory, mark)
        self.moves.resume(partition)

    def _make_room(self, key: PartitionKey, *directories: LogDirectory) -> None:
        """A log is to be made: the checkpoints there forget the one that had its name before.

        All that are gone are forgotten at once, so of many new logs only one waits for the disk.
        Raises OSError.
        """
        for directory in directories:
            directory.forget(key)
        telling = [one for one in directories if not one.offline and one.names(key)]
        if telling:
            self.write_checkpoints()
        if any(one.offline for one in telling):
            raise OSError(f"the checkpoints cannot be written: {telling[0].path} is offline")

    def _choose_directory(self, key: PartitionKey, image: PartitionImage) -> LogDirectory:
        """Where it was asked to be, else where the controller has it, else the emptiest.

        Of those that work; of the last, only those that take new replicas, if there are any.
        """
        working = [directory for directory in self.log_dirs if not directory.offline]
        if not working:
            raise OSError("every log directory is offline")
        preferred = self.moves.preferred(key)
        if preferred in working:
            return preferred
        assigned = image.directory(self.broker_id)
        for directory in working:
            if directory.directory_id == assigned:
                return directory
        if len(working) > 1:
            working = [one for one in working if not self.moves.is_cordoned(one)] or working
        if len(working) == 1:
            return working[0]
        counts = {id(directory): 0 for directory in working}
        for partition in self.partitions():
            if id(partition.directory) in counts:
                counts[id(partition.directory)] += 1
        return min(working, key=lambda directory: counts[id(directory)])

    def _delete_topic(self, topic_id: bytes) -> None:
        for index in list(self.by_id.get(topic_id, ())):
            self._delete_partition(topic_id, index)

    def _delete_partition(self, topic_id: bytes, index: int) -> None:
        partitions = self.by_id[topic_id]
        partition = partitions.pop(index)
        self.generation += 1
        if not partitions:
            del self.by_id[topic_id]
            if self.by_name.get(partition.topic.encode()) is partitions:
                del self.by_name[partition.topic.encode()]
        self.moves.partition_deleted(partition)
        directory = partition.directory
        gone = partition.detach()
        partition.leads = False
        self._fail_waiters(partition, NOT_LEADER_OR_FOLLOWER)
        if directory is None:
            # Its log could never be made; there is nothing to delete.
            return
        key = (partition.topic, index)
        directory.forget(key)
        try:
            if gone is not None:
                gone.delete()
            elif self._unopened.pop(key, None) is not None:
                # What could not be opened must not be in the way of a new topic of that name.
                directory.set_aside(key, "delete")
        except (KcoreError, OSError) as error:
            log.error("%s-%d: deleting its files failed: %s", *key, error)

    def _set_strays_aside(self) -> None:
        """Logs that the metadata does not know are renamed, never deleted (as Kafka does)."""
        for key in list(self._unclaimed):
            self.moves.stray(key, self._unclaimed.pop(key))
        self.moves.set_strays_aside()

    # Settings

    def _settings_of(self, overrides: Mapping[str, str | None]) -> TopicSettings:
        """The settings under these overrides; topics that say the same share one value."""
        key = tuple(sorted(overrides.items()))
        found = self._settings_by_overrides.get(key)
        if found is None:
            found = self._settings_by_overrides[key] = self._topic_settings(overrides)
        return found

    def refresh_settings(self) -> None:
        """Give every log its settings anew, after the broker's own changed."""
        self._settings_by_overrides.clear()
        for partitions in list(self.by_id.values()):
            for partition in partitions.values():
                self.refresh_topic(partition.topic)
                break

    def refresh_topic(self, name: str) -> None:
        """Give the logs of one topic their settings anew."""
        settings = self._settings_of(self._image.topic_config(name))
        for partition in self.by_name.get(name.encode(), {}).values():
            partition.min_isr_setting = settings.min_isr
            partition.flush_messages = _flush_messages(settings.log)
            if partition.log is not None and partition.log.config != settings.log:
                partition.log.update_config(settings.log)
                move = self.moves.of(partition)
                if move is not None:
                    move.log.update_config(settings.log)

    # Waiting

    def progressed(self, partition: Partition) -> None:
        """The high watermark may have moved: note it for waiting fetches."""
        self.fetches.touch(partition)

    def _fail_waiters(self, partition: Partition, error: int) -> None:
        for waiter in self.appends.fail(partition):
            waiter.fail(error)
        self.fetches.touch(partition)

    def directory_failed(self, directory: LogDirectory) -> list[Partition]:
        """Take every partition of a failed directory offline and return them.

        Their waiters get KAFKA_STORAGE_ERROR.
        """
        self.moves.directory_failed(directory)
        hit = [p for p in self.partitions() if p.directory is directory and not p.offline]
        for partition in hit:
            lost = partition.detach()
            if lost is not None:
                # Slices of it may still be on their way to clients; it is closed with the manager.
                self._retired.append(lost)
            self._fail_waiters(partition, KAFKA_STORAGE_ERROR)
        return hit

    # What happens over time

    def due(self, now_ms: int) -> list[Job]:
        """The periodic work that is due at ``now_ms`` (wall clock), each at most once at a time."""
        jobs = []
        for name, period_ms, work in self._schedule():
            if name in self._under_way:
                continue
            due_ms = self._next_ms.setdefault(name, now_ms + period_ms)
            if now_ms >= due_ms or due_ms > now_ms + period_ms:
                self._next_ms[name] = now_ms + period_ms
                self._under_way.add(name)
                jobs.append(self._job(name, work, now_ms))
        return jobs

    def _job(self, name: str, work: Callable[[int], None], now_ms: int) -> Job:
        def then() -> None:
            self._under_way.discard(name)
            for partition in self.partitions():
                if partition.log is not None and not partition.offline:
                    partition.advance()

        return Job(name, lambda: work(now_ms), then)

    def _schedule(self) -> list[tuple[str, int, Callable[[int], None]]]:
        settings = self.settings
        flush_ms = settings["log.flush.scheduler.interval.ms"]
        if settings["kafka_py.flush.policy"] == "interval":
            flush_ms = min(flush_ms, settings["kafka_py.flush.interval.ms"])
        elif any(p.log is not None and p.log.config.flush_ms < 2**62 for p in self.partitions()):
            flush_ms = min(flush_ms, 1000)
        return [
            ("retention", settings["log.retention.check.interval.ms"], self._retain),
            ("delete files", 1000, self._delete_files),
            ("flush", flush_ms, self._flush),
            (
                "recovery points",
                settings["log.flush.offset.checkpoint.interval.ms"],
                self.write_recovery_points,
            ),
            (
                "log starts",
                settings["log.flush.start.offset.checkpoint.interval.ms"],
                self.write_log_starts,
            ),
            (
                "high watermarks",
                settings["replica.high.watermark.checkpoint.interval.ms"],
                self.write_high_watermarks,
            ),
            (
                "producer ids",
                settings["producer.id.expiration.check.interval.ms"],
                self._expire_producers,
            ),
        ]

    def _logs(self) -> list[tuple[Partition, Log]]:
        """A snapshot of the working partitions, safe to walk in a worker thread."""
        found = []
        for partitions in list(self.by_id.values()):
            for partition in list(partitions.values()):
                opened = partition.log
                if opened is not None and not partition.offline:
                    found.append((partition, opened))
        return found

    def _each(self, what: str, work: Callable[[Partition, Log], None]) -> None:
        for partition, opened in self._logs():
            try:
                work(partition, opened)
            except (KcoreError, OSError) as error:
                if partition.log is not opened:
                    continue  # it was deleted, or has moved to another directory
                log.error("%s of %s-%d failed: %s", what, partition.topic, partition.index, error)

    def _retain(self, now_ms: int) -> None:
        def retain(partition: Partition, opened: Log) -> None:
            if not opened.config.delete:
                return
            for gone in opened.delete_old_segments(now_ms, partition.high_watermark):
                log.info(
                    "%s-%d: segment %d (%d bytes) is gone: %s",
                    partition.topic,
                    partition.index,
                    gone.base_offset,
                    gone.size_bytes,
                    gone.reason,
                )

        self._each("retention", retain)

    def _delete_files(self, now_ms: int) -> None:
        self._each("deleting files", lambda _, opened: _ignore(opened.delete_files_due(now_ms)))

    def _flush(self, now_ms: int) -> None:
        always = self.settings["kafka_py.flush.policy"] == "interval"

        def flush(_: Partition, opened: Log) -> None:
            aged = now_ms - opened.last_flush_ms >= opened.config.flush_ms
            if opened.unflushed_messages and (always or aged):
                opened.flush(now_ms=now_ms)

        self._each("flush", flush)

    def _expire_producers(self, now_ms: int) -> None:
        def expire(partition: Partition, opened: Log) -> None:
            opened.expire_producers(now_ms)
            if partition.verifications is not None:
                partition.verifications.expire(now_ms, opened.config.producer_id_expiration_ms)

        self._each("producer expiry", expire)

    def _checkpoint(
        self, value: Callable[[Partition, Log], int | None]
    ) -> dict[int, dict[PartitionKey, int]]:
        entries: dict[int, dict[PartitionKey, int]] = {id(d): {} for d in self.log_dirs}
        places = [
            (partition, opened, directory)
            for partition, opened in self._logs()
            # In this order: a swap on the loop sets the log first and then the directory.
            if (directory := partition.directory) is not None and partition.log is opened
        ]
        # Kafka notes future logs under their partition's name, in the directory where they are.
        places += [(move.partition, move.log, move.directory) for move in self.moves]
        for partition, opened, directory in places:
            offset = value(partition, opened)
            if offset is not None and id(directory) in entries:
                entries[id(directory)][(partition.topic, partition.index)] = offset
        return entries

    def _write(
        self,
        value: Callable[[Partition, Log], int | None],
        write: Callable[[LogDirectory, Mapping[PartitionKey, int]], None],
    ) -> None:
        """Write one kind of checkpoint: what is older must not be written last."""
        with self._checkpointing:
            entries = self._checkpoint(value)
            for directory in self.log_dirs:
                write(directory, entries[id(directory)])

    def write_recovery_points(self, _now_ms: int = 0) -> None:
        """Checkpoint up to where each log is durable."""
        self._write(lambda _, opened: opened.recovery_point, LogDirectory.write_recovery_points)

    def write_log_starts(self, _now_ms: int = 0) -> None:
        """Checkpoint the log start offsets that the segment files do not tell, as Kafka does."""

        def value(_: Partition, opened: Log) -> int | None:
            segments = opened.segments
            told = segments[0].base_offset if segments else 0
            return opened.log_start_offset if opened.log_start_offset > told else None

        self._write(value, LogDirectory.write_log_starts)

    def write_high_watermarks(self, _now_ms: int = 0) -> None:
        """Checkpoint the high watermarks."""
        self._write(
            lambda partition, opened: min(partition.high_watermark, opened.log_end_offset),
            LogDirectory.write_high_watermarks,
        )

    def write_checkpoints(self) -> None:
        """All three of them."""
        self.write_recovery_points()
        self.write_log_starts()
        self.write_high_watermarks()

    def close(self, *, broker_epoch: int, clean: bool = True) -> None:
        """Close every log, write every checkpoint and, if ``clean``, the markers.

        It may take as long as a flush.
        """
        self.write_high_watermarks()
        self.write_log_starts()
        for partition, opened in self._logs():
            try:
                opened.close()
            except (KcoreError, OSError) as error:
                clean = False
                log.error("closing %s-%d failed: %s", partition.topic, partition.index, error)
        clean = self.moves.close(clean=clean)
        self.write_recovery_points()
        for partition in self.partitions():
            partition.detach()
        for lost in self._retired:
            try:
                lost.close()
            except (KcoreError, OSError) as error:
                log.debug("closing a log of a failed directory: %s", error)
        for directory in self.log_dirs:
            if clean and not self._unopened:
                directory.end_run(broker_epoch)
            directory.close()


def _flush_messages(config: LogConfig) -> int:
    return config.flush_messages if config.flush_messages < 2**62 else -1


def _ignore(_result: object) -> None:
    """For work whose count nobody asks for."""
