"""CreateAcls and DeleteAcls: what becomes a record, and which entries a filter matches.

Behaviour: as Apache Kafka 4.3.1's controller (KIP-140, KIP-290, KIP-801). An entry that is there
already is created again without a record; each entry that is written has a random id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kafka_py.controller.result import RECORDS_MAX, Result, View, new_uuid
from kafka_py.metadata.types import Acl
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.acl_types import (
    CLUSTER_NAME,
    WILDCARD,
    Operation,
    PatternType,
    Permission,
    ResourceType,
)
from kafka_py.protocol.acls import (
    CreateAclsRequest,
    CreateAclsResponse,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from kafka_py.protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from kafka_py.metadata.image import MetadataImage
    from kafka_py.protocol.acls import DescribeAclsRequest

__all__ = ["create_acls", "delete_acls", "matching"]

Creation = CreateAclsRequest.AclCreation
Created = CreateAclsResponse.AclCreationResult
Filter = DeleteAclsRequest.DeleteAclsFilter
Deleted = DeleteAclsResponse.DeleteAclsFilterResult
Matching = DeleteAclsResponse.DeleteAclsMatchingAcl


def create_acls(view: View, request: CreateAclsRequest) -> Result:
    """A result for every creation; those that are good become records together."""
    result = Result(reply=CreateAclsResponse())
    names = {creation.resource_name for creation in request.creations}
    known = {acl for acl in view.image.acls.values() if acl.resource_name in names}
    for creation in request.creations:
        try:
            acl = _checked(creation)
        except ApiError as error:
            result.reply.results.append(
                Created(error_code=int(error.code), error_message=error.message)
            )
            continue
        if acl not in known:
            known.add(acl)
            result.records.append(_record(view, acl))
        result.reply.results.append(Created())
    if len(result.records) > RECORDS_MAX:
        raise ApiError(
            ErrorCode.POLICY_VIOLATION, "Unable to perform excessively large batch operation."
        )
    return result


def _checked(creation: Creation) -> Acl:
    """The entry that a creation asks for. Raises ApiError(INVALID_REQUEST)."""
    kind = ResourceType.of(creation.resource_type)
    pattern = PatternType.of(creation.resource_pattern_type)
    operation = Operation.of(creation.operation)
    permission = Permission.of(creation.permission_type)
    reason = ""
    if kind is ResourceType.CLUSTER and creation.resource_name != CLUSTER_NAME:
        reason = f"The only valid name for the CLUSTER resource is {CLUSTER_NAME}"
    elif not creation.resource_name:
        reason = "Invalid empty resource name"
    elif kind in (ResourceType.UNKNOWN, ResourceType.ANY):
        reason = f"Invalid resourceType {kind.name}"
    elif pattern not in (PatternType.LITERAL, PatternType.PREFIXED):
        reason = f"Invalid patternType {pattern.name}"
    elif operation in (Operation.UNKNOWN, Operation.ANY):
        reason = f"Invalid operation {operation.name}"
    elif permission not in (Permission.ALLOW, Permission.DENY):
        reason = f"Invalid permissionType {permission.name}"
    elif ":" not in creation.principal:
        reason = (
            f"Could not parse principal from `{creation.principal}` (no colon is present "
            "separating the principal type from the principal name)"
        )
    if reason:
        raise ApiError(ErrorCode.INVALID_REQUEST, reason)
    return Acl(
        resource_type=int(kind),
        resource_name=creation.resource_name,
        pattern_type=int(pattern),
        principal=creation.principal,
        host=creation.host,
        operation=int(operation),
        permission_type=int(permission),
    )


def _record(view: View, acl: Acl) -> r.AccessControlEntryRecord:
    acl_id = new_uuid(view.random)
    while acl_id in view.image.acls:
        acl_id = new_uuid(view.random)
    return r.AccessControlEntryRecord(id=acl_id, **acl._asdict())


def delete_acls(view: View, request: DeleteAclsRequest) -> Result:
    """The entries that each filter matches; one that several match is removed once."""
    result = Result(reply=DeleteAclsResponse())
    removed: dict[bytes, None] = {}
    for wanted in request.filters:
        try:
            _check_filter(wanted)
            found = list(matching(view.image, wanted))
            if len(removed.keys() | {acl_id for acl_id, _ in found}) > RECORDS_MAX:
                raise ApiError(
                    ErrorCode.UNKNOWN_SERVER_ERROR,
                    f"Cannot remove more than {RECORDS_MAX} acls in a single delete operation.",
                )
        except ApiError as error:
            result.reply.filter_results.append(
                Deleted(error_code=int(error.code), error_message=error.message)
            )
            continue
        removed.update((acl_id, None) for acl_id, _ in found)
        result.reply.filter_results.append(
            Deleted(
                error_message=None,
                matching_acls=[Matching(error_message=None, **acl._asdict()) for _, acl in found],
            )
        )
    result.records = [r.RemoveAccessControlEntryRecord(id=acl_id) for acl_id in removed]
    return result


def _check_filter(wanted: Filter) -> None:
    """Raises ApiError(INVALID_REQUEST) for a code that is none."""
    kind = ResourceType.of(wanted.resource_type_filter)
    if not kind or not PatternType.of(wanted.pattern_type_filter):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Unknown patternFilter.")
    if not Operation.of(wanted.operation) or not Permission.of(wanted.permission_type):
        raise ApiError(ErrorCode.INVALID_REQUEST, "Unknown entryFilter.")


def matching(
    image: MetadataImage, wanted: Filter | DescribeAclsRequest
) -> Iterator[tuple[bytes, Acl]]:
    """The ids and entries of an image that a filter matches, by id.

    ANY as the pattern type stands for both, with the name as it is; MATCH for every pattern that
    fits a resource of the name (KIP-290).
    """
    yield from sorted(
        (acl_id, acl)
        for acl_id, acl in image.acls.items()
        if _matches_pattern(wanted, acl) and _matches_entry(wanted, acl)
    )


def _matches_pattern(wanted: Any, acl: Acl) -> bool:
    if wanted.resource_type_filter not in (ResourceType.ANY, acl.resource_type):
        return False
    kind, name = wanted.pattern_type_filter, wanted.resource_name_filter
    if kind not in (PatternType.ANY, PatternType.MATCH, acl.pattern_type):
        return False
    if name is None:
        return True
    if kind != PatternType.MATCH:
        return bool(name == acl.resource_name)
    if acl.pattern_type == PatternType.PREFIXED:
        return bool(name.startswith(acl.resource_name))
    return acl.resource_name in (name, WILDCARD)


def _matches_entry(wanted: Any, acl: Acl) -> bool:
    return (
        wanted.principal_filter in (None, acl.principal)
        and wanted.host_filter in (None, acl.host)
        and wanted.operation in (Operation.ANY, acl.operation)
        and wanted.permission_type in (Permission.ANY, acl.permission_type)
    )
