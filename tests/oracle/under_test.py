"""What may be skipped where: in CI (``CI=true``) nothing is, what is missing fails."""

from __future__ import annotations

import os

import pytest


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
