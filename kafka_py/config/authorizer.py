"""What the authorizer is configured with: settings that Kafka's own table does not have.

Kafka hands an authorizer all properties, and StandardAuthorizer looks two up that are no broker
keys: ``super.users``, principals with semicolons between them, and
``allow.everyone.if.no.acl.found``. ``early.start.listeners`` needs nothing here: a node answers
on no listener before it has read its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kafka_py.config.definition import ConfigError

__all__ = ["AUTHORIZER_KEYS", "AuthorizerSettings", "authorizer_settings"]

SUPER_USERS: Final = "super.users"
ALLOW_IF_NO_ACL: Final = "allow.everyone.if.no.acl.found"
AUTHORIZER_KEYS: Final = (SUPER_USERS, ALLOW_IF_NO_ACL)


class AuthorizerSettings(NamedTuple):
    """Who may do everything, and whether everybody may where no entry's pattern fits."""

    super_users: frozenset[str]
    allow_if_no_acl: bool


def authorizer_settings(class_name: str, texts: Mapping[str, str]) -> AuthorizerSettings | None:
    """The settings, None without an authorizer. Raises ConfigError for what is no principal."""
    if not class_name:
        return None
    users = frozenset(filter(None, (one.strip() for one in texts.get(SUPER_USERS, "").split(";"))))
    for user in users:
        if ":" not in user:
            raise ConfigError(
                f"{SUPER_USERS}: expected a string in format principalType:principalName "
                f"but got {user}"
            )
    return AuthorizerSettings(users, texts.get(ALLOW_IF_NO_ACL, "").strip().lower() == "true")
