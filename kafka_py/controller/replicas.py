"""What leaders and administrators change of partitions: ISR, leaders, replicas, directories."""

from __future__ import annotations

from typing import Any

from kafka_py.controller.brokers import check_broker_epoch
from kafka_py.controller.partitions import Election, Target, change_partition
from kafka_py.controller.result import Result, View, error_of
from kafka_py.controller.topics import check_manual_assignment
from kafka_py.metadata.types import (
    DIRECTORY_LOST,
    NO_LEADER,
    LeaderRecovery,
    PartitionImage,
    TopicImage,
)
from kafka_py.protocol.brokers import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.topics import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)

__all__ = [
    "alter_partition",
    "alter_reassignments",
    "assign_directories",
    "balance_leaders",
    "elect_leaders",
    "list_reassignments",
]

_PREFERRED, _UNCLEAN = 0, 1


# -- AlterPartition --------------------------------------------------------------------------------


def alter_partition(view: View, request: AlterPartitionRequest) -> Result:
    """A leader shrinks or widens the ISR of its partitions (KIP-497, KIP-841, KIP-903)."""
    check_broker_epoch(view, request.broker_id, request.broker_epoch)
    result = Result()
    reply = AlterPartitionResponse()
    for topic_data in request.topics:
        rows = AlterPartitionResponse.TopicData(topic_id=topic_data.topic_id)
        reply.topics.append(rows)
        topic = view.image.topics_by_id.get(topic_data.topic_id)
        for data in topic_data.partitions:
            row = AlterPartitionResponse.PartitionData(partition_index=data.partition_index)
            rows.partitions.append(row)
            try:
                if topic is None:
                    raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID)
                _alter_isr(view, request.broker_id, topic, data, row, result)
            except ApiError as error:
                row.error_code = error.code
    result.reply = reply
    return result


def _alter_isr(
    view: View, broker_id: int, topic: TopicImage, data: Any, row: Any, result: Result
) -> None:
    index = data.partition_index
    partition = topic.partitions.get(index)
    isr = [(state.broker_id, state.broker_epoch) for state in data.new_isr_with_epochs]
    isr = isr or [(broker, -1) for broker in data.new_isr]
    _check_alter(view, broker_id, partition, data, isr)
    assert partition is not None
    target = Target(isr=tuple(broker for broker, _ in isr), recovery=data.leader_recovery_state)
    if view.unclean_election_allowed(topic.name):
        target.election = Election.UNCLEAN
    record = change_partition(view, topic.name, topic.id, index, partition, target)
    leader, leader_epoch = partition.leader, partition.leader_epoch
    new_isr = list(partition.isr)
    recovery, partition_epoch = partition.leader_recovery_state, partition.partition_epoch
    if record is not None:
        result.records.append(record)
        partition_epoch += 1
        new_isr = new_isr if record.isr is None else list(record.isr)
        recovery = recovery if record.leader_recovery_state < 0 else record.leader_recovery_state
        if record.leader != -2:
            leader, leader_epoch = record.leader, leader_epoch + 1
            if leader != broker_id:
                # The change ended a reassignment and so the leader went: it must look again.
                raise ApiError(ErrorCode.NEW_LEADER_ELECTED)
    row.leader_id = leader
    row.leader_epoch = leader_epoch
    row.isr = new_isr
    row.leader_recovery_state = recovery
    row.partition_epoch = partition_epoch


def _check_alter(
    view: View,
    broker_id: int,
    partition: PartitionImage | None,
    data: Any,
    isr: list[tuple[int, int]],
) -> None:
    if partition is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    newer = (
        data.leader_epoch > partition.leader_epoch
        or data.partition_epoch > partition.partition_epoch
    )
    if newer:
        raise ApiError(ErrorCode.NOT_CONTROLLER)  # the leader knows more: we are outdated
    if data.leader_epoch < partition.leader_epoch:
        raise ApiError(ErrorCode.FENCED_LEADER_EPOCH)
    if broker_id != partition.leader:
        raise ApiError(ErrorCode.INVALID_REQUEST)
    if data.partition_epoch < partition.partition_epoch:
        raise ApiError(ErrorCode.INVALID_UPDATE_VERSION)
    brokers = [broker for broker, _ in isr]
    if not brokers or len(set(brokers)) != len(brokers):
        raise ApiError(ErrorCode.INVALID_REQUEST)
    if any(broker not in partition.replicas for broker in brokers):
        raise ApiError(ErrorCode.INVALID_REQUEST)
    if broker_id not in brokers:
        raise ApiError(ErrorCode.INVALID_REQUEST)  # a leader does not remove itself
    recovering = data.leader_recovery_state == LeaderRecovery.RECOVERING
    if recovering and len(brokers) > 1:
        raise ApiError(ErrorCode.INVALID_REQUEST)
    if recovering and partition.leader_recovery_state == LeaderRecovery.RECOVERED:
        raise ApiError(ErrorCode.INVALID_REQUEST)
    for broker, epoch in isr:
        registration = view.image.brokers.get(broker)
        if registration is None or not registration.active:
            raise ApiError(ErrorCode.INELIGIBLE_REPLICA)
        if epoch not in (-1, registration.epoch):
            raise ApiError(ErrorCode.INELIGIBLE_REPLICA)


