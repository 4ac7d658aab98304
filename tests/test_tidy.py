"""Style as a test: sizes, forbidden imports in the core, documented public names, no leftovers."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ("kcore", "kafka_py/protocol", "kafka_py/config", "kafka_py/metadata") + (
    "kafka_py/controller",
    "kafka_py/replication",
)
MODULE_LINES_MAX = 600
#: A cdef class cannot be spread over files, and declares its locals line by line.
COMPILED_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
BLOB_BYTES_MAX = 256 << 10
#: Modules that are tables from end to end may be long: splitting one would only scatter it.
TABLES = frozenset(
    {
        "tests/oracle/allowed.py",
    }
)


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows (or, without git, that lie here), by pattern."""
    ran = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = ran.stdout.splitlines() if ran.returncode == 0 else []
    if not names:
        names = [
            str(path.relative_to(ROOT))
            for pattern in patterns
            for path in ROOT.rglob(pattern)
            if not {".venv", "build"} & set(path.relative_to(ROOT).parts)
        ]
    return [ROOT / name for name in sorted(set(names)) if (ROOT / name).is_file()]


def relative(path: Path) -> str:
    """The path as messages show it."""
    return path.relative_to(ROOT).as_posix()


def python_files() -> list[Path]:
    """Our own Python, without the tests' data."""
    return tracked("*.py")


def test_modules_are_short() -> None:
    long = [
        f"{relative(path)}: {lines} lines"
        for path in tracked("*.py", "*.pyx", "*.pxd", "*.pyi")
        if (lines := len(path.read_text().splitlines()))
        > (COMPILED_LINES_MAX if path.suffix == ".pyx" else MODULE_LINES_MAX)
        and relative(path) not in TABLES
    ]
    assert not long, "probably two things each: " + ", ".join(long)


def test_functions_are_short() -> None:
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{relative(path)}:{node.lineno} {node.name} {lines}")
    assert not long, ", ".join(long)


def test_every_compiled_module_has_its_declaration() -> None:
    missing = [
        relative(path)
        for path in tracked("*.pyx")
        if "tests" not in path.parts
        and re.search(r"^cdef ", path.read_text(), re.MULTILINE)
        and not path.with_suffix(".pxd").exists()
    ]
    assert not missing, "the .pxd is the class at a glance: " + ", ".join(missing)


FORBIDDEN = re.compile(
    r"^\s*(?:from|import|cimport)\s+(asyncio|uvloop|time|random|secrets|socket|uuid)\b"
    r"|\bos\.(urandom|getrandom|times)\b",
    re.MULTILINE,
)


@pytest.mark.parametrize("package", CORE)
def test_the_core_has_no_clock_randomness_or_network_of_its_own(package: str) -> None:
    found = [
        f"{relative(path)}: {match.group(0).strip()}"
        for path in tracked("*.py", "*.pyx", "*.pxd")
        if relative(path).startswith(package + "/")
        for match in [FORBIDDEN.search(path.read_text())]
        if match
    ]
    assert not found, "they come in from outside (DESIGN: determinism): " + ", ".join(found)


def undocumented(tree: ast.Module) -> list[str]:
    """Public classes and functions, and public methods of public classes, without a docstring."""
    names = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                names.append(node.name)
            if isinstance(node, ast.ClassDef):
                names += [
                    f"{node.name}.{item.name}"
                    for item in node.body
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
                    and not item.name.startswith("_")
                    and not ast.get_docstring(item)
                    and not any(
                        "override" in ast.dump(d)
                        or "overload" in ast.dump(d)
                        or "setter" in ast.dump(d)
                        for d in item.decorator_list
                    )
                ]
    return names


def test_every_public_name_is_documented() -> None:
    missing = [
        f"{relative(path)}: {', '.join(names)}"
        for path in python_files()
        if path.parts[len(ROOT.parts)] in ("kcore", "kafka_py", "bench")
        and (names := undocumented(ast.parse(path.read_text())))
        and path.name != "__init__.py"
    ]
    assert not missing, "\n".join(missing)


def test_nothing_is_left_to_do_in_the_code() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [
        f"{relative(path)}:{number}"
        for path in tracked("*.py", "*.pyx", "*.pxd", "*.pyi", "*.c", "*.h")
        if path.name != "test_tidy.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if words.search(line)
    ]
    assert not found, ", ".join(found)


def test_no_large_blobs() -> None:
    large = [relative(p) for p in tracked("*") if p.stat().st_size > BLOB_BYTES_MAX]
    assert not large, ", ".join(large)


def test_no_paths_of_a_developers_machine() -> None:
    here = re.compile(r"/work/(?:main|shared)|/root/\.")
    found = [
        relative(path)
        for path in tracked("*")
        if path.name != "test_tidy.py"
        and path.suffix not in {".svg", ".png", ".bin"}
        and here.search(path.read_text(errors="ignore"))
    ]
    assert not found, ", ".join(found)
