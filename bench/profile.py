"""Where the broker's time goes in a case: `python -m bench.profile produce-d64 [CASE...]`.

Samples the broker by perf (linux-perf) while load.c drives it, and sums the samples by part: what
the kernel does for which system call, and what our modules, the interpreter and libc do. Printed in
microseconds of CPU a request, with the broker's whole CPU a request as /proc tells it.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bench import measure, memory
from bench.cases import CASES, Case
from bench.compare import MEMORY_BYTES, window
from tests.oracle.node import OurNode, free_port_pair

#: A part's name by what the outermost frames of the kernel say; the first match counts.
KERNEL: Final = (
    ("receive", r"sys_recv|sock_recvmsg"),
    ("send", r"sys_send(to|msg)|sys_write\b|sys_writev"),
    ("sendfile", r"sys_sendfile"),
    ("wait (epoll)", r"sys_epoll"),
    ("page supply (zeros)", r"sys_pwrite"),
    ("page supply (map)", r"sys_madvise"),
    ("page supply (space on disk)", r"sys_fallocate|sys_ftruncate"),
    ("sync", r"sys_fdatasync|sys_fsync"),
    ("page faults", r"exc_page_fault|asm_exc_page"),
    ("threads (futex)", r"sys_futex"),
    ("interrupts", r"asm_sysvec|asm_common_interrupt"),
)
#: A part's name by the module, and by the function within it, that was running.
USER: Final = (
    ("checksum and copy", r"crc32c", r""),
    ("batch check", r"record_batch|kcore/record", r""),
    ("index", r"kcore/index", r""),
    (
        "append",
        r"kcore/(segment|log|append|leader_epoch|producer_state|mapped_file|durability)",
        r"",
    ),
    ("request and reply", r"server/(fast_path|output|lookup|replies|\w*fetch)|replication/", r""),
    ("framing", r"server/(connection|blocks|channel)", r""),
    ("group commit", r"server/(flush|sync_thread)", r""),
    ("coordinator", r"coordinator/", r""),
    ("event loop", r"kafka_py/reactor|uvloop", r""),
    ("our other modules", r"kafka_py/|kcore/", r""),
    ("codec's library", r"site-packages|libz|lz4|zstd|snappy", r""),
    ("memory copies (libc)", r"libc", r"mem(cpy|move|set)"),
    ("libc", r"libc|libpthread|vdso", r""),
    ("interpreter", r"python", r""),
)
FREQUENCY: Final = 8000


def part_of(frames: list[tuple[str, str]]) -> str:
    """The part that a sample belongs to; frames are (symbol, module), the innermost first."""
    symbol, module = frames[0]
    if "vdso" not in module and (module.startswith("[") or module.endswith(".ko")):
        chain = " ".join(name for name, _ in frames)
        for name, pattern in KERNEL:
            if re.search(pattern, chain):
                return name
        return "kernel, other"
    for name, modules, functions in USER:
        if re.search(modules, module) and re.search(functions, symbol):
            return name
    return "other"


def samples(lines: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """The call chains of `perf script -F ip,sym,dso`."""
    frames: list[tuple[str, str]] = []
    for line in lines:
        fields = line.split()
        if not fields:
            if frames:
                yield frames
            frames = []
        elif len(fields) >= 3:
            frames.append((" ".join(fields[1:-1]), fields[-1].strip("()")))
    if frames:
        yield frames


def record(pid: int, path: Path, seconds: float, delay: float) -> None:
    """Sample a process for a while."""
    time.sleep(delay)
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-g"]
    command += ["-p", str(pid), "-o", str(path), "--", "sleep", str(seconds)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def profile(case: Case, seconds: float) -> tuple[measure.Measured, Counter[str]]:
    """One pass of a case: what load.c measured, and samples by part."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-py-prof-")))
        node = stack.enter_context(OurNode(directory / "ours", free_port_pair(20100, 20198)))
        topics = measure.Topics(node)
        if case.fills_memory:
            stack.enter_context(memory.at_hand(MEMORY_BYTES))
        seconds, warm = window(case, [node], {node.kind: topics}, seconds)
        topic = topics.fresh(case)
        if case.kind == "fetch":
            measure.prefill(node, topic, case)
        memory.settle()
        data = directory / "perf.data"
        sampler = threading.Thread(target=record, args=(node.pid, data, 0.8 * seconds, warm + 0.1))
        sampler.start()
        measured = measure.send(case, node, topic, seconds, warm)
        sampler.join()
        command = ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return measured, Counter(part_of(frames) for frames in samples(text.splitlines()))


def show(case: Case, measured: measure.Measured, parts: Counter[str]) -> None:
    """The table of a case, as Markdown."""
    cpu_us = measured["broker_cpu_us_per_request"]
    print(f"\n**{case.title}**: {measured['requests_per_s']:,.0f} requests/s, ", end="")
    print(f"{cpu_us:.2f} us of broker CPU a request\n")
    print("| part | us a request | share |\n|---|---|---|")
    whole = sum(parts.values())
    for name, count in parts.most_common():
        if count >= whole / 200:
            print(f"| {name} | {cpu_us * count / whole:.3f} | {100 * count / whole:.0f} % |")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.profile", description=__doc__)
    parser.add_argument("cases", nargs="+", choices=[case.name for case in CASES])
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    if shutil.which("perf") is None:
        parser.error("perf is not here: install linux-perf")
    for case in CASES:
        if case.name in arguments.cases:
            show(case, *profile(case, arguments.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
