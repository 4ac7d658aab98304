"""Requests of the group APIs in few words, for tests of a running broker."""

from __future__ import annotations

import time
from typing import Any

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka_py.protocol.groups import (
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    SyncGroupRequest,
)
from tests.server.wire import Wire
from tests.waiting import PATIENCE_S

GROUPS_TOPIC = "__consumer_offsets"
LOADING = (ErrorCode.NONE, ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)


def await_coordinator(wire: Wire, group: str = "any") -> None:
    """Ask for the coordinator until there is one, and all of them have loaded.

    Clients ask again in both cases; so do tests, or what they send first hits the load.
    """
    find = FindCoordinatorRequest(key_type=0, coordinator_keys=[group])
    fetch = OffsetFetchRequest(
        groups=[OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=[])]
    )
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        (found,) = wire.call(find, 4).coordinators
        if found.error_code == ErrorCode.NONE:
            code = wire.call(fetch, 9).groups[0].error_code
            # A listing answers when every coordinator does.
            if code == ErrorCode.NONE and not wire.call(ListGroupsRequest(), 5).error_code:
                return
            assert code in LOADING
        else:
            assert found.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
        time.sleep(0.01)
    raise AssertionError("no coordinator")


def join(
    group: str, member: str = "", *, rebalance_ms: int = 60_000, **fields: Any
) -> JoinGroupRequest:
    """A JoinGroup with one protocol."""
    protocol = JoinGroupRequest.JoinGroupRequestProtocol(
        name="range", metadata=b"\0\0\0\0\0\0\xff\xff\xff\xff"
    )
    return JoinGroupRequest(
        group_id=group,
        session_timeout_ms=fields.pop("session_ms", 60_000),
        rebalance_timeout_ms=rebalance_ms,
        member_id=member,
        protocol_type="consumer",
        protocols=[protocol],
        **fields,
    )


def sync(group: str, generation: int, member: str, **assignments: bytes) -> SyncGroupRequest:
    """A SyncGroup; the leader's has assignments."""
    return SyncGroupRequest(
        group_id=group,
        generation_id=generation,
        member_id=member,
        protocol_type="consumer",
        protocol_name="range",
        assignments=[
            SyncGroupRequest.SyncGroupRequestAssignment(member_id=name, assignment=assignment)
            for name, assignment in assignments.items()
        ],
    )


def heartbeat(group: str, generation: int, member: str) -> HeartbeatRequest:
    """A Heartbeat."""
    return HeartbeatRequest(group_id=group, generation_id=generation, member_id=member)


def leave(group: str, *members: str) -> LeaveGroupRequest:
    """A LeaveGroup of version 3 or later."""
    leaving = [LeaveGroupRequest.MemberIdentity(member_id=member) for member in members]
    return LeaveGroupRequest(group_id=group, members=leaving)


def commit(
    group: str,
    offsets: dict[Any, dict[int, int]],
    *,
    generation: int = -1,
    member: str = "",
) -> OffsetCommitRequest:
    """An OffsetCommit: {topic (bytes: its id): {partition: offset}}."""
    topics = []
    for topic, partitions in offsets.items():
        name = {"topic_id": topic} if isinstance(topic, bytes) else {"name": topic}
        topics.append(
            OffsetCommitRequest.OffsetCommitRequestTopic(
                partitions=[
                    OffsetCommitRequest.OffsetCommitRequestPartition(
                        partition_index=index,
                        committed_offset=offset,
                        committed_leader_epoch=2,
                        committed_metadata=f"at {offset}",
                    )
                    for index, offset in partitions.items()
                ],
                **name,
            )
        )
    return OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=generation,
        member_id=member,
        topics=topics,
    )


def errors(response: Any) -> dict[Any, dict[int, int]]:
    """{topic: {partition: error}} of an OffsetCommit's or OffsetDelete's answer."""
    return {
        (topic.name or topic.topic_id): {
            row.partition_index: row.error_code for row in topic.partitions
        }
        for topic in response.topics
    }


def fetch_group(group: str, topics: dict[Any, list[int]] | None) -> Any:
    """One group of an OffsetFetch of version 8 or later; None asks for everything."""
    asked = None
    if topics is not None:
        asked = [
            OffsetFetchRequest.OffsetFetchRequestTopics(
                partition_indexes=indexes,
                **({"topic_id": topic} if isinstance(topic, bytes) else {"name": topic}),
            )
            for topic, indexes in topics.items()
        ]
    return OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=asked)


def fetched(
    wire: Wire, group: str, topics: dict[Any, list[int]] | None, version: int = 9
) -> dict[Any, dict[int, Any]]:
    """{topic: {partition: offset, or (error,)}} of one group that has no error."""
    request = OffsetFetchRequest(groups=[fetch_group(group, topics)], require_stable=True)
    (answer,) = wire.call(request, version).groups
    assert (answer.group_id, answer.error_code) == (group, 0)
    return offsets_of(answer)


def offsets_of(answer: Any) -> dict[Any, dict[int, Any]]:
    """{topic: {partition: offset, or (error,)}}."""
    return {
        (topic.name or topic.topic_id): {
            row.partition_index: (row.error_code,) if row.error_code else row.committed_offset
            for row in topic.partitions
        }
        for topic in answer.topics
    }


def delete_offsets(group: str, topics: dict[str, list[int]]) -> OffsetDeleteRequest:
    """An OffsetDelete."""
    return OffsetDeleteRequest(
        group_id=group,
        topics=[
            OffsetDeleteRequest.OffsetDeleteRequestTopic(
                name=topic,
                partitions=[
                    OffsetDeleteRequest.OffsetDeleteRequestPartition(partition_index=index)
                    for index in indexes
                ],
            )
            for topic, indexes in topics.items()
        ],
    )


def stable_member(wire: Wire, group: str) -> tuple[int, str]:
    """(generation, member id) of a group of one that has its assignment."""
    asked = wire.call(join(group), 9)
    assert asked.error_code == ErrorCode.MEMBER_ID_REQUIRED
    joined = wire.call(join(group, asked.member_id), 9)
    assert joined.error_code == ErrorCode.NONE
    synced = wire.call(
        sync(group, joined.generation_id, joined.member_id, **{joined.member_id: b"mine"}), 5
    )
    assert (synced.error_code, synced.assignment) == (ErrorCode.NONE, b"mine")
    return joined.generation_id, joined.member_id
