"""Access control entries as an administrator handles them."""

from __future__ import annotations

from typing import Any, NamedTuple

from kafka_py.protocol.acl_types import Operation, PatternType, Permission, ResourceType

__all__ = ["AclBinding", "AclFilter"]


class AclBinding(NamedTuple):
    """One entry: on which resources, who, from where, what, and whether it is allowed or denied."""

    resource_type: ResourceType
    name: str
    pattern: PatternType
    principal: str
    host: str
    operation: Operation
    permission: Permission


class AclFilter(NamedTuple):
    """Which entries are meant; by default all. None matches every text."""

    resource_type: ResourceType = ResourceType.ANY
    name: str | None = None
    pattern: PatternType = PatternType.ANY
    principal: str | None = None
    host: str | None = None
    operation: Operation = Operation.ANY
    permission: Permission = Permission.ANY

    def fields(self) -> dict[str, Any]:
        """The fields of a request that say so."""
        return {
            "resource_type_filter": int(self.resource_type),
            "resource_name_filter": self.name,
            "pattern_type_filter": int(self.pattern),
            "principal_filter": self.principal,
            "host_filter": self.host,
            "operation": int(self.operation),
            "permission_type": int(self.permission),
        }
