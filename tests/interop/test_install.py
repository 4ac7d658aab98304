"""`pip install .` into a clean environment: both packages and the command, without the Makefile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

USE = """
import kafka_py, kcore, numpy, sys
from pathlib import Path
assert not Path(kcore.__file__).is_relative_to(sys.argv[1]), kcore.__file__
log = kcore.Log.open(sys.argv[2] + "/events-0", kcore.LogConfig(), now_ms=0, clean=False)
log.append(kcore.build([(b"key", b"value", {}, 5)] * 3), leader_epoch=0, now_ms=5)
columns = kcore.decode_columns(log.read(0, 1 << 20).view)
assert columns["offset"].tolist() == [0, 1, 2]
log.close()
with kafka_py.Broker() as broker:
    print("serving", broker.bootstrap_servers)
assert Path(kcore.__file__).with_name("kcore.h").exists()
"""


def run(*command: object, cwd: Path) -> str:
    """Run a command outside of the tree; what it printed."""
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    return ran.stdout


@pytest.mark.timeout(900)
def test_a_clean_environment(tmp_path: Path) -> None:
    """The wheel is built by pip from this tree's files, in a directory of its own."""
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    source = tmp_path / "source"
    run("git", "clone", "-q", ROOT, source, cwd=tmp_path)
    run(python, "-m", "pip", "install", "-q", source, cwd=tmp_path)
    assert "serving 127.0.0.1:" in run(python, "-c", USE, ROOT, tmp_path, cwd=tmp_path)
    assert run(python.with_name("kafka-py"), "--version", cwd=tmp_path).startswith("kafka-py ")
    assert "usage" in run(python, "-m", "kcore", "dump", "--help", cwd=tmp_path)
