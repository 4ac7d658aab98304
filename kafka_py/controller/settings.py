"""What a controller is told by its configuration, with Kafka's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka_py.metadata.types import Endpoint
from kcore.values import field, frozen

__all__ = ["ControllerSettings", "Voter", "parse_quorum_voters"]


@frozen
class Voter:
    """A member of the raft quorum. `directory_id` is None under static voters (kraft.version 0)."""

    id: int
    host: str
    port: int
    directory_id: bytes | None = None


def parse_quorum_voters(text: str) -> dict[int, Voter]:
    """The voters of `controller.quorum.voters`, `id@host:port,...`.

    Raises ValueError with the entry that is wrong.
    """
    voters: dict[int, Voter] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        node_id, at, address = entry.partition("@")
        host, colon, port = address.rpartition(":")
        if not at or not colon or not node_id.isdigit() or not port.isdigit():
            raise ValueError(f"controller.quorum.voters: {entry!r} is not of the form id@host:port")
        voters[int(node_id)] = Voter(int(node_id), host.strip("[]"), int(port))
    return voters


@frozen
class ControllerSettings:
    """Everything that a `ControllerNode` reads from the configuration.

    `endpoints` are this controller's listeners, as it registers them; `voters` the static quorum
    (`controller.quorum.voters`), empty where the quorum is dynamic (KIP-853); `config` the broker
    configuration, which validates topic and broker configs (None: they are not validated).
    """

    voters: Mapping[int, Voter] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    election_timeout_ms: int = 1000
    election_backoff_max_ms: int = 1000
    fetch_timeout_ms: int = 2000
    request_timeout_ms: int = 2000
    fetch_max_bytes: int = 8 * 1024 * 1024
    snapshot_bytes: int = 20 * 1024 * 1024
    snapshot_interval_ms: int = 3_600_000
    retention_bytes: int = 100 * 1024 * 1024
    retention_ms: int = 7 * 24 * 3_600_000
    idle_interval_ms: int = 500
    broker_session_timeout_ms: int = 9000
    num_partitions: int = 1
    default_replication_factor: int = 1
    min_insync_replicas: int = 1
    unclean_leader_election: bool = False
    leader_imbalance_check_interval_ms: int = 300_000
    config: Mapping[str, Any] | None = None

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], endpoints: tuple[Endpoint, ...] = ()
    ) -> ControllerSettings:
        """From a broker configuration, by Kafka's property names.

        Absent names keep the defaults.  Raises ValueError for a bad voter list.
        """
        given: dict[str, Any] = {}
        for name, attribute in _PROPERTIES.items():
            try:
                value = config[name]
            except KeyError:
                continue
            if value is not None:
                given[attribute] = value
        voters = config.get("controller.quorum.voters", "")
        if not isinstance(voters, str):
            voters = ",".join(voters or ())
        return cls(voters=parse_quorum_voters(voters), endpoints=endpoints, config=config, **given)


_PROPERTIES = {
    "controller.quorum.election.timeout.ms": "election_timeout_ms",
    "controller.quorum.election.backoff.max.ms": "election_backoff_max_ms",
    "controller.quorum.fetch.timeout.ms": "fetch_timeout_ms",
    "controller.quorum.request.timeout.ms": "request_timeout_ms",
    "metadata.log.max.record.bytes.between.snapshots": "snapshot_bytes",
    "metadata.log.max.snapshot.interval.ms": "snapshot_interval_ms",
    "metadata.max.retention.bytes": "retention_bytes",
    "metadata.max.retention.ms": "retention_ms",
    "metadata.max.idle.interval.ms": "idle_interval_ms",
    "broker.session.timeout.ms": "broker_session_timeout_ms",
    "num.partitions": "num_partitions",
    "default.replication.factor": "default_replication_factor",
    "min.insync.replicas": "min_insync_replicas",
    "unclean.leader.election.enable": "unclean_leader_election",
}
