"""What a request may do: the authorizer asked on behalf of handlers.

    access = access_of(node, context)
    if not access.may(Operation.READ, ResourceType.GROUP, group_id): ...
    readable = access.topics(Operation.READ, names)

Without an authorizer everything is allowed. Decisions go to Python's logger
``kafka.authorizer.logger`` as Apache's do to the logger of that name: what is refused at INFO, what
is allowed at DEBUG, and questions whose answer is only shown or filtered by below that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kafka_py.metadata.authorizer import Authorizer, Decision, Subject
from kafka_py.protocol.acl_types import (
    CLUSTER_NAME,
    SUPPORTED_OPERATIONS,
    Operation,
    ResourceType,
)
from kafka_py.protocol.registry import API, ApiKey
from kafka_py.server.coordinators import java_address

if TYPE_CHECKING:
    from kafka_py.server.dispatch import RequestContext
    from kafka_py.server.node import Node

__all__ = ["Access", "access_of", "all_operations"]

log = logging.getLogger("kafka.authorizer.logger")
TRACE: Final = 5


def all_operations(kind: ResourceType) -> int:
    """Every operation on a resource type, as bits (KIP-430)."""
    return sum(1 << operation for operation in SUPPORTED_OPERATIONS[kind])


_EVERY: Final = {kind: all_operations(kind) for kind in SUPPORTED_OPERATIONS}


def access_of(node: Node, context: RequestContext) -> Access:
    """The access that the sender of a request has."""
    return OPEN if node.authorizer is None else Access(node.authorizer, context)


class Access:
    """The authorizer, for one request."""

    __slots__ = ("_authorizer", "_context", "_subject")

    def __init__(self, authorizer: Authorizer, context: RequestContext) -> None:
        self._authorizer = authorizer
        self._context = context
        self._subject = Subject(str(context.principal), java_address(context.client_host)[1:])

    @property
    def open(self) -> bool:
        """Whether there is nobody to ask: everything is allowed."""
        return False

    def may(
        self, operation: Operation, kind: ResourceType, name: str, *, quietly: bool = False
    ) -> bool:
        """Whether one thing is allowed; `quietly`: a refusal is no attempt, do not report it."""
        decision = self._authorizer.decide(self._subject, operation, kind, name)
        if log.isEnabledFor(logging.INFO):
            self._report(decision, operation, kind, name, quietly)
        return decision.allowed

    def cluster(self, operation: Operation, *, quietly: bool = False) -> bool:
        """Whether something may be done to the cluster."""
        return self.may(operation, ResourceType.CLUSTER, CLUSTER_NAME, quietly=quietly)

    def topics(
        self, operation: Operation, names: Iterable[str], *, quietly: bool = False
    ) -> set[str]:
        """The topics of these for which something is allowed."""
        kind = ResourceType.TOPIC
        return {
            name
            for name in dict.fromkeys(names)
            if self.may(operation, kind, name, quietly=quietly)
        }

    def anywhere(self, operation: Operation, kind: ResourceType) -> bool:
        """Whether something is allowed on at least one resource of a type (KIP-679)."""
        return self._authorizer.allows_any(self._subject, operation, kind)

    def operations(self, kind: ResourceType, name: str) -> int:
        """What is allowed on a resource, as bits (KIP-430)."""
        bits = 0
        for operation in SUPPORTED_OPERATIONS[kind]:
            if self._authorizer.allows(self._subject, operation, kind, name):
                bits |= 1 << operation
        return bits

    def cluster_operations(self) -> int:
        """What is allowed on the cluster, as bits; none to who may not describe it."""
        if not self.cluster(Operation.DESCRIBE):
            return 0
        return self.operations(ResourceType.CLUSTER, CLUSTER_NAME)

    def _report(
        self, decision: Decision, operation: Operation, kind: ResourceType, name: str, quiet: bool
    ) -> None:
        level = logging.DEBUG if decision.allowed else TRACE if quiet else logging.INFO
        if not log.isEnabledFor(level):
            return
        log.log(
            level,
            "Principal = %s is %s operation = %s from host = %s on resource = %s:LITERAL:%s "
            "for request = %s with resourceRefCount = 1 based on rule %s",
            self._subject.principal,
            "Allowed" if decision.allowed else "Denied",
            operation.name,
            self._subject.host,
            kind.title,
            name,
            API[ApiKey(self._context.api_key)].name,
            decision.rule,
        )


class _Open(Access):
    """There is no authorizer."""

    def __init__(self) -> None:
        """Nobody is asked."""

    @property
    def open(self) -> bool:
        return True

    def may(
        self, operation: Operation, kind: ResourceType, name: str, *, quietly: bool = False
    ) -> bool:
        return True

    def topics(
        self, operation: Operation, names: Iterable[str], *, quietly: bool = False
    ) -> set[str]:
        return set(names)

    def anywhere(self, operation: Operation, kind: ResourceType) -> bool:
        return True

    def operations(self, kind: ResourceType, name: str) -> int:
        return _EVERY[kind]


OPEN: Final = _Open()
