"""What a consumer group is told by the broker's and its own configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.config.definition import ConfigError
from kafka_py.config.resources import bounds
from kafka_py.config.topic import GROUP, GROUP_SYNONYMS
from kafka_py.metadata.types import ConfigResource

if TYPE_CHECKING:
    from kafka_py.coordinator.shard import GroupShard

__all__ = ["group_setting"]

_RESOURCE = int(ConfigResource.GROUP)


def group_setting(shard: GroupShard, group_id: str, name: str) -> Any:
    """The value of a group key (``consumer.session.timeout.ms``): the group's own where it has one
    that parses, within the broker's group.*.min.* and group.*.max.*, else the broker's."""
    default = shard.settings[GROUP_SYNONYMS[name]]
    overrides = shard.image.configs.get((_RESOURCE, group_id))
    text = None if overrides is None else overrides.get(name)
    if text is None:
        return default
    try:
        value = GROUP[name].parse(text)
    except ConfigError:
        return default
    lowest, highest = bounds(shard.settings, name)
    if lowest is not None:
        value = max(value, shard.settings[lowest])
    return value if highest is None else min(value, shard.settings[highest])
