"""DescribeCluster (key 60), versions 0-2: the nodes of the cluster.

Behaviour: as Apache Kafka 4.3.1. On a broker's listener the live brokers (the fenced ones too with
include_fenced_brokers), on a controller's listener the controllers (KIP-919); asking one for the
other is MISMATCHED_ENDPOINT_TYPE (114). The controller id is that of a live broker on a broker's
listener, and that of the active controller on a controller's, which takes ALTER on the cluster.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.cluster import DescribeClusterRequest, DescribeClusterResponse
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.access import access_of
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, handles
from kafka_py.server.handlers.metadata import NOT_ASKED

if TYPE_CHECKING:
    from kafka_py.server.node import Node

ENDPOINT_TYPES: Final = {1: "BROKER", 2: "CONTROLLER"}
Entry = DescribeClusterResponse.DescribeClusterBroker


def wrong_endpoint(asked: int, here: int) -> DescribeClusterResponse | None:
    """The answer to a request for nodes of another kind; None where the kind is right."""
    if asked == here:
        return None
    if asked not in ENDPOINT_TYPES:
        return DescribeClusterResponse(
            error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"Unsupported endpoint type {asked}",
        )
    return DescribeClusterResponse(
        error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
        error_message=f"The request was sent to an endpoint of type {ENDPOINT_TYPES[here]}, "
        f"but we wanted an endpoint of type {ENDPOINT_TYPES[asked]}",
    )


@handles(ApiKey.DESCRIBE_CLUSTER)
@handles(ApiKey.DESCRIBE_CLUSTER, on=(CONTROLLER,), cluster=Operation.ALTER)
def describe_cluster(
    node: Node, context: RequestContext, request: DescribeClusterRequest
) -> DescribeClusterResponse:
    """Answer with the brokers or the controllers, by the listener that was asked."""
    here = 1 if context.role == BROKER else 2
    refused = wrong_endpoint(request.endpoint_type, here)
    if refused is not None:
        return refused
    if here == 1:
        entries = brokers(node, context.listener, request.include_fenced_brokers)
        alive = [entry.broker_id for entry in entries if not entry.is_fenced]
        controller_id = alive[0] if alive else -1
        if context.api_version < 2:
            entries = [entry for entry in entries if not entry.is_fenced]
    else:
        entries = controllers(node, context.listener)
        controller_id = node.controller.leader_id
    access = access_of(node, context)
    operations = request.include_cluster_authorized_operations
    response = DescribeClusterResponse(
        cluster_id=node.cluster_id,
        controller_id=controller_id,
        brokers=entries,
        cluster_authorized_operations=access.cluster_operations() if operations else NOT_ASKED,
    )
    if context.api_version >= 1:
        response.endpoint_type = here
    return response


def brokers(node: Node, listener: str, fenced: bool) -> list[Entry]:
    """The brokers that have the listener, by id."""
    found = []
    for broker_id in sorted(node.image.brokers):
        broker = node.image.brokers[broker_id]
        endpoint = broker.endpoint(listener)
        if endpoint is None or (broker.fenced and not fenced):
            continue
        found.append(
            Entry(
                broker_id=broker_id,
                host=endpoint.host,
                port=endpoint.port,
                rack=broker.rack,
                is_fenced=broker.fenced,
            )
        )
    return found


def controllers(node: Node, listener: str) -> list[Entry]:
    """The registered controllers, by id."""
    found = []
    for controller_id in sorted(node.image.controllers):
        registration = node.image.controllers[controller_id]
        found += [
            Entry(broker_id=controller_id, host=endpoint.host, port=endpoint.port)
            for endpoint in registration.endpoints
            if endpoint.name == listener
        ]
    return found
