"""OffsetForLeaderEpoch: where epochs ended, whose logs are asked, and what is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.offsets import OffsetForLeaderEpochRequest
from kafka_py.server.broker import Broker
from tests.server.messages import batch, produce
from tests.server.wire import Wire


def ask(wire: Wire, topic: str, epoch: int, current: int = -1, partition: int = 0) -> Any:
    """(error, epoch, end offset), the same in every version."""
    row = OffsetForLeaderEpochRequest.OffsetForLeaderPartition(
        partition=partition, leader_epoch=epoch, current_leader_epoch=current
    )
    answers = set()
    for version in (2, 3, 4):
        reply = wire.call(
            OffsetForLeaderEpochRequest(
                replica_id=-1,
                topics=[
                    OffsetForLeaderEpochRequest.OffsetForLeaderTopic(topic=topic, partitions=[row])
                ],
            ),
            version,
        )
        (said,) = reply.topics[0].partitions
        assert (reply.topics[0].topic, said.partition) == (topic, partition)
        answers.add((said.error_code, said.leader_epoch, said.end_offset))
    (answer,) = answers
    return answer


def test_the_latest_epoch_ends_at_the_logs_end(wire: Wire, topic: str) -> None:
    assert ask(wire, topic, 0) == (0, 0, 0)
    wire.call(produce(topic, batch(3)), 9)
    assert ask(wire, topic, 0) == (0, 0, 3)


def test_earlier_and_unknown_epochs(broker: Broker, wire: Wire, topic: str) -> None:
    wire.call(produce(topic, batch(3)), 9)
    partition = broker.node.replicas.partition(topic, 0)
    assert partition is not None
    partition.log.leader_epochs.assign(4, 3)
    wire.call(produce(topic, batch(2)), 9)
    assert ask(wire, topic, 0) == (0, 0, 3)
    # No record was written under 2: the end of the epoch before it.
    assert ask(wire, topic, 2) == (0, 0, 3)
    assert ask(wire, topic, 4) == (0, 4, 5)
    assert ask(wire, topic, 9) == (0, -1, -1)
    assert ask(wire, topic, -1) == (0, -1, -1)


@pytest.mark.parametrize(
    ("current", "error"),
    [(-1, 0), (0, 0), (3, ErrorCode.UNKNOWN_LEADER_EPOCH)],
)
def test_the_askers_epoch(wire: Wire, topic: str, current: int, error: int) -> None:
    assert ask(wire, topic, 0, current)[0] == error


def test_unknown_partitions(wire: Wire, topic: str) -> None:
    unknown = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)
    assert ask(wire, "nowhere", 0) == unknown
    assert ask(wire, topic, 0, partition=5) == unknown


def test_only_the_leader_answers(broker: Broker, wire: Wire, topic: str) -> None:
    partition = broker.node.replicas.partition(topic, 0)
    assert partition is not None
    partition.leads = False
    assert ask(wire, topic, 0) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1, -1)
    partition.leads = True
    partition.offline = True
    try:
        assert ask(wire, topic, 0) == (ErrorCode.KAFKA_STORAGE_ERROR, -1, -1)
    finally:
        partition.offline = False
