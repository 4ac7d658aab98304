"""A broker's life as the controller sees it: registered, unfenced, beating, stopping (KIP-631)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from kafka_py.metadata.features import SUPPORTED
from kafka_py.protocol.brokers import BrokerHeartbeatRequest, BrokerRegistrationRequest
from kafka_py.protocol.errors import ErrorCode
from kafka_py.server.dispatch import BROKER
from kafka_py.server.node import Node

__all__ = ["Lifecycle", "RegistrationFailed"]

log = logging.getLogger("kafka_py.server")

SECURITY = {"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}
RETRY_S = 0.1


class RegistrationFailed(Exception):
    """The controller refuses this broker for good; the text says why."""


class Lifecycle:
    """Registers the broker and keeps it registered."""

    def __init__(self, node: Node, incarnation_id: bytes) -> None:
        self._node = node
        self._incarnation_id = incarnation_id
        self._beat_at_ms = 0
        self._beating = False
        #: The heartbeat that unfenced the broker was a moment ago.
        self._registered_now = False

    def registration(self) -> BrokerRegistrationRequest:
        """What the controller is told."""
        node = self._node
        request = BrokerRegistrationRequest
        directories = node.replicas.log_dirs
        return request(
            broker_id=node.node_id,
            cluster_id=node.cluster_id,
            incarnation_id=self._incarnation_id,
            listeners=[
                request.Listener(
                    name=one.name,
                    host=one.advertised_host,
                    port=one.advertised_port,
                    security_protocol=SECURITY[one.security],
                )
                for one in node.listeners.values()
                if one.role == BROKER
            ],
            features=[
                request.Feature(
                    name=name, min_supported_version=levels.min, max_supported_version=levels.max
                )
                for name, levels in SUPPORTED.items()
            ],
            rack=node.config["broker.rack"],
            log_dirs=sorted(one.directory_id for one in directories),
            previous_broker_epoch=min(
                (one.broker_epoch_at_stop for one in directories), default=-1
            ),
        )

    async def register(self) -> None:
        """Register and get unfenced. Raises RegistrationFailed."""
        node = self._node
        while True:
            response = await node.submit(self.registration())
            error = ErrorCode.of(response.error_code)
            if error is ErrorCode.NONE:
                break
            if error not in (ErrorCode.DUPLICATE_BROKER_REGISTRATION, ErrorCode.NOT_CONTROLLER):
                raise RegistrationFailed(f"the controller refuses this broker: {error.name}")
            await asyncio.sleep(RETRY_S)
        node.broker_epoch = response.broker_epoch
        while node.fenced:
            await self.beat()
            if node.fenced:
                await asyncio.sleep(RETRY_S)
        self._registered_now = True

    async def beat(self, *, want_shut_down: bool = False) -> Any:
        """One heartbeat; takes over whether the controller fences this broker."""
        node = self._node
        request = BrokerHeartbeatRequest(
            broker_id=node.node_id,
            broker_epoch=node.broker_epoch,
            current_metadata_offset=node.controller.applied_offset,
            want_shut_down=want_shut_down,
            offline_log_dirs=sorted(
                one.directory_id for one in node.replicas.log_dirs if one.offline
            ),
            cordoned_log_dirs=sorted(
                one.directory_id
                for one in node.replicas.log_dirs
                if node.replicas.moves.is_cordoned(one)
            ),
        )
        response = await node.submit(request)
        if response.error_code == ErrorCode.NONE:
            node.fenced = response.is_fenced
        else:
            log.warning("heartbeat refused: %s", ErrorCode.of(response.error_code).name)
        return response

    def due(self, now_ms: int) -> int:
        """Send a heartbeat if it is time; when the next one is."""
        interval_ms = self._node.config["broker.heartbeat.interval.ms"]
        if self._registered_now:
            self._registered_now = False
            self._beat_at_ms = now_ms + interval_ms
        elif now_ms >= self._beat_at_ms and not self._beating:
            self._beat_at_ms = now_ms + interval_ms
            self._beating = True
            self._node.spawn(self._beat_once())
        return self._beat_at_ms

    async def _beat_once(self) -> None:
        try:
            await self.beat()
        finally:
            self._beating = False

    async def leave(self, timeout_s: float) -> None:
        """A controlled shutdown: wait until the controller has moved what it can."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    response = await self.beat(want_shut_down=True)
                    if response.error_code or response.should_shut_down:
                        return
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            log.warning("the controller did not agree to the shutdown in %.0f s", timeout_s)
