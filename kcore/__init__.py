"""kcore: the storage core of kafka_py, usable alone.

Record batches, compression and the append-only log in Apache Kafka's own formats. From Python:
`import kcore`; from Cython: `cimport kcore.record_batch` and its siblings; from C: the headers in
`get_include()`.

The names below are loaded when they are first used, so that `import kcore` costs next to nothing.
"""

from __future__ import annotations

import importlib
import os.path

from kcore.errors import (
    BadCrc,
    BatchTooLarge,
    CorruptBatch,
    CorruptFile,
    DecompressedTooLarge,
    DecompressionFailed,
    DirectoryLocked,
    InvalidProducerEpoch,
    InvalidRecord,
    InvalidTimestamp,
    KcoreError,
    LogFailed,
    NotOneBatch,
    OffsetOutOfRange,
    OutOfOrderSequence,
    UnknownProducer,
    UnsupportedCompression,
    UnsupportedMagic,
)

# As typing's constant: type checkers take it for true, and importing typing costs milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kcore.batch_builder import (
        BatchBuilder,
        build,
        build_control,
        build_end_marker,
        control_key,
        parse_control_key,
        parse_end_marker,
        recompress,
    )
    from kcore.columns import decode_columns
    from kcore.compression import Codec, compress, decompress
    from kcore.log import Log
    from kcore.log_config import LogConfig
    from kcore.record_batch import Record, RecordBatch, batches, validate
    from kcore.scan import verify

__version__ = "0.1.0"

# Where each lazily loaded name lives.
_HOMES = {
    "BatchBuilder": "kcore.batch_builder",
    "build": "kcore.batch_builder",
    "build_control": "kcore.batch_builder",
    "build_end_marker": "kcore.batch_builder",
    "control_key": "kcore.batch_builder",
    "parse_control_key": "kcore.batch_builder",
    "parse_end_marker": "kcore.batch_builder",
    "recompress": "kcore.batch_builder",
    "decode_columns": "kcore.columns",
    "Codec": "kcore.compression",
    "compress": "kcore.compression",
    "decompress": "kcore.compression",
    "Log": "kcore.log",
    "LogConfig": "kcore.log_config",
    "Record": "kcore.record_batch",
    "RecordBatch": "kcore.record_batch",
    "batches": "kcore.record_batch",
    "validate": "kcore.record_batch",
    "verify": "kcore.scan",
}

__all__ = [
    "BadCrc",
    "BatchBuilder",
    "BatchTooLarge",
    "Codec",
    "CorruptBatch",
    "CorruptFile",
    "DecompressedTooLarge",
    "DecompressionFailed",
    "DirectoryLocked",
    "InvalidProducerEpoch",
    "InvalidRecord",
    "InvalidTimestamp",
    "KcoreError",
    "Log",
    "LogConfig",
    "LogFailed",
    "NotOneBatch",
    "OffsetOutOfRange",
    "OutOfOrderSequence",
    "Record",
    "RecordBatch",
    "UnknownProducer",
    "UnsupportedCompression",
    "UnsupportedMagic",
    "batches",
    "build",
    "build_control",
    "build_end_marker",
    "compress",
    "control_key",
    "decode_columns",
    "decompress",
    "get_include",
    "parse_control_key",
    "parse_end_marker",
    "recompress",
    "validate",
    "verify",
]


def get_include() -> str:
    """The directory that holds kcore's C headers and .pxd files, for a compiler's include path."""
    return os.path.dirname(os.path.abspath(__file__))


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kcore' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
