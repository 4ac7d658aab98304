"""ListOffsets: special timestamps, searches by time, bounds and who may ask."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.offsets import ListOffsetsRequest
from kafka_py.protocol.topics import DeleteRecordsRequest
from kafka_py.server.broker import Broker
from kcore import build
from tests.server.conftest import make_topic
from tests.server.messages import offsets, produce
from tests.server.wire import Wire

START = 1_700_000_000_000
#: Timestamps after START, a row for each batch; the largest is not the last.
TIMES = ((0, 10, 20), (50, 40), (30, 900), (60,))


def rows(times: tuple[int, ...], **options: Any) -> bytes:
    """A batch of records of these times."""
    return build([(None, b"v", (), START + one) for one in times], **options)


@pytest.fixture(scope="module")
def filled(broker: Broker) -> str:
    """A topic of eight records in four batches, the second and third compressed."""
    with Wire(broker.bootstrap_servers) as wire:
        make_topic(wire, "filled")
        for times, codec in zip(TIMES, ("none", "gzip", "lz4", "none"), strict=True):
            reply = wire.call(produce("filled", rows(times, compression=codec)), 9)
            assert reply.responses[0].partition_responses[0].error_code == 0
    return "filled"


def only(response: Any) -> Any:
    """The answer about the only partition."""
    (topic,) = response.topics
    (partition,) = topic.partitions
    return partition


def told(wire: Wire, request: Any, version: int = 7) -> tuple[int, int, int]:
    """(error, offset, timestamp after START or -1)."""
    said = only(wire.call(request, version))
    timestamp = said.timestamp - START if said.timestamp >= 0 else said.timestamp
    return said.error_code, said.offset, timestamp


@pytest.mark.parametrize("version", range(1, 12))
@pytest.mark.parametrize(
    ("special", "since", "expected"),
    [
        (-1, 1, (0, 8, -1)),
        (-2, 1, (0, 0, -1)),
        (-3, 7, (0, 6, 900)),
        (-4, 8, (0, 0, -1)),
        (-5, 9, (0, -1, -1)),
        (-6, 11, (0, -1, -1)),
        (-7, 99, ()),
    ],
)
def test_special_timestamps(
    wire: Wire, filled: str, special: int, since: int, version: int, expected: tuple[int, ...]
) -> None:
    if version < since:
        expected = (ErrorCode.UNSUPPORTED_VERSION, -1, -1)
    assert told(wire, offsets(filled, special), version) == expected


def test_the_first_record_that_is_late_enough(wire: Wire, filled: str) -> None:
    flat = [(offset, time) for offset, time in enumerate(t for row in TIMES for t in row)]
    for after in range(0, 905, 5):
        expected = next(((0, o, t) for o, t in flat if t >= after), (0, -1, -1))
        assert told(wire, offsets(filled, START + after)) == expected
    assert told(wire, offsets(filled, 0)) == (0, 0, 0)
    assert told(wire, offsets(filled, 2**62)) == (0, -1, -1)


def test_leader_epochs_are_told_from_version_4_on(wire: Wire, filled: str) -> None:
    for timestamp in (-1, -2, START + 50):
        assert only(wire.call(offsets(filled, timestamp), 3)).leader_epoch == -1
        assert only(wire.call(offsets(filled, timestamp), 4)).leader_epoch == 0
    assert only(wire.call(offsets(filled, 2**62), 4)).leader_epoch == -1


def test_an_empty_partition(wire: Wire, topic: str) -> None:
    assert [told(wire, offsets(topic, t)) for t in (-1, -2, -3, START)] == [
        (0, 0, -1),
        (0, 0, -1),
        (0, -1, -1),
        (0, -1, -1),
    ]


@pytest.mark.parametrize(
    ("epoch", "error"),
    [(-1, 0), (0, 0), (5, ErrorCode.UNKNOWN_LEADER_EPOCH)],
)
def test_leader_epoch_of_the_asker(wire: Wire, filled: str, epoch: int, error: int) -> None:
    request = offsets(filled, -1)
    request.topics[0].partitions[0].current_leader_epoch = epoch
    assert only(wire.call(request, 7)).error_code == error


def test_unknown_and_repeated_partitions(wire: Wire, filled: str) -> None:
    unknown = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)
    assert told(wire, offsets("nowhere", -1)) == unknown
    assert told(wire, offsets(filled, -1, partition=9)) == unknown
    twice = offsets(filled, -1)
    twice.topics[0].partitions *= 2
    assert told(wire, twice) == (ErrorCode.INVALID_REQUEST, -1, -1)


def test_the_log_start_is_the_earliest(wire: Wire, topic: str) -> None:
    for times in TIMES:
        wire.call(produce(topic, rows(times)), 9)
    cut = DeleteRecordsRequest.DeleteRecordsPartition(partition_index=0, offset=4)
    wire.call(
        DeleteRecordsRequest(
            topics=[DeleteRecordsRequest.DeleteRecordsTopic(name=topic, partitions=[cut])]
        ),
        2,
    )
    assert told(wire, offsets(topic, -2)) == (0, 4, -1)
    assert told(wire, offsets(topic, -4), 8) == (0, 4, -1)
    found = told(wire, offsets(topic, START))
    assert found[1] >= 4


class Lagging:
    """A partition of a new leader: two records of its own epoch are not replicated yet."""

    def __init__(self, partition: Any) -> None:
        self.partition = partition
        self.high_watermark = 4
        self.last_stable_offset = 3
        self.leader_epoch_start_offset = 6

    def __getattr__(self, name: str) -> Any:
        return getattr(self.partition, name)


@pytest.fixture
def lagging(broker: Broker, filled: str, monkeypatch: pytest.MonkeyPatch) -> Lagging:
    partition = Lagging(broker.node.replicas.partition(filled, 0))
    monkeypatch.setattr(broker.node.replicas, "partition", lambda *_: partition)
    return partition


def test_no_end_before_the_leaders_epoch_is_replicated(
    wire: Wire, filled: str, lagging: Lagging
) -> None:
    refused = (ErrorCode.OFFSET_NOT_AVAILABLE, -1, -1)
    assert told(wire, offsets(filled, -1), 5) == refused
    assert told(wire, offsets(filled, -1), 4)[0] == ErrorCode.LEADER_NOT_AVAILABLE
    assert told(wire, offsets(filled, START + 900), 5) == refused
    # What is replicated may be told, and where the log begins.
    assert told(wire, offsets(filled, START + 20), 5) == (0, 2, 20)
    assert told(wire, offsets(filled, -2), 5) == (0, 0, -1)
    # Replicas and tools see all of the log.
    assert told(wire, offsets(filled, -1, replica_id=-2), 5) == (0, 8, -1)


def test_bounds_of_the_isolation_levels(wire: Wire, filled: str, lagging: Lagging) -> None:
    lagging.leader_epoch_start_offset = 0
    assert told(wire, offsets(filled, -1)) == (0, 4, -1)
    assert told(wire, offsets(filled, START + 40)) == (0, 3, 50)
    assert told(wire, offsets(filled, START + 60)) == (0, -1, -1)
    committed = offsets(filled, -1)
    committed.isolation_level = 1
    assert told(wire, committed) == (0, 3, -1)
    committed.topics[0].partitions[0].timestamp = START + 40
    assert told(wire, committed) == (0, -1, -1)


def test_only_tools_may_ask_a_follower(broker: Broker, wire: Wire, filled: str) -> None:
    partition = broker.node.replicas.partition(filled, 0)
    assert partition is not None
    partition.leads = False
    try:
        assert told(wire, offsets(filled, -1))[0] == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert told(wire, offsets(filled, -1, replica_id=-2)) == (0, 8, -1)
    finally:
        partition.leads = True


def test_no_topics_no_answers(wire: Wire) -> None:
    assert wire.call(ListOffsetsRequest(replica_id=-1), 11).topics == []
