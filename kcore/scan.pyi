"""Types of kcore.scan."""

import os
from typing import NamedTuple

from typing_extensions import Buffer

class Damage(NamedTuple):
    """A place where a log is wrong: the byte, the offset that should have come there, and why."""

    file: str
    position: int
    offset: int
    reason: str

class Verified(NamedTuple):
    """What a verification has seen; damage is empty when all is sound.

    Batches, records and bytes are of what is sound. zeros_bytes: preallocated room behind the
    batches of a file.
    """

    files: int
    batches: int
    records: int
    bytes: int
    zeros_bytes: int
    first_offset: int
    next_offset: int
    damage: tuple[Damage, ...]

def check(buffer: Buffer, base_offset: int | None = None) -> Verified:
    """Verify the batches of a buffer: an mmap, a slice of a log, a fetch answer.

    base_offset is that of the segment, by default the first batch's own. Lengths, magic, checksums
    and the order of offsets are checked; payloads stay compressed. Lets the GIL go from 64 KiB on.
    """

def verify(path: str | os.PathLike[str]) -> Verified:
    """Verify a .log file, or all segments of a partition's directory, in order.

    As `check`; besides, no segment may begin below the end of the one before it. A batch with a
    wrong checksum is reported and stepped over, behind an impossible length the rest of the file is
    not read. Reads only, without the GIL; the broker should not be writing to the files. Raises
    OSError for what cannot be read, disk errors included; FileNotFoundError for a path that is not
    there.
    """
