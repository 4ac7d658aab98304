"""Topics that are made because somebody asked for them (auto.create.topics.enable)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kafka_py.config.internal_topics import internal_topic
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.topics import CreateTopicsRequest

if TYPE_CHECKING:
    from kafka_py.server.dispatch import RequestContext
    from kafka_py.server.node import Node

__all__ = ["create"]


async def create(
    node: Node,
    names: list[str],
    context: RequestContext,
    creating: dict[str, asyncio.Future[ErrorCode]],
) -> dict[str, ErrorCode]:
    """Make topics with the broker's defaults; see `Node.auto_create_topics`.

    Kafka sends the creation off and says UNKNOWN_TOPIC_OR_PARTITION, for the client to ask again;
    so does this, though the topic is there by the time the answer leaves.
    """
    waiting: dict[str, asyncio.Future[ErrorCode]] = {}
    wanted = []
    for name in dict.fromkeys(names):
        if name not in creating:
            creating[name] = node.loop.create_future()
            wanted.append(name)
        waiting[name] = creating[name]
    if wanted:
        await _create(node, wanted, context, creating)
    return {name: await asyncio.shield(future) for name, future in waiting.items()}


async def _create(
    node: Node,
    names: list[str],
    context: RequestContext,
    creating: dict[str, asyncio.Future[ErrorCode]],
) -> None:
    request = CreateTopicsRequest(
        topics=[_wanted(node, name) for name in names],
        timeout_ms=node.config["request.timeout.ms"],
    )
    found = dict.fromkeys(names, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    try:
        response = await node.submit(request)
        for made in response.topics:
            if made.error_code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                found[made.name] = _reported(ErrorCode.of(made.error_code))
    finally:
        for name in names:
            creating.pop(name).set_result(found[name])


def _wanted(node: Node, name: str) -> CreateTopicsRequest.CreatableTopic:
    """A topic by the broker's defaults; Kafka's own topics have settings of theirs."""
    topic = CreateTopicsRequest.CreatableTopic(name=name, num_partitions=-1, replication_factor=-1)
    internal = internal_topic(node.config, name)
    if internal is not None:
        topic.num_partitions = internal.partitions
        topic.replication_factor = internal.replication_factor
        topic.configs = [
            CreateTopicsRequest.CreatableTopicConfig(name=key, value=value)
            for key, value in internal.configs.items()
        ]
    return topic


def _reported(error: ErrorCode) -> ErrorCode:
    """What a metadata response may say: of the creation's errors only what the name did wrong."""
    if error is ErrorCode.INVALID_TOPIC_EXCEPTION:
        return error
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
