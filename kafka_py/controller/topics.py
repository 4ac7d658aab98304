"""CreateTopics, DeleteTopics, CreatePartitions: decisions of the controller.

Texts and codes are those of Apache Kafka 4.3, which clients and their tests know.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from kafka_py.controller.configs import created_topic_configs, effective_topic_configs
from kafka_py.controller.names import check_topic_name
from kafka_py.controller.partitions import default_directory
from kafka_py.controller.placement import place_replicas
from kafka_py.controller.result import RECORDS_MAX, Result, View, error_of, new_uuid
from kafka_py.metadata.types import LeaderRecovery
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.errors import ApiError, ErrorCode
from kafka_py.protocol.topics import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)

__all__ = ["create_partitions", "create_topics", "delete_topics"]

_METADATA_TOPIC = "__cluster_metadata"


def _check_collision(view: View, name: str) -> None:
    """Names that differ only in '.' and '_' would share the names of their metrics."""
    if "." not in name and "_" not in name:
        return
    unified = name.replace(".", "_")
    for other in view.image.topics:
        if other != name and other.replace(".", "_") == unified:
            raise ApiError(
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                f"Topic '{name}' collides with existing topic: {other}",
            )


_EXCESSIVE = "Excessively large number of partitions per request."

# -- CreateTopics ----------------------------------------------------------------------------------


def create_topics(view: View, request: CreateTopicsRequest) -> Result:
    """Topics as wanted, all or (by topic) none. `view.describable` is the set of topics whose
    configs the caller may see, None for all."""
    result = Result()
    reply = CreateTopicsResponse()
    counts = Counter(topic.name for topic in request.topics)
    excessive = sum(_partitions_wanted(view, topic) for topic in request.topics) > RECORDS_MAX
    seen: set[str] = set()
    for topic in request.topics:
        if topic.name in seen:
            continue
        seen.add(topic.name)
        try:
            if counts[topic.name] > 1:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            if excessive:
                raise ApiError(ErrorCode.POLICY_VIOLATION, _EXCESSIVE)
            row, records = _create_topic(view, topic)
            if len(result.records) + len(records) > RECORDS_MAX:
                raise ApiError(ErrorCode.POLICY_VIOLATION, _EXCESSIVE)
            result.records += records
        except ApiError as error:
            row = CreateTopicsResponse.CreatableTopicResult(
                name=topic.name, error_code=error.code, error_message=error.message
            )
        reply.topics.append(row)
    if request.validate_only:
        result.records = []
    result.reply = reply
    return result


def _partitions_wanted(view: View, topic: CreateTopicsRequest.CreatableTopic) -> int:
    """How many partitions a topic asks for; the default where it leaves that open."""
    if topic.assignments:
        return len(topic.assignments)
    if topic.num_partitions == -1:
        return int(view.settings.num_partitions)
    return max(topic.num_partitions, 0)


def _create_topic(
    view: View, topic: CreateTopicsRequest.CreatableTopic
) -> tuple[CreateTopicsResponse.CreatableTopicResult, list[Any]]:
    if topic.name == _METADATA_TOPIC:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Creation of internal topic {topic.name} is prohibited."
        )
    check_topic_name(topic.name)
    if topic.name in view.image.topics:
        raise ApiError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{topic.name}' already exists.")
    _check_collision(view, topic.name)
    configs = created_topic_configs(view, topic)
    partitions = _manual(view, topic) if topic.assignments else _placed(view, topic)
    topic_id = new_uuid(view.random)
    records: list[Any] = [r.TopicRecord(name=topic.name, topic_id=topic_id)]
    records += configs
    records += [
        _partition_record(view, topic_id, index, replicas)
        for index, replicas in enumerate(partitions)
    ]
    row = CreateTopicsResponse.CreatableTopicResult(
        name=topic.name, topic_id=topic_id, error_code=ErrorCode.NONE, error_message=None
    )
    if view.describable is None or topic.name in view.describable:
        row.num_partitions = len(partitions)
        row.replication_factor = len(partitions[0])
        row.configs = effective_topic_configs(
            view, {config.name: config.value for config in topic.configs}
        )
    else:
        row.topic_config_error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    return row, records


def _placed(view: View, topic: CreateTopicsRequest.CreatableTopic) -> list[list[int]]:
    if topic.replication_factor < -1 or topic.replication_factor == 0:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if topic.num_partitions < -1 or topic.num_partitions == 0:
        raise ApiError(
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        )
    count, factor = topic.num_partitions, topic.replication_factor
    count = view.settings.num_partitions if count == -1 else count
    factor = view.settings.default_replication_factor if factor == -1 else factor
    if count > RECORDS_MAX:
        raise ApiError(
            ErrorCode.POLICY_VIOLATION,
            "Excessively large number of partitions per request.",
        )
    try:
        placed = place_replicas(view.image, count, factor, view.random)
    except ApiError as error:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {factor} time(s): {error.message}",
        ) from error
    for replicas in placed:
        if not _in_sync(view, replicas):
            raise _nobody_active(factor)
    return placed


def _nobody_active(factor: int) -> ApiError:
    return ApiError(
        ErrorCode.INVALID_REPLICATION_FACTOR,
        f"Unable to replicate the partition {factor} time(s): "
        "All brokers are currently fenced or in controlled shutdown.",
    )


def _manual(view: View, topic: CreateTopicsRequest.CreatableTopic) -> list[list[int]]:
    if topic.replication_factor != -1:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not "
            "set to -1.",
        )
    if topic.num_partitions != -1:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        )
    partitions: dict[int, list[int]] = {}
    factor: int | None = None
    for assignment in topic.assignments:
        index = assignment.partition_index
        if index in partitions:
            raise ApiError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {index}",
            )
        check_manual_assignment(view, assignment.broker_ids, factor)
        factor = len(assignment.broker_ids)
        _check_active(view, index, assignment.broker_ids)
        partitions[index] = list(assignment.broker_ids)
    if sorted(partitions) != list(range(len(partitions))):
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence",
        )
    return [partitions[index] for index in range(len(partitions))]


def _check_active(view: View, index: int, replicas: list[int]) -> None:
    if not _in_sync(view, replicas):
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "All brokers specified in the manual partition assignment for "
            f"partition {index} are fenced or in controlled shutdown.",
        )


def check_manual_assignment(view: View, replicas: list[int], factor: int | None) -> None:
    """Raises ApiError(INVALID_REPLICA_ASSIGNMENT) for replicas that a partition cannot have;
    `factor` is how many it must have, None for any number."""

    def refused(reason: str) -> ApiError:
        return ApiError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"The manual partition {reason}")

    if not replicas:
        raise refused("assignment includes an empty replica list.")
    before: int | None = None
    for broker_id in sorted(replicas):
        if broker_id not in view.image.brokers:
            raise refused(
                f"assignment includes broker {broker_id}, but no such broker is registered."
            )
        if broker_id == before:
            raise refused(f"assignment includes the broker {broker_id} more than once.")
        before = broker_id
    if factor is not None and len(replicas) != factor:
        raise refused(
            f"assignment includes a partition with {len(replicas)} replica(s), but this is not "
            f"consistent with previous partitions, which have {factor} replica(s)."
        )


def _in_sync(view: View, replicas: list[int]) -> list[int]:
    """The replicas that can be in the first ISR: active brokers."""
    brokers = view.image.brokers
    return [broker_id for broker_id in replicas if brokers[broker_id].active]


def _partition_record(
    view: View, topic_id: bytes, index: int, replicas: list[int]
) -> r.PartitionRecord:
    isr = _in_sync(view, replicas)
    record = r.PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=replicas,
        isr=isr,
        leader=isr[0],
        leader_epoch=0,
        partition_epoch=0,
        leader_recovery_state=LeaderRecovery.RECOVERED,
    )
    if view.image.metadata_version >= 17:
        record.directories = [default_directory(view, broker_id) for broker_id in replicas]
    return record


# -- DeleteTopics ----------------------------------------------------------------------------------


def delete_topics(view: View, request: DeleteTopicsRequest) -> Result:
    """Topics by name or id; each answer stands for itself."""
    result = Result()
    reply = DeleteTopicsResponse()
    states = list(request.topics)
    states += [DeleteTopicsRequest.DeleteTopicState(name=name) for name in request.topic_names]
    names = Counter(one.name for one in states if one.name is not None and not any(one.topic_id))
    ids = Counter(one.topic_id for one in states if one.name is None)
    # A topic given by name and by id is refused under its name; its id gets no answer.
    named = {view.image.topics[name].id for name in names if name in view.image.topics}
    done: set[Any] = set()
    for state in states:
        key = state.topic_id if state.name is None else state.name
        if key in done or (state.name is None and key in named):
            continue
        done.add(key)
        row = DeleteTopicsResponse.DeletableTopicResult(name=state.name, topic_id=state.topic_id)
        try:
            row.name, row.topic_id = _topic_to_delete(view, state, names, ids)
            if state.name is not None and ids[row.topic_id]:
                raise ApiError(
                    ErrorCode.INVALID_REQUEST,
                    "The provided topic name maps to an ID that was already supplied.",
                )
            result.records.append(r.RemoveTopicRecord(topic_id=row.topic_id))
        except ApiError as error:
            row.error_code, row.error_message = error.code, error.message
        reply.responses.append(row)
    result.reply = reply
    return result


def _topic_to_delete(
    view: View,
    state: DeleteTopicsRequest.DeleteTopicState,
    names: Counter[str],
    ids: Counter[bytes],
) -> tuple[str, bytes]:
    if state.name is not None and any(state.topic_id):
        raise ApiError(
            ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id."
        )
    if state.name is None:
        if not any(state.topic_id):
            raise ApiError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
        if ids[state.topic_id] > 1:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Duplicate topic id.")
        topic = view.image.topics_by_id.get(state.topic_id)
        if topic is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID)
        return topic.name, topic.id
    if names[state.name] > 1:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
    topic = view.image.topics.get(state.name)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return topic.name, topic.id


# -- CreatePartitions ------------------------------------------------------------------------------


def create_partitions(view: View, request: CreatePartitionsRequest) -> Result:
    """More partitions for topics that exist; each answer stands for itself."""
    result = Result()
    reply = CreatePartitionsResponse()
    counts = Counter(topic.name for topic in request.topics)
    seen: set[str] = set()
    for topic in request.topics:
        if topic.name in seen:
            continue
        seen.add(topic.name)
        row = CreatePartitionsResponse.CreatePartitionsTopicResult(name=topic.name)
        try:
            if counts[topic.name] > 1:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            records = _add_partitions(view, topic)
            if len(result.records) + len(records) > RECORDS_MAX:
                raise ApiError(
                    ErrorCode.POLICY_VIOLATION,
                    "Excessively large number of partitions per request.",
                )
            result.records += records
        except ApiError as error:
            row.error_code, row.error_message = error_of(error)
        reply.results.append(row)
    if request.validate_only:
        result.records = []
    result.reply = reply
    return result


def _add_partitions(
    view: View, wanted: CreatePartitionsRequest.CreatePartitionsTopic
) -> list[r.PartitionRecord]:
    topic = view.image.topics.get(wanted.name)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    present = len(topic.partitions)
    if wanted.count == present:
        raise ApiError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {present} partition(s).")
    if wanted.count < present:
        raise ApiError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {wanted.name} currently has {present} partition(s); "
            f"{wanted.count} would not be an increase.",
        )
    additional = wanted.count - present
    if additional > RECORDS_MAX:
        raise ApiError(
            ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request."
        )
    factor = len(topic.partitions[0].replicas)
    if wanted.assignments is None:
        placed = place_replicas(view.image, additional, factor, view.random)
        for replicas in placed:
            if not _in_sync(view, replicas):
                raise _nobody_active(factor)
    else:
        if len(wanted.assignments) != additional:
            raise ApiError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Attempted to add {additional} additional partition(s), but only "
                f"{len(wanted.assignments)} assignment(s) were specified.",
            )
        placed = [list(assignment.broker_ids) for assignment in wanted.assignments]
        for index, replicas in enumerate(placed, start=present):
            check_manual_assignment(view, replicas, factor)
            _check_active(view, index, replicas)
    return [
        _partition_record(view, topic.id, index, replicas)
        for index, replicas in enumerate(placed, start=present)
    ]
