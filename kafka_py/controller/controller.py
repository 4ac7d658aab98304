"""Controller: from a request to the records that it leads to.

    handle(request, ...) -> Result(records, reply)   reads the image, never changes it
    apply(record)                                    the only mutator
    expire(now)  -> Result                           sessions that ended, leaders to give back
    activate()   -> records                          what a new leader writes first

`ControllerNode` appends the records, applies them at once, and releases the reply once they are
committed.  On lost leadership the whole object is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafka_py.controller import acls, brokers, configs, features, producer_ids, replicas, topics
from kafka_py.controller.heartbeats import Heartbeats
from kafka_py.controller.result import Result, View
from kafka_py.controller.settings import ControllerSettings
from kafka_py.metadata.features import ELR_VERSION
from kafka_py.metadata.image import MetadataImage
from kafka_py.metadata.types import ConfigResource
from kafka_py.protocol import brokers as b
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.acls import (
    CreateAclsRequest,
    CreateAclsResponse,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from kafka_py.protocol.cluster import UpdateFeaturesRequest, UpdateFeaturesResponse
from kafka_py.protocol.configs import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)

__all__ = ["HANDLED", "Controller", "error_response"]

Handler = Callable[[View, Any], Result]

#: Request class -> its decision.
HANDLED: Mapping[type, Handler] = {
    CreateTopicsRequest: topics.create_topics,
    DeleteTopicsRequest: topics.delete_topics,
    CreatePartitionsRequest: topics.create_partitions,
    IncrementalAlterConfigsRequest: configs.incremental_alter_configs,
    AlterConfigsRequest: configs.alter_configs,
    CreateAclsRequest: acls.create_acls,
    DeleteAclsRequest: acls.delete_acls,
    UpdateFeaturesRequest: features.update_features,
    ElectLeadersRequest: replicas.elect_leaders,
    AlterPartitionReassignmentsRequest: replicas.alter_reassignments,
    ListPartitionReassignmentsRequest: replicas.list_reassignments,
    b.BrokerRegistrationRequest: brokers.register_broker,
    b.BrokerHeartbeatRequest: brokers.heartbeat,
    b.UnregisterBrokerRequest: brokers.unregister_broker,
    b.ControllerRegistrationRequest: brokers.register_controller,
    b.AllocateProducerIdsRequest: producer_ids.allocate_producer_ids,
    b.AlterPartitionRequest: replicas.alter_partition,
    b.AssignReplicasToDirsRequest: replicas.assign_directories,
}

_RESPONSES: Mapping[type, type] = {
    UpdateFeaturesRequest: UpdateFeaturesResponse,
    ElectLeadersRequest: ElectLeadersResponse,
    AlterPartitionReassignmentsRequest: AlterPartitionReassignmentsResponse,
    ListPartitionReassignmentsRequest: ListPartitionReassignmentsResponse,
    b.BrokerRegistrationRequest: b.BrokerRegistrationResponse,
    b.BrokerHeartbeatRequest: b.BrokerHeartbeatResponse,
    b.UnregisterBrokerRequest: b.UnregisterBrokerResponse,
    b.ControllerRegistrationRequest: b.ControllerRegistrationResponse,
    b.AllocateProducerIdsRequest: b.AllocateProducerIdsResponse,
    b.AlterPartitionRequest: b.AlterPartitionResponse,
    b.AssignReplicasToDirsRequest: b.AssignReplicasToDirsResponse,
}


def error_response(request: Any, code: ErrorCode, message: str | None = None) -> Any:
    """A response to a request of `HANDLED` that says for all of it that it failed."""
    text = code.message if message is None else message
    if isinstance(request, CreateTopicsRequest):
        created = CreateTopicsResponse.CreatableTopicResult
        return CreateTopicsResponse(
            topics=[
                created(name=topic.name, error_code=code, error_message=text)
                for topic in request.topics
            ]
        )
    if isinstance(request, DeleteTopicsRequest):
        deleted = DeleteTopicsResponse.DeletableTopicResult
        states = [(state.name, state.topic_id) for state in request.topics]
        states += [(name, bytes(16)) for name in request.topic_names]
        return DeleteTopicsResponse(
            responses=[
                deleted(name=name, topic_id=topic_id, error_code=code, error_message=text)
                for name, topic_id in states
            ]
        )
    if isinstance(request, CreatePartitionsRequest):
        added = CreatePartitionsResponse.CreatePartitionsTopicResult
        return CreatePartitionsResponse(
            results=[
                added(name=topic.name, error_code=code, error_message=text)
                for topic in request.topics
            ]
        )
    if isinstance(request, CreateAclsRequest):
        refused = CreateAclsResponse.AclCreationResult
        return CreateAclsResponse(
            results=[refused(error_code=code, error_message=text) for _ in request.creations]
        )
    if isinstance(request, DeleteAclsRequest):
        unmatched = DeleteAclsResponse.DeleteAclsFilterResult
        return DeleteAclsResponse(
            filter_results=[unmatched(error_code=code, error_message=text) for _ in request.filters]
        )
    if isinstance(request, IncrementalAlterConfigsRequest | AlterConfigsRequest):
        incremental = isinstance(request, IncrementalAlterConfigsRequest)
        message_type: Any = IncrementalAlterConfigsResponse if incremental else AlterConfigsResponse
        altered = message_type.AlterConfigsResourceResponse
        return message_type(
            responses=[
                altered(
                    error_code=code,
                    error_message=text,
                    resource_type=resource.resource_type,
                    resource_name=resource.resource_name,
                )
                for resource in request.resources
            ]
        )
    response = _RESPONSES[type(request)](error_code=code)
    if hasattr(response, "error_message"):
        response.error_message = text
    return response


class Controller:
    """The active controller's state: its image, ahead of what is committed, and the sessions."""

    def __init__(
        self,
        image: MetadataImage,
        *,
        node_id: int,
        cluster_id: str,
        settings: ControllerSettings,
        random: Any,
        now_ms: int,
    ) -> None:
        """`image` is a working one, with everything committed; `now_ms` is monotonic."""
        self.image = image
        self.node_id = node_id
        self.cluster_id = cluster_id
        self.settings = settings
        self.random = random
        self.heartbeats = Heartbeats(settings.broker_session_timeout_ms)
        self._balance_at_ms = now_ms + settings.leader_imbalance_check_interval_ms
        for broker_id in sorted(image.brokers):
            self.heartbeats.register(
                broker_id,
                fenced=image.brokers[broker_id].fenced,
                now_ms=now_ms,
                # The broker of this node's own process: if the log knows of one that registered
                # before this process came to lead, it was the process that held our directories.
                presumed_gone=broker_id == node_id,
            )

    def view(self, now_ms: int, next_offset: int) -> View:
        """What a decision at this moment looks at."""
        return View(
            image=self.image,
            settings=self.settings,
            heartbeats=self.heartbeats,
            random=self.random,
            node_id=self.node_id,
            cluster_id=self.cluster_id,
            now_ms=now_ms,
            next_offset=next_offset,
        )

    def handle(self, request: Any, view: View) -> Result:
        """Decide. A refusal is a reply like any other; raises for nothing that a client sends."""
        try:
            return HANDLED[type(request)](view, request)
        except ApiError as error:
            return Result([], error_response(request, error.code, error.message))

    def apply(self, record: Any) -> None:
        """Apply one record that was appended."""
        self.image.apply(record)

    def expire(self, now_ms: int, next_offset: int) -> Result:
        """What time has brought: one broker to fence, or leaders to give back."""
        view = self.view(now_ms, next_offset)
        result = brokers.fence_stale_broker(view)
        if not result.records and now_ms >= self._balance_at_ms:
            self._balance_at_ms = now_ms + self.settings.leader_imbalance_check_interval_ms
            result = replicas.balance_leaders(view)
        return result

    def next_deadline_ms(self) -> int:
        """When `expire` has something to do."""
        return min(self._balance_at_ms, self.heartbeats.next_deadline_ms())

    def activate(self, bootstrap: list[Any]) -> list[Any]:
        """The first records of a new leader: of an empty log the bootstrap records, in one
        metadata transaction; of another the abort of a transaction that was left open."""
        records: list[Any] = []
        if self.image.in_transaction:
            records.append(r.AbortTransactionRecord(reason="new controller"))
        if self.image.metadata_version:
            return records
        records.append(r.BeginTransactionRecord(name="Bootstrap records"))
        records += bootstrap
        levels = {
            record.name: record.feature_level
            for record in bootstrap
            if isinstance(record, r.FeatureLevelRecord)
        }
        if levels.get(ELR_VERSION, 0):
            records.append(
                r.ConfigRecord(
                    resource_type=int(ConfigResource.BROKER),
                    resource_name="",
                    name="min.insync.replicas",
                    value=str(self.settings.min_insync_replicas),
                )
            )
        records.append(r.EndTransactionRecord())
        return records
