"""OffsetCommit (8, 2-10), OffsetFetch (9, 1-10) and OffsetDelete (47, 0): what groups committed.

Behaviour: as Apache Kafka 4.3.1. Topics that do not exist are sorted out here, and topic ids
(version 10, KIP-848) turned into names and back; the group's coordinator does the rest. To commit
takes READ on the group and the topics, to fetch DESCRIBE, to delete DELETE on the group and READ on
the topics; of all offsets of a group those of topics that may not be described are left out.
"""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from kafka_py.coordinator.answers import invalid
from kafka_py.protocol.acl_types import Operation, ResourceType
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
)
from kafka_py.protocol.registry import ApiKey
from kafka_py.protocol.types import ZERO_UUID
from kafka_py.server.access import Access, access_of
from kafka_py.server.coordinators import caller_of
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_py.metadata.image import MetadataImage
    from kafka_py.server.node import Node

TOPIC_IDS_VERSION: Final = 10
GROUPS_VERSION: Final = 8

CommitTopic = OffsetCommitRequest.OffsetCommitRequestTopic
CommittedTopic = OffsetCommitResponse.OffsetCommitResponseTopic
CommittedPartition = OffsetCommitResponse.OffsetCommitResponsePartition
FetchGroup = OffsetFetchRequest.OffsetFetchRequestGroup
FetchedGroup = OffsetFetchResponse.OffsetFetchResponseGroup
FetchedTopic = OffsetFetchResponse.OffsetFetchResponseTopics
FetchedPartition = OffsetFetchResponse.OffsetFetchResponsePartitions
DeletedTopic = OffsetDeleteResponse.OffsetDeleteResponseTopic
DeletedPartition = OffsetDeleteResponse.OffsetDeleteResponsePartition


# ------------------------------------------------------------------------------------------ commit


@handles(ApiKey.OFFSET_COMMIT)
def offset_commit(node: Node, context: RequestContext, request: OffsetCommitRequest) -> Any:
    """Commit what exists; what does not has an error of its own."""
    image, access = node.image, access_of(node, context)
    if not access.may(Operation.READ, ResourceType.GROUP, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    refused: list[CommittedTopic] = []
    by_id = context.api_version >= TOPIC_IDS_VERSION
    if not access.open:
        request.topics = readable(image, access, request.topics, refused, by_id=by_id)
    if by_id or not all(exists(image, topic) for topic in request.topics):
        request.topics = sort_out(image, request.topics, refused, by_id=by_id)
        if not request.topics:
            return OffsetCommitResponse(topics=refused)
    elif not request.topics:
        return OffsetCommitResponse(topics=refused)
    answer = node.groups.ask(request.group_id, request, caller_of(context))
    if not refused:
        return answer
    if asyncio.isfuture(answer):
        return merge_later(answer, refused)
    return merge_committed(answer, refused)


def readable(
    image: MetadataImage,
    access: Access,
    topics: list[CommitTopic],
    refused: list[CommittedTopic],
    *,
    by_id: bool,
) -> list[CommitTopic]:
    """The topics that the caller may read, or that nobody knows; the others go to `refused`."""
    if by_id:
        for topic in topics:
            known = image.topics_by_id.get(topic.topic_id)
            topic.name = "" if known is None else known.name
    allowed = access.topics(Operation.READ, (topic.name for topic in topics if topic.name))
    kept = []
    for topic in topics:
        if topic.name in allowed or (by_id and not topic.name):
            kept.append(topic)
            continue
        error = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        refused.append(
            CommittedTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    CommittedPartition(partition_index=one.partition_index, error_code=error)
                    for one in topic.partitions
                ],
            )
        )
    return kept


def exists(image: MetadataImage, topic: CommitTopic) -> bool:
    """Whether every partition is there, and one is named: a topic without any is not answered."""
    known = image.topics.get(topic.name)
    if known is None or not topic.partitions:
        return False
    partitions = known.partitions
    return all(partition.partition_index in partitions for partition in topic.partitions)


