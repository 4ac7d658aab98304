"""SASL authentication and SCRAM credentials."""

from __future__ import annotations

from kafka_py.protocol.schema import Request, Response, Struct, field
from kafka_py.protocol.types import int8, int16, int32, int64


class SaslHandshakeRequest(Request, key=17, versions=(0, 1), listeners="broker controller"):
    """Choose a SASL mechanism."""

    mechanism: str = ""


class SaslHandshakeResponse(Response, key=17, versions=(0, 1)):
    """The mechanisms that are enabled."""

    error_code: int16 = 0
    mechanisms: list[str] = []


class SaslAuthenticateRequest(
    Request, key=36, versions=(0, 2), flexible=2, listeners="broker controller"
):
    """Carry one step of a SASL exchange."""

    auth_bytes: bytes = field(secret=True)


class SaslAuthenticateResponse(Response, key=36, versions=(0, 2), flexible=2):
    """The server's step, and how long the session lives."""

    error_code: int16 = 0
    error_message: str | None = ""
    auth_bytes: bytes = field(secret=True)
    session_lifetime_ms: int64 = field("1+", ignorable=True)


class DescribeUserScramCredentialsRequest(
    Request, key=50, versions=(0, 0), flexible=0, listeners="broker controller"
):
    """List SCRAM credentials, without secrets (KIP-554)."""

    class UserName(Struct):
        name: str = ""

    users: list[UserName] | None = []


class DescribeUserScramCredentialsResponse(Response, key=50, versions=(0, 0), flexible=0):
    """Answer to `DescribeUserScramCredentialsRequest`."""

    class CredentialInfo(Struct):
        mechanism: int8 = 0
        iterations: int32 = 0

    class DescribeUserScramCredentialsResult(Struct):
        user: str = ""
        error_code: int16 = 0
        error_message: str | None = ""
        credential_infos: list[DescribeUserScramCredentialsResponse.CredentialInfo] = []

    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: str | None = ""
    results: list[DescribeUserScramCredentialsResult] = []


class AlterUserScramCredentialsRequest(
    Request, key=51, versions=(0, 0), flexible=0, listeners="broker controller"
):
    """Set or delete SCRAM credentials (KIP-554)."""

    class ScramCredentialDeletion(Struct):
        name: str = ""
        mechanism: int8 = 0

    class ScramCredentialUpsertion(Struct):
        name: str = ""
        mechanism: int8 = 0
        iterations: int32 = 0
        salt: bytes = field(secret=True)
        salted_password: bytes = field(secret=True)

    deletions: list[ScramCredentialDeletion] = []
    upsertions: list[ScramCredentialUpsertion] = []


class AlterUserScramCredentialsResponse(Response, key=51, versions=(0, 0), flexible=0):
    """Answer to `AlterUserScramCredentialsRequest`."""

    class AlterUserScramCredentialsResult(Struct):
        user: str = ""
        error_code: int16 = 0
        error_message: str | None = ""

    throttle_time_ms: int32 = 0
    results: list[AlterUserScramCredentialsResult] = []