# -- ElectLeaders ----------------------------------------------------------------------------------


def elect_leaders(view: View, request: ElectLeadersRequest) -> Result:
    """Elect the preferred leader, or any leader at all, of partitions or of all (KIP-460)."""
    if request.election_type not in (_PREFERRED, _UNCLEAN):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown election type {request.election_type}")
    result = Result()
    reply = ElectLeadersResponse()
    wanted: list[tuple[str, list[int]]]
    if request.topic_partitions is None:
        wanted = [
            (name, sorted(view.image.topics[name].partitions)) for name in sorted(view.image.topics)
        ]
    else:
        wanted = [(one.topic, list(one.partitions)) for one in request.topic_partitions]
    for name, indexes in wanted:
        rows = ElectLeadersResponse.ReplicaElectionResult(topic=name)
        reply.replica_election_results.append(rows)
        for index in indexes:
            row = ElectLeadersResponse.PartitionResult(partition_id=index, error_message=None)
            try:
                result.records.append(_elect(view, name, index, request.election_type))
            except ApiError as error:
                row.error_code, row.error_message = error.code, error.message
            unneeded = row.error_code == ErrorCode.ELECTION_NOT_NEEDED
            if request.topic_partitions is not None or not unneeded:
                rows.partition_result.append(row)
    result.reply = reply
    return result


def _elect(view: View, name: str, index: int, election_type: int) -> Any:
    topic = view.image.topics.get(name)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {name}")
    partition = topic.partitions.get(index)
    if partition is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {name}-{index}")
    preferred = election_type == _PREFERRED
    there = partition.leader == partition.replicas[0] if preferred else partition.leader != -1
    if there:
        raise ApiError(ErrorCode.ELECTION_NOT_NEEDED)
    target = Target(election=Election.PREFERRED if preferred else Election.UNCLEAN)
    record = change_partition(view, name, topic.id, index, partition, target)
    if record is None:
        raise ApiError(
            ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
            if preferred
            else ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
        )
    return record


def balance_leaders(view: View, elections_max: int = 1000) -> Result:
    """Give leadership back to preferred replicas that can lead again."""
    records = []
    for name in sorted(view.image.topics):
        topic = view.image.topics[name]
        for index in sorted(topic.partitions):
            partition = topic.partitions[index]
            if partition.leader in (partition.replicas[0], NO_LEADER):
                continue
            target = Target(election=Election.PREFERRED)
            record = change_partition(view, name, topic.id, index, partition, target)
            if record is not None:
                records.append(record)
            if len(records) >= elections_max:
                return Result(records)
    return Result(records)


# -- reassignments ---------------------------------------------------------------------------------


def alter_reassignments(view: View, request: AlterPartitionReassignmentsRequest) -> Result:
    """Begin, replace or cancel moves of partitions to other brokers (KIP-455)."""
    result = Result()
    reply = AlterPartitionReassignmentsResponse(
        error_message=None,
        allow_replication_factor_change=request.allow_replication_factor_change,
    )
    row_type = AlterPartitionReassignmentsResponse.ReassignablePartitionResponse
    for wanted in request.topics:
        rows = AlterPartitionReassignmentsResponse.ReassignableTopicResponse(name=wanted.name)
        reply.responses.append(rows)
        for one in wanted.partitions:
            row = row_type(partition_index=one.partition_index, error_message=None)
            rows.partitions.append(row)
            try:
                allowed = request.allow_replication_factor_change
                record = _reassign(view, wanted.name, one, allowed)
                if record is not None:
                    result.records.append(record)
            except ApiError as error:
                row.error_code, row.error_message = error_of(error)
    result.reply = reply
    return result


