"""Types of kcore.crc32c."""

from typing_extensions import Buffer

def crc32c(data: Buffer, crc: int = 0) -> int:
    """The CRC-32C of a buffer, going on from crc. Lets the GIL go from 64 KiB on."""

def crc32c_with(implementation: str, data: Buffer, crc: int = 0) -> int:
    """As `crc32c`, by an implementation named in `implementations()`; ValueError for another."""

def copy_with(implementation: str, target: Buffer, data: Buffer, crc: int = 0) -> int:
    """The sum of `data` and, on the way, its copy at the beginning of `target`, as an append does.

    ValueError for a name that is not in `implementations()` or a target that is too short.
    """

def implementations() -> tuple[str, ...]:
    """The implementations that this CPU can run, the one in use first."""
