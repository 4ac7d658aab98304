"""OffsetFetch 1-10: what a group has committed.

`fetch` answers for one group; the server splits requests that ask for several (8+), and puts the
names of versions that send ids in. An unknown group or partition is no error: its offset is -1.
With require_stable a partition that an open transaction holds an offset for is refused
(UNSTABLE_OFFSET_COMMIT), and the client asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_py.coordinator.machine import Caller, Delivery, Moment, Reply, Result
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetFetchRequest, OffsetFetchResponse

if TYPE_CHECKING:
    from kafka_py.coordinator.offsets.committed import Committed
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["fetch", "fetch_all", "fetch_refused", "handle_fetch"]

NO_OFFSET = -1
NO_EPOCH = -1
GROUPS_VERSION = 8
"""From this version on a request names its groups in a list."""
GROUP_ERROR_VERSION = 2
"""From this version on a group as a whole can have an error."""

Asked = OffsetFetchRequest.OffsetFetchRequestGroup
AskedTopic = OffsetFetchRequest.OffsetFetchRequestTopics
Answer = OffsetFetchResponse.OffsetFetchResponseGroup
_Topic = OffsetFetchResponse.OffsetFetchResponseTopics
_Partition = OffsetFetchResponse.OffsetFetchResponsePartitions


def handle_fetch(
    shard: GroupShard, request: OffsetFetchRequest, caller: Caller, now: Moment, reply: Reply
) -> Result:
    """One group's offsets, or those of every group in the list, in the form of the version."""
    if caller.api_version >= GROUPS_VERSION:
        response = OffsetFetchResponse(
            groups=[
                fetch(shard, asked, require_stable=request.require_stable, caller=caller)
                for asked in request.groups
            ]
        )
    else:
        response = single_answer(
            fetch(
                shard,
                single_group(request),
                require_stable=request.require_stable,
                caller=caller,
            )
        )
    return Result(replies=[Delivery(reply, response)])


def single_group(request: OffsetFetchRequest) -> Asked:
    """The one group of a request of version 1 to 7, in the form that later versions have."""
    if request.topics is None:
        return Asked(group_id=request.group_id, topics=None)
    return Asked(
        group_id=request.group_id,
        topics=[
            AskedTopic(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in request.topics
        ],
    )


def single_answer(answer: Answer) -> OffsetFetchResponse:
    """A group's answer in the form of versions 1 to 7."""
    return OffsetFetchResponse(
        error_code=answer.error_code,
        topics=[
            OffsetFetchResponse.OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponse.OffsetFetchResponsePartition(
                        partition_index=partition.partition_index,
                        committed_offset=partition.committed_offset,
                        committed_leader_epoch=partition.committed_leader_epoch,
                        metadata=partition.metadata,
                        error_code=partition.error_code,
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in answer.topics
        ],
    )


def fetch(shard: GroupShard, asked: Asked, *, require_stable: bool, caller: Caller) -> Answer:
    """What the group committed for the partitions asked for; topics None asks for all of them."""
    if asked.topics is None:
        return fetch_all(shard, asked, require_stable=require_stable, caller=caller)
    error = _validated(shard, asked)
    if error not in (ErrorCode.NONE, ErrorCode.GROUP_ID_NOT_FOUND):
        return fetch_refused(asked, error, caller.api_version)
    offsets = shard.offsets.of_group(asked.group_id) if error is ErrorCode.NONE else {}
    held = _held(shard, asked.group_id, require_stable)
    return Answer(
        group_id=asked.group_id,
        topics=[
            _Topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    _unstable(index)
                    if (topic.name, index) in held
                    else _found(index, _same_topic(of_topic.get(index), topic.topic_id))
                    for index in topic.partition_indexes
                ],
            )
            for topic in asked.topics
            for of_topic in (offsets.get(topic.name, {}),)
        ],
    )


def fetch_all(shard: GroupShard, asked: Asked, *, require_stable: bool, caller: Caller) -> Answer:
    """Everything that the group committed; an unknown group has nothing."""
    error = _validated(shard, asked)
    if error is ErrorCode.GROUP_ID_NOT_FOUND:
        return Answer(group_id=asked.group_id)
    if error is not ErrorCode.NONE:
        return fetch_refused(asked, error, caller.api_version)
    held = _held(shard, asked.group_id, require_stable)
    return Answer(
        group_id=asked.group_id,
        topics=[
            _Topic(
                name=name,
                partitions=[
                    _unstable(index) if (name, index) in held else _found(index, committed)
                    for index, committed in partitions.items()
                ],
            )
            for name, partitions in shard.offsets.of_group(asked.group_id).items()
        ],
    )


def _validated(shard: GroupShard, asked: Asked) -> ErrorCode:
    group = shard.groups.get(asked.group_id)
    if group is None:
        return ErrorCode.GROUP_ID_NOT_FOUND
    return group.validate_offset_fetch(asked.member_id, asked.member_epoch)


def _held(shard: GroupShard, group_id: str, require_stable: bool) -> frozenset[tuple[str, int]]:
    if not require_stable or not shard.offsets.has_open_transactions(group_id):
        return frozenset()
    return frozenset(shard.offsets.pending.partitions(group_id))


def _same_topic(committed: Committed | None, topic_id: bytes) -> Committed | None:
    """None when the offset is of an earlier topic of the name; unknown ids are not compared."""
    if committed is not None and any(topic_id) and any(committed.topic_id):
        return committed if committed.topic_id == topic_id else None
    return committed


def _found(index: int, committed: Committed | None) -> _Partition:
    if committed is None:
        return _Partition(
            partition_index=index,
            committed_offset=NO_OFFSET,
            committed_leader_epoch=NO_EPOCH,
            metadata="",
        )
    return _Partition(
        partition_index=index,
        committed_offset=committed.offset,
        committed_leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
    )


def _unstable(index: int) -> _Partition:
    return _refused(index, ErrorCode.UNSTABLE_OFFSET_COMMIT)


def _refused(index: int, error: ErrorCode) -> _Partition:
    return _Partition(
        partition_index=index,
        committed_offset=NO_OFFSET,
        committed_leader_epoch=NO_EPOCH,
        metadata="",
        error_code=error,
    )


def fetch_refused(asked: Asked, error: ErrorCode, api_version: int) -> Answer:
    """The answer to a group that has an error: once, or (version 1) for every partition."""
    if api_version >= GROUP_ERROR_VERSION:
        return Answer(group_id=asked.group_id, error_code=error)
    return Answer(
        group_id=asked.group_id,
        topics=[
            _Topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[_refused(index, error) for index in topic.partition_indexes],
            )
            for topic in asked.topics or ()
        ],
    )
