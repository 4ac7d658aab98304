"""Compiled parts of the benches, built when they are first asked for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "bench" / "out" / "compiled"


def load(name: str) -> ModuleType:
    """Build bench/compiled/NAME.pyx against the kcore of this tree, and import it."""
    source = Path(__file__).parent / f"{name}.pyx"
    BUILT.mkdir(parents=True, exist_ok=True)
    made = BUILT / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    cython = [sys.executable, "-m", "cython", "-3", "-X", "boundscheck=False", "-X"]
    cython += ["wraparound=False", "-I", str(ROOT), str(source), "-o", str(BUILT / f"{name}.c")]
    subprocess.run(cython, check=True, cwd=ROOT)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    compiler += ["-O2", "-shared", "-fPIC", "-w", f"-I{sysconfig.get_path('include')}"]
    compiler += [f"-I{ROOT / 'kcore'}", str(BUILT / f"{name}.c"), "-o", str(made)]
    subprocess.run(compiler, check=True)
    spec = importlib.util.spec_from_file_location(name, made)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
