"""IncrementalAlterConfigs (key 44, versions 0-1) and AlterConfigs (key 33, versions 0-2).

Behaviour: as Apache Kafka 4.3.1. The broker checks what only it can (each resource once, each key
once, no null values, whether a broker's settings may change while it runs), sets the levels of its
own loggers, and sends the rest to the controller, which checks topics, groups and client metrics
and writes the records. Broker settings may only be changed through the broker they belong to, the
defaults of all through any. All take ALTER_CONFIGS: on the topic, on the group, or for the other
kinds on the cluster.

Known differences: an error over several values comes without Java's "requirement failed: ", a
refused number of threads without Kafka's wrapping of one exception into another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kafka_py.config import dynamic
from kafka_py.config.broker import BROKER
from kafka_py.config.definition import ConfigError, ConfigType, parse_int, to_text
from kafka_py.config.names import topic_name_fault
from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.configs import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import Access, access_of
from kafka_py.server.dispatch import BROKER as ON_BROKER
from kafka_py.server.dispatch import CONTROLLER as ON_CONTROLLER
from kafka_py.server.dispatch import RequestContext, handles
from kafka_py.server.handlers import broker_loggers
from kafka_py.server.handlers.broker_loggers import APPEND, DELETE, SET, SUBTRACT
from kafka_py.server.handlers.describe_configs import DENIED, protected

if TYPE_CHECKING:
    from kafka_py.server.node import Node

EVERYWHERE = (ON_BROKER, ON_CONTROLLER)
TOPIC, BROKER_TYPE, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32

#: (error code, message) of one resource.
Answer = tuple[int, str | None]
OK: Answer = (ErrorCode.NONE, None)
ONCE: Answer = (ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")


def repeated(values: Iterable[Any]) -> bool:
    """Whether a value stands there twice."""
    return any(count > 1 for count in Counter(values).values())


def check_keys(names: list[str], nulls: list[str]) -> None:
    """Raise ``ApiError`` for a key that is given twice, or with null where that has no meaning."""
    if repeated(names):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    if nulls:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}"
        )


def check_broker(name: str, node_id: int) -> None:
    """Raise ``ApiError`` unless a broker resource is this one."""
    try:
        given = parse_int(name, 32)
    except ValueError:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        ) from None
    if given != node_id:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id}, but received {name}",
        )


def check_broker_settings(node: Node, name: str, settings: Mapping[str, str]) -> None:
    """Raise ``ApiError`` where these may not be the dynamic settings of one or all brokers."""
    try:
        dynamic.validate(node.config, settings, per_broker=bool(name))
    except ConfigError as error:
        raise ApiError(ErrorCode.INVALID_REQUEST, str(error)) from None


def stored_settings(node: Node, name: str) -> dict[str, str]:
    """The dynamic settings of one or all brokers, as the metadata has them."""
    found = node.image.configs.get((BROKER_TYPE, name)) or {}
    return {key: text for key, text in found.items() if text is not None}


def list_after(name: str, before: str | None, operation: int, value: str) -> str:
    """A list after APPEND or SUBTRACT. Raises ``ApiError`` where the key holds no list."""
    word = "append" if operation == APPEND else "subtract"
    key = BROKER.get(name)
    if key is None:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {name}")
    if key.type is not ConfigType.LIST:
        raise ApiError(
            ErrorCode.INVALID_CONFIG, f"Config value {word} is not allowed for config key: {name}"
        )
    if before is None:
        before = to_text(key.default) or ""
    entries = [entry for entry in before.split(",") if entry]
    given = [entry.strip() for entry in value.split(",")]
    if operation == APPEND:
        entries += [entry for entry in given if entry not in entries]
    else:
        entries = [entry for entry in entries if entry not in given]
    return ",".join(entries)


def settings_after(
    node: Node,
    name: str,
    configs: Iterable[IncrementalAlterConfigsRequest.AlterableConfig],
) -> dict[str, str]:
    """A broker's dynamic settings once the changes are made. Raises ``ApiError``."""
    settings = stored_settings(node, name)
    for config in configs:
        operation, value = config.config_operation, config.value or ""
        if operation == SET:
            settings[config.name] = value
        elif operation == DELETE:
            settings.pop(config.name, None)
        elif operation in (APPEND, SUBTRACT):
            before = settings.get(config.name)
            settings[config.name] = list_after(config.name, before, operation, value)
        else:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown operations type {operation}")
    return settings


