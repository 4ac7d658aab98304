"""IncrementalAlterConfigs, AlterConfigs, and the configs of new topics.

Validation of values belongs to `kafka_py.config`; here it is decided what becomes a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kafka_py.config import dynamic
from kafka_py.config.definition import ConfigDef, ConfigError, to_text
from kafka_py.config.resources import (
    UnusableRequest,
    validate_client_metrics,
    validate_group,
)
from kafka_py.config.topic import TOPIC, topic_values, validate_topic
from kafka_py.controller.names import check_topic_name
from kafka_py.controller.result import Result, View
from kafka_py.metadata.types import ConfigResource
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.configs import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.topics import CreateTopicsRequest, CreateTopicsResponse

__all__ = [
    "alter_configs",
    "created_topic_configs",
    "effective_topic_configs",
    "incremental_alter_configs",
]

_SET, _DELETE, _APPEND, _SUBTRACT = range(4)
_OPERATIONS = {_SET: "SET", _DELETE: "DELETE", _APPEND: "APPEND", _SUBTRACT: "SUBTRACT"}
_MIN_ISR = "min.insync.replicas"

_SOURCE_TOPIC, _SOURCE_BROKER, _SOURCE_BROKER_DEFAULT, _SOURCE_STATIC, _SOURCE_DEFAULT = range(1, 6)


# -- new topics ------------------------------------------------------------------------------------


def created_topic_configs(view: View, topic: CreateTopicsRequest.CreatableTopic) -> list[Any]:
    """The config records of a topic to be created. Raises ApiError(INVALID_CONFIG)."""
    nulls = [config.name for config in topic.configs if config.value is None]
    if nulls:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Null value not supported for topic configs: {','.join(nulls)}",
        )
    configs = {config.name: config.value or "" for config in topic.configs}
    _validate_values(view, int(ConfigResource.TOPIC), topic.name, configs, {})
    kind = int(ConfigResource.TOPIC)
    records = [_record(kind, topic.name, name, value) for name, value in configs.items()]
    return [*records, *_clear_elr(view, kind, topic.name, records)]


def effective_topic_configs(
    view: View, overrides: Mapping[str, str | None]
) -> list[CreateTopicsResponse.CreatableTopicConfigs]:
    """All configs that the topic has, as CreateTopics version 5 and later reports them."""
    config = view.settings.config
    if config is None:
        return []
    texts = {name: value for name, value in overrides.items() if value is not None}
    values = topic_values(config, texts)
    rows = []
    for name in sorted(values):
        key = TOPIC.get(name)
        if key is None or key.internal:
            continue
        value = to_text(values[name])
        rows.append(
            CreateTopicsResponse.CreatableTopicConfigs(
                name=name,
                value=None if key.sensitive else texts.get(name, value),
                read_only=False,
                config_source=_source(view, name, texts),
                is_sensitive=key.sensitive,
            )
        )
    return rows


def _source(view: View, name: str, overrides: Mapping[str, str]) -> int:
    from kafka_py.config.topic import SYNONYMS

    if name in overrides:
        return _SOURCE_TOPIC
    synonyms = [broker_name for broker_name, _ in SYNONYMS.get(name, ())]
    scopes = (
        (_SOURCE_BROKER, view.image.broker_config(view.node_id)),
        (_SOURCE_BROKER_DEFAULT, view.image.broker_config(None)),
        (_SOURCE_STATIC, getattr(view.settings.config, "originals", {})),
    )
    for source, configs in scopes:
        if any(synonym in configs for synonym in synonyms):
            return source
    return _SOURCE_DEFAULT


# -- validation ------------------------------------------------------------------------------------


def _record(kind: int, name: str, key: str, value: str | None) -> r.ConfigRecord:
    return r.ConfigRecord(resource_type=kind, resource_name=name, name=key, value=value)


def _validate_values(
    view: View, kind: int, name: str, configs: Mapping[str, str], before: Mapping[str, Any]
) -> None:
    """Whether a resource may have these configs. Raises ApiError(INVALID_CONFIG)."""
    config = view.settings.config
    try:
        if kind == ConfigResource.TOPIC:
            if config is not None:
                validate_topic(config, configs, before)
        elif kind == ConfigResource.BROKER:
            # Values of brokers are checked by the broker itself, before it asks the controller;
            # a quorum's controller does not know every broker's properties.
            if config is not None and name in ("", str(view.node_id)):
                dynamic.validate(config, configs, per_broker=bool(name))  # type: ignore[arg-type]
        elif kind == ConfigResource.GROUP:
            if config is not None:
                validate_group(config, configs)
        elif kind == ConfigResource.CLIENT_METRICS:
            validate_client_metrics(name, configs)
    except UnusableRequest as error:
        raise ApiError(ErrorCode.INVALID_REQUEST, str(error)) from error
    except ConfigError as error:
        # Kafka's brokers refuse a setting of their own as a bad request; the rest is a bad config.
        code = ErrorCode.INVALID_REQUEST if kind == ConfigResource.BROKER else None
        raise ApiError(code or ErrorCode.INVALID_CONFIG, str(error)) from error


def _check_resource(view: View, kind: int, name: str) -> None:
    """Whether there is such a resource. Raises ApiError."""
    if kind == ConfigResource.TOPIC:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
        check_topic_name(name)
        if name not in view.image.topics:
            raise ApiError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist."
            )
    elif kind == ConfigResource.BROKER:
        if name:
            _check_node(view, name)
    elif kind == ConfigResource.CLIENT_METRICS:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
    elif kind == ConfigResource.GROUP:
        if not name:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
    else:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {kind}")


def _check_node(view: View, name: str) -> None:
    try:
        node_id = int(name)
    except ValueError:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        ) from None
    if node_id < 0:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Invalid broker name {name}")
    known = node_id in view.image.brokers or node_id in view.settings.voters
    if not known and node_id != view.node_id:
        raise ApiError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"No node with id {node_id} found.")


def _table(kind: int) -> ConfigDef | None:
    from kafka_py.config.broker import BROKER

    tables = {
        int(ConfigResource.TOPIC): TOPIC,
        int(ConfigResource.BROKER): BROKER,
    }
    return tables.get(kind)


def _is_list(kind: int, key: str) -> bool:
    table = _table(kind)
    row = None if table is None else table.get(key)
    return row is not None and row.type.name == "LIST"


def _default_text(view: View, kind: int, key: str) -> str:
    if kind == ConfigResource.TOPIC and view.settings.config is not None:
        return to_text(topic_values(view.settings.config, {}).get(key)) or ""
    table = _table(kind)
    row = None if table is None else table.get(key)
    return (to_text(row.default) if row is not None else "") or ""


# -- the requests ----------------------------------------------------------------------------------


def incremental_alter_configs(view: View, request: IncrementalAlterConfigsRequest) -> Result:
    """Change single configs (KIP-339); each resource is answered for itself."""
    result = Result()
    reply = IncrementalAlterConfigsResponse()
    counts = Counter((one.resource_type, one.resource_name) for one in request.resources)
    for resource in request.resources:
        row = IncrementalAlterConfigsResponse.AlterConfigsResourceResponse(
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            error_message=None,
        )
        try:
            if counts[(resource.resource_type, resource.resource_name)] > 1:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            result.records += _incremental(view, resource)
        except ApiError as error:
            row.error_code, row.error_message = error.code, error.message
        reply.responses.append(row)
    if request.validate_only:
        result.records = []
    result.reply = reply
    return result


def _incremental(
    view: View, resource: IncrementalAlterConfigsRequest.AlterConfigsResource
) -> list[Any]:
    kind, name = resource.resource_type, resource.resource_name
    keys = Counter(config.name for config in resource.configs)
    if any(count > 1 for count in keys.values()):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    nulls = [
        config.name
        for config in resource.configs
        if config.value is None and config.config_operation != _DELETE
    ]
    if nulls:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {','.join(nulls)}"
        )
    current = view.image.configs.get((kind, name), {})
    records = []
    for config in resource.configs:
        value = _altered(view, kind, config, current.get(config.name))
        # Brokers reload on every record, so an unchanged value is one too (KAFKA-14136).
        if value != current.get(config.name) or kind == ConfigResource.BROKER:
            records.append(_record(kind, name, config.name, value))
    return _checked(view, kind, name, records)


def _altered(view: View, kind: int, config: Any, current: str | None) -> str | None:
    operation = config.config_operation
    if operation == _SET:
        return str(config.value)
    if operation == _DELETE:
        return None
    if operation not in _OPERATIONS:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown config operation type {operation}")
    if not _is_list(kind, config.name):
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Can't {_OPERATIONS[operation]} to key {config.name} because its type is not LIST.",
        )
    text = _default_text(view, kind, config.name) if current is None else current
    parts = [part for part in text.split(",") if part]
    for value in str(config.value).split(","):
        if operation == _APPEND and value not in parts:
            parts.append(value)
        elif operation == _SUBTRACT and value in parts:
            parts.remove(value)
    return ",".join(parts)


def _checked(
    view: View, kind: int, name: str, records: list[Any], deleted: list[Any] | None = None
) -> list[Any]:
    """The records, when the resource exists and may have the configs that they lead to."""
    before = view.image.configs.get((kind, name), {})
    configs = dict(before)
    for record in [*records, *(deleted or ())]:
        if record.value is None:
            configs.pop(record.name, None)
        else:
            configs[record.name] = record.value
    _check_elr(view, kind, name, records, deleted or [])
    if kind == ConfigResource.BROKER and name:
        _check_node(view, name)
    _check_resource(view, kind, name)
    _validate_values(view, kind, name, configs, before)
    changed = [*records, *(deleted or ())]
    return [*changed, *_clear_elr(view, kind, name, changed)]


def _check_elr(view: View, kind: int, name: str, records: list[Any], deleted: list[Any]) -> None:
    """With eligible leader replicas min.insync.replicas is the cluster's or a topic's (KIP-966)."""
    if not view.elr_enabled or kind != ConfigResource.BROKER:
        return
    if name and any(record.name == _MIN_ISR for record in records):
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        )
    removed = any(
        record.name == _MIN_ISR and record.value is None for record in [*records, *deleted]
    )
    if not name and removed:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        )


def _clear_elr(view: View, kind: int, name: str, records: list[Any]) -> list[Any]:
    """A changed min.insync.replicas makes what was said of eligible replicas void."""
    if not view.elr_enabled or not any(record.name == _MIN_ISR for record in records):
        return []
    if kind == ConfigResource.TOPIC:
        return [r.ClearElrRecord(topic_name=name)]
    if kind == ConfigResource.BROKER and not name:
        return [r.ClearElrRecord(topic_name="")]
    return []


def alter_configs(view: View, request: AlterConfigsRequest) -> Result:
    """Replace all configs of resources (the old API); each is answered for itself."""
    result = Result()
    reply = AlterConfigsResponse()
    counts = Counter((one.resource_type, one.resource_name) for one in request.resources)
    for resource in request.resources:
        row = AlterConfigsResponse.AlterConfigsResourceResponse(
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            error_message=None,
        )
        try:
            if counts[(resource.resource_type, resource.resource_name)] > 1:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            result.records += _replaced(view, resource)
        except ApiError as error:
            row.error_code, row.error_message = error.code, error.message
        reply.responses.append(row)
    if request.validate_only:
        result.records = []
    result.reply = reply
    return result


def _replaced(view: View, resource: AlterConfigsRequest.AlterConfigsResource) -> list[Any]:
    kind, name = resource.resource_type, resource.resource_name
    nulls = [config.name for config in resource.configs if config.value is None]
    if nulls:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {','.join(nulls)}"
        )
    keys = Counter(config.name for config in resource.configs)
    if any(count > 1 for count in keys.values()):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    current = view.image.configs.get((kind, name), {})
    wanted = {config.name: config.value for config in resource.configs}
    records = [
        _record(kind, name, key, value)
        for key, value in wanted.items()
        if current.get(key) != value or kind == ConfigResource.BROKER
    ]
    deleted = [_record(kind, name, key, None) for key in current if key not in wanted]
    return _checked(view, kind, name, records, deleted)
