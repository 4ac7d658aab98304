"""UpdateFeatures (key 57), versions 0-2, and UnregisterBroker (key 64), version 0.

Behaviour: as Apache Kafka 4.3.1; the controller decides (KIP-584, KIP-631), the broker passes the
request on and the answer back.

Known differences: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.protocol.brokers import UnregisterBrokerRequest
    from kafka_py.protocol.cluster import UpdateFeaturesRequest
    from kafka_py.server.node import Node


@handles(ApiKey.UPDATE_FEATURES, on=(BROKER, CONTROLLER), cluster=Operation.ALTER)
async def update_features(
    node: Node, context: RequestContext, request: UpdateFeaturesRequest
) -> Any:
    """Change finalized feature levels."""
    return await node.submit(request, context)


@handles(ApiKey.UNREGISTER_BROKER, on=(BROKER, CONTROLLER), cluster=Operation.ALTER)
async def unregister_broker(
    node: Node, context: RequestContext, request: UnregisterBrokerRequest
) -> Any:
    """Forget a broker that is gone for good."""
    return await node.submit(request, context)
