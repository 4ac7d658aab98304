"""The controller listener's own APIs: raft (Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch of the
metadata log, FetchSnapshot) and what brokers ask of the active controller.

Behaviour: as Apache Kafka 4.3.1; every one is handed to the controller of this process, which
answers when the change is committed, or says who leads.

Known differences: none in what is advertised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.dispatch import CONTROLLER, RequestContext, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node


async def forward(node: Node, context: RequestContext, request: Any) -> Any:
    """Hand a request to the controller."""
    return await node.submit(request, context)


for _key, _versions in (
    (ApiKey.FETCH, (12, 18)),
    (ApiKey.VOTE, (0, 2)),
    (ApiKey.BEGIN_QUORUM_EPOCH, (0, 1)),
    (ApiKey.END_QUORUM_EPOCH, (0, 1)),
    (ApiKey.ALTER_PARTITION, (2, 3)),
    (ApiKey.FETCH_SNAPSHOT, (0, 1)),
    (ApiKey.BROKER_REGISTRATION, (0, 4)),
    (ApiKey.BROKER_HEARTBEAT, (0, 1)),
    (ApiKey.ALLOCATE_PRODUCER_IDS, (0, 0)),
    (ApiKey.CONTROLLER_REGISTRATION, (0, 0)),
    (ApiKey.ASSIGN_REPLICAS_TO_DIRS, (0, 0)),
):
    handles(_key, versions=_versions, on=(CONTROLLER,), cluster=Operation.CLUSTER_ACTION)(forward)
