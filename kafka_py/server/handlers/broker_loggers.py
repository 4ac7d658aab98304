"""The levels of this process's loggers, as BROKER_LOGGER resources (KIP-412) show and set them.

Names are those of Python's ``logging`` with the root as ``root``; levels are Kafka's words. This is
no handler: describe_configs and alter_configs use it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kafka_py.config.definition import parse_int
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.protocol.configs import IncrementalAlterConfigsRequest

TRACE: Final = 5
LEVELS: Final = {
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
}
ROOT: Final = "root"
SET, DELETE, APPEND, SUBTRACT = range(4)
OPERATIONS: Final = ("SET", "DELETE", "APPEND", "SUBTRACT")


def level_name(level: int) -> str:
    """Kafka's word for a level; one in between counts as the next lower word."""
    named = [name for name, number in LEVELS.items() if number <= level]
    return named[-1] if named else "TRACE"


def loggers() -> dict[str, str]:
    """{logger: level in force}, the root first."""
    found = {ROOT: level_name(logging.getLogger().getEffectiveLevel())}
    manager = logging.Logger.manager
    for name in sorted(manager.loggerDict):
        logger = manager.loggerDict[name]
        if isinstance(logger, logging.Logger):
            found[name] = level_name(logger.getEffectiveLevel())
    return found


def check_node(name: str, node_id: int) -> None:
    """Raise ``ApiError`` unless a resource is this node."""
    try:
        given = parse_int(name, 32)
    except ValueError:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        ) from None
    if given != node_id:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected node id. Expected {node_id}, but received {name}",
        )


def change(
    configs: Sequence[IncrementalAlterConfigsRequest.AlterableConfig], *, validate_only: bool
) -> None:
    """Set and take back levels; all are checked before one is changed. Raises ``ApiError``."""
    known = loggers()
    for config in configs:
        check(config.name, config.config_operation, config.value, known)
    if validate_only:
        return
    for config in configs:
        logger = logging.getLogger(None if config.name == ROOT else config.name)
        if config.config_operation == DELETE:
            logger.setLevel(logging.NOTSET)
        else:
            logger.setLevel(LEVELS[config.value or ""])


def check(name: str, operation: int, value: str | None, known: dict[str, str]) -> None:
    """Raise ``ApiError`` for a change that cannot be made."""
    if operation not in (SET, DELETE, APPEND, SUBTRACT):
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"Unknown operation type {operation} is not allowed for the BROKER_LOGGER resource",
        )
    if operation in (APPEND, SUBTRACT):
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"{OPERATIONS[operation]} operation is not allowed for the BROKER_LOGGER resource",
        )
    if operation == DELETE and name == ROOT:
        raise ApiError(
            ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed"
        )
    if name not in known:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Logger {name} does not exist!")
    if operation == SET and value not in LEVELS:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Cannot set the log level of {name} to {value} as it is not a supported log level. "
            f"Valid log levels are {', '.join(sorted(LEVELS))}",
        )
