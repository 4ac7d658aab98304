"""Delegation tokens (KIP-48)."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int16, int32, int64


class CreateDelegationTokenRequest(
    Request, key=38, versions=(1, 3), flexible=2, listeners="broker controller"
):
    """Create a delegation token."""

    class CreatableRenewers(Struct):
        principal_type: str = ""
        principal_name: str = ""

    owner_principal_type: str | None = field("3+")
    owner_principal_name: str | None = field("3+")
    renewers: list[CreatableRenewers] = []
    max_lifetime_ms: int64 = 0


class CreateDelegationTokenResponse(Response, key=38, versions=(1, 3), flexible=2):
    """Answer to `CreateDelegationTokenRequest`."""

    error_code: int16 = 0
    principal_type: str = ""
    principal_name: str = ""
    token_requester_principal_type: str = field("3+")
    token_requester_principal_name: str = field("3+")
    issue_timestamp_ms: int64 = 0
    expiry_timestamp_ms: int64 = 0
    max_timestamp_ms: int64 = 0
    token_id: str = ""
    hmac: bytes = field(secret=True)
    throttle_time_ms: int32 = 0


class RenewDelegationTokenRequest(
    Request, key=39, versions=(1, 2), flexible=2, listeners="broker controller"
):
    """Extend a token's life."""

    hmac: bytes = field(secret=True)
    renew_period_ms: int64 = 0


class RenewDelegationTokenResponse(Response, key=39, versions=(1, 2), flexible=2):
    """Answer to `RenewDelegationTokenRequest`."""

    error_code: int16 = 0
    expiry_timestamp_ms: int64 = 0
    throttle_time_ms: int32 = 0


class ExpireDelegationTokenRequest(
    Request, key=40, versions=(1, 2), flexible=2, listeners="broker controller"
):
    """Change when a token expires."""

    hmac: bytes = field(secret=True)
    expiry_time_period_ms: int64 = 0


class ExpireDelegationTokenResponse(Response, key=40, versions=(1, 2), flexible=2):
    """Answer to `ExpireDelegationTokenRequest`."""

    error_code: int16 = 0
    expiry_timestamp_ms: int64 = 0
    throttle_time_ms: int32 = 0


class DescribeDelegationTokenRequest(
    Request, key=41, versions=(1, 3), flexible=2, listeners="broker controller"
):
    """Describe tokens of owners."""

    class DescribeDelegationTokenOwner(Struct):
        principal_type: str = ""
        principal_name: str = ""

    owners: list[DescribeDelegationTokenOwner] | None = []


class DescribeDelegationTokenResponse(Response, key=41, versions=(1, 3), flexible=2):
    """Answer to `DescribeDelegationTokenRequest`."""

    class DescribedDelegationTokenRenewer(Struct):
        principal_type: str = ""
        principal_name: str = ""

    class DescribedDelegationToken(Struct):
        principal_type: str = ""
        principal_name: str = ""
        token_requester_principal_type: str = field("3+")
        token_requester_principal_name: str = field("3+")
        issue_timestamp: int64 = 0
        expiry_timestamp: int64 = 0
        max_timestamp: int64 = 0
        token_id: str = ""
        hmac: bytes = field(secret=True)
        renewers: list[DescribeDelegationTokenResponse.DescribedDelegationTokenRenewer] = []

    error_code: int16 = 0
    tokens: list[DescribedDelegationToken] = []
    throttle_time_ms: int32 = 0