def sort_out(
    image: MetadataImage,
    topics: list[CommitTopic],
    refused: list[CommittedTopic],
    *,
    by_id: bool,
) -> list[CommitTopic]:
    """The topics and partitions that exist; the others go to `refused`. Ids become names."""
    kept = []
    for topic in topics:
        if by_id:
            known = image.topics_by_id.get(topic.topic_id)
            topic.name = "" if known is None else known.name
        else:
            known = image.topics.get(topic.name)
        missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if known is None and by_id:
            missing = ErrorCode.UNKNOWN_TOPIC_ID
        there = {} if known is None else known.partitions
        lost = [p.partition_index for p in topic.partitions if p.partition_index not in there]
        if lost or known is None:
            refused.append(
                CommittedTopic(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partitions=[
                        CommittedPartition(partition_index=index, error_code=int(missing))
                        for index in lost
                    ],
                )
            )
        topic.partitions = [p for p in topic.partitions if p.partition_index in there]
        if topic.partitions:
            kept.append(topic)
    return kept


async def merge_later(
    answer: asyncio.Future[OffsetCommitResponse], refused: list[CommittedTopic]
) -> OffsetCommitResponse:
    """The coordinator's answer, when it comes, behind what was refused here."""
    return merge_committed(await answer, refused)


def merge_committed(
    response: OffsetCommitResponse, refused: list[CommittedTopic]
) -> OffsetCommitResponse:
    """What was refused here, then the coordinator's partitions; a topic stands once."""
    by_topic = {(topic.name, topic.topic_id): topic for topic in refused}
    for topic in response.topics:
        known = by_topic.get((topic.name, topic.topic_id))
        if known is None:
            refused.append(topic)
        else:
            known.partitions += topic.partitions
    response.topics = refused
    return response


# ------------------------------------------------------------------------------------------- fetch


@handles(ApiKey.OFFSET_FETCH)
def offset_fetch(node: Node, context: RequestContext, request: OffsetFetchRequest) -> Any:
    """Read what one group (below version 8) or several committed."""
    if context.api_version < GROUPS_VERSION:
        return fetch_one(node, context, request)
    if len(request.groups) == 1:
        return fetch_group(
            node,
            context,
            request.groups[0],
            stable=request.require_stable,
            finish=lambda group: OffsetFetchResponse(groups=[group]),
        )
    answers = [
        fetch_group(
            node, context, group, stable=request.require_stable, finish=lambda fetched: fetched
        )
        for group in request.groups
    ]

    async def gathered() -> OffsetFetchResponse:
        return OffsetFetchResponse(
            groups=[await answer if isawaitable(answer) else answer for answer in answers]
        )

    return gathered()


