"""The consumers' own protocol inside the classic one: subscriptions and assignments as bytes.

Both begin with their version (16 bits); a version that is too new is read as the newest known,
since versions only add to the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafka_py.coordinator.consumer.assignor_order import grown_capacity, topic_order
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol.errors import MalformedRequest
from kafka_py.protocol.groups import ConsumerProtocolAssignment, ConsumerProtocolSubscription

__all__ = ["assigned_to", "assignment_bytes", "subscription_of", "version_of"]

_NEWEST = 3


def version_of(data: bytes) -> int:
    """The version that these bytes begin with, at most the newest known. MalformedRequest."""
    if len(data) < 2:
        raise MalformedRequest("a version is missing")
    version = int.from_bytes(data[:2], "big", signed=True)
    if version < 0:
        raise MalformedRequest(f"{version} is no version")
    return min(version, _NEWEST)


def subscription_of(metadata: bytes) -> ConsumerProtocolSubscription:
    """A member's subscription. MalformedRequest."""
    return ConsumerProtocolSubscription.decode_from(metadata, 2, version_of(metadata))[0]


def assigned_to(data: bytes, image: MetadataImage) -> tuple[dict[bytes, tuple[int, ...]], bool]:
    """What a leader assigned to a member, of the topics that exist, and whether the assignor said
    something of its own beside. MalformedRequest."""
    if not data:
        return {}, False
    assignment, _ = ConsumerProtocolAssignment.decode_from(data, 2, version_of(data))
    topics = (
        (image.topics.get(row.topic), row.partitions) for row in assignment.assigned_partitions
    )
    assigned = {
        topic.id: tuple(dict.fromkeys(partitions))
        for topic, partitions in topics
        if topic is not None
    }
    return assigned, bool(assignment.user_data)


def assignment_bytes(
    assigned: Mapping[bytes, Iterable[int]], image: MetadataImage, version: int
) -> bytes:
    """An assignment, of the topics that exist, in that version of the protocol."""
    rows = []
    for topic_id in topic_order(sorted(assigned), grown_capacity(len(assigned))):
        topic = image.topics_by_id.get(topic_id)
        if topic is not None:
            rows.append(
                ConsumerProtocolAssignment.TopicPartition(
                    topic=topic.name, partitions=sorted(assigned[topic_id])
                )
            )
    body = ConsumerProtocolAssignment(assigned_partitions=rows)
    return version.to_bytes(2, "big") + body.encode(version)
