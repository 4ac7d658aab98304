"""The exceptions that kcore raises: one tree, one root, nothing of the wire in it.

Everything that kcore refuses is a `KcoreError`; which error code of the protocol it becomes is
decided by kafka_py.server. `CorruptBatch` means that the bytes are not what their writer wrote
(Kafka: CORRUPT_MESSAGE); `InvalidRecord` means that they are intact and still not acceptable
(Kafka: INVALID_RECORD).
"""

from __future__ import annotations

__all__ = [
    "BadCrc",
    "BatchTooLarge",
    "CoordinatorFenced",
    "CorruptBatch",
    "CorruptFile",
    "CorruptLog",
    "DecompressedTooLarge",
    "DecompressionFailed",
    "DirectoryLocked",
    "InvalidProducerEpoch",
    "InvalidRecord",
    "InvalidTimestamp",
    "InvalidTxnState",
    "KcoreError",
    "LogFailed",
    "OffsetOutOfRange",
    "OffsetsOutOfOrder",
    "OutOfOrderSequence",
    "UnknownProducer",
    "UnsupportedCompression",
    "UnsupportedMagic",
]


class KcoreError(Exception):
    """The root of everything that kcore raises on purpose."""


class CorruptBatch(KcoreError):
    """A record batch whose length or checksum is wrong, or which was cut short.

    `reason` says what; `position` is the byte at which the batch begins, where that is known.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (batch at byte {position})")
        self.reason = reason
        self.position = position


class BadCrc(CorruptBatch):
    """The stored CRC-32C is not that of the bytes."""


class DecompressionFailed(CorruptBatch):
    """The compressed payload is not what its codec calls well formed."""


class InvalidRecord(KcoreError):
    """A batch with a correct checksum whose content is refused.

    `record_errors` holds (index of the record in the batch, what is wrong with it), for the
    record_errors field of a Produce answer; it is empty when the batch as a whole is refused, and
    holds the first thousand at most.
    """

    def __init__(self, reason: str, record_errors: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.record_errors = record_errors


class NotOneBatch(InvalidRecord):
    """What should be exactly one record batch is none, a part of one, or more."""


class InvalidTimestamp(KcoreError):
    """Records whose timestamps are outside the topic's window, or of a type that only brokers set.

    `record_errors` as in `InvalidRecord`.
    """

    def __init__(self, reason: str, record_errors: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.record_errors = record_errors


class BatchTooLarge(KcoreError):
    """A batch of more bytes than max.message.bytes (or than a segment) allows."""


class UnsupportedMagic(KcoreError):
    """A message set of magic 0 or 1, which Kafka 4 no longer takes, or of a magic yet unknown."""


class UnsupportedCompression(KcoreError):
    """A codec number that does not exist, or one that the request's version may not use."""


class DecompressedTooLarge(KcoreError):
    """The payload would become larger than the caller's limit; it was not decompressed further."""


class OffsetOutOfRange(KcoreError):
    """An offset below the log's start or above its end."""


class OffsetsOutOfOrder(KcoreError):
    """Batches copied from a leader whose offsets do not follow the log's end, or one another."""


class OutOfOrderSequence(KcoreError):
    """An idempotent producer's batch that does not follow the one before it."""


class InvalidProducerEpoch(KcoreError):
    """A batch of a producer epoch that a newer one has fenced."""


class UnknownProducer(KcoreError):
    """A producer id that the log knows nothing of, where it has to."""


class LogFailed(KcoreError):
    """The disk failed under this log directory; it takes no more writes until it is opened anew."""


class DirectoryLocked(KcoreError):
    """Another process, or another part of this one, has the directory open."""


class InvalidTxnState(KcoreError):
    """A batch outside of the transaction that its producer has open."""


class CoordinatorFenced(KcoreError):
    """A transaction marker of a coordinator that a newer one has replaced."""


class CorruptFile(KcoreError):
    """A checkpoint, snapshot or index whose content is not what its format allows.

    `reason` says what is wrong, `where` names the file and `position` the byte at which it is
    wrong, each None where it is not known.
    """

    def __init__(self, reason: str, where: str | None = None, position: int | None = None) -> None:
        place = "" if position is None else f"byte {position}: "
        super().__init__(f"{'' if where is None else f'{where}: '}{place}{reason}")
        self.reason = reason
        self.where = where
        self.position = position


class CorruptLog(KcoreError):
    """Bytes that were durable once are damaged or gone: below the recovery point, or in a closed
    segment.

    Not what a crash leaves behind (such a torn tail is cut silently and reported): the replica must
    be fetched anew, or opened with truncate_corrupt.
    """
