"""Build what is compiled under ASan and UBSan beside the tree; run its tests or the fuzzers on it.

``setup.py build`` places every file in build/asan/lib, so that no release module can shadow a
sanitized one; Python runs with -P for the same reason. Leak detection is off: CPython keeps memory
until it ends.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "asan"
FUZZERS = (
    "tests.fuzz.batch",
    "tests.fuzz.append",
    "tests.fuzz.lz4",
    "tests.fuzz.request",
    "tests.fuzz.groups",
)
TESTS = (
    "tests/kcore",
    "tests/fuzz",
    "tests/coordinator/offsets",
    "tests/coordinator/test_loading.py",
    "tests/test_event_loop.py",
    "tests/server/test_connection.py",
    "tests/server/test_limits.py",
    "tests/server/test_flush.py",
    "tests/server/test_sync_thread.py",
    "tests/server/test_lookup.py",
    "tests/server/test_fast_path.py",
)


def build() -> Path:
    """Compile the asan profile; returns the directory to import from."""
    lib = BUILD / "lib"
    env = {**os.environ, "KCORE_PROFILE": "asan", "KCORE_BUILD_DIR": str(BUILD / "cython")}
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(lib)]
    command += ["--build-temp", str(BUILD / "temp"), "build_ext", "-j", str(os.cpu_count() or 1)]
    ran = subprocess.run(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if ran.returncode:
        sys.exit(ran.stdout[-4000:])
    link = lib / "tests"
    if not link.exists():
        link.symlink_to(ROOT / "tests")
    return lib


def library(name: str) -> str:
    """The full name of a sanitizer's run-time library, as the compiler knows it."""
    compiler = os.environ.get("CC", "cc")
    return subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip()


def environment(lib: Path) -> dict[str, str]:
    """What a sanitized Python needs."""
    return {
        **os.environ,
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(lib),
        "KAFKA_PY_SANITIZED": "1",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def main() -> int:
    """Run the tests of kcore (default), or each fuzzer for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fuzz", type=float, metavar="SECONDS", help="run the fuzzers instead")
    parser.add_argument("tests", nargs="*", default=TESTS)
    arguments = parser.parse_args()
    lib = build()
    env = environment(lib)
    runs = [[*("-m", "pytest", "-q", "-o", "timeout=600", "-c", str(ROOT / "pyproject.toml"))]]
    runs[0] += ["--rootdir", str(lib), *(str(lib / name) for name in arguments.tests)]
    if arguments.fuzz:
        runs = [["-m", fuzzer, "--seconds", str(arguments.fuzz)] for fuzzer in FUZZERS]
    for run in runs:
        status = subprocess.run([sys.executable, "-P", *run], cwd=lib, env=env).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
