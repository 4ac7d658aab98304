"""Which APIs there are: everything here is derived from the message tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from importlib import import_module
from typing import Any, NamedTuple

from kafka_py.protocol.schema import Message, Range, Request, Response

OTHER_MODULES = (
    "headers",
    "records_group",
    "records_metadata",
    "records_raft",
    "records_share",
    "records_streams",
    "records_transaction",
)
"""The modules that hold the other tables."""


class ApiKey(IntEnum):
    """API keys under Kafka's names. 4-7 are gone since 4.0."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    SASL_HANDSHAKE = 17
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    DELETE_RECORDS = 21
    INIT_PRODUCER_ID = 22
    OFFSET_FOR_LEADER_EPOCH = 23
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_ACLS = 29
    CREATE_ACLS = 30
    DELETE_ACLS = 31
    DESCRIBE_CONFIGS = 32
    ALTER_CONFIGS = 33
    ALTER_REPLICA_LOG_DIRS = 34
    DESCRIBE_LOG_DIRS = 35
    SASL_AUTHENTICATE = 36
    CREATE_PARTITIONS = 37
    CREATE_DELEGATION_TOKEN = 38
    RENEW_DELEGATION_TOKEN = 39
    EXPIRE_DELEGATION_TOKEN = 40
    DESCRIBE_DELEGATION_TOKEN = 41
    DELETE_GROUPS = 42
    ELECT_LEADERS = 43
    INCREMENTAL_ALTER_CONFIGS = 44
    ALTER_PARTITION_REASSIGNMENTS = 45
    LIST_PARTITION_REASSIGNMENTS = 46
    OFFSET_DELETE = 47
    DESCRIBE_CLIENT_QUOTAS = 48
    ALTER_CLIENT_QUOTAS = 49
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50
    ALTER_USER_SCRAM_CREDENTIALS = 51
    VOTE = 52
    BEGIN_QUORUM_EPOCH = 53
    END_QUORUM_EPOCH = 54
    DESCRIBE_QUORUM = 55
    ALTER_PARTITION = 56
    UPDATE_FEATURES = 57
    ENVELOPE = 58
    FETCH_SNAPSHOT = 59
    DESCRIBE_CLUSTER = 60
    DESCRIBE_PRODUCERS = 61
    BROKER_REGISTRATION = 62
    BROKER_HEARTBEAT = 63
    UNREGISTER_BROKER = 64
    DESCRIBE_TRANSACTIONS = 65
    LIST_TRANSACTIONS = 66
    ALLOCATE_PRODUCER_IDS = 67
    CONSUMER_GROUP_HEARTBEAT = 68
    CONSUMER_GROUP_DESCRIBE = 69
    CONTROLLER_REGISTRATION = 70
    GET_TELEMETRY_SUBSCRIPTIONS = 71
    PUSH_TELEMETRY = 72
    ASSIGN_REPLICAS_TO_DIRS = 73
    LIST_CONFIG_RESOURCES = 74
    DESCRIBE_TOPIC_PARTITIONS = 75
    SHARE_GROUP_HEARTBEAT = 76
    SHARE_GROUP_DESCRIBE = 77
    SHARE_FETCH = 78
    SHARE_ACKNOWLEDGE = 79
    ADD_RAFT_VOTER = 80
    REMOVE_RAFT_VOTER = 81
    UPDATE_RAFT_VOTER = 82
    INITIALIZE_SHARE_GROUP_STATE = 83
    READ_SHARE_GROUP_STATE = 84
    WRITE_SHARE_GROUP_STATE = 85
    DELETE_SHARE_GROUP_STATE = 86
    READ_SHARE_GROUP_STATE_SUMMARY = 87
    STREAMS_GROUP_HEARTBEAT = 88
    STREAMS_GROUP_DESCRIBE = 89
    DESCRIBE_SHARE_GROUP_OFFSETS = 90
    ALTER_SHARE_GROUP_OFFSETS = 91
    DELETE_SHARE_GROUP_OFFSETS = 92
    STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE = 93
    UNREGISTER_CONTROLLER = 94


