"""Dynamic configuration of topics, brokers, groups and client metrics."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32


class DescribeConfigsRequest(
    Request, key=32, versions=(1, 4), flexible=4, listeners="broker controller"
):
    """Read configuration, with sources and synonyms."""

    class DescribeConfigsResource(Struct):
        resource_type: int8 = 0
        resource_name: str = ""
        configuration_keys: list[str] | None = []

    resources: list[DescribeConfigsResource] = []
    include_synonyms: bool = False
    include_documentation: bool = field("3+")


class DescribeConfigsResponse(Response, key=32, versions=(1, 4), flexible=4):
    """Configuration entries of each resource."""

    class DescribeConfigsSynonym(Struct):
        name: str = ""
        value: str | None = ""
        source: int8 = 0

    class DescribeConfigsResourceResult(Struct):
        name: str = ""
        value: str | None = ""
        read_only: bool = False
        config_source: int8 = -1
        is_sensitive: bool = False
        synonyms: list[DescribeConfigsResponse.DescribeConfigsSynonym] = []
        config_type: int8 = field("3+", ignorable=True)
        documentation: str | None = field("3+", ignorable=True)

    class DescribeConfigsResult(Struct):
        error_code: int16 = 0
        error_message: str | None = ""
        resource_type: int8 = 0
        resource_name: str = ""
        configs: list[DescribeConfigsResponse.DescribeConfigsResourceResult] = []

    throttle_time_ms: int32 = 0
    results: list[DescribeConfigsResult] = []


class AlterConfigsRequest(
    Request, key=33, versions=(0, 2), flexible=2, listeners="broker controller"
):
    """Replace the whole configuration of resources."""

    class AlterableConfig(Struct):
        name: str = ""
        value: str | None = field(secret=True)

    class AlterConfigsResource(Struct):
        resource_type: int8 = 0
        resource_name: str = ""
        configs: list[AlterConfigsRequest.AlterableConfig] = []

    resources: list[AlterConfigsResource] = []
    validate_only: bool = False


class AlterConfigsResponse(Response, key=33, versions=(0, 2), flexible=2):
    """Answer to `AlterConfigsRequest`."""

    class AlterConfigsResourceResponse(Struct):
        error_code: int16 = 0
        error_message: str | None = ""
        resource_type: int8 = 0
        resource_name: str = ""

    throttle_time_ms: int32 = 0
    responses: list[AlterConfigsResourceResponse] = []


class IncrementalAlterConfigsRequest(
    Request, key=44, versions=(0, 1), flexible=1, listeners="broker controller"
):
    """Set, delete, append to or subtract from single configurations (KIP-339)."""

    class AlterableConfig(Struct):
        name: str = ""
        config_operation: int8 = 0
        value: str | None = field(secret=True)

    class AlterConfigsResource(Struct):
        resource_type: int8 = 0
        resource_name: str = ""
        configs: list[IncrementalAlterConfigsRequest.AlterableConfig] = []

    resources: list[AlterConfigsResource] = []
    validate_only: bool = False


class IncrementalAlterConfigsResponse(Response, key=44, versions=(0, 1), flexible=1):
    """Answer to `IncrementalAlterConfigsRequest`."""

    class AlterConfigsResourceResponse(Struct):
        error_code: int16 = 0
        error_message: str | None = ""
        resource_type: int8 = 0
        resource_name: str = ""

    throttle_time_ms: int32 = 0
    responses: list[AlterConfigsResourceResponse] = []


class ListConfigResourcesRequest(Request, key=74, versions=(0, 1), flexible=0):
    """List the resources that have configuration."""

    resource_types: list[int8] = field("1+")  # KIP-1142


class ListConfigResourcesResponse(Response, key=74, versions=(0, 1), flexible=0):
    """Answer to `ListConfigResourcesRequest`."""

    class ConfigResource(Struct):
        resource_name: str = ""
        resource_type: int8 = field("1+", 16, ignorable=True)  # KIP-1142

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    config_resources: list[ConfigResource] = []
