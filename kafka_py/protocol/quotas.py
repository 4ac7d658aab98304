"""Client quotas (KIP-546)."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct
from kafka_py.protocol.types import float64, int8, int16, int32


class DescribeClientQuotasRequest(Request, key=48, versions=(0, 1), flexible=1):
    """List quotas that match a filter."""

    class ComponentData(Struct):
        entity_type: str = ""
        match_type: int8 = 0
        match: str | None = ""

    components: list[ComponentData] = []
    strict: bool = False


class DescribeClientQuotasResponse(Response, key=48, versions=(0, 1), flexible=1):
    """Answer to `DescribeClientQuotasRequest`."""

    class EntityData(Struct):
        entity_type: str = ""
        entity_name: str | None = ""

    class ValueData(Struct):
        key: str = ""
        value: float64 = 0.0

    class EntryData(Struct):
        entity: list[DescribeClientQuotasResponse.EntityData] = []
        values: list[DescribeClientQuotasResponse.ValueData] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""
    entries: list[EntryData] | None = []


class AlterClientQuotasRequest(
    Request, key=49, versions=(0, 1), flexible=1, listeners="broker controller"
):
    """Set or delete quotas."""

    class EntityData(Struct):
        entity_type: str = ""
        entity_name: str | None = ""

    class OpData(Struct):
        key: str = ""
        value: float64 = 0.0
        remove: bool = False

    class EntryData(Struct):
        entity: list[AlterClientQuotasRequest.EntityData] = []
        ops: list[AlterClientQuotasRequest.OpData] = []

    entries: list[EntryData] = []
    validate_only: bool = False


class AlterClientQuotasResponse(Response, key=49, versions=(0, 1), flexible=1):
    """Answer to `AlterClientQuotasRequest`."""

    class EntityData(Struct):
        entity_type: str = ""
        entity_name: str | None = ""

    class EntryData(Struct):
        error_code: int16 = 0
        error_message: str | None = ""
        entity: list[AlterClientQuotasResponse.EntityData] = []

    throttle_time_ms: int32 = 0
    entries: list[EntryData] = []
