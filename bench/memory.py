"""Memory that is there, for passes that fill the page cache.

    python -m bench.memory BYTES

In a virtual machine the first touch of a page that the host has taken back is a fault in the host,
which takes longer than everything a broker does with the page (0.3 us a KiB against 0.1 here), and
free pages go back to the host within two seconds. This process touches memory first, says "ready",
and lets go of it bit by bit as free memory is used, so that what a broker takes has just been let
go. Both sides of a comparison get the same.
"""

import contextlib
import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

AHEAD_BYTES = 512 << 20
STEP_BYTES = 64 << 20
SECONDS_MAX = 60.0


def free_bytes() -> int:
    """Memory that nobody uses, page cache neither."""
    text = Path("/proc/meminfo").read_text()
    return int(text.split("MemFree:")[1].split()[0]) * 1024


def hold(bytes_max: int) -> None:
    """Touch memory, then let go of as much as was used by others, and some ahead of them."""
    size = min(free_bytes() * 6 // 10, bytes_max) // STEP_BYTES * STEP_BYTES
    page = b"\1" * (1 << 20)
    with mmap.mmap(-1, max(size, STEP_BYTES)) as memory:
        for at in range(0, size, len(page)):
            memory[at : at + len(page)] = page
        print("ready", flush=True)
        released = 0
        began_free = free_bytes()
        until = time.monotonic() + SECONDS_MAX
        while released < size and time.monotonic() < until:
            used = began_free + released - free_bytes()
            while released < min(size, used + AHEAD_BYTES):
                memory.madvise(mmap.MADV_DONTNEED, released, STEP_BYTES)
                released += STEP_BYTES
            time.sleep(0.01)


@contextlib.contextmanager
def at_hand(bytes_max: int) -> Iterator[None]:
    """Within it, page cache comes from memory that the host has given already."""
    command = [sys.executable, "-m", "bench.memory", str(bytes_max)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    hold(int(sys.argv[1]))
