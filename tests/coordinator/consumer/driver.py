"""A shard without a broker: a log in memory, a clock moved by hand, topics made at will.

`ShardDriver` does what the runtime does with results: encodes their records, applies them, gives
the replies once they are committed, and calls ``then`` afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from kafka_py.config.broker import BROKER
from kafka_py.coordinator.machine import Caller, Moment, Result
from kafka_py.coordinator.shard import GroupShard
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_group as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.records import decode_key, decode_value, encode_key, encode_value
from kafka_py.protocol.records_metadata import (
    ConfigRecord,
    PartitionRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
)

#: Record type -> key and value classes.
TYPES: dict[int, tuple[Any, Any]] = {
    2: (r.GroupMetadataKey, r.GroupMetadataValue),
    3: (r.ConsumerGroupMetadataKey, r.ConsumerGroupMetadataValue),
    4: (r.ConsumerGroupPartitionMetadataKey, r.ConsumerGroupPartitionMetadataValue),
    5: (r.ConsumerGroupMemberMetadataKey, r.ConsumerGroupMemberMetadataValue),
    6: (r.ConsumerGroupTargetAssignmentMetadataKey, r.ConsumerGroupTargetAssignmentMetadataValue),
    7: (r.ConsumerGroupTargetAssignmentMemberKey, r.ConsumerGroupTargetAssignmentMemberValue),
    8: (r.ConsumerGroupCurrentMemberAssignmentKey, r.ConsumerGroupCurrentMemberAssignmentValue),
    16: (r.ConsumerGroupRegularExpressionKey, r.ConsumerGroupRegularExpressionValue),
}
VALUES: dict[Any, Any] = dict(TYPES.values())

#: The broker's defaults, with assignments as often as they are due.
SETTINGS = {
    **{name: key.default for name, key in BROKER.keys.items()},
    "group.consumer.assignment.interval.ms": 0,
}

#: The wall clock when the monotonic one stands at 0.
WALL_MS = 1_000_000

Entry = tuple[bytes, bytes | None]


def topic_id(number: int) -> bytes:
    """The id of the nth topic made."""
    return bytes([0x10 + number]) * 16


class Ask:
    """A request and, once it has come, the response to it; the `Reply` of the machine."""

    def __init__(self, request: Any, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.response: Any = None

    def give(self, response: Any) -> None:
        """Answer, once, with what the wire can carry."""
        assert self.response is None, f"a second answer to {self.request}"
        version = self.caller.api_version
        self.response = type(response).decode(response.encode(version), version)


class ShardDriver:
    """One shard and its log.

    Attributes:
        log: the appended records, as bytes.
        image: the working metadata; `publish` shows it to the shard.
        holding: what is appended is not committed until `commit`.
        on_record: told of every record appended.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings: dict[str, Any] = {**SETTINGS, **(settings or {})}
        self.now = Moment(0, WALL_MS)
        self.log: list[Entry] = []
        self.holding = False
        self.on_record: Callable[[Any, Any], None] = lambda key, value: None
        self._held: deque[Result] = deque()
        self._ids = 0
        self._topics = 0
        self.image = MetadataImage()
        self.published = self.image.publish()[0]
        self.shard = self.new_shard()

    def new_shard(self) -> GroupShard:
        """A shard that knows nothing but the metadata."""
        return GroupShard(0, settings=self.settings, image=self.published, new_id=self._new_id)

    def _new_id(self) -> str:
        self._ids += 1
        return str(UUID(int=self._ids))

    # -- metadata ------------------------------------------------------------------------------

    def make_topic(self, name: str, partitions: int, *, replicas: tuple[int, ...] = (0,)) -> bytes:
        """Create a topic and show it; returns its id."""
        self._topics += 1
        made = topic_id(self._topics)
        self.image.apply(TopicRecord(name=name, topic_id=made))
        self.add_partitions(name, 0, partitions, replicas=replicas)
        return made

    def add_partitions(
        self, name: str, first: int, end: int, *, replicas: tuple[int, ...] = (0,)
    ) -> None:
        """Give a topic partitions from ``first`` to before ``end``, and show it."""
        for index in range(first, end):
            self.image.apply(
                PartitionRecord(
                    topic_id=self.image.topics[name].id,
                    partition_id=index,
                    replicas=list(replicas),
                    isr=list(replicas),
                    leader=replicas[0],
                    directories=[bytes(16)] * len(replicas),
                )
            )
        self.publish({name})

    def remove_topic(self, name: str) -> None:
        """Delete a topic and show it."""
        self.image.apply(RemoveTopicRecord(topic_id=self.image.topics[name].id))
        self.publish({name})

    def register_broker(self, broker_id: int, rack: str | None) -> None:
        """A broker with a rack."""
        self.image.apply(RegisterBrokerRecord(broker_id=broker_id, rack=rack))
        self.publish(set())

    def set_group_config(self, group_id: str, name: str, value: str | None) -> None:
        """Give a group a setting of its own."""
        self.image.apply(
            ConfigRecord(resource_type=32, resource_name=group_id, name=name, value=value)
        )
        self.publish(set())

    def publish(self, names: set[str]) -> None:
        """Show the shard the metadata; topics of these names changed."""
        self.image.offset += 1
        self.published = self.image.publish()[0]
        for result in self.shard.metadata_changed(self.published, names, self.now):
            self.take(result)

    # -- requests ------------------------------------------------------------------------------

    def ask(self, request: Any, client: str = "client", version: int = 1) -> Ask:
        """Let the shard handle a request; its response is there unless commits are held."""
        ask = Ask(request, Caller(client, "/10.0.0.1", version))
        self.take(self.shard.handle(request, ask.caller, self.now, ask))
        return ask

    def take(self, result: Result) -> None:
        """Do what the runtime does with a result."""
        for key, value, version in result.records:
            encoded = None if value is None else encode_value(value, version)
            self.log.append((encode_key(key), encoded))
            self.on_record(key, value)
            if result.replay:
                self.shard.apply(key, value)
        self._held.append(result)
        if not self.holding:
            self.commit()

    def commit(self) -> None:
        """Everything appended is committed."""
        while self._held:
            result = self._held.popleft()
            for reply, response in result.replies:
                assert isinstance(reply, Ask)
                reply.give(response)
            if result.then is not None:
                self.take(result.then(ErrorCode.NONE, self.now))

    # -- time, restarts ------------------------------------------------------------------------

    def advance(self, duration_ms: int) -> None:
        """Let time pass, with everything that comes due on the way."""
        end_ms = self.now.ms + duration_ms
        while True:
            at_ms = self.shard.next_deadline_ms()
            if at_ms is None or at_ms > end_ms:
                break
            self._move(max(at_ms, self.now.ms))
            for result in self.shard.expire(self.now):
                self.take(result)
        self._move(end_ms)

    def _move(self, to_ms: int) -> None:
        self.now = Moment(to_ms, self.now.wall_ms + to_ms - self.now.ms)

    def restart(self, *, keep: int | None = None) -> None:
        """Another coordinator loads the log (its first ``keep`` records); replies are lost."""
        if keep is not None:
            del self.log[keep:]
        self._held.clear()
        self.shard = self.replayed(self.log)
        for result in self.shard.loaded(self.now):
            self.take(result)

    def replayed(self, log: list[Entry]) -> GroupShard:
        """A shard that has read a log, and armed no timer."""
        shard = self.new_shard()
        for key_bytes, value_bytes in log:
            key: Any = decode_key(key_bytes, TYPES)
            value = None if value_bytes is None else decode_value(VALUES[type(key)], value_bytes)[0]
            shard.apply(key, value)
        return shard


def compacted(log: list[Entry]) -> list[Entry]:
    """What a cleaner leaves of a log, tombstones included."""
    last = {key: index for index, (key, _) in enumerate(log)}
    return [entry for index, entry in enumerate(log) if last[entry[0]] == index]
