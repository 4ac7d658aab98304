"""How kcore and the compiled parts of kafka_py are built: the only file that knows compiler flags.

Profiles are picked by the environment variable KCORE_PROFILE (default ``release``); CMake and the
Makefile only choose one. KCORE_ONLY (comma separated dotted names) limits a developer's rebuild to
some modules; KCORE_JOBS sets how many compilers run at once. No profile uses ``-march=native``: CPU
features are picked at run time, so that a wheel built here works elsewhere.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HARDENED = ["-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"]
LINK_HARDENED = ["-Wl,-z,relro", "-Wl,-z,now"]
WARNINGS = [
    "-Wall",
    "-Wno-unused-function",
    "-Wno-unreachable-code",
    "-Wno-unused-but-set-variable",
]
SANITIZE = [
    "-fsanitize=address,undefined",
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=undefined",
]

PROFILES: dict[str, dict[str, object]] = {
    "release": {
        "cflags": ["-O3", "-g0", *HARDENED],
        "ldflags": LINK_HARDENED,
        "directives": {},
        "macros": [],
    },
    "debug": {
        "cflags": ["-O0", "-g"],
        "ldflags": [],
        "directives": {"boundscheck": True, "wraparound": True},
        "macros": [("KCORE_DEBUG", "1")],
    },
    "asan": {
        "cflags": ["-O1", "-g", *SANITIZE],
        "ldflags": SANITIZE,
        "directives": {},
        "macros": [("KCORE_DEBUG", "1")],
    },
    "coverage": {
        "cflags": ["-O0", "-g"],
        "ldflags": [],
        "directives": {"linetrace": True},
        "macros": [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")],
    },
    "fuzz": {
        "cflags": ["-O1", "-g", "-fsanitize=address,fuzzer-no-link", "-fno-omit-frame-pointer"],
        "ldflags": ["-fsanitize=address,fuzzer-no-link"],
        "directives": {},
        "macros": [("KCORE_DEBUG", "1")],
    },
}

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": True,
    "embedsignature": False,
}


def sources() -> list[Path]:
    """Every .pyx of the two packages, and every .py with an augmenting .pxd beside it."""
    found: list[Path] = []
    for package in ("kcore", "kafka_py"):
        found += sorted(Path(package).rglob("*.pyx"))
        augmented = (path.with_suffix(".py") for path in Path(package).rglob("*.pxd"))
        found += sorted(p for p in augmented if p.exists() and p.name != "__init__.py")
    return found


def extensions() -> list[Extension]:
    profile = PROFILES[os.environ.get("KCORE_PROFILE", "release")]
    only = {name for name in os.environ.get("KCORE_ONLY", "").split(",") if name}
    made = []
    for path in sources():
        name = ".".join(path.with_suffix("").parts)
        if only and name not in only:
            continue
        made.append(
            Extension(
                name,
                [str(path)],
                include_dirs=["kcore"],
                extra_compile_args=[*profile["cflags"], *WARNINGS],  # type: ignore[misc]
                extra_link_args=list(profile["ldflags"]),  # type: ignore[call-overload]
                define_macros=list(profile["macros"]),  # type: ignore[call-overload]
                depends=[str(p) for p in Path("kcore").glob("*.h")],
            )
        )
    return made


class Build(build_ext):
    """Also writes the codecs that every start needs, so that none is compiled then."""

    def run(self) -> None:
        super().run()
        root = Path(__file__).resolve().parent
        sys.path.insert(0, str(root))
        from kafka_py.protocol.prepare import module_source

        package = (root if self.inplace else Path(self.build_lib)) / "kafka_py" / "protocol"
        package.mkdir(parents=True, exist_ok=True)
        (package / "start_codecs.py").write_text(module_source(), encoding="utf-8")


def main() -> None:
    if os.environ.get("KCORE_PROFILE", "release") not in PROFILES:
        sys.exit(f"KCORE_PROFILE must be one of {', '.join(PROFILES)}")
    profile = PROFILES[os.environ.get("KCORE_PROFILE", "release")]
    jobs = int(os.environ.get("KCORE_JOBS", os.cpu_count() or 1))
    building = any(
        arg.startswith(("build", "bdist", "install", "develop", "editable")) for arg in sys.argv[1:]
    )
    modules = (
        cythonize(
            extensions(),
            nthreads=0 if jobs == 1 else jobs,
            build_dir=os.environ.get("KCORE_BUILD_DIR", "build/cython"),
            compiler_directives={**DIRECTIVES, **profile["directives"]},  # type: ignore[dict-item]
            include_path=["."],
            # Traces of the unoptimised profiles name the lines of the .pyx.
            emit_linenums=os.environ.get("KCORE_PROFILE", "release") != "release",
            show_all_warnings=False,
        )
        if building
        else extensions()
    )
    setup(ext_modules=modules, cmdclass={"build_ext": Build})


if __name__ == "__main__":
    main()
