"""The error table; tests/oracle holds it against Java's, code by code."""

from kafka_py.protocol.errors import ApiError, ErrorCode


def test_the_table() -> None:
    assert [int(code) for code in ErrorCode] == list(range(-1, 137))
    assert ErrorCode(3) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER.retriable
    assert not ErrorCode.INVALID_RECORD.retriable
    assert all(code.message for code in ErrorCode)
    assert ErrorCode.of(82) is ErrorCode.FENCED_INSTANCE_ID
    assert ErrorCode.of(9999) is ErrorCode.UNKNOWN_SERVER_ERROR


def test_an_api_error_says_its_code() -> None:
    error = ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, "no dots")
    assert str(error) == "INVALID_TOPIC_EXCEPTION: no dots"
    assert ApiError(ErrorCode.NONE).message == ErrorCode.NONE.message
