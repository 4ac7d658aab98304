"""ApiVersions (key 18), versions 0-4: what this listener answers, and the cluster's features.

Behaviour: as Apache Kafka 4.3.1. The list is the dispatch table's own, so that it cannot promise
what is not there. Client names that are not a name (KIP-511) are INVALID_REQUEST; a version that is
not known is answered in version 0 by the connection.

Known differences: supported features with a lowest level of 0 are left out below version 4, as
Apache does (KAFKA-17011).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kafka_py.metadata.features import SUPPORTED
from kafka_py.protocol.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.registry import ApiKey
from kafka_py.server.dispatch import BROKER, CONTROLLER, RequestContext, advertised, handles

if TYPE_CHECKING:
    from kafka_py.server.node import Node

CLIENT_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


@handles(ApiKey.API_VERSIONS, versions=(0, 4), on=(BROKER, CONTROLLER))
def api_versions(
    node: Node, context: RequestContext, request: ApiVersionsRequest
) -> ApiVersionsResponse:
    """Answer from the dispatch table and the image."""
    if context.api_version >= 3 and not valid_client(request):
        return ApiVersionsResponse(error_code=int(ErrorCode.INVALID_REQUEST))
    if context.connection is not None and context.api_version >= 3:
        context.connection.software_name = request.client_software_name
        context.connection.software_version = request.client_software_version
    response = ApiVersionsResponse(
        api_keys=[
            ApiVersionsResponse.ApiVersion(api_key=key, min_version=lowest, max_version=highest)
            for key, lowest, highest in advertised(context.role)
        ]
    )
    if context.api_version >= 3:
        add_features(node, context, response)
    return response


def valid_client(request: ApiVersionsRequest) -> bool:
    """Whether the client's name and version are of the form that KIP-511 allows."""
    return (
        CLIENT_NAME.fullmatch(request.client_software_name) is not None
        and CLIENT_NAME.fullmatch(request.client_software_version) is not None
    )


def add_features(node: Node, context: RequestContext, response: ApiVersionsResponse) -> None:
    """Feature levels: what this node supports, and what the cluster has finalized (KIP-584)."""
    image = node.image
    response.supported_features = [
        ApiVersionsResponse.SupportedFeatureKey(
            name=name, min_version=levels.min, max_version=levels.max
        )
        for name, levels in SUPPORTED.items()
        if levels.min > 0 or context.api_version >= 4
    ]
    response.finalized_features_epoch = image.offset
    response.finalized_features = [
        ApiVersionsResponse.FinalizedFeatureKey(
            name=name, max_version_level=level, min_version_level=level
        )
        for name, level in image.features.items()
        if level > 0
    ]
