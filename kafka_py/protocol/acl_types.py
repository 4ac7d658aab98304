"""The numbers that access control lists are made of (KIP-11, KIP-290), and their names.

A code that is not in a table is UNKNOWN to Kafka: `ResourceType.of(99) is ResourceType.UNKNOWN`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

__all__ = [
    "CLUSTER_NAME",
    "SUPPORTED_OPERATIONS",
    "WILDCARD",
    "Operation",
    "PatternType",
    "Permission",
    "ResourceType",
]

#: The one resource of type CLUSTER.
CLUSTER_NAME: Final = "kafka-cluster"
#: Any host, or as the name of a literal pattern any resource.
WILDCARD: Final = "*"


class _Code(IntEnum):
    @classmethod
    def of(cls, code: int) -> Self:
        """The member of a code from the wire; UNKNOWN for one that this table lacks."""
        try:
            return cls(code)
        except ValueError:
            return cls(0)

    @property
    def title(self) -> str:
        """The name as Kafka's tools take it: ``TransactionalId``, ``DescribeConfigs``."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @classmethod
    def named(cls, text: str) -> Self:
        """The member that a text names, whatever its case and underscores. Raises ValueError."""
        wanted = text.replace("_", "").casefold()
        for member in cls:
            if member.name.replace("_", "").casefold() == wanted:
                return member
        raise ValueError(f"{text!r} is none of {', '.join(member.title for member in cls)}")


class ResourceType(_Code):
    """What is protected."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class PatternType(_Code):
    """How a pattern's name stands for resources; ANY and MATCH are for filters."""

    UNKNOWN = 0
    ANY = 1
    MATCH = 2
    LITERAL = 3
    PREFIXED = 4


class Operation(_Code):
    """What is done to a resource; the bit of an authorized-operations field is ``1 << code``."""

    UNKNOWN = 0
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class Permission(_Code):
    """Whether an entry allows or denies."""

    UNKNOWN = 0
    ANY = 1
    DENY = 2
    ALLOW = 3


_O = Operation
#: Which operations there are on a resource of a type (KIP-430, KIP-939).
SUPPORTED_OPERATIONS: Final[dict[ResourceType, tuple[Operation, ...]]] = {
    ResourceType.TOPIC: (
        *(_O.READ, _O.WRITE, _O.CREATE, _O.DELETE, _O.ALTER, _O.DESCRIBE),
        *(_O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS),
    ),
    ResourceType.GROUP: (
        *(_O.READ, _O.DELETE, _O.DESCRIBE, _O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS),
    ),
    ResourceType.CLUSTER: (
        *(_O.CREATE, _O.ALTER, _O.DESCRIBE, _O.CLUSTER_ACTION, _O.DESCRIBE_CONFIGS),
        *(_O.ALTER_CONFIGS, _O.IDEMPOTENT_WRITE),
    ),
    ResourceType.TRANSACTIONAL_ID: (_O.WRITE, _O.DESCRIBE, _O.TWO_PHASE_COMMIT),
    ResourceType.DELEGATION_TOKEN: (_O.DESCRIBE,),
    ResourceType.USER: (_O.CREATE_TOKENS, _O.DESCRIBE_TOKENS),
}
