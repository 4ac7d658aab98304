"""Which topic names there may be, and which are Kafka's own."""

from __future__ import annotations

import re
from typing import Final

NAME_LENGTH_MAX: Final = 249
LEGAL_NAME: Final = re.compile(r"[a-zA-Z0-9._-]+")
INTERNAL_TOPICS: Final = frozenset(
    {"__consumer_offsets", "__transaction_state", "__share_group_state"}
)
METADATA_TOPIC: Final = "__cluster_metadata"


def topic_name_fault(name: str) -> str | None:
    """What is wrong with a topic's name, in Kafka's words; None where it is fine."""
    if not name:
        return "Topic name is invalid: the empty string is not allowed"
    if name in (".", ".."):
        return f"Topic name is invalid: '{name}' is not allowed"
    if len(name) > NAME_LENGTH_MAX:
        return (
            f"Topic name is invalid: the length of '{name}' is longer than the max allowed "
            f"length {NAME_LENGTH_MAX}"
        )
    if not LEGAL_NAME.fullmatch(name):
        return (
            f"Topic name is invalid: '{name}' contains one or more characters other than ASCII "
            "alphanumerics, '.', '_' and '-'"
        )
    return None
