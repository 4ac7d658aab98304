"""The partitions of a broker follow the metadata image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kafka_py.config.broker import BrokerConfig
from kafka_py.config.standalone import standalone_properties
from kafka_py.config.topic import topic_log_config, topic_values
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_metadata as r
from kafka_py.replication.replica_manager import ReplicaManager, TopicSettings
from kafka_py.replication.verification import Batch, begin
from kcore import build
from kcore.checkpoints import PartitionMetadata
from kcore.errors import CorruptLog
from tests.replication.test_log_directory import NOW_MS, format_directory, opened

TOPIC, AGAIN = b"t" * 16, b"u" * 16


class Waiter:
    """An acks=all request that may be failed."""

    deadline_ms = 10**9

    def __init__(self) -> None:
        self.done = False
        self.error: int | None = None

    def satisfied(self) -> None:
        self.done = True

    def fail(self, error: int) -> None:
        self.done, self.error = True, error

    def expire(self) -> None:
        self.done = True


class Hosted:
    """A replica manager of broker 1 over real directories, and the image it follows."""

    def __init__(self, *paths: Path, properties: Mapping[str, str] | None = None) -> None:
        written = standalone_properties(str(paths[0]), port=0)
        self.config = BrokerConfig({**written, **(properties or {})})
        self.image = MetadataImage()
        self.replicas = ReplicaManager(
            self.config,
            [opened(path) for path in paths],
            broker_id=1,
            topic_settings=self.settings,
        )

    def settings(self, overrides: Mapping[str, str | None]) -> TopicSettings:
        texts = {name: text for name, text in overrides.items() if text is not None}
        return TopicSettings(
            topic_log_config(self.config, texts),
            topic_values(self.config, texts)["min.insync.replicas"],
        )

    def begin(self) -> None:
        image, _ = self.image.publish()
        self.replicas.open_logs(image, now_ms=NOW_MS)
        self.image.mark_everything_changed()
        self.follow()

    def follow(self, *records: Any) -> None:
        for record in records:
            self.image.apply(record)
        image, changed = self.image.publish()
        self.replicas.apply(image, changed, now_ms=NOW_MS)

    def append(self, index: int = 0, count: int = 1) -> None:
        partition = self.replicas.partition("t", index)
        assert partition is not None
        partition.log.append(
            build([(b"k", b"v", (), NOW_MS)] * count),
            leader_epoch=partition.leader_epoch,
            now_ms=NOW_MS,
        )
        partition.advance()

    def close(self) -> None:
        self.replicas.close(broker_epoch=3)


def topic(name: str = "t", topic_id: bytes = TOPIC) -> r.TopicRecord:
    return r.TopicRecord(name=name, topic_id=topic_id)


def placed(index: int = 0, topic_id: bytes = TOPIC, **fields: Any) -> r.PartitionRecord:
    values: dict[str, Any] = {
        "partition_id": index,
        "topic_id": topic_id,
        "replicas": [1],
        "isr": [1],
        "leader": 1,
        "leader_epoch": 0,
        "partition_epoch": 0,
        "directories": [bytes(16)] * len(fields.get("replicas", [1])),
    }
    return r.PartitionRecord(**{**values, **fields})


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    format_directory(tmp_path)
    made = Hosted(tmp_path)
    made.begin()
    yield made
    made.close()


def test_partitions_are_made_and_found(hosted: Hosted, tmp_path: Path) -> None:
    hosted.follow(topic(), placed(0), placed(1), placed(2, replicas=[2], isr=[2], leader=2))
    replicas = hosted.replicas
    assert replicas.partition_count() == 2
    first = replicas.partition("t", 0)
    assert first is replicas.partition_by_id(TOPIC, 0)
    assert first is not None
    assert first.leads
    assert (tmp_path / "t-1" / "partition.metadata").exists()
    for missing in (("t", 2), ("t", -1), ("u", 0)):
        assert replicas.partition(*missing) is None
    assert replicas.partition_by_id(AGAIN, 0) is None


def test_a_deleted_topic_is_gone_at_once_and_may_come_again(hosted: Hosted, tmp_path: Path) -> None:
    """H16: the same name with another id is another topic."""
    hosted.follow(topic(), placed(0))
    hosted.append(count=3)
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    waiter = Waiter()
    hosted.replicas.appends.watch(waiter, partition, 99)
    hosted.follow(
        r.RemoveTopicRecord(topic_id=TOPIC), topic(topic_id=AGAIN), placed(0, topic_id=AGAIN)
    )
    assert waiter.error == 6
    again = hosted.replicas.partition("t", 0)
    assert again is not None
    assert again.topic_id == AGAIN
    assert again.log_end_offset == 0
    assert hosted.replicas.partition_by_id(TOPIC, 0) is None
    hosted.follow(r.RemoveTopicRecord(topic_id=AGAIN))
    assert hosted.replicas.partition_count() == 0
    assert not list(tmp_path.glob("t-*"))


@pytest.mark.parametrize("flushed", [False, True])
def test_checkpoints_of_a_deleted_topic_are_not_those_of_a_new_one(
    tmp_path: Path, flushed: bool
) -> None:
    """A crash soon after: the new log is shorter than the old one's recovery point and start."""
    format_directory(tmp_path)
    hosted = Hosted(tmp_path)
    hosted.begin()
    hosted.follow(topic(), placed(0), placed(1))
    hosted.append(count=9)
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    partition.log.flush()
    partition.log.advance_log_start(7)
    hosted.replicas.write_checkpoints()
    hosted.follow(r.RemoveTopicRecord(topic_id=TOPIC))
    hosted.follow(topic(topic_id=AGAIN), placed(0, topic_id=AGAIN), placed(1, topic_id=AGAIN))
    hosted.append(count=3)
    for partition in hosted.replicas.partitions():
        if flushed:
            partition.log.flush()
        partition.log.abandon()
    for directory in hosted.replicas.log_dirs:
        directory.close()
    again = Hosted(tmp_path)
    again.image.apply(topic(topic_id=AGAIN))
    again.image.apply(placed(0, topic_id=AGAIN))
    again.begin()
    found = again.replicas.partition("t", 0)
    assert found is not None
    assert not found.offline
    assert (found.log_start_offset, found.log_end_offset) == (0, 3)
    again.close()


