"""Counting with `counter.c`: builds it, runs a command under it, reads its windows."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import kcore.log

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent

Window = dict[str, int]
"""A count by mapped file, or by the number of a system call."""


class CannotCount(Exception):
    """This machine cannot count; the text says why."""


@functools.cache
def counter() -> Path:
    """The program, compiled. Raises CannotCount."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise CannotCount("counting by single steps is written for Linux on x86-64")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CannotCount("no C compiler for tests/cost/counter.c")
    program = Path(tempfile.mkdtemp(prefix="kafka-py-counter-")) / "counter"
    subprocess.run([compiler, "-O2", "-o", program, HERE / "counter.c"], check=True)
    return program


def environment() -> dict[str, str]:
    """The same hashes and the same memcpy in every run, on every machine."""
    return {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        # What glibc picks by the CPU would differ in instructions, not in what we call.
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-AVX512F_Usable,-ERMS,-FSRM",
    }


def instructions(*command: object) -> list[Window]:
    """Run a command that signals itself; the windows it made. Raises CannotCount."""
    with tempfile.NamedTemporaryFile() as out:
        ran = subprocess.run(
            [str(part) for part in (counter(), "instructions", out.name, *command)],
            env=environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode == 125:
            raise CannotCount(ran.stderr.strip())
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in Path(out.name).read_text().splitlines()]


def ours(window: Window) -> int:
    """Instructions within our own compiled modules."""
    roots = (ROOT / "kcore", ROOT / "kafka_py")
    return sum(
        count
        for path, count in window.items()
        if path.endswith(".so") and any(Path(path).is_relative_to(root) for root in roots)
    )


def compiler_of_ours() -> str:
    """What compiled the modules under test, as "GCC 12": other compilers, other counts."""
    text = Path(kcore.log.__file__).read_bytes()
    found = re.search(rb"(GCC): \([^)]*\) (\d+)\.", text) or re.search(
        rb"(clang) version (\d+)\.", text
    )
    return " ".join(part.decode() for part in found.groups()) if found else "unknown"


def interpreter() -> str:
    """What runs it, to the patch level, with the C library."""
    return (
        f"{platform.python_implementation()} {platform.python_version()} {platform.libc_ver()[1]}"
    )
