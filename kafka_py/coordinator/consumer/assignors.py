"""The server-side assignors by name (``group.consumer.assignors``)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kafka_py.coordinator.consumer.assignor_range import RangeAssignor
from kafka_py.coordinator.consumer.assignor_uniform import UniformAssignor
from kafka_py.coordinator.consumer.specs import Assignor

__all__ = ["ASSIGNORS"]

#: Name -> assignor, the default one first.
ASSIGNORS: Final[Mapping[str, Assignor]] = MappingProxyType(
    {assignor.name: assignor for assignor in (UniformAssignor(), RangeAssignor())}
)