def test_a_lost_leadership_fails_who_waits(hosted: Hosted) -> None:
    hosted.follow(topic(), placed(0, replicas=[1, 2], isr=[1, 2]))
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    waiter = Waiter()
    hosted.replicas.appends.watch(waiter, partition, 1)
    hosted.follow(r.PartitionChangeRecord(partition_id=0, topic_id=TOPIC, leader=2))
    assert waiter.error == 6
    assert not partition.leads
    assert (partition.leader_id, partition.leader_epoch) == (2, 1)


def test_settings_take_effect(hosted: Hosted) -> None:
    hosted.follow(topic(), placed(0))
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None

    def set_to(name: str, value: str | None) -> r.ConfigRecord:
        return r.ConfigRecord(resource_type=2, resource_name="t", name=name, value=value)

    hosted.follow(set_to("min.insync.replicas", "2"), set_to("flush.messages", "1"))
    assert (partition.min_isr_setting, partition.flush_messages) == (2, 1)
    hosted.follow(set_to("segment.bytes", "1048576"), set_to("flush.messages", None))
    assert partition.log.config.segment_bytes == 1 << 20
    assert partition.flush_messages == -1


def test_a_restart_brings_offsets_back(tmp_path: Path) -> None:
    format_directory(tmp_path)
    records = [topic(), placed(0), placed(1)]
    first = Hosted(tmp_path)
    first.begin()
    first.follow(*records)
    first.append(0, 4)
    first.append(1, 2)
    partition = first.replicas.partition("t", 0)
    assert partition is not None
    partition.delete_records(3)
    first.close()
    assert (tmp_path / ".kafka_cleanshutdown").exists()
    second = Hosted(tmp_path)
    for record in records:
        second.image.apply(record)
    second.begin()
    assert not (tmp_path / ".kafka_cleanshutdown").exists()
    found = [
        (p.log_start_offset, p.high_watermark, p.log_end_offset)
        for p in second.replicas.partitions()
    ]
    assert found == [(3, 4, 4), (0, 2, 2)]
    second.close()


