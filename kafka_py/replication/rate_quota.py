"""A limit on bytes a second, measured over windows as Kafka's replication quotas are (KIP-73).

::

        oldest window                          now
    |---------|---------|---------|---------|--.        `windows` of them are looked back over
      bytes     bytes     bytes     bytes    bytes

    rate = bytes of all windows / time since the oldest one began, but at least windows - 1 of them

A mover that begins may therefore copy some seconds' worth at once before it has to wait.
"""

from collections import deque

__all__ = ["RateQuota"]


class RateQuota:
    """What was moved, and how long to wait before more is. Times are monotonic milliseconds."""

    def __init__(self, windows: int, window_ms: int) -> None:
        """Look back over ``windows`` (at least 1) windows of ``window_ms`` each."""
        self._windows = windows
        self._window_ms = window_ms
        self._samples: deque[list[int]] = deque()

    def record(self, size_bytes: int, now_ms: int) -> None:
        """That much was moved now."""
        samples = self._samples
        if not samples or now_ms - samples[-1][0] >= self._window_ms:
            samples.append([now_ms, 0])
        samples[-1][1] += size_bytes
        self._expire(now_ms)

    def wait_ms(self, limit_bytes: int, now_ms: int) -> int:
        """Milliseconds until the rate is within ``limit_bytes`` a second, 0 when it is."""
        self._expire(now_ms)
        total = sum(size for _, size in self._samples)
        if not total:
            return 0 if limit_bytes > 0 else self._window_ms
        elapsed = now_ms - self._samples[0][0]
        full = elapsed // self._window_ms
        elapsed += max(0, self._windows - 1 - full) * self._window_ms
        elapsed = max(elapsed, 1)
        if total * 1000 <= limit_bytes * elapsed:
            return 0
        until_expired = self._samples[0][0] + self._windows * self._window_ms - now_ms
        if limit_bytes <= 0:
            return max(1, until_expired)
        return max(1, min(total * 1000 // limit_bytes - elapsed + 1, until_expired))

    def _expire(self, now_ms: int) -> None:
        while self._samples and now_ms - self._samples[0][0] >= self._windows * self._window_ms:
            self._samples.popleft()
