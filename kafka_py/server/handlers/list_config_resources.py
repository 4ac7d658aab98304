"""ListConfigResources (key 74), versions 0-1: which resources have settings (KIP-1142).

Behaviour: as Apache Kafka 4.3.1. Version 0 lists client metrics subscriptions alone. From version 1
an empty list asks for every kind; topics and brokers are listed whether or not they have settings,
groups and subscriptions where they have. A kind that there is not is UNSUPPORTED_VERSION (35).

Known differences: resources come by kind and name; Kafka's order is that of hash sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.configs import ListConfigResourcesRequest, ListConfigResourcesResponse
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.dispatch import RequestContext, handles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka_py.metadata.image import MetadataImage
    from kafka_py.server.node import Node

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = KINDS = (2, 4, 8, 16, 32)
Entry: Final = ListConfigResourcesResponse.ConfigResource


@handles(ApiKey.LIST_CONFIG_RESOURCES, cluster=Operation.DESCRIBE_CONFIGS)
def list_config_resources(
    node: Node, context: RequestContext, request: ListConfigResourcesRequest
) -> ListConfigResourcesResponse:
    """List the resources of the kinds asked for."""
    if context.api_version == 0:
        kinds: Iterable[int] = (CLIENT_METRICS,)
    else:
        kinds = request.resource_types or KINDS
    if any(kind not in KINDS for kind in kinds):
        return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    return ListConfigResourcesResponse(
        config_resources=[
            Entry(resource_name=name, resource_type=kind)
            for kind in sorted(set(kinds))
            for name in names_of(node.image, kind)
        ]
    )


def names_of(image: MetadataImage, kind: int) -> list[str]:
    """The names of one kind of resource, sorted."""
    if kind == TOPIC:
        return sorted(image.topics)
    if kind in (BROKER, BROKER_LOGGER):
        return [str(broker_id) for broker_id in sorted(image.brokers)]
    return sorted(name for type_, name in image.configs if type_ == kind)
