"""A consumer in a group: partitions come and go, positions are committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from kafka_py.client.admin import BY_NAME_OFFSETS_HIGHEST, Admin, fetch_offsets
from kafka_py.client.classic_member import ClassicMember
from kafka_py.client.cluster import Cluster
from kafka_py.client.connection import Connection
from kafka_py.client.consumer_member import ConsumerMember
from kafka_py.client.errors import BrokerError, ClientError, NotSupported, check
from kafka_py.client.fetching import Fetcher, FetchSettings
from kafka_py.client.group_types import CLASSIC
from kafka_py.client.membership import GroupSettings, Membership
from kafka_py.client.records import PartitionRecords
from kafka_py.client.types import OffsetAndMetadata, TopicPartition, by_topic
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.group_offsets import OffsetCommitRequest, OffsetCommitResponse
from kafka_py.protocol.registry import ApiKey

log = logging.getLogger("kafka_py.client")

AUTO, CLASSIC_PROTOCOL, CONSUMER_PROTOCOL = "auto", "classic", "consumer"
"""Group protocols; auto: KIP-848's where the broker has it, unless the group is a classic one that
has members."""
MEMBER_CHANGED: Final = (
    ErrorCode.STALE_MEMBER_EPOCH,
    ErrorCode.UNKNOWN_MEMBER_ID,
    ErrorCode.ILLEGAL_GENERATION,
    ErrorCode.REBALANCE_IN_PROGRESS,
    ErrorCode.FENCED_INSTANCE_ID,
)
STALE_RETRIES_MAX: Final = 3


class CommitSettings(NamedTuple):
    """When positions are committed by themselves."""

    enable_auto_commit: bool = True
    auto_commit_interval_ms: int = 5000


class RebalanceListener:
    """What is called when partitions come and go; override what matters. Called within `poll` and
    `close`, which wait for it."""

    async def assigned(self, partitions: set[TopicPartition]) -> None:
        """These came; nothing was read of them yet, positions are not known yet."""

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """These go; they may still be committed."""

    async def lost(self, partitions: set[TopicPartition]) -> None:
        """These are gone already: the group has put this member out."""


class GroupConsumer:
    """A member of a consumer group that reads what it is assigned.

        async with GroupConsumer(cluster, GroupSettings("payments", ("orders",))) as consumer:
            while True:
                for records in await consumer.poll():
                    for record in records: ...

    What `poll` returned counts as consumed at the next `poll`, commit or `close`. Closing commits
    (unless auto commit is off) and leaves the group. `protocol`: AUTO, "classic" or "consumer".
    The cluster is not closed with the consumer.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: GroupSettings,
        *,
        fetch: FetchSettings | None = None,
        commits: CommitSettings | None = None,
        protocol: str = AUTO,
        listener: RebalanceListener | None = None,
    ) -> None:
        self.cluster = cluster
        self.settings = settings
        self.commits = commits or CommitSettings()
        self.protocol = protocol
        self.listener = listener or RebalanceListener()
        self.owned: set[TopicPartition] = set()
        self.fetcher = Fetcher(cluster, fetch or FetchSettings())
        self._membership: Membership | None = None
        self._to_place: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._next_commit_ms = 0
        self._place_after_ms = 0

    async def __aenter__(self) -> GroupConsumer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def member_id(self) -> str:
        """This member's id in the group; "" before it has one."""
        return "" if self._membership is None else self._membership.member_id

    @property
    def member_epoch(self) -> int:
        """Its epoch, or generation; -1 or 0 before it has joined."""
        return -1 if self._membership is None else self._membership.epoch

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to be returned, of the partitions that have one."""
        return dict(self.fetcher.positions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on reading an assigned partition from here. Raises KeyError when it is not ours."""
        if partition not in self.owned:
            raise KeyError(partition)
        self._to_place.discard(partition)
        self.fetcher.assign(partition, offset)

    async def poll(
        self, timeout_ms: int = 1000, *, records_max: int = 500
    ) -> list[PartitionRecords]:
        """Records, or nothing after the time-out. Rebalances happen in here.

        Raises `MemberFailed` when the group refuses this member, `NoOffset`, `BrokerError`, kcore's
        errors for damaged batches.
        """
        now = self.cluster.clock.monotonic_ms
        deadline_ms = now() + timeout_ms
        while True:
            membership = await self._member()
            membership.polled()
            if not await self._advance(membership, deadline_ms - now()):
                continue
            await self._place()
            if self.commits.enable_auto_commit and now() >= self._next_commit_ms:
                await self._auto_commit()
            found = self.fetcher.take(records_max)
            left_ms = deadline_ms - now()
            if found or left_ms <= 0:
                return found
            if not membership.pending:
                limit_ms = self.cluster.limits.backoff_ms if self._to_place else left_ms
                if self.commits.enable_auto_commit and self._dirty():
                    limit_ms = min(limit_ms, max(self._next_commit_ms - now(), 1))
                await self.fetcher.wait(min(left_ms, limit_ms))

    async def _advance(self, membership: Membership, timeout_ms: int) -> bool:
        """Let the membership do what is due; False when the other protocol has to be used."""
        try:
            await membership.advance(timeout_ms)
        except (NotSupported, BrokerError) as error:
            lacks = isinstance(error, NotSupported) or error.code == ErrorCode.UNSUPPORTED_VERSION
            if not (lacks and self.protocol == AUTO and isinstance(membership, ConsumerMember)):
                raise
            self._membership = self._made(ClassicMember)
            return False
        return True

    def _made(self, kind: type[Membership]) -> Membership:
        return kind(self.cluster, self.settings, self, self.fetcher.wake)

    async def _member(self) -> Membership:
        """The membership, after a choice of protocol."""
        if self._membership is None:
            kind: type[Membership] = ConsumerMember
            if self.protocol == CLASSIC_PROTOCOL:
                kind = ClassicMember
            elif self.protocol == AUTO:
                connection = await self.cluster.any_connection()
                group = None
                if connection.knows(ApiKey.CONSUMER_GROUP_HEARTBEAT):
                    name = self.settings.group
                    group = (await Admin(self.cluster).describe_groups([name]))[name]
                    if group is not None and group.type == CLASSIC and group.members:
                        kind = ClassicMember
                else:
                    kind = ClassicMember
            self._membership = self._made(kind)
            self._plan_commit()
        return self._membership

    # What a membership calls (membership.Holder).

    async def take(self, partitions: set[TopicPartition]) -> None:
        """Called by the membership: these are ours."""
        self.owned |= partitions
        self._to_place |= partitions
        self._place_after_ms = 0
        await self.listener.assigned(set(partitions))

    async def give_up(self, partitions: set[TopicPartition]) -> None:
        """Called by the membership: these go."""
        if not partitions:
            return
        if self.commits.enable_auto_commit:
            await self._auto_commit()
        await self.listener.revoked(set(partitions))
        self._drop(partitions)

    async def lose(self, partitions: set[TopicPartition]) -> None:
        """Called by the membership: these are gone."""
        if partitions:
            await self.listener.lost(set(partitions))
            self._drop(partitions)

    def _drop(self, partitions: set[TopicPartition]) -> None:
        self.owned -= partitions
        self._to_place -= partitions
        self.fetcher.unassign(partitions)
        for partition in partitions:
            self._committed.pop(partition, None)

    async def _place(self) -> None:
        """Look up committed offsets of partitions that just came."""
        if not self._to_place or self.cluster.clock.monotonic_ms() < self._place_after_ms:
            return
        wanted = sorted(self._to_place)
        membership = await self._member()
        member_id, epoch = None, -1
        if membership.fetches_as_member:
            member_id, epoch = membership.member_id, membership.epoch

        async def once(connection: Connection) -> dict[TopicPartition, OffsetAndMetadata]:
            return await fetch_offsets(
                connection,
                self.settings.group,
                wanted,
                member_id=member_id,
                member_epoch=epoch,
            )

        try:
            found = await self.cluster.at_coordinator(self.settings.group, once, timeout_ms=0)
        except ClientError as error:
            changed = isinstance(error, BrokerError) and error.code in MEMBER_CHANGED
            if not (error.retriable or changed):
                raise
            backoff_ms = self.cluster.limits.backoff_ms
            self._place_after_ms = self.cluster.clock.monotonic_ms() + backoff_ms
            return
        for partition in wanted:
            if partition in self._to_place:
                self._to_place.discard(partition)
                committed = found.get(partition)
                if committed is not None:
                    self._committed[partition] = committed.offset
                self.fetcher.assign(partition, None if committed is None else committed.offset)

    def _plan_commit(self) -> None:
        self._next_commit_ms = (
            self.cluster.clock.monotonic_ms() + self.commits.auto_commit_interval_ms
        )

    def _dirty(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Positions that differ from what was committed."""
        return {
            partition: OffsetAndMetadata(position, self.fetcher.epochs.get(partition, -1))
            for partition, position in self.fetcher.positions.items()
            if partition in self.owned and self._committed.get(partition) != position
        }

    async def _auto_commit(self) -> None:
        self._plan_commit()
        try:
            await self.commit()
        except ClientError as error:
            log.warning("group %s: offsets not committed: %s", self.settings.group, error)

    async def commit(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata] | None = None
    ) -> None:
        """Commit these offsets; by default the positions that have changed.

        Raises `BrokerError`; REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID and the like mean that this
        member must not commit these any more.
        """
        wanted = self._dirty() if offsets is None else dict(offsets)
        membership = self._membership
        if not wanted or membership is None:
            return
        if membership.lost or not membership.member_id or membership.epoch < 0:
            # Without a member id it would pass for an administrator's commit to an empty group.
            raise BrokerError(
                ErrorCode.UNKNOWN_MEMBER_ID, what=f"commit in group {self.settings.group}"
            )
        for attempt in range(STALE_RETRIES_MAX + 1):
            try:
                await self.cluster.at_coordinator(
                    self.settings.group,
                    lambda connection: self._commit(connection, membership, wanted),
                )
                break
            except BrokerError as error:
                # Between two heartbeats the epoch moves on; the next heartbeat brings the new one.
                if error.code != ErrorCode.STALE_MEMBER_EPOCH or attempt == STALE_RETRIES_MAX:
                    raise
                await asyncio.sleep(self.cluster.limits.backoff_ms / 1000)
        self._committed.update({p: o.offset for p, o in wanted.items() if p in self.owned})

    async def _commit(
        self,
        connection: Connection,
        membership: Membership,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        topic, row = (
            OffsetCommitRequest.OffsetCommitRequestTopic,
            OffsetCommitRequest.OffsetCommitRequestPartition,
        )
        reply = await connection.call(
            OffsetCommitRequest(
                group_id=self.settings.group,
                generation_id_or_member_epoch=membership.epoch,
                member_id=membership.member_id,
                group_instance_id=self.settings.instance_id,
                topics=[
                    topic(
                        name=name,
                        partitions=[
                            row(
                                partition_index=number,
                                committed_offset=offsets[TopicPartition(name, number)].offset,
                                committed_leader_epoch=offsets[
                                    TopicPartition(name, number)
                                ].leader_epoch,
                                committed_metadata=offsets[TopicPartition(name, number)].metadata,
                            )
                            for number in numbers
                        ],
                    )
                    for name, numbers in by_topic(list(offsets)).items()
                ],
            ),
            OffsetCommitResponse,
            highest=BY_NAME_OFFSETS_HIGHEST,
        )
        for answer in reply.topics:
            for each in answer.partitions:
                partition = TopicPartition(answer.name, each.partition_index)
                check(each.error_code, what=f"commit of {partition}")

    async def close(self) -> None:
        """Commit (with auto commit), give everything up, leave the group."""
        membership = self._membership
        if membership is not None:
            # Not `give_up` of what is lost: others may have committed since.
            if membership.lost:
                await self.lose(set(self.owned))
            await self.give_up(set(self.owned))
            await membership.leave()
            self._membership = None
        await self.fetcher.close()
