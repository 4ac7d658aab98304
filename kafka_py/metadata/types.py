"""The rows of a metadata image: immutable values, replaced and never changed.

Ids are 16 `bytes` where Kafka has a Uuid.  Tuples keep the order that the records gave.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from kcore.values import field, mutable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DIRECTORY_LOST",
    "DIRECTORY_MIGRATING",
    "DIRECTORY_UNASSIGNED",
    "NO_LEADER",
    "Acl",
    "BrokerRegistration",
    "ChangedMetadata",
    "ConfigResource",
    "ControllerRegistration",
    "DelegationToken",
    "Endpoint",
    "LeaderRecovery",
    "PartitionImage",
    "ScramCredential",
    "ScramMechanism",
    "TopicImage",
    "VersionRange",
]

#: Reserved directory ids (KIP-858).
DIRECTORY_MIGRATING = bytes(16)
DIRECTORY_UNASSIGNED = bytes(15) + b"\x01"
DIRECTORY_LOST = bytes(15) + b"\x02"

#: What `PartitionImage.leader` says while nobody leads.
NO_LEADER = -1


class ConfigResource(IntEnum):
    """The kinds of thing that have configs; the numbers are the protocol's."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class LeaderRecovery(IntEnum):
    """Whether a partition's leader still has to recover from an unclean election (KIP-704)."""

    RECOVERED = 0
    RECOVERING = 1


class ScramMechanism(IntEnum):
    """The SCRAM mechanisms, as the protocol numbers them (KIP-554)."""

    UNKNOWN = 0
    SCRAM_SHA_256 = 1
    SCRAM_SHA_512 = 2


class Endpoint(NamedTuple):
    """Where a node listens.

    `security_protocol`: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    """

    name: str
    host: str
    port: int
    security_protocol: int


class VersionRange(NamedTuple):
    """The levels of a feature that a node supports, both ends included."""

    min: int
    max: int

    def __contains__(self, level: object) -> bool:
        return isinstance(level, int) and self.min <= level <= self.max


class BrokerRegistration(NamedTuple):
    """A broker as the controller registered it. `epoch` is the offset of its registration."""

    id: int
    epoch: int
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    features: Mapping[str, VersionRange]
    rack: str | None
    fenced: bool
    in_controlled_shutdown: bool
    directories: tuple[bytes, ...]
    cordoned_directories: tuple[bytes, ...] = ()
    is_migrating_zk_broker: bool = False

    @property
    def active(self) -> bool:
        """Neither fenced nor shutting down: may lead and join an ISR."""
        return not self.fenced and not self.in_controlled_shutdown

    def endpoint(self, listener: str) -> Endpoint | None:
        """The endpoint of the listener of that name."""
        return next((e for e in self.endpoints if e.name == listener), None)

    def has_online_directory(self, directory: bytes) -> bool:
        """Whether replicas in that directory can be served; reserved ids count as online."""
        if directory == DIRECTORY_LOST:
            return False
        if directory in (DIRECTORY_UNASSIGNED, DIRECTORY_MIGRATING):
            return True
        return directory in self.directories


class ControllerRegistration(NamedTuple):
    """A controller as it registered itself (KIP-919)."""

    id: int
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    features: Mapping[str, VersionRange]
    zk_migration_ready: bool = False


class PartitionImage(NamedTuple):
    """One partition. `directories` is parallel to `replicas`."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[bytes, ...]
    elr: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()
    removing_replicas: tuple[int, ...] = ()
    adding_replicas: tuple[int, ...] = ()
    leader_recovery_state: int = LeaderRecovery.RECOVERED

    def directory(self, broker_id: int) -> bytes:
        """Where that replica lives; raises ValueError when it is no replica."""
        return self.directories[self.replicas.index(broker_id)]

    @property
    def reassigning(self) -> bool:
        """A reassignment is under way (KIP-455)."""
        return bool(self.removing_replicas or self.adding_replicas)


class TopicImage:
    """A topic and its partitions by index.  Treat as immutable: `MetadataImage` replaces it."""

    __slots__ = ("_owner", "id", "name", "partitions")

    def __init__(
        self,
        name: str,
        id: bytes,
        partitions: dict[int, PartitionImage] | None = None,
        owner: object = None,
    ) -> None:
        self.name = name
        self.id = id
        self.partitions: dict[int, PartitionImage] = {} if partitions is None else partitions
        self._owner = owner

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TopicImage):
            return NotImplemented
        return (self.name, self.id, self.partitions) == (other.name, other.id, other.partitions)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TopicImage({self.name!r}, id={self.id.hex()}, partitions={self.partitions!r})"


class ScramCredential(NamedTuple):
    """What is kept of a user's password for one mechanism."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int


class Acl(NamedTuple):
    """One access control entry, with the protocol's numbers."""

    resource_type: int
    resource_name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int


class DelegationToken(NamedTuple):
    """A delegation token without its secret, which is derived (KIP-48)."""

    token_id: str
    owner: str
    requester: str
    renewers: tuple[str, ...]
    issue_timestamp_ms: int
    max_timestamp_ms: int
    expiry_timestamp_ms: int


@mutable
class ChangedMetadata:
    """What differs between two published images; listeners get it with the later one.

    `topics` maps the id of every topic that was created or changed to the set of its partition
    indexes that did; `topics_deleted` maps the id of a deleted topic to its last image.
    `acls` holds the ids of access control entries that were created or deleted.
    `everything` is set after a snapshot replaced the image: then nothing else is filled in.
    """

    topics: dict[bytes, set[int]] = field(default_factory=dict)
    topics_deleted: dict[bytes, TopicImage] = field(default_factory=dict)
    brokers: set[int] = field(default_factory=set)
    controllers: set[int] = field(default_factory=set)
    configs: set[tuple[int, str]] = field(default_factory=set)
    features: set[str] = field(default_factory=set)
    quotas: bool = False
    acls: set[bytes] = field(default_factory=set)
    scram: bool = False
    delegation_tokens: bool = False
    producer_ids: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.topics
            or self.topics_deleted
            or self.brokers
            or self.controllers
            or self.configs
            or self.features
            or self.quotas
            or self.acls
            or self.scram
            or self.delegation_tokens
            or self.producer_ids
            or self.everything
        )


EMPTY: Mapping[str, str | None] = MappingProxyType({})
