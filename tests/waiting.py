"""Waiting for something to become true, with patience for a slow machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: How long something that is bound to happen may take on a machine that has much else to do. A test
#: that waits for what does not come fails after it.
PATIENCE_S = 30.0
#: A waiting time that no test should see the end of: what is answered, is answered before.
FOREVER_MS = 100_000


def eventually(check: Callable[[], Any], pause_s: float = 0.005) -> Any:
    """Look until it is true; what was true. Raises AssertionError with what was last seen."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := check()):
        assert time.monotonic() < deadline, f"it never came true: {seen!r}"
        time.sleep(pause_s)
    return seen
