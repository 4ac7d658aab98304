"""DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1-3: access control lists.

Behaviour: as Apache Kafka 4.3.1 (KIP-140, KIP-290, KIP-801). Entries are described by the broker
that is asked, from its image, and changed by the controller; an answer comes when this broker's
authorizer has the change. Without an authorizer all three are SECURITY_DISABLED. To describe takes
DESCRIBE on the cluster, to change ALTER.

Known differences: a creation with a code that only filters may have (ANY, MATCH) is
INVALID_REQUEST; Kafka answers the whole request with UNKNOWN_SERVER_ERROR. Resources and entries
come in one order; Kafka's is that of hash maps. Broker and controller of a combined node talk
without connections, so that the broker itself needs no rights; Apache's needs CLUSTER_ACTION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_py.controller.acls import matching
from kafka_py.protocol.acl_types import Operation
from kafka_py.protocol.acls import (
    CreateAclsRequest,
    CreateAclsResponse,
    DeleteAclsRequest,
    DeleteAclsResponse,
    DescribeAclsRequest,
    DescribeAclsResponse,
)
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.dispatch import (
    BROKER,
    CONTROLLER,
    CloseConnection,
    RequestContext,
    handles,
)
from kafka_py.server.refusals import refuse

if TYPE_CHECKING:
    from kafka_py.metadata.types import Acl
    from kafka_py.server.node import Node

EVERYWHERE = (BROKER, CONTROLLER)
Resource = DescribeAclsResponse.DescribeAclsResource
Entry = DescribeAclsResponse.AclDescription


def check_codes(name: str, *codes: int) -> None:
    """Kafka takes a request with a code of UNKNOWN for malformed; raises CloseConnection."""
    if 0 in codes:
        raise CloseConnection(f"{name} with UNKNOWN elements")


def check_filter(name: str, wanted: Any) -> None:
    """The same for a filter."""
    check_codes(
        name,
        wanted.resource_type_filter,
        wanted.pattern_type_filter,
        wanted.operation,
        wanted.permission_type,
    )


@handles(ApiKey.DESCRIBE_ACLS, on=EVERYWHERE, cluster=Operation.DESCRIBE)
def describe_acls(
    node: Node, context: RequestContext, request: DescribeAclsRequest
) -> DescribeAclsResponse:
    """The entries that match a filter, by resource pattern."""
    check_filter("DescribeAcls", request)
    if node.authorizer is None:
        return DescribeAclsResponse(
            error_code=int(ErrorCode.SECURITY_DISABLED),
            error_message="No Authorizer is configured on the broker",
        )
    found: dict[tuple[int, str, int], dict[Acl, None]] = {}
    for _, acl in matching(node.image, request):
        pattern = (acl.resource_type, acl.resource_name, acl.pattern_type)
        found.setdefault(pattern, {})[acl] = None
    return DescribeAclsResponse(
        resources=[
            Resource(
                resource_type=kind,
                resource_name=name,
                pattern_type=pattern_type,
                acls=[
                    Entry(
                        principal=acl.principal,
                        host=acl.host,
                        operation=acl.operation,
                        permission_type=acl.permission_type,
                    )
                    for acl in sorted(acls)
                ],
            )
            for (kind, name, pattern_type), acls in sorted(found.items())
        ]
    )


@handles(ApiKey.CREATE_ACLS, on=EVERYWHERE, cluster=Operation.ALTER)
async def create_acls(
    node: Node, context: RequestContext, request: CreateAclsRequest
) -> CreateAclsResponse:
    """Create entries; each has its own result."""
    for creation in request.creations:
        check_codes(
            "CreateAcls",
            creation.resource_type,
            creation.resource_pattern_type,
            creation.operation,
            creation.permission_type,
        )
    response: CreateAclsResponse
    if node.authorizer is None:
        response = refuse(
            request,
            context.api_version,
            ErrorCode.SECURITY_DISABLED,
            "No Authorizer is configured.",
        )
    else:
        response = await node.submit(request, context)
    return response


@handles(ApiKey.DELETE_ACLS, on=EVERYWHERE, cluster=Operation.ALTER)
async def delete_acls(
    node: Node, context: RequestContext, request: DeleteAclsRequest
) -> DeleteAclsResponse:
    """Delete the entries that match filters; each filter has its own result."""
    for wanted in request.filters:
        check_filter("DeleteAcls", wanted)
    response: DeleteAclsResponse
    if node.authorizer is None:
        response = refuse(
            request,
            context.api_version,
            ErrorCode.SECURITY_DISABLED,
            "No Authorizer is configured.",
        )
    else:
        response = await node.submit(request, context)
    return response
