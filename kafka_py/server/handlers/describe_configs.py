"""DescribeConfigs (key 32), versions 1-4: what is configured, where it comes from, its synonyms.

Behaviour: as Apache Kafka 4.3.1, for topics, brokers (this one, or the defaults of all), broker
loggers, client metrics subscriptions and groups. Sources, synonyms and their order are Kafka's:
dynamic of this broker, dynamic of all, static, default; weaker names that stand before the key's
own are left out. Secrets are null. All take DESCRIBE_CONFIGS: on the topic, on the group, or for
the other kinds on the cluster.

Known differences: entries are sorted by name (Kafka's order is that of a hash map); the
documentation texts are ours; the broker has our own kafka_py.* keys as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kafka_py.config import topic as topic_config
from kafka_py.config.broker import BROKER
from kafka_py.config.definition import ConfigDef, ConfigKey, parse_int, to_text
from kafka_py.config.dynamic import QUOTA_KEYS, base_name, is_dynamic, synonyms
from kafka_py.config.names import topic_name_fault
from kafka_py.protocol.acl_types import CLUSTER_NAME, Operation, ResourceType
from kafka_py.protocol.configs import DescribeConfigsRequest, DescribeConfigsResponse
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import BROKER as ON_BROKER
from kafka_py.server.dispatch import CONTROLLER as ON_CONTROLLER
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.handlers import broker_loggers

if TYPE_CHECKING:
    from kafka_py.config.broker import BrokerConfig
    from kafka_py.server.node import Node

TOPIC, BROKER_TYPE, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32

#: The numbers of the sources.
(
    TOPIC_CONFIG,
    DYNAMIC_BROKER,
    DYNAMIC_DEFAULT,
    STATIC_BROKER,
    DEFAULT,
    DYNAMIC_LOGGER,
    CLIENT_METRICS_CONFIG,
    GROUP_CONFIG,
) = range(1, 9)

Resource = DescribeConfigsRequest.DescribeConfigsResource
Result = DescribeConfigsResponse.DescribeConfigsResult
Entry = DescribeConfigsResponse.DescribeConfigsResourceResult
Synonym = DescribeConfigsResponse.DescribeConfigsSynonym
Row = tuple[str, str | None, int]

UNEXPECTED: Final = ErrorCode.INVALID_REQUEST.message


def broker_key(name: str) -> ConfigKey | None:
    """The key behind a broker's setting, whatever listener's prefix it has; None if unknown."""
    return BROKER.get(name) or BROKER.get(base_name(name))


def secret(key: ConfigKey | None) -> bool:
    """Whether a value must not be shown; what an unknown name holds could be a secret."""
    return key is None or key.sensitive


DEFAULT_TEXTS: Final[dict[str, str]] = {
    key.name: text
    for key in BROKER
    if key.name not in QUOTA_KEYS
    and repr(key.default) != "REQUIRED"
    and (text := to_text(key.default)) is not None
}


def broker_rows(config: BrokerConfig, name: str) -> list[Row]:
    """(name, text, source) of everything that a broker key's value may come from, in order."""
    names = synonyms(name)
    hidden = secret(broker_key(name))
    rows: list[Row] = []
    for texts, source in (
        (config.dynamic_broker, DYNAMIC_BROKER),
        (config.dynamic_default, DYNAMIC_DEFAULT),
        (config.originals, STATIC_BROKER),
        (DEFAULT_TEXTS, DEFAULT),
    ):
        rows += [(n, None if hidden else texts[n], source) for n in names if n in texts]
    own = next((i for i, row in enumerate(rows) if row[0] == name), len(rows))
    return rows[own:]


def make_entry(
    request: DescribeConfigsRequest,
    name: str,
    key: ConfigKey | None,
    value: str | None,
    rows: Sequence[Row],
    *,
    read_only: bool = False,
) -> Entry:
    """One setting; the first row says where its value comes from."""
    hidden = secret(key)
    return Entry(
        name=name,
        value=None if hidden else value,
        read_only=read_only,
        config_source=rows[0][2] if rows else DEFAULT,
        is_sensitive=hidden,
        synonyms=[Synonym(name=n, value=text, source=source) for n, text, source in rows]
        if request.include_synonyms
        else [],
        config_type=0 if key is None else key.type,
        documentation=key.documentation
        if key is not None and request.include_documentation
        else None,
    )


