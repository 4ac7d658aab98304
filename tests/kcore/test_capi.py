"""kcore's C API from outside: the C program and the Cython module of tests/capi, built and run here
with the modules that this process uses (ctest runs them under the sanitizers)."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest

import kcore
from kcore import capi, errors

CAPI = Path(__file__).resolve().parents[1] / "capi"
HEADER = Path(kcore.get_include()) / "kcore.h"
CC = os.environ.get("CC", "cc")

if os.environ.get("KAFKA_PY_SANITIZED"):
    pytest.skip("ctest runs these under the sanitizers", allow_module_level=True)
if not shutil.which(CC) and not os.environ.get("CI"):
    pytest.skip("no C compiler", allow_module_level=True)


def run(*command, **options):
    """Runs a command; its output is the failure's message."""
    ran = subprocess.run(
        [str(part) for part in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=100,
        **options,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture(scope="module")
def environment():
    """What a program needs to import this process's kcore."""
    paths = [str(Path(kcore.__file__).parents[1]), *sys.path[1:]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def python_flags():
    """How to compile against this Python, and how to link with it."""
    variables = sysconfig.get_config_vars()
    library = "python" + (variables.get("LDVERSION") or variables["py_version_short"])
    directories = [variables[name] for name in ("LIBDIR", "LIBPL") if variables.get(name)]
    link = [f"-L{directory}" for directory in directories] + [f"-l{library}"]
    link += [f"-Wl,-rpath,{directory}" for directory in directories[:1]]
    link += (variables.get("LIBS") or "").split() + (variables.get("SYSLIBS") or "").split()
    return ["-I", sysconfig.get_path("include"), "-I", kcore.get_include()], link


def test_a_c_program(tmp_path, environment):
    compile_flags, link_flags = python_flags()
    program = tmp_path / "consumer"
    run(CC, "-std=c11", "-Wall", "-Wextra", "-Werror", *compile_flags, CAPI / "consumer.c",
        "-o", program, *link_flags)  # fmt: skip
    (tmp_path / "data").mkdir()
    text = run(program, tmp_path / "data", env=environment)
    assert f"ok: kcore {kcore.__version__}" in text
    assert "00000000000000000502.log was cut at byte" in text


def test_a_foreign_cython_module(tmp_path, environment):
    pytest.importorskip("Cython")
    compile_flags, _ = python_flags()
    root = Path(kcore.__file__).parents[1]
    run(sys.executable, "-m", "cython", "-3", "-I", root, CAPI / "foreign.pyx", "-o",
        tmp_path / "foreign.c")  # fmt: skip
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    run(CC, "-shared", "-fPIC", "-O0", *compile_flags, tmp_path / "foreign.c", "-o",
        tmp_path / f"foreign{suffix}")  # fmt: skip
    (tmp_path / "data").mkdir()
    command = (sys.executable, CAPI / "run_foreign.py", tmp_path, tmp_path / "data")
    assert run(*command, env=environment) == "ok: foreign\n"


def test_the_header_is_cpp_too(tmp_path):
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "unit.cpp"
    source.write_text("#include <kcore.h>\nint main() { return kcore_import(); }\n")
    run(
        compiler,
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        *python_flags()[0],
        source,
    )


class TestHeader:
    def test_codes_are_one_range_and_have_names(self):
        codes = {
            name: int(number)
            for name, number in re.findall(
                r"^ {4}(KCORE_[A-Z_]+) = (-\d+|0),", HEADER.read_text(), re.M
            )
            if not name.startswith(("KCORE_ORIGIN", "KCORE_CODEC"))
        }
        assert sorted(codes.values(), reverse=True) == list(range(0, -len(codes), -1))
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

        class Table(ctypes.Structure):
            _fields_ = [
                ("abi_version", ctypes.c_int32),
                ("functions", ctypes.c_int32),
                ("version", ctypes.PYFUNCTYPE(ctypes.c_char_p)),
                ("error_message", ctypes.PYFUNCTYPE(ctypes.c_char_p)),
                ("error_name", ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_int)),
            ]

        table = Table.from_address(get(capi.table, b"kcore.capi.table"))
        assert (table.abi_version, table.functions) == (1, 18)
        assert table.version().decode() == kcore.__version__
        assert {name: table.error_name(code).decode() for name, code in codes.items()} == {
            name: name for name in codes
        }

    def test_every_error_of_kcore_has_a_code(self):
        mapped = [classes for classes, _ in capi.STATUSES if not isinstance(classes, tuple)]
        for name in errors.__all__:
            error = getattr(errors, name)
            if error is not errors.KcoreError:
                assert any(issubclass(error, known) for known in mapped), name

    def test_every_function_is_documented_and_in_the_table(self):
        text = HEADER.read_text()
        functions = re.findall(
            r"^static inline KCORE_UNUSED (?:int|const char \*)\s*(kcore_\w+)\(", text, re.M
        )
        table = re.findall(r"^    (?:int|const char \*)\s*\(\*(\w+)\)\(", text, re.M)
        assert [f"kcore_{name}" for name in table] == [
            name for name in functions if name != "kcore_import"
        ]
        assert len(table) == 18
        lines = text.splitlines()
        bare = [
            line
            for before, line in pairwise(lines)
            if line.startswith("static inline KCORE_UNUSED") and not before.endswith("*/")
        ]
        assert bare == []
