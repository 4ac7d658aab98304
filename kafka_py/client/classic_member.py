"""A member by the classic protocol, rebalancing eagerly: all is given up before a new join."""

from __future__ import annotations

import asyncio
from typing import Final

from kafka_py.client.assignors import ASSIGNORS, Assignment, Subscriber
from kafka_py.client.connection import Connection
from kafka_py.client.describing import (
    CONSUMER_PROTOCOL,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kafka_py.client.errors import BrokerError, ClientError, MemberFailed, check
from kafka_py.client.membership import GROUP_LANE, Membership, ended, log
from kafka_py.client.types import TopicPartition
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerProtocolSubscription,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from kafka_py.protocol.registry import ApiKey

SUBSCRIPTION_VERSION: Final = 1
#: A join waits for all members, at most for the rebalance time-out; the network gets this more.
JOIN_GRACE_MS: Final = 5000
PUT_OUT: Final = (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.ILLEGAL_GENERATION)


class ClassicMember(Membership):
    """JoinGroup, SyncGroup, Heartbeat, LeaveGroup."""

    _joining: asyncio.Task[set[TopicPartition]] | None = None
    _beating: asyncio.Task[None] | None = None
    _rejoin = True
    _leads: dict[str, int] | None = None
    """Partition counts of the group's topics when this member, as leader, divided them."""
    _checked_ms = 0

    @property
    def pending(self) -> bool:
        """See `Membership`."""
        return super().pending or self._rejoin or self._joining is not None

    async def advance(self, timeout_ms: int) -> None:
        """See `Membership`."""
        await super().advance(timeout_ms)
        if self._rejoin and self._joining is None:
            await self.holder.give_up(set(self.holder.owned))
            await ended(self._beating)
            self._rejoin = False
            self._joining = asyncio.ensure_future(self._join())
        if self._joining is None:
            return
        done, _ = await asyncio.wait({self._joining}, timeout=max(timeout_ms, 0) / 1000)
        if not done:
            return
        joining, self._joining = self._joining, None
        try:
            assignment = joining.result()
        except ClientError:
            self._rejoin = True
            raise
        await self.holder.take(assignment)

    async def _join(self) -> set[TopicPartition]:
        """Join until it works: the partitions. Raises `MemberFailed`."""
        self._leads = None
        while True:
            try:
                joined = await self.cluster.at_coordinator(
                    self.settings.group, self._ask_to_join, lane=GROUP_LANE
                )
                assignment = await self._sync(joined)
            except BrokerError as error:
                if error.code == ErrorCode.UNKNOWN_MEMBER_ID:
                    self.member_id = ""
                elif error.code not in (
                    ErrorCode.MEMBER_ID_REQUIRED,
                    ErrorCode.REBALANCE_IN_PROGRESS,
                    ErrorCode.ILLEGAL_GENERATION,
                ):
                    if not error.retriable:
                        raise MemberFailed(f"group {self.settings.group}: {error}") from error
                    await asyncio.sleep(self.cluster.limits.backoff_ms / 1000)
                continue
            except ClientError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(self.cluster.limits.backoff_ms / 1000)
                continue
            self._beating = asyncio.ensure_future(self._beat())
            return assignment

    async def _ask_to_join(self, connection: Connection) -> JoinGroupResponse:
        subscription = ConsumerProtocolSubscription(topics=sorted(self.settings.topics))
        metadata = encode_subscription(subscription, SUBSCRIPTION_VERSION)
        protocol = JoinGroupRequest.JoinGroupRequestProtocol
        rebalance_timeout_ms = self.settings.max_poll_interval_ms
        joined = await connection.call(
            JoinGroupRequest(
                group_id=self.settings.group,
                session_timeout_ms=self.settings.session_timeout_ms,
                rebalance_timeout_ms=rebalance_timeout_ms,
                member_id=self.member_id,
                group_instance_id=self.settings.instance_id,
                protocol_type=CONSUMER_PROTOCOL,
                protocols=[
                    protocol(name=name, metadata=metadata) for name in self.settings.assignors
                ],
            ),
            JoinGroupResponse,
            timeout_ms=rebalance_timeout_ms + JOIN_GRACE_MS,
        )
        if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = joined.member_id
        check(joined.error_code)
        self.member_id, self.epoch = joined.member_id, joined.generation_id
        return joined

    async def _sync(self, joined: JoinGroupResponse) -> set[TopicPartition]:
        row = SyncGroupRequest.SyncGroupRequestAssignment
        assignments = []
        if joined.leader == joined.member_id and not joined.skip_assignment:
            divided = await self._divide(joined)
            assignments = [
                row(
                    member_id=member_id,
                    assignment=encode_assignment(partitions, SUBSCRIPTION_VERSION),
                )
                for member_id, partitions in divided.items()
            ]
        request = SyncGroupRequest(
            group_id=self.settings.group,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            group_instance_id=self.settings.instance_id,
            protocol_type=joined.protocol_type,
            protocol_name=joined.protocol_name,
            assignments=assignments,
        )

        async def once(connection: Connection) -> SyncGroupResponse:
            synced = await connection.call(
                request,
                SyncGroupResponse,
                timeout_ms=self.settings.max_poll_interval_ms + JOIN_GRACE_MS,
            )
            check(synced.error_code)
            return synced

        synced = await self.cluster.at_coordinator(self.settings.group, once, lane=GROUP_LANE)
        return set(decode_assignment(synced.assignment))

    async def _divide(self, joined: JoinGroupResponse) -> Assignment:
        members = [
            Subscriber(
                row.member_id,
                row.group_instance_id,
                tuple(decode_subscription(row.metadata).topics),
            )
            for row in joined.members
        ]
        wanted = {topic for member in members for topic in member.topics}
        topics = await self.cluster.refresh(wanted)
        self._checked_ms = self.cluster.clock.monotonic_ms()
        self._leads = {name: len(topics[name].partitions) for name in wanted if name in topics}
        return ASSIGNORS[joined.protocol_name or ""](members, self._leads)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_interval_ms / 1000)
            if self.poll_is_overdue():
                await self._say_goodbye()
                return self._put_out("not polled for max.poll.interval.ms: left the group")
            try:
                code = await self._heartbeat()
                await self._look_at_topics()
            except ClientError as error:
                log.info("group %s: heartbeat: %s", self.settings.group, error)
                continue
            if code == ErrorCode.REBALANCE_IN_PROGRESS:
                self._rejoin = True
                self.wake()
            elif code in PUT_OUT:
                return self._put_out(code.message)
            elif code != ErrorCode.NONE:
                return self.fail(MemberFailed(f"group {self.settings.group}: {code.message}"))

    async def _heartbeat(self) -> ErrorCode:
        async def once(connection: Connection) -> ErrorCode:
            reply = await connection.call(
                HeartbeatRequest(
                    group_id=self.settings.group,
                    generation_id=self.epoch,
                    member_id=self.member_id,
                    group_instance_id=self.settings.instance_id,
                ),
                HeartbeatResponse,
            )
            code = ErrorCode.of(reply.error_code)
            if code.retriable and code != ErrorCode.REBALANCE_IN_PROGRESS:
                raise BrokerError(code)
            return code

        return await self.cluster.at_coordinator(
            self.settings.group, once, lane=GROUP_LANE, timeout_ms=0
        )

    async def _look_at_topics(self) -> None:
        """As leader: ask for another rebalance when a topic has got more partitions, or came."""
        if self._leads is None:
            return
        now_ms = self.cluster.clock.monotonic_ms()
        if now_ms - self._checked_ms < self.cluster.limits.metadata_age_max_ms:
            return
        self._checked_ms = now_ms
        topics = await self.cluster.refresh(self._leads, timeout_ms=0)
        if any(len(topic.partitions) != self._leads[name] for name, topic in topics.items()):
            self._rejoin = True
            self.wake()

    def _put_out(self, reason: str) -> None:
        self.member_id = ""
        self.epoch = -1
        self._rejoin = True
        self.lose(reason)

    async def leave(self) -> None:
        """See `Membership`. Static members stay in the group until their session ends."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.gather(self._joining, return_exceptions=True)
        await ended(self._beating)
        if self.settings.instance_id is None:
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        if not self.member_id:
            return
        request = LeaveGroupRequest(group_id=self.settings.group)

        async def once(connection: Connection) -> None:
            if connection.knows(ApiKey.LEAVE_GROUP, 3):
                identity = LeaveGroupRequest.MemberIdentity
                request.members = [identity(member_id=self.member_id)]
            else:
                request.member_id = self.member_id
            await connection.call(request, LeaveGroupResponse)

        try:
            await self.cluster.at_coordinator(
                self.settings.group, once, lane=GROUP_LANE, timeout_ms=0
            )
        except ClientError as error:
            log.info("group %s: leaving: %s", self.settings.group, error)
