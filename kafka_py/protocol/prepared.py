"""Codecs and constructors that the build wrote out, so that a start compiles none.

`prepare` writes them to ``start_codecs.py``, which Python keeps as bytecode like any module. They
are what the generators would make, held to that by a check sum of what they were made from: after a
change of a table or a generator, and without a build, everything is compiled on first use instead.
"""

from __future__ import annotations

import functools
import operator
import os
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["SOURCES", "bind", "codec", "constructor", "factories", "sources_crc"]

SOURCES = (
    "schema",
    "types",
    "codegen",
    "decoding",
    "encoding",
    "prepare",
    "api_versions",
    "brokers",
    "headers",
    "records_metadata",
    "records_raft",
)
"""The modules of this package that the prepared functions follow from."""

Factory = Callable[[Any], Any]
"""Makes a prepared function, given the message class that it belongs to."""


def sources_crc() -> int | None:
    """A check sum of the sources, or None where only bytecode is installed."""
    crc = 0
    try:
        for name in SOURCES:
            with open(os.path.join(os.path.dirname(__file__), f"{name}.py"), "rb") as file:
                crc = zlib.crc32(file.read(), crc)
    except FileNotFoundError:
        return None
    return crc


@functools.cache
def factories() -> Mapping[tuple[object, ...], Factory]:
    """All that was prepared; nothing before a build, or when it was made from something else."""
    try:
        from kafka_py.protocol import start_codecs
    except ImportError:
        return {}
    return start_codecs.FACTORIES if sources_crc() in (start_codecs.SOURCES_CRC, None) else {}


def bind() -> None:
    """Give all messages what was prepared for them, rather than each on its first use."""
    for module, name, *version in factories():
        cls = operator.attrgetter(str(name))(import_module(str(module)))
        if version:
            cls.prepare(version[0])
        else:
            cls()


def codec(cls: type[Any], version: int, kind: str) -> Any:
    """The "decoder" or "encoder" of a message version, if it was prepared."""
    factory = factories().get((cls.__module__, cls.__qualname__, version, kind))
    return factory and factory(cls)


def constructor(cls: type[Any]) -> Any:
    """The ``__init__`` of a message or of a struct in one, if it was prepared."""
    factory = factories().get((cls.__module__, cls.__qualname__))
    return factory and factory(cls.__owner__ or cls)
