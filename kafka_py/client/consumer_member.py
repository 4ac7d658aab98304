"""A member by the consumer protocol (KIP-848): the broker assigns, heartbeats carry everything."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Final

from kafka_py.client.connection import Connection
from kafka_py.client.errors import BrokerError, ClientError, MemberFailed
from kafka_py.client.membership import GROUP_LANE, Membership, ended, log
from kafka_py.client.types import TopicPartition
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.groups import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)

JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH = 0, -1, -2
PUT_OUT: Final = (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_MEMBER_EPOCH)


class ConsumerMember(Membership):
    """ConsumerGroupHeartbeat."""

    fetches_as_member = True
    _beating: asyncio.Task[None] | None = None
    _target: set[tuple[bytes, int]] | None = None
    """What the group wants this member to have; None once that is so."""
    _held: set[tuple[bytes, int]] = set()
    """What this member has, by topic id, as the group is to be told."""
    _report = True
    """Whether the next heartbeat is to say everything, owned partitions included."""
    _beat_now: asyncio.Event | None = None

    @property
    def pending(self) -> bool:
        """See `Membership`."""
        return super().pending or self._beating is None or self._target is not None

    async def advance(self, timeout_ms: int) -> None:
        """See `Membership`."""
        await super().advance(timeout_ms)
        if self._beating is None or self._beating.done():
            self._start()
        target = self._target
        if target is None:
            return
        names = await self.cluster.names_of({topic_id for topic_id, _ in target})
        wanted = {TopicPartition(names[i], number) for i, number in target if i in names}
        gone, new = self.holder.owned - wanted, wanted - self.holder.owned
        if gone:
            await self.holder.give_up(gone)
        held = {(topic_id, number) for topic_id, number in target if topic_id in names}
        if self._target is target and held == target:
            self._target = None
        # A topic that was just made may not have a name here yet: the next advance looks again.
        if new:
            await self.holder.take(new)
        self._held = held
        self._report = True
        assert self._beat_now is not None
        self._beat_now.set()
        if self._target is target:
            await asyncio.sleep(min(self.cluster.limits.backoff_ms, max(timeout_ms, 1)) / 1000)

    def _start(self) -> None:
        """Join: a new beginning, under the same member id."""
        if not self.member_id:
            self.member_id = base64.urlsafe_b64encode(os.urandom(16))[:22].decode()
        self.epoch = JOIN_EPOCH
        self._held = set()
        self._target = None
        self._report = True
        self._beat_now = asyncio.Event()
        self._beating = asyncio.ensure_future(self._beat(self._beat_now))

    async def _beat(self, beat_now: asyncio.Event) -> None:
        interval_ms = self.cluster.limits.backoff_ms
        while True:
            if self.poll_is_overdue():
                await self._say_goodbye(LEAVE_EPOCH)
                return self.lose("not polled for max.poll.interval.ms: left the group")
            beat_now.clear()
            try:
                reply = await self.cluster.at_coordinator(
                    self.settings.group, self._heartbeat, lane=GROUP_LANE, timeout_ms=0
                )
            except ClientError as error:
                if not error.retriable:
                    return self._ended_by(error)
                log.info("group %s: heartbeat: %s", self.settings.group, error)
                # The broker may or may not have heard it: the next one says everything again.
                self._report = True
                await asyncio.sleep(self.cluster.limits.backoff_ms / 1000)
                continue
            self.epoch = reply.member_epoch
            interval_ms = reply.heartbeat_interval_ms or interval_ms
            if reply.assignment is not None:
                target = {
                    (row.topic_id, number)
                    for row in reply.assignment.topic_partitions
                    for number in row.partitions
                }
                # Whoever reports what it has is told what it is to have, changed or not.
                self._target = target if target != self._held else None
                self.wake()
            try:
                async with asyncio.timeout(interval_ms / 1000):
                    await beat_now.wait()
            except TimeoutError:
                pass

    def _ended_by(self, error: ClientError) -> None:
        if isinstance(error, BrokerError) and error.code in PUT_OUT:
            self.lose(str(error))
        elif isinstance(error, BrokerError) and error.code != ErrorCode.UNSUPPORTED_VERSION:
            self.fail(MemberFailed(f"group {self.settings.group}: {error}"))
        else:
            self.fail(error)

    async def _heartbeat(self, connection: Connection) -> ConsumerGroupHeartbeatResponse:
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.settings.group,
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.settings.instance_id,
        )
        told_all = self._report
        if told_all:
            self._report = False
            row = ConsumerGroupHeartbeatRequest.TopicPartitions
            owned: dict[bytes, list[int]] = {}
            for topic_id, number in sorted(self._held):
                owned.setdefault(topic_id, []).append(number)
            request.rebalance_timeout_ms = self.settings.max_poll_interval_ms
            request.subscribed_topic_names = sorted(self.settings.topics)
            request.server_assignor = self.settings.server_assignor
            request.topic_partitions = [row(topic_id=i, partitions=n) for i, n in owned.items()]
        reply = await connection.call(request, ConsumerGroupHeartbeatResponse)
        if reply.error_code:
            raise BrokerError(reply.error_code, reply.error_message)
        return reply

    async def leave(self) -> None:
        """See `Membership`. A static member keeps its place until its session ends."""
        if self._beating is None:
            return
        await ended(self._beating)
        static = self.settings.instance_id is not None
        if self.epoch > 0:
            await self._say_goodbye(LEAVE_STATIC_EPOCH if static else LEAVE_EPOCH)

    async def _say_goodbye(self, epoch: int) -> None:
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.settings.group,
            member_id=self.member_id,
            member_epoch=epoch,
            instance_id=self.settings.instance_id,
        )

        async def once(connection: Connection) -> None:
            await connection.call(request, ConsumerGroupHeartbeatResponse)

        try:
            await self.cluster.at_coordinator(
                self.settings.group, once, lane=GROUP_LANE, timeout_ms=0
            )
        except ClientError as error:
            log.info("group %s: leaving: %s", self.settings.group, error)