def _reassign(view: View, name: str, wanted: Any, factor_may_change: bool) -> Any:
    topic = view.image.topics.get(name)
    if topic is None:
        raise ApiError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {name}."
        )
    index = wanted.partition_index
    old = topic.partitions.get(index)
    if old is None:
        raise ApiError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {name}:{index}."
        )
    if wanted.replicas is None:
        return _cancel(view, topic, index, old)
    goal = list(wanted.replicas)
    check_manual_assignment(view, goal, None)
    # What was being added by an unfinished move and is not wanted now counts as to be removed.
    present = [broker for broker in old.replicas if broker not in old.adding_replicas]
    if not factor_may_change and len(goal) != len(present):
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor is changed from {len(present)} to {len(goal)}",
        )
    removing = tuple(sorted(broker for broker in old.replicas if broker not in goal))
    adding = tuple(sorted(broker for broker in goal if broker not in present))
    replicas = (*goal, *removing)
    target = Target(replicas=replicas, removing=removing, adding=adding)
    return change_partition(view, name, topic.id, index, old, target)


def _cancel(view: View, topic: TopicImage, index: int, old: PartitionImage) -> Any:
    if not old.reassigning:
        raise ApiError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    replicas = tuple(broker for broker in old.replicas if broker not in old.adding_replicas)
    isr = tuple(broker for broker in old.isr if broker not in old.adding_replicas)
    unclean = not isr
    if unclean and not view.unclean_election_allowed(topic.name):
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Unable to revert partition assignment for {topic.name}:{index} because it would "
            "require an unclean leader election.",
        )
    target = Target(replicas=replicas, isr=isr or replicas[:1], removing=(), adding=())
    if view.unclean_election_allowed(topic.name):
        target.election = Election.UNCLEAN
    return change_partition(view, topic.name, topic.id, index, old, target)


def list_reassignments(view: View, request: ListPartitionReassignmentsRequest) -> Result:
    """The moves under way, of all topics or of some partitions."""
    response = ListPartitionReassignmentsResponse
    reply = response(error_message=None)
    wanted: list[tuple[str, list[int] | None]]
    if request.topics is None:
        wanted = [(name, None) for name in sorted(view.image.topics)]
    else:
        wanted = [(one.name, list(one.partition_indexes)) for one in request.topics]
    for name, indexes in wanted:
        topic = view.image.topics.get(name)
        if topic is None:
            continue
        rows = response.OngoingTopicReassignment(name=name)
        for index in sorted(topic.partitions) if indexes is None else indexes:
            partition = topic.partitions.get(index)
            if partition is not None and partition.reassigning:
                rows.partitions.append(
                    response.OngoingPartitionReassignment(
                        partition_index=index,
                        replicas=list(partition.replicas),
                        adding_replicas=list(partition.adding_replicas),
                        removing_replicas=list(partition.removing_replicas),
                    )
                )
        if rows.partitions:
            reply.topics.append(rows)
    return Result([], reply)


# -- AssignReplicasToDirs --------------------------------------------------------------------------


def assign_directories(view: View, request: AssignReplicasToDirsRequest) -> Result:
    """A broker says in which of its directories replicas lie (KIP-858)."""
    broker = check_broker_epoch(view, request.broker_id, request.broker_epoch)
    result = Result()
    reply = AssignReplicasToDirsResponse()
    for wanted in request.directories:
        if wanted.id != DIRECTORY_LOST and wanted.id not in broker.directories:
            online = False
        else:
            online = wanted.id != DIRECTORY_LOST
        directory = AssignReplicasToDirsResponse.DirectoryData(id=wanted.id)
        reply.directories.append(directory)
        for topic_data in wanted.topics:
            rows = AssignReplicasToDirsResponse.TopicData(topic_id=topic_data.topic_id)
            directory.topics.append(rows)
            for data in topic_data.partitions:
                row = AssignReplicasToDirsResponse.PartitionData(
                    partition_index=data.partition_index
                )
                rows.partitions.append(row)
                row.error_code = _assign(
                    view,
                    broker.id,
                    topic_data.topic_id,
                    data.partition_index,
                    wanted.id,
                    online,
                    result,
                )
    result.reply = reply
    return result


def _assign(
    view: View,
    broker_id: int,
    topic_id: bytes,
    index: int,
    directory: bytes,
    online: bool,
    result: Result,
) -> ErrorCode:
    topic = view.image.topics_by_id.get(topic_id)
    if topic is None:
        return ErrorCode.UNKNOWN_TOPIC_ID
    partition = topic.partitions.get(index)
    if partition is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if broker_id not in partition.replicas:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    target = Target(directories={broker_id: directory})
    if not online and broker_id in partition.isr:
        # A replica in a directory that is gone cannot be in sync.
        target.isr = tuple(broker for broker in partition.isr if broker != broker_id)
        if view.unclean_election_allowed(topic.name):
            target.election = Election.UNCLEAN
    record = change_partition(view, topic.name, topic_id, index, partition, target)
    if record is not None:
        result.records.append(record)
    return ErrorCode.NONE
