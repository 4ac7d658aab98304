"""Compile kcore and kafka_py's compiled modules in place, one line of progress a module.

The compilers' output is shown only when something fails: a newcomer sees what is being built and
how far it is.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

SOURCES = sorted([*Path("kcore").rglob("*.pyx"), *Path("kafka_py").rglob("*.pyx")]) + sorted(
    path.with_suffix(".py")
    for path in Path("kafka_py").rglob("*.pxd")
    if path.with_suffix(".py").exists()
)


def show(done: int, total: int, name: str, live: bool) -> None:
    bar = "#" * (24 * done // total)
    line = f"==> compiling [{bar:<24}] {done:>2}/{total} {name:<40}"
    print(f"\r{line}" if live else line, end="" if live else "\n", flush=True)


def main() -> int:
    began, log, seen = time.monotonic(), [], set()
    live = sys.stdout.isatty()
    command = [sys.executable, "setup.py", "build_ext", "--inplace", "-j", str(os.cpu_count() or 1)]
    names = {".".join(p.with_suffix("").parts) for p in SOURCES}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.append(line)
            match = re.search(r"(?:-c|building '|copying build/)\s*(\S+)", line)
            if not match:
                continue
            text = match.group(1).replace("/", ".")
            for name in names - seen:
                if text.endswith((f"{name}.c", f"{name}'")):
                    seen.add(name)
                    show(len(seen), len(names), name, live)
    if live and seen:
        print()
    if process.returncode:
        print("".join(log[-60:]), file=sys.stderr)
        print("kafka_py: the compiler stopped; its last words are above.", file=sys.stderr)
        return 1
    print(f"==> {len(names)} compiled modules ready ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
