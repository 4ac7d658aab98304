"""Client telemetry (KIP-714)."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, field
from kafka_py.protocol.types import ZERO_UUID, int8, int16, int32, uuid


class GetTelemetrySubscriptionsRequest(Request, key=71, versions=(0, 0), flexible=0):
    """Ask which metrics to push."""

    client_instance_id: uuid = ZERO_UUID


class GetTelemetrySubscriptionsResponse(Response, key=71, versions=(0, 0), flexible=0):
    """Answer to `GetTelemetrySubscriptionsRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    client_instance_id: uuid = ZERO_UUID
    subscription_id: int32 = 0
    accepted_compression_types: list[int8] = []
    push_interval_ms: int32 = 0
    telemetry_max_bytes: int32 = 0
    delta_temporality: bool = False
    requested_metrics: list[str] = []


class PushTelemetryRequest(Request, key=72, versions=(0, 0), flexible=0):
    """Push metrics."""

    client_instance_id: uuid = ZERO_UUID
    subscription_id: int32 = 0
    terminating: bool = False
    compression_type: int8 = 0
    metrics: bytes = field(secret=True)


class PushTelemetryResponse(Response, key=72, versions=(0, 0), flexible=0):
    """Answer to `PushTelemetryRequest`."""

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
