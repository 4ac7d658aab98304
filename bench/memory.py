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
import ctypes
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: The smallest free block that Linux reports to the host (page_reporting_order 9 by default).
REPORTED_BYTES = 2 << 20
#: Of what is free, the share that is made ready: brokers and load generators need some, too.
SHARE_PERCENT = 60
#: What may be unwritten when a pass begins.
SETTLED_BYTES = 64 << 20
SETTLE_SECONDS_MAX = 60.0


def free_bytes() -> int:
    """Memory that nobody uses, page cache neither."""
    text = Path("/proc/meminfo").read_text()
    return int(text.split("MemFree:")[1].split()[0]) * 1024


def unwritten_bytes() -> int:
    """Page cache that has still to be written to the disk, or is being written."""
    text = Path("/proc/meminfo").read_text()
    return sum(int(text.split(f"{name}:")[1].split()[0]) for name in ("Dirty", "Writeback")) * 1024


def unwritten_max() -> int:
    """How much may be unwritten without anybody waiting for it (vm.dirty_background_ratio)."""
    text = Path("/proc/vmstat").read_text()
    return int(text.split("nr_dirty_background_threshold ")[1].split()[0]) * mmap.PAGESIZE


def settle(seconds_max: float = SETTLE_SECONDS_MAX) -> None:
    """Wait until the disk has what earlier passes wrote.

    Above vm.dirty_background_ratio of the memory, 2.3 GB of 24, Linux writes and makes writers wait
    for the disk (measured: 3.9 GB/s before, 1.0 to 1.5 after); who writes first after the other
    side's warm-up would pay for it.
    """
    until = time.monotonic() + seconds_max
    os.sync()
    while unwritten_bytes() > SETTLED_BYTES and time.monotonic() < until:
        time.sleep(0.1)


def hold(bytes_max: int) -> None:
    """Touch memory, let go of nearly all of it, and keep the rest until stdin ends.

    It is taken in huge pages, so that what is kept of each is the last page of a block. MADV_FREE
    breaks them up first: of a whole huge page the kernel would keep all until memory is short.
    """
    size = max(min(free_bytes() * SHARE_PERCENT // 100, bytes_max), 1)
    size = -(-size // REPORTED_BYTES) * REPORTED_BYTES
    # Private: of a shared map MADV_DONTNEED lets nothing go.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, size + REPORTED_BYTES, flags=flags) as memory:
        first = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % REPORTED_BYTES
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(first, first + size, mmap.PAGESIZE):
            memory[at] = 1
        for advice in (mmap.MADV_FREE, mmap.MADV_DONTNEED):
            for at in range(first, first + size, REPORTED_BYTES):
                memory.madvise(advice, at, REPORTED_BYTES - mmap.PAGESIZE)
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
