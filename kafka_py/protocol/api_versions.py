"""What a broker serves: the first question that clients ask."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int16, int32, int64


class ApiVersionsRequest(
    Request, key=18, versions=(0, 5), flexible=3, listeners="broker controller"
):
    """Ask which APIs and versions the node serves."""

    client_software_name: str = field("3+", ignorable=True)
    client_software_version: str = field("3+", ignorable=True)
    cluster_id: str | None = field("5+", None, ignorable=True)  # KIP-1242
    node_id: int32 = field("5+", -1, ignorable=True)  # KIP-1242


class ApiVersionsResponse(Response, key=18, versions=(0, 5), flexible=3):
    """The served APIs, and the cluster's features. v5 (4.4) tells clients to bootstrap again
    (KIP-1242)."""

    class ApiVersion(Struct):
        api_key: int16 = 0
        min_version: int16 = 0
        max_version: int16 = 0

    class SupportedFeatureKey(Struct):
        name: str = ""
        min_version: int16 = 0
        max_version: int16 = 0

    class FinalizedFeatureKey(Struct):
        name: str = ""
        max_version_level: int16 = 0
        min_version_level: int16 = 0

    error_code: int16 = 0
    api_keys: list[ApiVersion] = []
    throttle_time_ms: int32 = field("1+", ignorable=True)
    supported_features: list[SupportedFeatureKey] = field("3+", tag=0, ignorable=True)  # KIP-584
    finalized_features_epoch: int64 = field("3+", -1, tag=1, ignorable=True)  # KIP-584
    finalized_features: list[FinalizedFeatureKey] = field("3+", tag=2, ignorable=True)  # KIP-584
    zk_migration_ready: bool = field("3+", tag=3, ignorable=True)  # KIP-866
