"""Clients that migrate a group, and what is recorded of it: replies, and the records of its log.

Ids and times are masked. Runs of records of one kind, whose order is that of the members' random
ids, are compared as sets.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from aiokafka.record import MemoryRecords

from kafka_py.protocol import framing
from kafka_py.protocol import records_group as r
from kafka_py.protocol.groups import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from kafka_py.protocol.records import decode_key, decode_value
from kafka_py.protocol.registry import API, ApiKey
from kafka_py.protocol.schema import Record
from kafka_py.protocol.types import uuid_from_text, uuid_to_text
from tests.oracle.group_peers import UNENDING_MS
from tests.oracle.raw import RawClient, Recorder, trim

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

#: Times, and what depends on topic ids.
MASKED = {
    "metadata_hash": 0,
    "assignment_timestamp": 0,
    "current_state_timestamp": 0,
    "client_host": "<host>",
    "subscription": "<bytes>",
}


def subscription(topics: list[str], owned: dict[str, list[int]], generation: int) -> bytes:
    """A consumer's metadata, as Java's writes it."""
    row = ConsumerProtocolSubscription.TopicPartition
    return b"\0\3" + ConsumerProtocolSubscription(
        topics=topics,
        owned_partitions=[row(topic=t, partitions=p) for t, p in owned.items()],
        generation_id=generation,
    ).encode(3)


class Member:
    """A client of either protocol, on a connection of its own so that it may wait."""

    def __init__(self, group: Group, name: str, instance: str | None = None) -> None:
        self.group = group
        self.name = name
        self.instance = instance
        self.id = ""
        self.epoch = 0
        self.owned: dict[str, list[int]] = {}
        self.client = RawClient(group.recorder.port, timeout_s=40)
        self._sent: tuple[ApiKey, int] | None = None

    def send(self, api: ApiKey, version: int, **fields: Any) -> None:
        """Ask and do not wait."""
        table = API[api]
        request = table.request.from_dict(trim(table.request, fields, version))
        self.client.post(request, version)
        self._sent = (api, version)

    def take(self) -> Any:
        """The answer to what was sent, recorded."""
        assert self._sent is not None
        api, version = self._sent
        _, response = framing.decode_response(API[api], version, self.client.receive())
        self._sent = None
        if getattr(response, "member_id", ""):
            self.group.ids[response.member_id] = self.name
        self.group.note(f"{self.name} {API[api].name}", response.to_dict(reveal=True))
        return response

    def ask(self, api: ApiKey, version: int, **fields: Any) -> Any:
        """Ask and wait."""
        self.send(api, version, **fields)
        return self.take()

    # -- classic -----------------------------------------------------------------------------

    def send_join(self, version: int = 9, protocols: str = "range", **more: Any) -> None:
        """JoinGroup, with what it owns."""
        metadata = subscription(self.group.topics, self.owned, self.epoch or -1)
        fields = {
            "group_id": self.group.name,
            "session_timeout_ms": UNENDING_MS,
            "rebalance_timeout_ms": 20_000,
            "member_id": self.id,
            "group_instance_id": self.instance,
            "protocol_type": "consumer",
            "protocols": [
                {"name": name, "metadata": metadata.hex()} for name in protocols.split(",")
            ],
            **more,
        }
        self.send(ApiKey.JOIN_GROUP, version, **fields)

    def take_join(self) -> Any:
        """The answer; a member that was given an id joins again with it."""
        response = self.take()
        if response.error_code == 79:
            self.id = response.member_id
            self.send_join()
            response = self.take()
        if not response.error_code:
            self.id, self.epoch = response.member_id, response.generation_id
        return response

    def join(self, **more: Any) -> Any:
        """JoinGroup to the end."""
        self.send_join(**more)
        return self.take_join()

    def send_sync(self, assignments: dict[Member, dict[str, list[int]]], **more: Any) -> None:
        """SyncGroup, with assignments for the leader."""
        row = ConsumerProtocolAssignment.TopicPartition
        fields = {
            "group_id": self.group.name,
            "generation_id": self.epoch,
            "member_id": self.id,
            "group_instance_id": self.instance,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "assignments": [
                {
                    "member_id": member.id,
                    "assignment": (
                        b"\0\3"
                        + ConsumerProtocolAssignment(
                            assigned_partitions=[row(topic=t, partitions=p) for t, p in a.items()],
                            user_data=self.group.user_data,
                        ).encode(3)
                    ).hex(),
                }
                for member, a in assignments.items()
            ],
            **more,
        }
        self.send(ApiKey.SYNC_GROUP, 5, **fields)

    def take_sync(self) -> None:
        """The answer: what it owns now."""
        response = self.take()
        if response.error_code:
            return
        assignment, _ = ConsumerProtocolAssignment.decode_from(bytes(response.assignment), 2, 3)
        self.owned = {row.topic: sorted(row.partitions) for row in assignment.assigned_partitions}
        self.group.note(f"{self.name} owns", dict(sorted(self.owned.items())))

    def sync(self, **more: Any) -> None:
        """SyncGroup to the end."""
        self.send_sync({}, **more)
        self.take_sync()

    def beat(self, **more: Any) -> int:
        """Heartbeat: the error."""
        fields = {
            "group_id": self.group.name,
            "generation_id": self.epoch,
            "member_id": self.id,
            "group_instance_id": self.instance,
            **more,
        }
        return int(self.ask(ApiKey.HEARTBEAT, 4, **fields).error_code)

    def leave(self) -> None:
        """LeaveGroup."""
        member = {"member_id": self.id, "group_instance_id": self.instance, "reason": "done"}
        self.ask(ApiKey.LEAVE_GROUP, 5, group_id=self.group.name, members=[member])

    def follow(self) -> bool:
        """Heartbeat, and rejoin as long as that is asked for: whether anything moved."""
        if self.beat() != 27:
            return False
        self.join()
        self.sync()
        return True

    # -- consumer ----------------------------------------------------------------------------

    def consume(self, **fields: Any) -> Any:
        """ConsumerGroupHeartbeat; it does at once what it is told to."""
        if self.epoch == 0:
            first = {
                "rebalance_timeout_ms": 20_000,
                "subscribed_topic_names": self.group.topics,
                "topic_partitions": [],
            }
            fields = {**first, **fields}
        response = self.ask(
            ApiKey.CONSUMER_GROUP_HEARTBEAT,
            1,
            group_id=self.group.name,
            member_id=self.id,
            **{"member_epoch": self.epoch, "instance_id": self.instance, **fields},
        )
        if response.error_code:
            return response
        self.epoch = max(response.member_epoch, 0)
        if response.assignment is not None:
            self.owned = {}
            rows = response.assignment.topic_partitions
            for row in rows:
                self.owned[self.group.topic_names[row.topic_id]] = sorted(row.partitions)
        return response

    def proceed(self) -> bool:
        """Heartbeat with everything that it owns: whether anything moved."""
        before = self.epoch, self.owned
        ids = {name: topic_id for topic_id, name in self.group.topic_names.items()}
        rows = [{"topic_id": uuid_of(ids[t]), "partitions": p} for t, p in self.owned.items()]
        self.consume(
            rebalance_timeout_ms=20_000,
            subscribed_topic_names=self.group.topics,
            topic_partitions=rows,
        )
        return (self.epoch, self.owned) != before


def uuid_of(topic_id: bytes) -> str:
    """A topic id as plain values have it."""
    return uuid_to_text(topic_id)


class Group:
    """A group on one of the brokers, and what is recorded of it."""

    def __init__(self, recorder: Recorder, name: str, topics: dict[str, int]) -> None:
        self.recorder = recorder
        self.name = name
        self.topics = list(topics)
        self.ids: dict[str, str] = {}
        self.user_data: bytes | None = None
        self.members: list[Member] = []
        #: The members' ids are known, and so is the order of all records.
        self.in_order = False
        #: Fields that are not compared: who leads goes by the members' random ids.
        self.unseen: set[str] = set()
        self.topic_names = {uuid_from_text(recorder.create(t, n)): t for t, n in topics.items()}
        recorder.quiet(
            ApiKey.INCREMENTAL_ALTER_CONFIGS,
            resources=[
                {
                    "resource_type": 32,
                    "resource_name": name,
                    "configs": [
                        {
                            "name": "consumer.assignment.interval.ms",
                            "config_operation": 0,
                            "value": "0",
                        }
                    ],
                }
            ],
        )
        recorder.settle()
        deadline = time.monotonic() + 20
        while True:
            found = recorder.quiet(
                ApiKey.FIND_COORDINATOR, 4, key_type=0, coordinator_keys=[name]
            ).coordinators[0]
            listed = recorder.quiet(ApiKey.DESCRIBE_GROUPS, 5, groups=[name]).groups[0]
            if not found.error_code and listed.error_code not in (14, 15, 16):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def member(self, name: str, instance: str | None = None) -> Member:
        """A client that has done nothing yet."""
        member = Member(self, name, instance)
        self.members.append(member)
        return member

    def close(self) -> None:
        """End the connections."""
        for member in self.members:
            member.client.close()

    def plain(self, value: Any) -> Any:
        """A value as it is compared."""
        text = json.dumps(value, sort_keys=True, default=str)
        for member_id, name in sorted(self.ids.items(), key=lambda i: -len(i[0])):
            text = text.replace(json.dumps(member_id)[1:-1], f"<{name}>")
        for topic_id, name in self.topic_names.items():
            text = text.replace(uuid_of(topic_id), f"<{name}>")
        return masked(json.loads(text), self.unseen)

    def note(self, question: str, answer: Any) -> None:
        """Record something."""
        self.recorder.note(question, sorted_lists(self.plain(answer)))

    def settle(self, classic: list[Member], consumers: list[Member]) -> None:
        """Let everybody heartbeat until nothing moves."""
        for _ in range(12):
            moved = [member.follow() for member in classic]
            moved += [member.proceed() for member in consumers]
            if not any(moved):
                return
        raise AssertionError("the group does not settle")

    def rebalance(self, leader: Member, others: list[Member]) -> None:
        """Everybody joins a classic group and gets an equal part."""
        members = [leader, *others]
        for member in members:
            member.send_join()
            time.sleep(0.05)
        joined = {member: member.take_join() for member in members}
        leads = next(m for m, answer in joined.items() if answer.leader == m.id)
        parts = {
            member: {t: list(range(at, 12, len(members))) for t in self.topics}
            for at, member in enumerate(members)
        }
        for member in members:
            member.send_sync(parts if member is leads else {})
        for member in members:
            member.take_sync()

    def describe(self) -> None:
        """What the admin APIs say of it."""
        recorder = self.recorder
        for api, version, fields in (
            (ApiKey.DESCRIBE_GROUPS, 6, {"groups": [self.name]}),
            (ApiKey.CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": [self.name]}),
        ):
            plain = recorder.quiet(api, version, **fields).to_dict(reveal=True)
            self.note(API[api].name, plain)
        listed = recorder.quiet(ApiKey.LIST_GROUPS, 5).to_dict(reveal=True)["groups"]
        self.note("ListGroups", [row for row in listed if row["group_id"] == self.name])

    def log(self) -> list[Any]:
        """The group's records; unless ids are known, runs of one kind are sorted."""
        rows: list[tuple[str, Any, Any]] = []
        named = self.recorder.quiet(
            ApiKey.METADATA,
            12,
            topics=[{"name": "__consumer_offsets"}],
            allow_auto_topic_creation=False,
        ).topics[0]
        for partition in named.partitions:
            rows += self._partition(uuid_of(named.topic_id), partition.partition_index)
        if self.in_order:
            return [list(row) for row in rows]
        runs = itertools.groupby(rows, key=lambda row: (row[0], row[2] is None))
        return [
            sorted((list(row) for row in run), key=lambda row: json.dumps(row, sort_keys=True))
            for _, run in runs
        ]

    def _partition(self, topic_id: str, partition: int) -> list[tuple[str, Any, Any]]:
        found: list[tuple[str, Any, Any]] = []
        offset = 0
        while True:
            reply = self.recorder.quiet(
                ApiKey.FETCH,
                13,
                replica_id=-1,
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=1 << 24,
                session_epoch=-1,
                topics=[
                    {
                        "topic_id": topic_id,
                        "partitions": [
                            {
                                "partition": partition,
                                "fetch_offset": offset,
                                "partition_max_bytes": 1 << 24,
                            }
                        ],
                    }
                ],
            )
            data = bytes(reply.responses[0].partitions[0].records or b"")
            batches = MemoryRecords(data)
            before = offset
            while (batch := batches.next_batch()) is not None:
                for record in batch:
                    offset = record.offset + 1
                    if int.from_bytes(record.key[:2], "big") in TYPES:
                        found += self._record(bytes(record.key), record.value)
            if offset == before:
                return found

    def _record(self, key_bytes: bytes, value_bytes: Any) -> list[tuple[str, Any, Any]]:
        key: Record = decode_key(key_bytes, TYPES)
        if (getattr(key, "group_id", "") or getattr(key, "group", "")) != self.name:
            return []
        value = None
        if value_bytes is not None:
            value_class = dict(TYPES.values())[type(key)]
            value = decode_value(value_class, bytes(value_bytes))[0].to_dict(reveal=True)
        plain_key = self.plain(key.to_dict(reveal=True))
        return [(type(key).__name__, plain_key, sorted_lists(self.plain(value)))]


def masked(value: Any, unseen: set[str]) -> Any:
    """Without times, and what else differs between any two brokers."""
    if isinstance(value, dict):
        return {
            k: MASKED.get(k, masked(v, unseen)) if v not in (None, "", -1) else v
            for k, v in value.items()
            if k not in unseen
        }
    return [masked(item, unseen) for item in value] if isinstance(value, list) else value


def sorted_lists(value: Any) -> Any:
    """With every list in one order; the order of hash tables is not compared."""
    if isinstance(value, dict):
        return {k: sorted_lists(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted(
            (sorted_lists(item) for item in value), key=lambda i: json.dumps(i, sort_keys=True)
        )
    return value