def describe_topic(
    node: Node, request: DescribeConfigsRequest, name: str, wanted: Callable[[str], bool]
) -> list[Entry]:
    """The settings of a topic. Raises ``ApiError``."""
    fault = topic_name_fault(name)
    if fault is not None:
        raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, fault)
    if name not in node.image.topics:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
    overrides = texts(node, TOPIC, name)
    values = topic_config.topic_values(node.config, overrides)
    entries = []
    for setting in settings(topic_config.TOPIC, overrides):
        if not wanted(setting):
            continue
        key = topic_config.TOPIC.get(setting)
        value = to_text(values[setting]) if key is not None else overrides[setting]
        rows: list[Row] = []
        if setting in overrides:
            rows.append((setting, None if secret(key) else value, TOPIC_CONFIG))
        broker_names = topic_config.SYNONYMS.get(setting)
        if broker_names is not None:
            rows += broker_rows(node.config, broker_names[0][0])
        entries.append(make_entry(request, setting, key, value, rows))
    return entries


def describe_broker(
    node: Node, request: DescribeConfigsRequest, name: str, wanted: Callable[[str], bool]
) -> list[Entry]:
    """The settings of this broker, or (with an empty name) the dynamic ones of all."""
    config = node.config
    if not name:
        return [
            broker_entry(
                request,
                config,
                setting,
                [row for row in broker_rows(config, setting) if row[2] == DYNAMIC_DEFAULT],
                config.dynamic_default[setting],
            )
            for setting in sorted(config.dynamic_default)
            if wanted(setting)
        ]
    check_broker(name, node.node_id, " or empty string,", "Broker id")
    given = {**config.originals, **config.dynamic_default, **config.dynamic_broker}
    entries = []
    for setting in settings(BROKER, given, QUOTA_KEYS):
        if not wanted(setting):
            continue
        value = to_text(config[setting]) if setting in BROKER else given[setting]
        rows = broker_rows(config, setting)
        entries.append(broker_entry(request, config, setting, rows, value))
    return entries


def broker_entry(
    request: DescribeConfigsRequest,
    config: BrokerConfig,
    name: str,
    rows: Sequence[Row],
    value: str | None,
) -> Entry:
    """One setting of a broker."""
    read_only = name not in BROKER or not is_dynamic(config, name)
    return make_entry(request, name, broker_key(name), value, rows, read_only=read_only)


def check_broker(name: str, node_id: int, alternative: str, what: str) -> None:
    """Raise ``ApiError`` unless a resource is this broker."""
    try:
        given = parse_int(name, 32)
    except ValueError:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"{what} must be an integer, but it is: {name}"
        ) from None
    if given != node_id:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id}{alternative} but received {name}",
        )


def describe_loggers(node: Node, name: str, wanted: Callable[[str], bool]) -> list[Entry]:
    """The loggers of this process."""
    if not name:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
    check_broker(name, node.node_id, "", "Broker id")
    return [
        Entry(name=logger, value=level, config_source=DYNAMIC_LOGGER, documentation=None)
        for logger, level in broker_loggers.loggers().items()
        if wanted(logger)
    ]


def describe_client_metrics(
    node: Node, request: DescribeConfigsRequest, name: str, wanted: Callable[[str], bool]
) -> list[Entry]:
    """The settings of a client metrics subscription."""
    if not name:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, "Client metrics subscription name must not be empty"
        )
    overrides = texts(node, CLIENT_METRICS, name)
    entries = []
    for setting in settings(topic_config.CLIENT_METRICS, overrides):
        if not wanted(setting):
            continue
        key = topic_config.CLIENT_METRICS.get(setting)
        rows: list[Row] = []
        value = overrides.get(setting)
        if value is not None:
            rows.append((setting, value, CLIENT_METRICS_CONFIG))
        elif key is not None:
            value = to_text(key.default)
        entries.append(make_entry(request, setting, key, value, rows))
    return entries


