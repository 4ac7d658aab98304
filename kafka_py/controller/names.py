"""What a topic may be called."""

from __future__ import annotations

import re

from kafka_py.protocol.errors import ApiError, ErrorCode

__all__ = ["check_topic_name"]

_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_NAME_CHARACTERS_MAX = 249


def check_topic_name(name: str) -> None:
    """Raises ApiError(INVALID_TOPIC_EXCEPTION) for a name that a topic cannot have."""
    reason = ""
    if not name:
        reason = "the empty string is not allowed"
    elif name in (".", ".."):
        reason = f"'{name}' is not allowed"
    elif len(name) > _NAME_CHARACTERS_MAX:
        reason = (
            f"the length of '{name}' is longer than the max allowed length {_NAME_CHARACTERS_MAX}"
        )
    elif not _LEGAL_NAME.fullmatch(name):
        reason = (
            f"'{name}' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'"
        )
    if reason:
        raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")
