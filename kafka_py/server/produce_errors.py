"""From what the storage core refuses to what a Produce response says, for both produce paths.

UNKNOWN_SERVER_ERROR is never the answer to a produce: idempotent clients react to it in ways that
break consistency.
"""

from typing import Any, Final

from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.produce import ProduceResponse
from kcore import errors as kcore_errors
from kcore.errors import KcoreError
from kcore.values import frozen

__all__ = ["ProduceProblem", "describe", "error_code", "with_errors"]


@frozen
class ProduceProblem:
    """Why a partition's batch was refused.

    The wire's code, and from version 8 on which records are to blame and why.
    """

    code: int
    message: str | None = None
    record_errors: tuple[tuple[int, str | None], ...] = ()
    log_start_offset: int = -1


_CODES: Final[dict[str, ErrorCode]] = {
    "BatchTooLarge": ErrorCode.MESSAGE_TOO_LARGE,
    "DecompressedTooLarge": ErrorCode.MESSAGE_TOO_LARGE,
    "UnsupportedMagic": ErrorCode.INVALID_RECORD,
    "UnsupportedCompression": ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    "InvalidTimestamp": ErrorCode.INVALID_TIMESTAMP,
    "InvalidRecord": ErrorCode.INVALID_RECORD,
    "OutOfOrderSequence": ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    "InvalidProducerEpoch": ErrorCode.INVALID_PRODUCER_EPOCH,
    "InvalidTxnState": ErrorCode.INVALID_TXN_STATE,
    "UnknownProducer": ErrorCode.UNKNOWN_PRODUCER_ID,
    "CoordinatorFenced": ErrorCode.TRANSACTION_COORDINATOR_FENCED,
    "LogFailed": ErrorCode.KAFKA_STORAGE_ERROR,
    "CorruptBatch": ErrorCode.CORRUPT_MESSAGE,
    "OffsetOutOfRange": ErrorCode.OFFSET_OUT_OF_RANGE,
}


def error_code(error: KcoreError) -> ErrorCode:
    """The wire's code for a refusal of the storage core.

    It is KAFKA_STORAGE_ERROR for anything about files.
    """
    for kind in type(error).__mro__:
        found = _CODES.get(kind.__name__)
        if found is not None and kind.__module__ == kcore_errors.__name__:
            return found
    return ErrorCode.KAFKA_STORAGE_ERROR


#: Refusals for which a response tells no log start offset: the log was not asked, or is gone.
_WITHOUT_LOG_START: Final = (
    kcore_errors.BatchTooLarge,
    kcore_errors.DecompressedTooLarge,
    kcore_errors.CorruptBatch,
    kcore_errors.LogFailed,
    kcore_errors.NotOneBatch,
    kcore_errors.UnsupportedMagic,
)


def describe(error: KcoreError, partition: Any) -> ProduceProblem:
    """What the response says of one partition; a text only where single records are to blame, or
    where the batch's length is, as with Kafka."""
    records = tuple(getattr(error, "record_errors", ()))
    explained = records or type(error) is kcore_errors.CorruptBatch
    return ProduceProblem(
        int(error_code(error)),
        str(error) if explained else None,
        records,
        -1 if isinstance(error, _WITHOUT_LOG_START) else partition.log_start_offset,
    )


def with_errors(frame: bytes, version: int, errors: dict[tuple[bytes | str, int], int]) -> bytes:
    """A made reply (its whole frame) again, now that some partitions failed after their append.

    ``errors``: {(topic id from version 13 on, name before; partition): the wire's code}.
    """
    header = 9 if version >= 9 else 8
    response = ProduceResponse.decode(frame[header:], version)
    for topic in response.responses:
        key = topic.topic_id if version >= 13 else topic.name
        for one in topic.partition_responses:
            code = errors.get((key, one.index))
            if code is not None:
                one.error_code = code
                one.base_offset = -1
                one.log_append_time_ms = -1
                one.log_start_offset = -1
    body = response.encode(version)
    return (header - 4 + len(body)).to_bytes(4, "big") + frame[4:header] + body
