"""The wire types of Kafka's protocol, as annotations of message fields, and topic-id text helpers.

``str``, ``bytes``, ``bool`` and ``list[...]`` are wire types by themselves; the others are aliases
of Python types that carry a `Wire` mark for the codec generator. ``X | None`` means nullable.
"""

import base64
from typing import Annotated, NamedTuple


class Wire(NamedTuple):
    """Mark of a wire type: its name, its ``struct`` code ("" when of no fixed width) and width in
    bytes."""

    name: str
    code: str
    width: int


int8 = Annotated[int, Wire("int8", "b", 1)]
int16 = Annotated[int, Wire("int16", "h", 2)]
int32 = Annotated[int, Wire("int32", "i", 4)]
int64 = Annotated[int, Wire("int64", "q", 8)]
uint16 = Annotated[int, Wire("uint16", "H", 2)]
uint32 = Annotated[int, Wire("uint32", "I", 4)]
float64 = Annotated[float, Wire("float64", "d", 8)]
uuid = Annotated[bytes, Wire("uuid", "16s", 16)]
record_batches = Annotated[memoryview | bytes, Wire("records", "", 0)]
"""Record batches: decoded as a memoryview into the frame, encoded without a copy by
``encode_parts``."""

BOOL = Wire("bool", "?", 1)
STRING = Wire("string", "", 0)
BYTES = Wire("bytes", "", 0)

ZERO_UUID = bytes(16)
"""The id that says "no topic" (or "directory unassigned")."""
METADATA_TOPIC_ID = bytes(15) + b"\x01"
"""The fixed topic id of ``__cluster_metadata``."""


def uuid_to_text(value: bytes) -> str:
    """Kafka's text form of a 16-byte id: URL-safe base64 without padding, 22 characters."""
    if len(value) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(value)}")
    return base64.urlsafe_b64encode(value)[:22].decode()


def uuid_from_text(text: str) -> bytes:
    """The 16 bytes of Kafka's text form; ValueError when it is not one."""
    if len(text) != 22:
        raise ValueError(f"the text of an id has 22 characters, not {len(text)}: {text!r}")
    value = base64.urlsafe_b64decode(text + "==")
    if len(value) != 16:
        raise ValueError(f"not the text of an id: {text!r}")
    return value
