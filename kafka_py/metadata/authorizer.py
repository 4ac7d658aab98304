"""The authorizer: who may do what, by the access control entries of the metadata.

Behaviour: that of Apache Kafka 4.3.1's StandardAuthorizer (KIP-801), which tests/oracle compares
with this on random entries and requests. Super users may do everything. Of the entries whose
pattern fits the resource (literal, prefixed, or the literal ``*``) and that fit principal, host and
operation, one DENY outweighs every ALLOW; without either, access is denied, unless no pattern fits
at all and ``allow.everyone.if.no.acl.found`` is set. An ALLOW of READ, WRITE, DELETE or ALTER
allows DESCRIBE, one of ALTER_CONFIGS allows DESCRIBE_CONFIGS; a DENY denies its own operation.

Pure: entries come in by `follow`, answers are kept until the entries change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from kafka_py.metadata.types import Acl, ChangedMetadata
from kafka_py.protocol.acl_types import WILDCARD, Operation, PatternType, Permission, ResourceType

if TYPE_CHECKING:
    from kafka_py.metadata.image import MetadataImage

__all__ = ["Authorizer", "Decision", "Subject", "acl_text"]

WILDCARD_PRINCIPAL: Final = "User:*"
#: How many answers are kept; more than that and all are forgotten.
CACHED_MAX: Final = 100_000

_IMPLY_DESCRIBE: Final = (
    *(Operation.DESCRIBE, Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER),
)
_IMPLY_DESCRIBE_CONFIGS: Final = (Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)


class Subject(NamedTuple):
    """Who asks: ``principal`` as ``type:name``, ``host`` an address as Java prints it."""

    principal: str
    host: str


class Decision(NamedTuple):
    """Whether something is allowed, and by which rule, in the words of Kafka's audit log."""

    allowed: bool
    rule: str


_SUPER_USER: Final = Decision(True, "SuperUser")
_DEFAULT_ALLOW: Final = Decision(True, "DefaultAllow")
_DEFAULT_DENY: Final = Decision(False, "DefaultDeny")


def acl_text(acl: Acl) -> str:
    """An entry as Kafka's audit log shows it."""
    return (
        f"StandardAcl(resourceType={ResourceType.of(acl.resource_type).name}, "
        f"resourceName={acl.resource_name}, "
        f"patternType={PatternType.of(acl.pattern_type).name}, "
        f"principal={acl.principal}, host={acl.host}, "
        f"operation={Operation.of(acl.operation).name}, "
        f"permissionType={Permission.of(acl.permission_type).name})"
    )


class _Patterns:
    """The entries of one resource type: by literal name, by prefix, and which prefixes there are.

    The inner mappings are sets that keep the order in which entries came.
    """

    __slots__ = ("lengths", "literal", "prefixed")

    def __init__(self) -> None:
        self.literal: dict[str, dict[Acl, None]] = {}
        self.prefixed: dict[str, dict[Acl, None]] = {}
        #: Length of a prefix -> how many different prefixes have it.
        self.lengths: dict[int, int] = {}

    def add(self, acl: Acl) -> None:
        if acl.pattern_type == PatternType.LITERAL:
            self.literal.setdefault(acl.resource_name, {})[acl] = None
            return
        entries = self.prefixed.get(acl.resource_name)
        if entries is None:
            entries = self.prefixed[acl.resource_name] = {}
            length = len(acl.resource_name)
            self.lengths[length] = self.lengths.get(length, 0) + 1
        entries[acl] = None

    def remove(self, acl: Acl) -> None:
        literal = acl.pattern_type == PatternType.LITERAL
        table = self.literal if literal else self.prefixed
        entries = table[acl.resource_name]
        del entries[acl]
        if entries:
            return
        del table[acl.resource_name]
        if not literal:
            length = len(acl.resource_name)
            self.lengths[length] -= 1
            if not self.lengths[length]:
                del self.lengths[length]

    def fitting(self, name: str) -> Iterator[Acl]:
        """The entries whose pattern fits a resource's name."""
        yield from self.literal.get(name, ())
        if name != WILDCARD:
            yield from self.literal.get(WILDCARD, ())
        for length in self.lengths:
            if length <= len(name):
                yield from self.prefixed.get(name[:length], ())

    def all(self) -> Iterator[Acl]:
        for table in (self.literal, self.prefixed):
            for entries in table.values():
                yield from entries


