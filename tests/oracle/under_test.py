"""Which node the tests are about, and what may be skipped where.

``KAFKA_PY_AGAINST=apache`` sets Apache's own broker in the place of ours: what fails then is the
test. With ``CI=true`` nothing is skipped: what is missing fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.oracle import apache
from tests.oracle.node import Node, OurNode, free_port_pair


def in_ci() -> bool:
    """Whether nothing may be skipped."""
    return os.environ.get("CI", "").lower() == "true"


def require(absent: str | None) -> None:
    """Go on if nothing is absent; else fail in CI, and skip with the reason elsewhere."""
    if absent is None:
        return
    if in_ci():
        pytest.fail(f"{absent}; nothing may be skipped in CI", pytrace=False)
    pytest.skip(absent)


def against() -> str:
    """``kafka_py``, or ``apache`` to test the tests."""
    return os.environ.get("KAFKA_PY_AGAINST", "kafka_py")


def node_under_test(directory: Path, properties: dict[str, str] | None = None) -> Node:
    """A node that is not started yet, on free ports."""
    if against() == "apache":
        return apache.ApacheNode(directory, free_port_pair(), properties)
    return OurNode(directory, free_port_pair(), properties)