def test_strays_are_renamed_never_deleted(tmp_path: Path) -> None:
    """A partition that the metadata does not know, and one whose directory is another topic's."""
    format_directory(tmp_path)
    first = Hosted(tmp_path)
    first.begin()
    first.follow(topic(), placed(0), placed(1))
    first.append(0, 4)
    first.close()
    second = Hosted(tmp_path)
    for record in (topic(topic_id=AGAIN), placed(0, topic_id=AGAIN)):
        second.image.apply(record)
    second.begin()
    partition = second.replicas.partition("t", 0)
    assert partition is not None
    assert (partition.topic_id, partition.log_end_offset) == (AGAIN, 0)
    assert sorted(p.name[:4] for p in tmp_path.glob("*-stray")) == ["t-0.", "t-1."]
    assert not (tmp_path / "t-1").exists()
    second.close()


def test_a_directory_without_a_topic_id_is_adopted(tmp_path: Path) -> None:
    format_directory(tmp_path)
    first = Hosted(tmp_path)
    first.begin()
    first.follow(topic(), placed(0))
    first.append(0, 4)
    first.close()
    (tmp_path / "t-0" / "partition.metadata").unlink()
    second = Hosted(tmp_path)
    for record in (topic(), placed(0)):
        second.image.apply(record)
    second.begin()
    partition = second.replicas.partition("t", 0)
    assert partition is not None
    assert partition.log_end_offset == 4
    second.close()
    assert PartitionMetadata.read(tmp_path / "t-0") == PartitionMetadata(TOPIC)


