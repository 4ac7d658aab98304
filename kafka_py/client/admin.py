"""Looking at groups, offsets and topics, and changing them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

from kafka_py.client import describing
from kafka_py.client.acl_types import AclBinding, AclFilter
from kafka_py.client.cluster import Cluster
from kafka_py.client.connection import Connection
from kafka_py.client.errors import BrokerError, check
from kafka_py.client.group_types import GroupDescription, GroupListing
from kafka_py.client.types import (
    ListedOffset,
    Node,
    OffsetAndMetadata,
    Topic,
    TopicPartition,
    by_topic,
)
from kafka_py.protocol.acl_types import Operation, PatternType, Permission, ResourceType
from kafka_py.protocol.acls import (
    CreateAclsRequest,
    CreateAclsResponse,
    DeleteAclsRequest,
    DeleteAclsResponse,
    DescribeAclsRequest,
    DescribeAclsResponse,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
)
from kafka_py.protocol.groups import (
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
)
from kafka_py.protocol.offsets import ListOffsetsRequest, ListOffsetsResponse
from kafka_py.protocol.registry import ApiKey

READ_UNCOMMITTED, READ_COMMITTED = 0, 1
"""Isolation levels."""
BY_NAME_OFFSETS_HIGHEST = 9
"""OffsetCommit's and OffsetFetch's last version that names topics by name."""

PartitionErrors = dict[TopicPartition, ErrorCode]


class Admin:
    """Administration of one cluster. Retries by itself what can be retried; raises `ClientError`.

    Errors of the whole call are raised; where parts can fail alone, the failed parts are returned.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def __aenter__(self) -> Admin:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cluster.close()

    async def topics(self, names: Iterable[str] | None = None) -> dict[str, Topic]:
        """Topics by name, all of them by default; one that is not there has an error code."""
        return await self.cluster.refresh(names)

    async def list_groups(
        self, *, states: Iterable[str] = (), types: Iterable[str] = ()
    ) -> list[GroupListing]:
        """All groups by name, of all brokers; only those in these states and of these types.

        Raises `NotSupported` where a broker is too old for the filters.
        """
        wanted_states, wanted_types = list(states), list(types)

        async def of(node: Node) -> list[GroupListing]:
            connection = await self.cluster.connection(node)
            reply = await connection.call(
                ListGroupsRequest(states_filter=wanted_states, types_filter=wanted_types),
                ListGroupsResponse,
            )
            check(reply.error_code, what=f"list of groups at {node}")
            return [
                GroupListing(
                    row.group_id, row.group_type.capitalize(), row.group_state, row.protocol_type
                )
                for row in reply.groups
            ]

        nodes = await self.cluster.brokers()
        lists = await asyncio.gather(
            *(self.cluster.retry(lambda node=node: of(node)) for node in nodes)  # type: ignore[misc]
        )
        found = {row.group: row for rows in lists for row in rows}
        return [found[name] for name in sorted(found)]

    async def describe_groups(self, groups: Iterable[str]) -> dict[str, GroupDescription | None]:
        """Groups by name, None for one that is not there.

        As Java's Admin does: first as consumer groups of KIP-848, then the rest as classic groups.
        """
        wanted = list(dict.fromkeys(groups))
        found: dict[str, GroupDescription | None] = dict.fromkeys(wanted)

        async def once() -> None:
            waiting = [group for group in wanted if found[group] is None]
            for node, mine in (await self.cluster.coordinators(waiting)).items():
                connection = await self.cluster.connection(node)
                try:
                    found.update(await describing.describe(connection, node, mine))
                except BrokerError:
                    self.cluster.forget_coordinator(mine)
                    raise

        await self.cluster.retry(once)
        return found

    async def group_offsets(
        self, group: str, partitions: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Committed offsets of a group, by default all that it has. Partitions without one, and
        groups that are not there, are left out."""
        wanted = None if partitions is None else list(partitions)
        return await self.cluster.at_coordinator(
            group, lambda connection: fetch_offsets(connection, group, wanted)
        )

    async def alter_offsets(
        self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> PartitionErrors:
        """Commit offsets for a group that has no members (and need not exist). The partitions that
        failed; raises `BrokerError` with UNKNOWN_MEMBER_ID when the group has members."""
        topic, row = (
            OffsetCommitRequest.OffsetCommitRequestTopic,
            OffsetCommitRequest.OffsetCommitRequestPartition,
        )
        request = OffsetCommitRequest(
            group_id=group,
            topics=[
                topic(
                    name=name,
                    partitions=[
                        row(
                            partition_index=index,
                            committed_offset=offsets[TopicPartition(name, index)].offset,
                            committed_leader_epoch=offsets[
                                TopicPartition(name, index)
                            ].leader_epoch,
                            committed_metadata=offsets[TopicPartition(name, index)].metadata,
                        )
                        for index in indexes
                    ],
                )
                for name, indexes in by_topic(list(offsets)).items()
            ],
        )

        async def once(connection: Connection) -> PartitionErrors:
            reply = await connection.call(
                request, OffsetCommitResponse, highest=BY_NAME_OFFSETS_HIGHEST
            )
            failed = {
                TopicPartition(t.name, p.partition_index): ErrorCode.of(p.error_code)
                for t in reply.topics
                for p in t.partitions
                if p.error_code
            }
            for code in failed.values():
                if code.retriable or code == ErrorCode.UNKNOWN_MEMBER_ID:
                    raise BrokerError(code, what=f"offsets of group {group}")
            return failed

        return await self.cluster.at_coordinator(group, once)

    async def delete_offsets(
        self, group: str, partitions: Iterable[TopicPartition]
    ) -> PartitionErrors:
        """Delete committed offsets; the partitions that failed (GROUP_SUBSCRIBED_TO_TOPIC: a member
        reads that topic). Raises `BrokerError` with GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP."""
        topic, row = (
            OffsetDeleteRequest.OffsetDeleteRequestTopic,
            OffsetDeleteRequest.OffsetDeleteRequestPartition,
        )
        request = OffsetDeleteRequest(
            group_id=group,
            topics=[
                topic(name=name, partitions=[row(partition_index=index) for index in indexes])
                for name, indexes in by_topic(list(partitions)).items()
            ],
        )

        async def once(connection: Connection) -> PartitionErrors:
            reply = await connection.call(request, OffsetDeleteResponse)
            check(reply.error_code, what=f"offsets of group {group}")
            return {
                TopicPartition(t.name, p.partition_index): ErrorCode.of(p.error_code)
                for t in reply.topics
                for p in t.partitions
                if p.error_code
            }

        return await self.cluster.at_coordinator(group, once)

    async def delete_groups(self, groups: Iterable[str]) -> dict[str, BrokerError]:
        """Delete groups that have no members, and their offsets; what failed, by group."""
        wanted = list(dict.fromkeys(groups))
        results = await asyncio.gather(*map(self._delete_group, wanted))
        return {
            name: error for name, error in zip(wanted, results, strict=True) if error is not None
        }

    async def _delete_group(self, group: str) -> BrokerError | None:
        async def once(connection: Connection) -> None:
            reply = await connection.call(
                DeleteGroupsRequest(groups_names=[group]), DeleteGroupsResponse
            )
            for row in reply.results:
                check(row.error_code, row.error_message)

        try:
            await self.cluster.at_coordinator(group, once)
        except BrokerError as error:
            return error
        return None

    async def list_acls(self, wanted: AclFilter) -> list[AclBinding]:
        """The access control entries that a filter matches. Raises `BrokerError`."""

        async def once() -> list[AclBinding]:
            connection = await self.cluster.any_connection()
            reply = await connection.call(
                DescribeAclsRequest(**wanted.fields()), DescribeAclsResponse
            )
            check(reply.error_code, reply.error_message, what="access control lists")
            return [
                AclBinding(
                    ResourceType.of(resource.resource_type),
                    resource.resource_name,
                    PatternType.of(resource.pattern_type),
                    acl.principal,
                    acl.host,
                    Operation.of(acl.operation),
                    Permission.of(acl.permission_type),
                )
                for resource in reply.resources
                for acl in resource.acls
            ]

        return sorted(await self.cluster.retry(once))

    async def create_acls(self, bindings: Sequence[AclBinding]) -> dict[AclBinding, BrokerError]:
        """Create access control entries; those that could not be, and why."""

        async def once() -> dict[AclBinding, BrokerError]:
            connection = await self.cluster.any_connection()
            creations = [
                CreateAclsRequest.AclCreation(
                    resource_type=one.resource_type,
                    resource_name=one.name,
                    resource_pattern_type=one.pattern,
                    principal=one.principal,
                    host=one.host,
                    operation=one.operation,
                    permission_type=one.permission,
                )
                for one in bindings
            ]
            reply = await connection.call(
                CreateAclsRequest(creations=creations), CreateAclsResponse
            )
            return {
                binding: BrokerError(row.error_code, row.error_message)
                for binding, row in zip(bindings, reply.results, strict=True)
                if row.error_code
            }

        return await self.cluster.retry(once)

    async def delete_acls(self, wanted: AclFilter) -> list[AclBinding]:
        """Delete the access control entries that a filter matches: those that were.

        Raises `BrokerError`.
        """

        async def once() -> list[AclBinding]:
            connection = await self.cluster.any_connection()
            one = DeleteAclsRequest.DeleteAclsFilter(**wanted.fields())
            reply = await connection.call(DeleteAclsRequest(filters=[one]), DeleteAclsResponse)
            (row,) = reply.filter_results
            check(row.error_code, row.error_message, what="access control lists")
            return [
                AclBinding(
                    ResourceType.of(acl.resource_type),
                    acl.resource_name,
                    PatternType.of(acl.pattern_type),
                    acl.principal,
                    acl.host,
                    Operation.of(acl.operation),
                    Permission.of(acl.permission_type),
                )
                for acl in row.matching_acls
            ]

        return sorted(await self.cluster.retry(once))

    async def list_offsets(
        self, wanted: Mapping[TopicPartition, int], *, isolation: int = READ_UNCOMMITTED
    ) -> dict[TopicPartition, ListedOffset]:
        """For each partition the first offset of a record not older than a time in milliseconds
        (or EARLIEST_TIMESTAMP, LATEST_TIMESTAMP). Raises `BrokerError` for a partition that is not
        there."""
        return await list_offsets(self.cluster, wanted, isolation=isolation)


async def fetch_offsets(
    connection: Connection,
    group: str,
    partitions: list[TopicPartition] | None,
    *,
    member_id: str | None = None,
    member_epoch: int = -1,
) -> dict[TopicPartition, OffsetAndMetadata]:
    """One OffsetFetch, of stable offsets where the broker knows these. Raises `BrokerError`."""
    stable = connection.knows(ApiKey.OFFSET_FETCH, 7)
    found: dict[TopicPartition, OffsetAndMetadata] = {}
    if connection.knows(ApiKey.OFFSET_FETCH, 8):
        ask = OffsetFetchRequest.OffsetFetchRequestTopics
        topics = None
        if partitions is not None:
            topics = [ask(name=n, partition_indexes=i) for n, i in by_topic(partitions).items()]
        one = OffsetFetchRequest.OffsetFetchRequestGroup(
            group_id=group, member_id=member_id, member_epoch=member_epoch, topics=topics
        )
        reply = await connection.call(
            OffsetFetchRequest(groups=[one], require_stable=True),
            OffsetFetchResponse,
            lowest=8,
            highest=BY_NAME_OFFSETS_HIGHEST,
        )
        for row in reply.groups:
            check(row.error_code, what=f"offsets of group {group}")
            for topic in row.topics:
                for each in topic.partitions:
                    keep(found, TopicPartition(topic.name, each.partition_index), each)
        return found
    old = OffsetFetchRequest.OffsetFetchRequestTopic
    old_topics = None
    if partitions is not None:
        old_topics = [old(name=n, partition_indexes=i) for n, i in by_topic(partitions).items()]
    reply = await connection.call(
        OffsetFetchRequest(group_id=group, topics=old_topics, require_stable=stable),
        OffsetFetchResponse,
        highest=7,
    )
    check(reply.error_code, what=f"offsets of group {group}")
    for old_topic in reply.topics:
        for old_each in old_topic.partitions:
            keep(found, TopicPartition(old_topic.name, old_each.partition_index), old_each)
    return found


def keep(
    found: dict[TopicPartition, OffsetAndMetadata],
    partition: TopicPartition,
    row: OffsetFetchResponse.OffsetFetchResponsePartition
    | OffsetFetchResponse.OffsetFetchResponsePartitions,
) -> None:
    """Take over one committed offset. Raises `BrokerError` that is worth another try."""
    if row.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
        return
    check(row.error_code, what=f"committed offset of {partition}")
    if row.committed_offset >= 0:
        found[partition] = OffsetAndMetadata(
            row.committed_offset, row.committed_leader_epoch, row.metadata or ""
        )


async def list_offsets(
    cluster: Cluster,
    wanted: Mapping[TopicPartition, int],
    *,
    isolation: int = READ_UNCOMMITTED,
    timeout_ms: int = -1,
) -> dict[TopicPartition, ListedOffset]:
    """See `Admin.list_offsets`; `timeout_ms` as in `Cluster.retry`."""
    found: dict[TopicPartition, ListedOffset] = {}

    async def of(node: Node, partitions: list[TopicPartition]) -> None:
        topic, row = ListOffsetsRequest.ListOffsetsTopic, ListOffsetsRequest.ListOffsetsPartition
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=isolation,
            topics=[
                topic(
                    name=name,
                    partitions=[
                        row(partition_index=index, timestamp=wanted[TopicPartition(name, index)])
                        for index in indexes
                    ],
                )
                for name, indexes in by_topic(partitions).items()
            ],
            timeout_ms=cluster.limits.request_timeout_ms,
        )
        connection = await cluster.connection(node)
        reply = await connection.call(request, ListOffsetsResponse)
        for answer in reply.topics:
            for each in answer.partitions:
                partition = TopicPartition(answer.name, each.partition_index)
                check(each.error_code, what=f"offsets of {partition}")
                found[partition] = ListedOffset(each.offset, each.timestamp, each.leader_epoch)

    async def once() -> None:
        left = [partition for partition in wanted if partition not in found]
        groups = await cluster.by_leader(left)
        try:
            await asyncio.gather(*(of(node, mine) for node, mine in groups.items()))
        except BrokerError:
            cluster.forget_leaders({partition.topic for partition in left})
            raise

    await cluster.retry(once, timeout_ms=timeout_ms)
    return found
