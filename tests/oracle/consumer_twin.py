"""A consumer group twice: in Apache's broker over the wire, and in our shard without one.

Everything is said to both; answers have to agree word for word, and so have the records that both
wrote in the end. Topics have the ids that Apache gave them, since what assignors do with equal
choices depends on ids. Our clock stands still, so a story has to be over before Apache's time-outs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    FindCoordinatorRequest,
)
from kafka_py.protocol.metadata import DescribeTopicPartitionsRequest
from kafka_py.protocol.records import decode_key, decode_value
from kafka_py.protocol.records_metadata import TopicRecord
from kafka_py.protocol.topics import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
)
from kcore.record_batch import RecordBatch
from tests.coordinator.consumer.driver import TYPES, VALUES, ShardDriver
from tests.oracle.raw import SETTLE_S, RawClient

#: The client id that `RawClient` says, and where it asks from.
CLIENT = "raw"
OUR_HOST, THEIR_HOST = "/10.0.0.1", "/127.0.0.1"
BATCH_OVERHEAD = 12
PATIENCE_S = 10.0

Plain = dict[str, Any]


def until(seen: Callable[[], bool], what: str) -> None:
    """Wait until that is so."""
    end = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.01)


class Twin:
    """One group, ``group_id``, in both. ``data``: Apache's log directory."""

    def __init__(self, port: int, data: Path, group_id: str) -> None:
        self.client = RawClient(port)
        self.data = data
        self.group_id = group_id
        self.ours = ShardDriver()
        self.written: list[Plain] = []
        self.ours.on_record = lambda key, value: self.written.append(plain_record(key, value))
        self.ids: dict[str, bytes] = {}
        self.said: list[str] = []
        self._find_coordinator()

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _find_coordinator(self) -> None:
        find = FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group_id])
        until(lambda: not self.client.call(find, 4).coordinators[0].error_code, "a coordinator")
        beat = ConsumerGroupHeartbeatRequest(
            group_id=self.group_id, member_id="nobody", member_epoch=1
        )
        loading = (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR)
        until(lambda: self.client.call(beat, 1).error_code not in loading, "a loaded coordinator")

    # -- topics --------------------------------------------------------------------------------

    def make_topic(self, name: str, partitions: int) -> None:
        """Create a topic in both, under Apache's id."""
        topic = CreateTopicsRequest.CreatableTopic(
            name=name, num_partitions=partitions, replication_factor=1
        )
        request = CreateTopicsRequest(topics=[topic], timeout_ms=10_000)
        made = self.client.call(request, 7).topics[0]
        assert not made.error_code, made
        self.ids[name] = made.topic_id
        self._until_partitions(name, partitions)
        self.ours.image.apply(TopicRecord(name=name, topic_id=made.topic_id))
        self.ours.add_partitions(name, 0, partitions)

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give a topic that many partitions."""
        row = CreatePartitionsRequest.CreatePartitionsTopic(
            name=name, count=partitions, assignments=None
        )
        request = CreatePartitionsRequest(topics=[row], timeout_ms=10_000)
        assert not self.client.call(request, 3).results[0].error_code
        self._until_partitions(name, partitions)
        self.ours.add_partitions(name, len(self.ours.image.topics[name].partitions), partitions)

    def remove_topic(self, name: str) -> None:
        """Delete a topic."""
        request = DeleteTopicsRequest(topic_names=[name], timeout_ms=10_000)
        assert not self.client.call(request, 5).responses[0].error_code
        self._until_partitions(name, 0)
        self.ours.remove_topic(name)

    def _until_partitions(self, name: str, partitions: int) -> None:
        row = DescribeTopicPartitionsRequest.TopicRequest(name=name)
        request = DescribeTopicPartitionsRequest(topics=[row])
        until(
            lambda: len(self.client.call(request, 0).topics[0].partitions) == partitions,
            f"{name} with {partitions} partitions",
        )
        # The coordinator hears of the metadata a moment after those who answer for it.
        time.sleep(SETTLE_S)

    # -- the group -----------------------------------------------------------------------------

    def beat(
        self, member_id: str, epoch: int, *, version: int = 1, **fields: Any
    ) -> ConsumerGroupHeartbeatResponse:
        """A heartbeat to both; the answer, which was the same."""
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.group_id, member_id=member_id, member_epoch=epoch, **fields
        )
        self.said.append(f"{member_id} {epoch} {fields}")
        theirs = self.client.call(request, version)
        ours = self.ours.ask(request, CLIENT, version).response
        told = "\n".join([*self.said[-8:], str(plain(ours)), str(plain(theirs))])
        assert plain(ours) == plain(theirs), told
        self._until_epoch()
        return theirs  # type: ignore[no-any-return]

    def describe(self) -> None:
        """ConsumerGroupDescribe of both."""
        request = ConsumerGroupDescribeRequest(group_ids=[self.group_id])
        theirs = self.client.call(request, 1)
        ours = self.ours.ask(request, CLIENT, 1).response
        assert plain(ours) == plain(theirs), "\n".join(self.said[-8:])

    def _until_epoch(self) -> None:
        """Apache resolves patterns after its answer; the epoch tells when it has.

        A pattern that no topic matches leaves the epoch as it is: only its record tells.
        """
        group: Any = self.ours.shard.groups.get(self.group_id)
        if group is None or not group.regex_counts:
            return
        request = ConsumerGroupDescribeRequest(group_ids=[self.group_id])
        until(
            lambda: self.client.call(request, 1).groups[0].group_epoch == group.epoch,
            f"epoch {group.epoch} after\n" + "\n".join(self.said[-8:]),
        )
        until(
            lambda: len(self.their_records()) >= len(self.written),
            f"{len(self.written)} records after\n" + "\n".join(self.said[-8:]),
        )

    def check_records(self) -> None:
        """What both wrote, in order."""
        until(lambda: len(self.their_records()) >= len(self.written), "all records")
        found = self.their_records()
        for index, (ours, theirs) in enumerate(zip(self.written, found, strict=True)):
            before = self.written[max(0, index - 4) : index]
            assert ours == theirs, f"record {index}: {ours}, theirs {theirs}, after {before}"

    def their_records(self) -> list[Plain]:
        """Apache's records of the group."""
        found = []
        for path in sorted(self.data.glob("__consumer_offsets-*/*.log")):
            data = path.read_bytes()
            at = 0
            while at + BATCH_OVERHEAD <= len(data):
                size = int.from_bytes(data[at + 8 : at + 12]) + BATCH_OVERHEAD
                if size <= BATCH_OVERHEAD or at + size > len(data):
                    break
                for record in RecordBatch(data[at : at + size]):
                    key: Any = bytes(record.key)
                    if int.from_bytes(key[:2]) not in TYPES:
                        continue
                    key = decode_key(key, TYPES)
                    if getattr(key, "group_id", None) != self.group_id:
                        continue
                    value = record.value
                    if value is not None:
                        value = decode_value(VALUES[type(key)], bytes(value))[0]
                    found.append(plain_record(key, value))
                at += size
        return found


def plain(message: Any) -> Any:
    """A message as values to compare: hosts alike, what has no order sorted."""
    return _sorted(message.to_dict())


def plain_record(key: Any, value: Any) -> Plain:
    """A record likewise, without its times and the version of the metadata."""
    fields = None if value is None else _sorted(value.to_dict())
    for name in ("assignment_timestamp", "timestamp", "version"):
        if fields and name in fields:
            fields[name] = "masked"
    return {"kind": type(key).__name__, "key": key.to_dict(), "value": fields}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        if "assignment_epochs" in value:
            rows = sorted(zip(value["partitions"], value["assignment_epochs"], strict=True))
            value = {
                **value,
                "partitions": [partition for partition, _ in rows],
                "assignment_epochs": [f"@{epoch}" for _, epoch in rows],
            }
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_sorted(item) for item in value]
        if items and isinstance(items[0], str) and items[0].startswith("@"):
            return items
        return sorted(items, key=str) if items and not isinstance(items[0], int) else sorted(items)
    return value.replace(OUR_HOST, THEIR_HOST) if isinstance(value, str) else value
