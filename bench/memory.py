"""Memory that is there, for passes that fill the page cache.

    python -m bench.memory BYTES

In a virtual machine the first touch of a page that the host has taken back is a fault in the host,
which takes longer than everything a broker does with the page (1.1 to 1.3 us a KiB against 0.25,
measured), and free pages go back to the host within two seconds (free page reporting). The kernel
reports free blocks of 2 MiB and larger, nothing smaller. So this process touches memory, says
"ready", and lets go of all but the last page of each 2 MiB: what is free then stays with the
machine as long as this process lives, whoever uses it and frees it again. Both sides of a
comparison get the same, and one feeding lasts for all their passes.

The page cache gets folios of up to 1 MiB from such memory, none of 2 MiB.
"""

import contextlib
import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: The smallest free block that Linux reports to the host (page_reporting_order 9 by default).
REPORTED_BYTES = 2 << 20
#: Of what is free, the share that is made ready: brokers and load generators need some, too.
SHARE_PERCENT = 60


def free_bytes() -> int:
    """Memory that nobody uses, page cache neither."""
    text = Path("/proc/meminfo").read_text()
    return int(text.split("MemFree:")[1].split()[0]) * 1024


def hold(bytes_max: int) -> None:
    """Touch memory, let go of nearly all of it, and keep the rest until stdin ends.

    Pages of a small size are touched one after the other: the kernel then gives them in order,
    so that one of 512 is one of each block, or nearly.
    """
    size = max(min(free_bytes() * SHARE_PERCENT // 100, bytes_max), 1)
    size = -(-size // REPORTED_BYTES) * REPORTED_BYTES
    page = b"\1" * (1 << 20)
    # Private: of a shared map MADV_DONTNEED lets nothing go.
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, size, len(page)):
            memory[at : at + len(page)] = page
        for at in range(0, size, REPORTED_BYTES):
            memory.madvise(mmap.MADV_DONTNEED, at, REPORTED_BYTES - mmap.PAGESIZE)
        print("ready", flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def at_hand(bytes_max: int) -> Iterator[None]:
    """Within it, page cache comes from memory that the host has given already."""
    command = [sys.executable, "-m", "bench.memory", str(bytes_max)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    hold(int(sys.argv[1]))
