"""What tests of several modules want."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from kcore import syscalls
from kcore.mapped_file import mappings_open


@pytest.fixture
def no_map_is_left_over() -> Iterator[None]:
    gc.collect()
    before = mappings_open()
    yield
    syscalls.clear()
    gc.collect()
    assert mappings_open() == before
