"""How Kafka's own topics are made when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcore.values import frozen


@frozen
class InternalTopic:
    """What CreateTopics is asked for."""

    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


def internal_topic(broker: Mapping[str, Any], name: str) -> InternalTopic | None:
    """The shape of __consumer_offsets, __transaction_state or __share_group_state by the broker's
    settings; None for any other name, which gets the defaults."""
    if name == "__consumer_offsets":
        return InternalTopic(
            broker["offsets.topic.num.partitions"],
            broker["offsets.topic.replication.factor"],
            {
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(broker["offsets.topic.segment.bytes"]),
            },
        )
    if name == "__transaction_state":
        return InternalTopic(
            broker["transaction.state.log.num.partitions"],
            broker["transaction.state.log.replication.factor"],
            {
                "cleanup.policy": "compact",
                "compression.type": "uncompressed",
                "min.insync.replicas": str(broker["transaction.state.log.min.isr"]),
                "segment.bytes": str(broker["transaction.state.log.segment.bytes"]),
                "unclean.leader.election.enable": "false",
            },
        )
    if name == "__share_group_state":
        return InternalTopic(
            broker["share.coordinator.state.topic.num.partitions"],
            broker["share.coordinator.state.topic.replication.factor"],
            {
                "cleanup.policy": "delete",
                "compression.type": "producer",
                "min.insync.replicas": str(broker["share.coordinator.state.topic.min.isr"]),
                "retention.ms": "-1",
                "segment.bytes": str(broker["share.coordinator.state.topic.segment.bytes"]),
            },
        )
    return None