def fetch_one(node: Node, context: RequestContext, request: OffsetFetchRequest) -> Any:
    """The versions that ask for one group, with its topics at the top."""
    access = access_of(node, context)
    if not access.may(Operation.DESCRIBE, ResourceType.GROUP, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if access.open:
        return node.groups.ask(request.group_id, request, caller_of(context))
    hidden: list[Any] = []
    if request.topics is not None:
        request.topics = describable(access, request.topics, hidden)
    response_type = OffsetFetchResponse.OffsetFetchResponseTopic
    partition = OffsetFetchResponse.OffsetFetchResponsePartition
    answer = node.groups.ask(request.group_id, request, caller_of(context))

    def completed(response: OffsetFetchResponse) -> OffsetFetchResponse:
        if response.error_code == ErrorCode.NONE:
            response.topics = describable(access, response.topics, [])
            response.topics += denied(hidden, response_type, partition)
        return response

    if asyncio.isfuture(answer):

        async def later() -> OffsetFetchResponse:
            return completed(await answer)

        return later()
    return completed(answer)


def describable(access: Access, topics: list[Any], hidden: list[Any]) -> list[Any]:
    """The topics that the caller may describe; the others go to `hidden`."""
    shown = access.topics(Operation.DESCRIBE, (topic.name for topic in topics))
    hidden += [topic for topic in topics if topic.name not in shown]
    return [topic for topic in topics if topic.name in shown]


def denied(hidden: list[Any], topic_type: Any, partition_type: Any) -> list[Any]:
    """The answers about topics of a request that the caller may not describe."""
    answers = []
    for topic in hidden:
        made = topic_type(
            name=topic.name,
            partitions=[
                partition_type(
                    partition_index=index,
                    committed_offset=-1,
                    committed_leader_epoch=-1,
                    error_code=int(ErrorCode.TOPIC_AUTHORIZATION_FAILED),
                )
                for index in topic.partition_indexes
            ],
        )
        if topic_type is FetchedTopic:
            made.topic_id = topic.topic_id
        answers.append(made)
    return answers


def fetch_group(
    node: Node,
    context: RequestContext,
    group: FetchGroup,
    *,
    stable: bool,
    finish: Callable[[FetchedGroup], Any],
) -> Any:
    """`finish` of one group's answer, or an awaitable of it."""
    access = access_of(node, context)
    if not access.may(Operation.DESCRIBE, ResourceType.GROUP, group.group_id):
        code = int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
        return finish(FetchedGroup(group_id=group.group_id, error_code=code))
    by_id = context.api_version >= TOPIC_IDS_VERSION
    unknown: list[FetchedTopic] = []
    everything = group.topics is None
    if by_id and group.topics is not None:
        group.topics = name_topics(node.image, group.topics, unknown)
    if group.topics is not None and not access.open:
        hidden: list[Any] = []
        group.topics = describable(access, group.topics, hidden)
        unknown += denied(hidden, FetchedTopic, FetchedPartition)
    request = OffsetFetchRequest(groups=[group], require_stable=stable)
    answer = node.groups.ask(group.group_id, request, caller_of(context))

    def completed(response: OffsetFetchResponse) -> Any:
        fetched: FetchedGroup = response.groups[0]
        if fetched.error_code == ErrorCode.NONE:
            if everything:
                fetched.topics = describable(access, fetched.topics, [])
            if by_id and everything:
                fetched.topics = identified(node.image, fetched.topics)
            fetched.topics += unknown
        return finish(fetched)

    if asyncio.isfuture(answer):

        async def later() -> Any:
            return completed(await answer)

        return later()
    return completed(answer)


def name_topics(image: MetadataImage, topics: list[Any], unknown: list[FetchedTopic]) -> list[Any]:
    """The topics whose ids exist, with their names; the others go to `unknown` as answers."""
    kept = []
    for topic in topics:
        known = image.topics_by_id.get(topic.topic_id)
        if known is not None:
            topic.name = known.name
            kept.append(topic)
            continue
        unknown.append(
            FetchedTopic(
                topic_id=topic.topic_id,
                partitions=[
                    FetchedPartition(
                        partition_index=index,
                        committed_offset=-1,
                        committed_leader_epoch=-1,
                        metadata="",
                        error_code=int(ErrorCode.UNKNOWN_TOPIC_ID),
                    )
                    for index in topic.partition_indexes
                ],
            )
        )
    return kept


def identified(image: MetadataImage, topics: list[FetchedTopic]) -> list[FetchedTopic]:
    """The topics with their ids; those that have none any more cannot be told in this version."""
    for topic in topics:
        if topic.topic_id == ZERO_UUID:
            known = image.topics.get(topic.name)
            topic.topic_id = ZERO_UUID if known is None else known.id
    return [topic for topic in topics if topic.topic_id != ZERO_UUID]


# ------------------------------------------------------------------------------------------ delete


@handles(ApiKey.OFFSET_DELETE)
def offset_delete(node: Node, context: RequestContext, request: OffsetDeleteRequest) -> Any:
    """Delete offsets of topics that the group does not consume at the moment."""
    access = access_of(node, context)
    if not access.may(Operation.DELETE, ResourceType.GROUP, request.group_id):
        return invalid(request, context.api_version, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if not request.group_id:
        return invalid(request, context.api_version, ErrorCode.INVALID_GROUP_ID)
    missing: list[DeletedTopic] = []
    kept = []
    allowed = access.topics(Operation.READ, (topic.name for topic in request.topics))
    for topic in request.topics:
        known = node.image.topics.get(topic.name) if topic.name in allowed else None
        there = {} if known is None else known.partitions
        lost = [p.partition_index for p in topic.partitions if p.partition_index not in there]
        if lost:
            error = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            if topic.name not in allowed:
                error = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
            missing.append(
                DeletedTopic(
                    name=topic.name,
                    partitions=[
                        DeletedPartition(partition_index=index, error_code=error) for index in lost
                    ],
                )
            )
        topic.partitions = [p for p in topic.partitions if p.partition_index in there]
        if topic.partitions:
            kept.append(topic)
    request.topics = kept
    answer = node.groups.ask(request.group_id, request, caller_of(context))

    async def merged() -> OffsetDeleteResponse:
        response: OffsetDeleteResponse = await answer if isawaitable(answer) else answer
        if response.error_code == ErrorCode.NONE:
            by_name = {topic.name: topic for topic in missing}
            for done in response.topics:
                if done.name in by_name:
                    by_name[done.name].partitions += done.partitions
                else:
                    missing.append(done)
            response.topics = missing
        return response

    return merged()