def check_incremental(
    node: Node,
    access: Access,
    resource: IncrementalAlterConfigsRequest.AlterConfigsResource,
    validate_only: bool,
) -> Answer | None:
    """An answer, where the broker has one; None for what the controller decides."""
    kind, name = resource.resource_type, resource.resource_name
    try:
        check_keys(
            [config.name for config in resource.configs],
            [
                config.name
                for config in resource.configs
                if config.value is None and config.config_operation != DELETE
            ],
        )
        if kind == BROKER_LOGGER:
            if not access.cluster(Operation.ALTER_CONFIGS):
                return ErrorCode.CLUSTER_AUTHORIZATION_FAILED, None
            broker_loggers.check_node(name, node.node_id)
            broker_loggers.change(resource.configs, validate_only=validate_only)
            return OK
        if kind == BROKER_TYPE:
            if name:
                check_broker(name, node.node_id)
            check_broker_settings(node, name, settings_after(node, name, resource.configs))
            return None
        check_kind(kind, name)
    except ApiError as error:
        return error.code, error.message
    return None


def check_whole(node: Node, resource: AlterConfigsRequest.AlterConfigsResource) -> Answer | None:
    """The same for AlterConfigs, which replaces all settings of a resource."""
    kind, name = resource.resource_type, resource.resource_name
    try:
        check_keys(
            [config.name for config in resource.configs],
            [config.name for config in resource.configs if config.value is None],
        )
        if kind == BROKER_TYPE:
            if name:
                check_broker(name, node.node_id)
            given = {config.name: config.value or "" for config in resource.configs}
            check_broker_settings(node, name, given)
            return None
        check_kind(kind, name)
    except ApiError as error:
        return error.code, error.message
    return None


def check_kind(kind: int, name: str) -> None:
    """Raise ``ApiError`` for what cannot be a resource of the controller's."""
    fault = topic_name_fault(name) if kind == TOPIC and name else None
    if fault is not None:
        raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, fault)
    if kind not in (TOPIC, CLIENT_METRICS, GROUP):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {kind}")


def preprocess(resources: list[Any], check: Any) -> dict[int, Answer]:
    """The answers that need no controller, by position."""
    counted = Counter((r.resource_type, r.resource_name) for r in resources)
    answers: dict[int, Answer] = {}
    for position, resource in enumerate(resources):
        if counted[resource.resource_type, resource.resource_name] > 1:
            answers[position] = ONCE
            continue
        answer = check(resource)
        if answer is not None:
            answers[position] = answer
    return answers


async def persist(
    node: Node,
    context: RequestContext,
    request: Any,
    answers: dict[int, Answer],
    response_class: Any,
) -> Any:
    """Send what is left to the controller, and put all answers in the order of the request."""
    access = access_of(node, context)
    for position, resource in enumerate(request.resources):
        if position not in answers:
            kind, name = protected(resource)
            if not access.may(Operation.ALTER_CONFIGS, kind, name):
                answers[position] = (DENIED[kind], DENIED[kind].message)
    rest = [r for i, r in enumerate(request.resources) if i not in answers]
    by_resource: dict[tuple[int, str], Answer] = {}
    if rest:
        forwarded = type(request)(resources=rest, validate_only=request.validate_only)
        reply = await node.submit(forwarded, context)
        for row in reply.responses:
            by_resource[row.resource_type, row.resource_name] = (row.error_code, row.error_message)
    missing: Answer = (ErrorCode.UNKNOWN_SERVER_ERROR, None)
    response = response_class(responses=[])
    for position, resource in enumerate(request.resources):
        key = (resource.resource_type, resource.resource_name)
        code, message = answers.get(position) or by_resource.get(key, missing)
        response.responses.append(
            response_class.AlterConfigsResourceResponse(
                error_code=code,
                error_message=message,
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
            )
        )
    return response


@handles(ApiKey.INCREMENTAL_ALTER_CONFIGS, on=EVERYWHERE)
async def incremental_alter_configs(
    node: Node, context: RequestContext, request: IncrementalAlterConfigsRequest
) -> IncrementalAlterConfigsResponse:
    """Set, delete, append to and subtract from single settings (KIP-339)."""
    access = access_of(node, context)
    answers = preprocess(
        request.resources, lambda r: check_incremental(node, access, r, request.validate_only)
    )
    response: IncrementalAlterConfigsResponse = await persist(
        node, context, request, answers, IncrementalAlterConfigsResponse
    )
    return response


@handles(ApiKey.ALTER_CONFIGS, on=EVERYWHERE)
async def alter_configs(
    node: Node, context: RequestContext, request: AlterConfigsRequest
) -> AlterConfigsResponse:
    """Replace all settings of resources."""
    answers = preprocess(request.resources, lambda r: check_whole(node, r))
    response: AlterConfigsResponse = await persist(
        node, context, request, answers, AlterConfigsResponse
    )
    return response
