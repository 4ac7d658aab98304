"""Metadata (key 3), versions 0-13: where topics, partitions and brokers are.

Behaviour: as Apache Kafka 4.3.1. A null list (in version 0 an empty one) asks for all topics. Topic
ids (12+) take precedence over names: once one is given, entries with a name alone are passed over.
A missing topic is created where the request and auto.create.topics.enable allow it; the answer says
UNKNOWN_TOPIC_OR_PARTITION (3) until it is there. The controller id is that of a live broker, since
clients cannot reach the controllers of KRaft.

Topics take DESCRIBE: of all topics the others are left out, of those asked for they are
TOPIC_AUTHORIZATION_FAILED (29). To have one created takes CREATE on the cluster or the topic.

Known differences: topics come in the order asked for, sorted where all are asked for; Kafka's order
is that of a hash set. An entry with neither name nor id is INVALID_REQUEST; Kafka answers it with
UNKNOWN_SERVER_ERROR.

What was encoded for a topic is kept and used again until the topic or a broker changes, so that an
answer about many topics costs little more than joining bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from kafka_py.config.names import INTERNAL_TOPICS, topic_name_fault
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.metadata import MetadataRequest, MetadataResponse
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.metadata.image import MetadataImage
    from kafka_py.metadata.types import BrokerRegistration, PartitionImage, TopicImage
    from kafka_py.server.node import Node

#: No authorized operations were asked for (KIP-430).
NOT_ASKED: Final = -(1 << 31)
CACHED_MAX: Final = 1000

Topic = MetadataResponse.MetadataResponseTopic
Partition = MetadataResponse.MetadataResponsePartition
Broker = MetadataResponse.MetadataResponseBroker
#: What an encoded topic depends on beside the topic: version, listener, authorized operations.
Key = tuple[int, str, int]


class MetadataReply:
    """A MetadataResponse whose topics are encoded already."""

    __slots__ = ("count", "frame", "topics", "version")

    def __init__(self, frame: MetadataResponse, topics: list[bytes], version: int) -> None:
        self.frame = frame
        self.topics = topics
        self.count = len(topics)
        self.version = version

    def encode_parts(self, version: int) -> list[bytes | memoryview]:
        """The response as parts; ``version`` is the one it was made for."""
        assert version == self.version
        empty = self.frame.encode(version)
        tail = tail_bytes(version)
        flexible = version >= 9
        before = empty[: len(empty) - tail - (1 if flexible else 4)]
        count = unsigned_varint(self.count + 1) if flexible else self.count.to_bytes(4, "big")
        return [b"".join((before, count, *self.topics, empty[len(empty) - tail :]))]

    def encode(self, version: int) -> bytes:
        """The response in one piece."""
        return bytes(self.encode_parts(version)[0])


def tail_bytes(version: int) -> int:
    """How many bytes follow the topics: authorized operations, error code, tagged fields."""
    operations = 4 if 8 <= version <= 10 else 0
    return operations + (2 if version >= 13 else 0) + (1 if version >= 9 else 0)


def unsigned_varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class TopicPieces:
    """Encoded topics of one node, by what they depend on; valid for one set of brokers."""

    def __init__(self) -> None:
        self.image: MetadataImage | None = None
        self.brokers: dict[int, BrokerRegistration] = {}
        self.pieces: dict[Key, dict[str, tuple[TopicImage, bytes]]] = {}
        self.joined: dict[Key, list[bytes]] = {}

    def follow(self, image: MetadataImage) -> None:
        """Drop what a newer image made stale."""
        if image is self.image:
            return
        self.joined.clear()
        brokers = dict(image.brokers)
        stored = max((len(pieces) for pieces in self.pieces.values()), default=0)
        if brokers != self.brokers or stored > 2 * len(image.topics) + CACHED_MAX:
            self.pieces.clear()
            self.brokers = brokers
        self.image = image

    def everything(self, image: MetadataImage, key: Key) -> list[bytes]:
        """All topics, by name."""
        found = self.joined.get(key)
        if found is None:
            found = [self.topic(image, image.topics[name], key) for name in sorted(image.topics)]
            self.joined[key] = found
        return found

    def topic(self, image: MetadataImage, topic: TopicImage, key: Key) -> bytes:
        """One topic that exists."""
        pieces = self.pieces.setdefault(key, {})
        found = pieces.get(topic.name)
        if found is not None and found[0] is topic:
            return found[1]
        version, listener, operations = key
        made = encode_topic(describe_topic(image, topic, listener, version, operations), version)
        pieces[topic.name] = (topic, made)
        return made


_PIECES: WeakKeyDictionary[Node, TopicPieces] = WeakKeyDictionary()


def encode_topic(topic: Topic, version: int) -> bytes:
    """The bytes of one entry of the topics array."""
    tail = tail_bytes(version)
    empty = MetadataResponse().encode(version)
    with_topic = MetadataResponse(topics=[topic]).encode(version)
    return with_topic[len(empty) - tail : len(with_topic) - tail]


def reachable(broker: BrokerRegistration | None, listener: str) -> bool:
    """Whether clients of a listener can be sent to a broker."""
    return broker is not None and not broker.fenced and broker.endpoint(listener) is not None


def live_brokers(image: MetadataImage, listener: str) -> list[Broker]:
    """The brokers that clients of a listener are told of, by id."""
    found = []
    for broker_id in sorted(image.brokers):
        broker = image.brokers[broker_id]
        endpoint = broker.endpoint(listener)
        if endpoint is not None and not broker.fenced:
            found.append(
                Broker(node_id=broker_id, host=endpoint.host, port=endpoint.port, rack=broker.rack)
            )
    return found


def offline_replicas(image: MetadataImage, partition: PartitionImage, listener: str) -> list[int]:
    """The replicas that cannot be served: broker away, or its directory lost."""
    found = []
    for replica, directory in zip(partition.replicas, partition.directories, strict=True):
        broker = image.brokers.get(replica)
        if not reachable(broker, listener) or not broker.has_online_directory(directory):
            found.append(replica)
    return found


def describe_partition(
    image: MetadataImage, index: int, partition: PartitionImage, listener: str, version: int
) -> Partition:
    """One partition, as clients of a listener see it."""
    replicas, isr = list(partition.replicas), list(partition.isr)
    error = ErrorCode.NONE
    if version == 0:
        # Version 0 left out replicas that are away, and said so.
        replicas = [r for r in replicas if reachable(image.brokers.get(r), listener)]
        isr = [r for r in isr if reachable(image.brokers.get(r), listener)]
        if len(replicas) < len(partition.replicas) or len(isr) < len(partition.isr):
            error = ErrorCode.REPLICA_NOT_AVAILABLE
    leader_id = partition.leader
    leader = image.brokers.get(leader_id)
    if not reachable(leader, listener):
        leader_id = -1
        error = ErrorCode.LEADER_NOT_AVAILABLE
        if leader is not None and not leader.fenced and version >= 6:
            error = ErrorCode.LISTENER_NOT_FOUND
    return Partition(
        error_code=error,
        partition_index=index,
        leader_id=leader_id,
        leader_epoch=partition.leader_epoch,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=offline_replicas(image, partition, listener),
    )


def describe_topic(
    image: MetadataImage, topic: TopicImage, listener: str, version: int, operations: int
) -> Topic:
    """One topic that exists, with its partitions in order."""
    return Topic(
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=[
            describe_partition(image, index, topic.partitions[index], listener, version)
            for index in sorted(topic.partitions)
        ],
        topic_authorized_operations=operations,
    )


def describe_missing(name: str, error: int, operations: int) -> Topic:
    """A topic that is not there, and why."""
    return Topic(
        error_code=error,
        name=name,
        is_internal=name in INTERNAL_TOPICS,
        topic_authorized_operations=operations,
    )


def missing_error(name: str) -> ErrorCode:
    """Why a topic is not there when nobody may create it."""
    if topic_name_fault(name) is not None:
        return ErrorCode.INVALID_TOPIC_EXCEPTION
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def unusable(topics: Sequence[MetadataRequest.MetadataRequestTopic], version: int) -> int | None:
    """The error of a whole request whose entries contradict its version; None where it is fine."""
    by_id = any(topic.topic_id != ZERO_UUID for topic in topics)
    nameless = any(topic.name is None for topic in topics)
    if version < 12 and (by_id or nameless):
        return ErrorCode.INVALID_REQUEST
    if nameless and not by_id:
        return ErrorCode.INVALID_REQUEST
    return None


def refuse(
    topics: Sequence[MetadataRequest.MetadataRequestTopic], error: int, version: int
) -> MetadataResponse:
    """The answer to a request that cannot be used: the error for each entry, and for all (13+)."""
    return MetadataResponse(
        topics=[
            Topic(error_code=error, name=topic.name or "", topic_id=topic.topic_id)
            for topic in topics
        ],
        error_code=error if version >= 13 else 0,
    )


def unique(names: Iterable[str]) -> list[str]:
    """The names, each once, in the order of their first appearance."""
    return list(dict.fromkeys(names))


def denied(name: str | None, topic_id: bytes = ZERO_UUID, *, internal: bool = False) -> Topic:
    """A topic that the caller may not see, or not create."""
    error = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return Topic(error_code=error, name=name, topic_id=topic_id, is_internal=internal)


@handles(ApiKey.METADATA)
def metadata(node: Node, context: RequestContext, request: MetadataRequest) -> Any:
    """Answer a Metadata request; waits only where a topic has to be created."""
    version, access = context.api_version, access_of(node, context)
    topics = request.topics
    if topics is None or (version == 0 and not topics):
        every = None
        if not access.open:
            every = sorted(access.topics(Operation.DESCRIBE, node.image.topics, quietly=True))
        return answer(node, context, request, every, [], {})
    error = unusable(topics, version)
    if error is not None:
        return refuse(topics, error, version)
    ids = list(dict.fromkeys(t.topic_id for t in topics if t.topic_id != ZERO_UUID))
    if ids:
        return answer_by_id(node, context, request, ids)
    names = unique(topic.name for topic in topics if topic.name is not None)
    refused: list[Topic] = []
    if not access.open:
        shown = access.topics(Operation.DESCRIBE, names)
        refused = [denied(name) for name in names if name not in shown]
        names = [name for name in names if name in shown]
    if request.allow_auto_topic_creation and node.config["auto.create.topics.enable"]:
        missing = [name for name in names if name not in node.image.topics]
        if missing and not access.cluster(Operation.CREATE, quietly=True):
            creatable = access.topics(Operation.CREATE, missing)
            hidden = [name for name in missing if name not in creatable]
            refused += [denied(name, internal=name in INTERNAL_TOPICS) for name in hidden]
            names = [name for name in names if name not in hidden]
        missing = [name for name in missing if name in names and topic_name_fault(name) is None]
        if missing:
            return create_and_answer(node, context, request, names, missing, refused)
    return answer(node, context, request, names, refused, {})


def answer_by_id(
    node: Node, context: RequestContext, request: MetadataRequest, ids: list[bytes]
) -> MetadataReply:
    """The answer about topics by id; of those that the caller may not see not even the name."""
    by_id = node.image.topics_by_id
    known = {by_id[topic_id].name: topic_id for topic_id in ids if topic_id in by_id}
    shown = access_of(node, context).topics(Operation.DESCRIBE, known)
    others = [
        Topic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
        for topic_id in ids
        if topic_id not in by_id
    ]
    others += [denied(None, topic_id) for name, topic_id in known.items() if name not in shown]
    names = [name for name in known if name in shown]
    return answer(node, context, request, names, others, {})


async def create_and_answer(
    node: Node,
    context: RequestContext,
    request: MetadataRequest,
    names: list[str],
    missing: list[str],
    others: list[Topic],
) -> MetadataReply:
    """Ask for the missing topics, then answer."""
    errors = await node.auto_create_topics(missing, context)
    return answer(node, context, request, names, others, errors)


def answer(
    node: Node,
    context: RequestContext,
    request: MetadataRequest,
    names: list[str] | None,
    others: list[Topic],
    errors: dict[str, ErrorCode],
) -> MetadataReply:
    """The answer about these names (None: all); `others` come first and missing topics last.

    A topic in ``errors`` is answered with its error even where it is there by now: a client that
    asked for its creation is told to come back, as with Kafka.
    """
    image, version, listener = node.image, context.api_version, context.listener
    access = access_of(node, context)
    asked = version >= 8 and request.include_topic_authorized_operations

    def operations(name: str) -> int:
        return access.operations(ResourceType.TOPIC, name) if asked else NOT_ASKED

    cache = _PIECES.get(node)
    if cache is None:
        cache = _PIECES[node] = TopicPieces()
    cache.follow(image)
    if names is None:
        pieces = cache.everything(image, (version, listener, operations("")))
    else:
        pieces = [encode_topic(other, version) for other in others]
        there = [name for name in names if name in image.topics and name not in errors]
        pieces += [
            cache.topic(image, image.topics[name], (version, listener, operations(name)))
            for name in there
        ]
        pieces += [
            encode_topic(
                describe_missing(name, errors.get(name) or missing_error(name), operations(name)),
                version,
            )
            for name in names
            if name not in image.topics or name in errors
        ]
    brokers = live_brokers(image, listener)
    ask_cluster = 8 <= version <= 10 and request.include_cluster_authorized_operations
    frame = MetadataResponse(
        brokers=brokers,
        cluster_id=node.cluster_id,
        controller_id=brokers[0].node_id if brokers else -1,
        cluster_authorized_operations=access.cluster_operations() if ask_cluster else NOT_ASKED,
    )
    return MetadataReply(frame, pieces, version)