class Authorizer:
    """Answers what a subject may do. `version` grows whenever an answer may have changed."""

    def __init__(self, *, super_users: frozenset[str], allow_if_no_acl: bool) -> None:
        """`super_users` as ``type:name``; `allow_if_no_acl`: where no pattern fits a resource."""
        self.super_users = super_users
        self.version = 0
        self._default = _DEFAULT_ALLOW if allow_if_no_acl else _DEFAULT_DENY
        self._acls: dict[bytes, Acl] = {}
        #: How many ids an entry stands under; Kafka's controller writes it once.
        self._counts: dict[Acl, int] = {}
        self._types: dict[int, _Patterns] = {}
        self._decided: dict[tuple[Subject, int, int, str], Decision] = {}
        self._by_type: dict[tuple[Subject, int, int], bool] = {}

    @property
    def acls(self) -> Mapping[bytes, Acl]:
        """The entries in force, by id."""
        return self._acls

    # ------------------------------------------------------------------------ following the image

    def follow(self, image: MetadataImage, changed: ChangedMetadata | None = None) -> None:
        """Take over what changed in an image; everything where `changed` is not given."""
        if changed is None or changed.everything:
            self._acls, self._types, self._counts = {}, {}, {}
            for acl_id, acl in image.acls.items():
                self._put(acl_id, acl)
        elif changed.acls:
            for acl_id in changed.acls:
                found = image.acls.get(acl_id)
                self._drop(acl_id)
                if found is not None:
                    self._put(acl_id, found)
        else:
            return
        self._decided.clear()
        self._by_type.clear()
        self.version += 1

    def _put(self, acl_id: bytes, acl: Acl) -> None:
        self._acls[acl_id] = acl
        self._counts[acl] = self._counts.get(acl, 0) + 1
        if self._counts[acl] == 1:
            self._types.setdefault(acl.resource_type, _Patterns()).add(acl)

    def _drop(self, acl_id: bytes) -> None:
        acl = self._acls.pop(acl_id, None)
        if acl is None:
            return
        self._counts[acl] -= 1
        if not self._counts[acl]:
            del self._counts[acl]
            self._types[acl.resource_type].remove(acl)

    # --------------------------------------------------------------------------------- answering

    def allows(self, subject: Subject, operation: int, resource_type: int, name: str) -> bool:
        """Whether the subject may do it to the resource of that very name."""
        return self.decide(subject, operation, resource_type, name).allowed

    def decide(self, subject: Subject, operation: int, resource_type: int, name: str) -> Decision:
        """The same, with the rule that it was decided by."""
        if subject.principal in self.super_users:
            return _SUPER_USER
        key = (subject, operation, resource_type, name)
        found = self._decided.get(key)
        if found is None:
            if len(self._decided) >= CACHED_MAX:
                self._decided.clear()
            found = self._decided[key] = self._find(subject, operation, resource_type, name)
        return found

    def _find(self, subject: Subject, operation: int, resource_type: int, name: str) -> Decision:
        patterns = self._types.get(resource_type)
        allowing: Acl | None = None
        any_fits = False
        for acl in () if patterns is None else patterns.fitting(name):
            any_fits = True
            if not _applies(acl, subject, operation):
                continue
            if acl.permission_type == Permission.DENY:
                return Decision(False, f"MatchingAcl(acl={acl_text(acl)})")
            allowing = allowing or acl
        if allowing is not None:
            return Decision(True, f"MatchingAcl(acl={acl_text(allowing)})")
        return _DEFAULT_DENY if any_fits else self._default

    def allows_any(self, subject: Subject, operation: int, resource_type: int) -> bool:
        """Whether the subject may do it to at least one resource of the type (KIP-679).

        Here an entry counts for its own operation and ALL alone. Super users, and a default that
        allows, are recognized by asking for a name that nothing is called.
        """
        key = (subject, operation, resource_type)
        found = self._by_type.get(key)
        if found is None:
            found = self.allows(subject, operation, resource_type, "hardcode")
            found = found or self._any_allowed(subject, operation, resource_type)
            if len(self._by_type) >= CACHED_MAX:
                self._by_type.clear()
            self._by_type[key] = found
        return found

    def _any_allowed(self, subject: Subject, operation: int, resource_type: int) -> bool:
        patterns = self._types.get(resource_type)
        if patterns is None:
            return False
        named = (operation, Operation.ALL)
        denied: set[tuple[int, str]] = set()
        allowed: list[tuple[int, str]] = []
        for acl in patterns.all():
            if _is_about(acl, subject) and acl.operation in named:
                pattern = (acl.pattern_type, acl.resource_name)
                if acl.permission_type == Permission.DENY:
                    denied.add(pattern)
                else:
                    allowed.append(pattern)
        everything = (int(PatternType.LITERAL), WILDCARD)
        if everything in denied:
            return False
        if everything in allowed:
            return True
        prefixed = int(PatternType.PREFIXED)
        return any(
            not (kind == PatternType.LITERAL and (kind, name) in denied)
            and not any((prefixed, name[:end]) in denied for end in range(1, len(name) + 1))
            for kind, name in allowed
        )


def _is_about(acl: Acl, subject: Subject) -> bool:
    return acl.principal in (subject.principal, WILDCARD_PRINCIPAL) and acl.host in (
        subject.host,
        WILDCARD,
    )


def _applies(acl: Acl, subject: Subject, operation: int) -> bool:
    if not _is_about(acl, subject):
        return False
    if acl.operation in (Operation.ALL, operation):
        return True
    if acl.permission_type != Permission.ALLOW:
        return False
    if operation == Operation.DESCRIBE:
        return acl.operation in _IMPLY_DESCRIBE
    return operation == Operation.DESCRIBE_CONFIGS and acl.operation in _IMPLY_DESCRIBE_CONFIGS