class Api(NamedTuple):
    """One API: its messages and versions.

    `versions`: the inclusive range that Kafka calls stable; the tables may know later, unstable
    ones.
    """

    key: ApiKey
    name: str
    request: type[Request]
    response: type[Response]
    versions: Range
    flexible: int | None
    listeners: frozenset[str]

    def request_header_version(self, version: int) -> int:
        """1, or 2 with tagged fields. For any version: the header tells which it is."""
        return 2 if self.flexible is not None and version >= self.flexible else 1

    def response_header_version(self, version: int) -> int:
        """0, or 1 with tagged fields; always 0 for ApiVersions, whose reader does not know the
        version yet."""
        if self.key == ApiKey.API_VERSIONS:
            return 0
        return 1 if self.flexible is not None and version >= self.flexible else 0

    @property
    def advertised(self) -> Range:
        """The range to put into ApiVersions: `versions`, but Produce from 0.

        librdkafka's check for old message formats needs that (KAFKA-18659); versions 0-2 are
        refused all the same.
        """
        return (0, self.versions[1]) if self.key == ApiKey.PRODUCE else self.versions


MODULES: Mapping[str, tuple[int, ...]] = {
    "acls": (29, 30, 31),
    "api_versions": (18,),
    "brokers": (56, 58, 62, 63, 64, 67, 70, 73, 94),
    "cluster": (34, 35, 57, 60),
    "configs": (32, 33, 44, 74),
    "fetch": (1,),
    "group_offsets": (8, 9, 47),
    "groups": (10, 11, 12, 13, 14, 15, 16, 42, 68, 69),
    "metadata": (3, 75),
    "offsets": (2, 23),
    "produce": (0,),
    "quorum": (52, 53, 54, 55, 59, 80, 81, 82),
    "quotas": (48, 49),
    "sasl": (17, 36, 50, 51),
    "share": (76, 77, 78, 79, 90, 91, 92),
    "share_state": (83, 84, 85, 86, 87),
    "streams": (88, 89, 93),
    "telemetry": (71, 72),
    "tokens": (38, 39, 40, 41),
    "topics": (19, 20, 21, 37, 43, 45, 46),
    "transactions": (22, 24, 25, 26, 27, 28, 61, 65, 66),
}
"""The modules that hold request and response tables, and the keys of their APIs."""
_MODULE_OF = {key: module for module, keys in MODULES.items() for key in keys}


class _Apis(Mapping[ApiKey, Api]):
    """The APIs by key; a module is imported when one of its tables is asked for."""

    def __init__(self) -> None:
        self._known: dict[ApiKey, Api] = {}

    def __getitem__(self, key: ApiKey) -> Api:
        found = self._known.get(key)
        if found is None:
            self._known.update(_collect(_MODULE_OF[key]))
            found = self._known[key]
        return found

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(ApiKey)

    def __len__(self) -> int:
        return len(ApiKey)


def _collect(module: str) -> Iterator[tuple[ApiKey, Api]]:
    """The APIs whose tables a module holds."""
    messages: dict[tuple[type[Message], int], Any] = {}
    for value in vars(import_module(f"kafka_py.protocol.{module}")).values():
        for kind in (Request, Response):
            if isinstance(value, type) and issubclass(value, kind) and value.KEY is not None:
                messages[kind, value.KEY] = value
    for key in map(ApiKey, MODULES[module]):
        request: type[Request] = messages[Request, key]
        yield (
            key,
            Api(
                key,
                request.__name__.removesuffix("Request"),
                request,
                messages[Response, key],
                (request.VERSIONS[0], request.STABLE),
                request.FLEXIBLE,
                request.LISTENERS,
            ),
        )


API: Mapping[ApiKey, Api] = _Apis()
"""API key -> API, of all that the tables know."""


def message_class(name: str) -> type[Request] | type[Response]:
    """The request or response of that name, such as "FetchRequest"; KeyError when there is none."""
    for api in API.values():
        for cls in (api.request, api.response):
            if cls.__name__ == name:
                return cls
    raise KeyError(name)


def all_messages() -> list[type[Message]]:
    """Every message class of every table, records and headers included, by name."""
    found: dict[str, type[Message]] = {}
    for module in (*MODULES, *OTHER_MODULES):
        for value in vars(import_module(f"kafka_py.protocol.{module}")).values():
            if (
                isinstance(value, type)
                and issubclass(value, Message)
                and value.__module__.endswith(f".{module}")
            ):
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]
