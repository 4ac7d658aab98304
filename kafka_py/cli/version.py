"""Which version this is."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path


def version() -> str:
    """The installed version; in a source tree not installed, that of its pyproject.toml."""
    try:
        return metadata.version("kafka-py")
    except metadata.PackageNotFoundError:
        pass
    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        found = re.search(r'^version = "([^"]+)"', project.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "unknown"