def test_a_failed_directory_takes_only_its_own_partitions(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.mkdir()
        format_directory(path)
    hosted = Hosted(*paths)
    hosted.begin()
    hosted.follow(topic(), *[placed(index) for index in range(4)])
    failed = hosted.replicas.log_dirs[0]
    mine = [p for p in hosted.replicas.partitions() if p.directory is failed]
    assert len(mine) == 2, "spread over the directories"
    waiter = Waiter()
    hosted.replicas.appends.watch(waiter, mine[0], 1)
    failed.failure.fail(OSError(5, "broken"))
    assert set(hosted.replicas.directory_failed(failed)) == set(mine)
    assert waiter.error == 56
    assert all(p.offline for p in mine)
    assert sum(p.offline for p in hosted.replicas.partitions()) == 2
    hosted.follow(placed(9))
    ninth = hosted.replicas.partition("t", 9)
    assert ninth is not None
    assert ninth.directory is hosted.replicas.log_dirs[1]
    hosted.close()
    assert not (paths[0] / ".kafka_cleanshutdown").exists()


def test_a_partition_that_cannot_be_made_is_offline_and_can_be_deleted(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(hosted.replicas.log_dirs[0], "open_log", full)
        hosted.follow(topic(), placed(0))
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    assert partition.offline
    assert partition.leader_error(-1) == 56
    hosted.follow(r.RemoveTopicRecord(topic_id=TOPIC))
    assert hosted.replicas.partition_count() == 0


def test_a_log_that_cannot_be_opened_makes_way_for_a_new_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format_directory(tmp_path)
    first = Hosted(tmp_path)
    first.begin()
    first.follow(topic(), placed(0))
    first.append()
    first.close()
    second = Hosted(tmp_path)
    for record in (topic(), placed(0)):
        second.image.apply(record)

    def damaged(*_: object, **__: object) -> Any:
        raise CorruptLog("a closed segment is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(second.replicas.log_dirs[0], "open_log", damaged)
        second.begin()
    partition = second.replicas.partition("t", 0)
    assert partition is not None
    assert partition.leader_error(-1) == 56
    second.follow(
        r.RemoveTopicRecord(topic_id=TOPIC), topic(topic_id=AGAIN), placed(0, topic_id=AGAIN)
    )
    again = second.replicas.partition("t", 0)
    assert again is not None
    assert again.leader_error(-1) == 0
    assert again.log_end_offset == 0
    assert len(list(tmp_path.glob("t-0.*-delete"))) == 1
    second.close()


def test_what_deleted_topics_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    format_directory(tmp_path)
    left = tmp_path / f"t-0.{'0a' * 16}-delete"
    kept = [tmp_path / "mine-delete", tmp_path / f"t-0.{'0a' * 16}-stray"]
    for path in (left, *kept):
        path.mkdir()
        (path / "file").write_text("x")
    hosted = Hosted(tmp_path)
    hosted.begin()
    assert not left.exists()
    assert all((path / "file").exists() for path in kept)
    hosted.close()


def test_periodic_work_comes_when_due_and_not_twice(hosted: Hosted, tmp_path: Path) -> None:
    hosted.follow(topic(), placed(0))
    hosted.append(count=2)
    replicas = hosted.replicas
    assert replicas.due(NOW_MS) == []
    later = NOW_MS + 6000
    jobs = {job.name: job for job in replicas.due(later)}
    assert "high watermarks" in jobs
    assert "retention" not in jobs
    assert "high watermarks" not in {job.name for job in replicas.due(later + 6000)}
    jobs["high watermarks"].work()
    jobs["high watermarks"].then()
    assert "t 0 2" in (tmp_path / "replication-offset-checkpoint").read_text()
    assert "high watermarks" in {job.name for job in replicas.due(later + 12_000)}


def test_retention_deletes_old_segments(hosted: Hosted) -> None:
    hosted.follow(
        topic(),
        placed(0),
        r.ConfigRecord(resource_type=2, resource_name="t", name="retention.ms", value="1000"),
    )
    hosted.append(count=2)
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    partition.log.roll(NOW_MS)
    hosted.append(count=1)
    hosted.replicas.due(NOW_MS)
    due = hosted.replicas.due(NOW_MS + 300_001)
    job = next(job for job in due if job.name == "retention")
    job.work()
    job.then()
    assert partition.log_start_offset >= 2
    assert partition.log_start_offset <= partition.high_watermark == 3


def test_idle_producers_and_their_verifications_expire(hosted: Hosted) -> None:
    hosted.follow(topic(), placed(0))
    partition = hosted.replicas.partition("t", 0)
    assert partition is not None
    options: dict[str, Any] = {"producer_epoch": 0, "base_sequence": 0}
    for producer_id, transactional in ((7, False), (8, True)):
        records = build(
            [(b"k", b"v", (), NOW_MS)],
            producer_id=producer_id,
            transactional=transactional,
            **options,
        )
        partition.log.append(records, leader_epoch=0, now_ms=NOW_MS)
    assert begin(partition, Batch(9, 0, 0), adds=True, now_ms=NOW_MS) is not None
    day_ms = hosted.config["producer.id.expiration.ms"]
    interval_ms = hosted.config["producer.id.expiration.check.interval.ms"]
    hosted.replicas.due(NOW_MS + day_ms - 1 - interval_ms)
    for now_ms, left in (
        (NOW_MS + day_ms - 1, ([7, 8], 1)),
        (NOW_MS + day_ms - 1 + interval_ms, ([8], 0)),
    ):
        job = next(j for j in hosted.replicas.due(now_ms) if j.name == "producer ids")
        job.work()
        job.then()
        known = [one.producer_id for one in partition.log.producers.active()]
        assert (known, len(partition.verifications)) == left, "an open transaction is kept"
