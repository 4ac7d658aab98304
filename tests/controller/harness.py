"""A controller node in memory, for the tests: one voter, virtual time, seeded randomness."""

from __future__ import annotations

import random
from typing import Any

from kafka_py.config.broker import BrokerConfig
from kafka_py.controller.node import ControllerNode
from kafka_py.controller.settings import ControllerSettings
from kafka_py.metadata.features import SUPPORTED, bootstrap_features
from kafka_py.metadata.types import Endpoint
from kafka_py.protocol.brokers import BrokerHeartbeatRequest, BrokerRegistrationRequest
from kafka_py.protocol.records_metadata import FeatureLevelRecord
from kafka_py.testing.clock import VirtualClock
from kafka_py.testing.raft_log import MemoryLogStore
from kcore.values import replace

CLUSTER_ID = "nLegcSb5TsuNBs19tyTs6A"
ENDPOINT = Endpoint("CONTROLLER", "127.0.0.1", 9093, 0)
CONFIG = BrokerConfig(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@127.0.0.1:9093",
        "listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": "unused",
    }
)


def directory(broker_id: int) -> bytes:
    """The only log directory of that broker."""
    return bytes([broker_id]) * 16


def bootstrap(metadata_version: int = 30) -> list[Any]:
    """What a format writes into bootstrap.checkpoint."""
    levels = bootstrap_features(metadata_version)
    first = FeatureLevelRecord(name="metadata.version", feature_level=metadata_version)
    return [first] + [FeatureLevelRecord(name=n, feature_level=v) for n, v in levels.items()]


class Source:
    """Who asks, in a given version."""

    def __init__(self, api_version: int) -> None:
        self.api_version = api_version


class Harness:
    """A node that leads, and the calls that tests make of it."""

    def __init__(
        self,
        *,
        brokers: int = 1,
        metadata_version: int = 30,
        store: Any = None,
        clock: VirtualClock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.store = store or MemoryLogStore()
        values = ControllerSettings.from_config(CONFIG, (ENDPOINT,))

        self.node = ControllerNode(
            self.store,
            node_id=1,
            cluster_id=CLUSTER_ID,
            directory_id=directory(1),
            settings=replace(values, **settings),
            clock=self.clock,
            random=random.Random(self.store.end_offset),  # a restart draws other ids
            incarnation_id=b"c" * 16,
            bootstrap=bootstrap(metadata_version),
        )
        self.node.start()
        for broker_id in range(1, brokers + 1):
            self.join(broker_id)

    @property
    def image(self) -> Any:
        """The committed image."""
        return self.node.image

    def ask(self, request: Any, version: int | None = None) -> Any:
        """The response; it must be there at once, as the store is in memory."""
        replies: list[Any] = []
        version = type(request).VERSIONS[1] if version is None else version
        self.node.submit(request, Source(version), replies.append)
        assert len(replies) == 1
        return replies[0]

    def register(self, broker_id: int, incarnation: bytes | None = None, **fields: Any) -> Any:
        """Register a broker."""
        request = BrokerRegistrationRequest
        values: dict[str, Any] = {
            "broker_id": broker_id,
            "cluster_id": CLUSTER_ID,
            "incarnation_id": incarnation or bytes([broker_id + 100]) * 16,
            "rack": None,
            "log_dirs": [directory(broker_id)],
            "listeners": [
                request.Listener(name="PLAINTEXT", host="h", port=9092, security_protocol=0)
            ],
            "features": [
                request.Feature(
                    name=name, min_supported_version=span.min, max_supported_version=span.max
                )
                for name, span in SUPPORTED.items()
            ],
        }
        return self.ask(request(**{**values, **fields}))

    def heartbeat(self, broker_id: int, **fields: Any) -> Any:
        """A heartbeat of a broker that has seen everything."""
        values: dict[str, Any] = {
            "broker_epoch": self.image.brokers[broker_id].epoch,
            "current_metadata_offset": self.node.applied_offset,
        }
        return self.ask(BrokerHeartbeatRequest(broker_id=broker_id, **{**values, **fields}))

    def join(self, broker_id: int, **fields: Any) -> None:
        """Register and unfence."""
        assert self.register(broker_id, **fields).error_code == 0
        assert not self.heartbeat(broker_id).is_fenced

    def partition(self, topic: str, index: int = 0) -> Any:
        """That partition."""
        return self.image.topics[topic].partitions[index]
