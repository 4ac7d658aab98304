"""The one table of file system calls of kcore: counted, and able to fail the Nth call of a kind."""

from os import PathLike
from typing import Final

CALLS: Final[tuple[str, ...]]

def inject(call: str, nth: int, errno: int, times: int = 1) -> None:
    """The nth call (1 = the next one) of that kind fails with errno, `times` times in a row.

    errno 0 on "pwrite" means a short write (half the bytes), which the wrapper must finish.
    Raises KeyError for a name that is not in CALLS."""

def hold(call: str, nth: int = 1) -> None:
    """The nth call of that kind and all later ones wait until clear(): a disk that hangs.

    For calls made without the GIL, as both syncs are. Raises KeyError for an unknown name."""

def clear() -> None:
    """Removes every injected failure and lets go what is held; the counters go on."""

def counts() -> dict[str, int]:
    """How often each call was made since the process started."""

def fired() -> int:
    """How many injected failures have been delivered since the last clear()."""

def set_volatile(directory: str, on: bool) -> None:
    """From now on nothing below that directory is synced (or it is again).

    For temporary directories that are removed at the end, and only for them: a crash of the
    process loses nothing, a power cut everything."""

def is_volatile(path: str | PathLike[str]) -> bool:
    """Whether what is under that path is not synced."""

def fsync_dir(path: str) -> None:
    """Makes the names in that directory durable. Raises OSError."""

def replace_file(path: str, data: bytes | bytearray | memoryview, *, durable: bool = True) -> None:
    """Puts `data` under `path` at once: path + ".tmp", fsync, rename, fsync of the directory.

    A reader sees the old content or the new, never a mixture. durable=False leaves both syncs out.
    Raises OSError; the old file is then still there (unless the last sync failed)."""

def write_file(path: str, data: bytes | bytearray | memoryview, *, durable: bool = True) -> None:
    """Writes a file in place (created, then cut to that length). For files that can be rebuilt."""

def read_file(path: str) -> bytes:
    """The whole content. Raises OSError."""

def rename(source: str, target: str) -> None: ...
def unlink(path: str) -> None: ...
def fsync_file(path: str) -> None:
    """Makes the content of a file durable through a descriptor of its own. Raises OSError."""

def write_at(path: str, position: int, data: bytes | bytearray | memoryview) -> None:
    """Writes at a position of a file, created when missing; not synced. Raises OSError."""