def describe_group(
    node: Node, request: DescribeConfigsRequest, name: str, wanted: Callable[[str], bool]
) -> list[Entry]:
    """The settings of a group, which need not exist."""
    if not name:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Group name must not be empty")
    overrides = texts(node, GROUP, name)
    values = topic_config.group_values(node.config, overrides)
    entries = []
    for setting in settings(topic_config.GROUP, overrides):
        if not wanted(setting):
            continue
        key = topic_config.GROUP.get(setting)
        value = to_text(values[setting]) if key is not None else overrides[setting]
        rows: list[Row] = []
        if setting in overrides:
            rows.append((setting, None if secret(key) else value, GROUP_CONFIG))
        broker_name = topic_config.GROUP_SYNONYMS.get(setting)
        if broker_name is not None:
            rows += broker_rows(node.config, broker_name)
        elif key is not None:
            rows.append((setting, to_text(key.default), DEFAULT))
        entries.append(make_entry(request, setting, key, value, rows))
    return entries


def texts(node: Node, kind: int, name: str) -> dict[str, str]:
    """What the metadata says of a resource: {key: text}."""
    found: Mapping[str, Any] = node.image.configs.get((kind, name)) or {}
    return {key: text for key, text in found.items() if text is not None}


def settings(
    table: ConfigDef, given: Mapping[str, str], unless_given: frozenset[str] = frozenset()
) -> list[str]:
    """The names to show, sorted: everything given, and every key that is not internal."""
    shown = {key.name for key in table if not key.internal and key.name not in unless_given}
    return sorted(shown | set(given))


@handles(ApiKey.DESCRIBE_CONFIGS, on=(ON_BROKER, ON_CONTROLLER))
def describe_configs(
    node: Node, context: RequestContext, request: DescribeConfigsRequest
) -> DescribeConfigsResponse:
    """Answer for each resource by itself."""
    access = access_of(node, context)
    kinds = (TOPIC, BROKER_TYPE, BROKER_LOGGER, CLIENT_METRICS, GROUP)
    if any(resource.resource_type not in kinds for resource in request.resources):
        # Kafka takes a resource that it does not know for a malformed request.
        return DescribeConfigsResponse(
            results=[refused(r, ErrorCode.INVALID_REQUEST, UNEXPECTED) for r in request.resources]
        )
    return DescribeConfigsResponse(
        results=[
            describe_resource(node, request, resource)
            if access.may(Operation.DESCRIBE_CONFIGS, *protected(resource))
            else denied(resource)
            for resource in request.resources
        ]
    )


def protected(resource: Resource) -> tuple[ResourceType, str]:
    """What is protected of a resource whose settings are asked for: topic, group or the cluster."""
    if resource.resource_type == TOPIC:
        return ResourceType.TOPIC, resource.resource_name
    if resource.resource_type == GROUP:
        return ResourceType.GROUP, resource.resource_name
    return ResourceType.CLUSTER, CLUSTER_NAME


#: What those are told who may not see or change the settings of a resource.
DENIED: Final = {
    ResourceType.TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    ResourceType.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ResourceType.CLUSTER: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
}


def denied(resource: Resource) -> Result:
    """The answer to who may not see the settings of a resource."""
    error = DENIED[protected(resource)[0]]
    return refused(resource, int(error), error.message)


def describe_resource(node: Node, request: DescribeConfigsRequest, resource: Resource) -> Result:
    """The answer for one resource."""
    keys = resource.configuration_keys
    chosen = frozenset(keys) if keys else None

    def wanted(name: str) -> bool:
        return chosen is None or name in chosen

    kind, name = resource.resource_type, resource.resource_name
    try:
        if kind == TOPIC:
            entries = describe_topic(node, request, name, wanted)
        elif kind == BROKER_TYPE:
            entries = describe_broker(node, request, name, wanted)
        elif kind == BROKER_LOGGER:
            entries = describe_loggers(node, name, wanted)
        elif kind == CLIENT_METRICS:
            entries = describe_client_metrics(node, request, name, wanted)
        else:
            entries = describe_group(node, request, name, wanted)
    except ApiError as error:
        return refused(resource, error.code, error.message)
    return Result(resource_type=kind, resource_name=name, configs=entries)


def refused(resource: Resource, code: int, message: str | None) -> Result:
    """An error for one resource."""
    return Result(
        error_code=code,
        error_message=message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )
