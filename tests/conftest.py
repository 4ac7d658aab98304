"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """--rewrite: expected transcripts are written anew instead of compared."""
    parser.addoption(
        "--rewrite", action="store_true", help="write expected transcripts anew; review the diff"
    )
