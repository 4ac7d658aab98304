"""A log directory as a unit of failure."""

from collections.abc import Callable
from typing import Self

class LogDirFailure:
    """Shared by all logs of a directory: the first disk error puts all of it offline for good."""

    def __new__(cls, path: str = "") -> Self: ...
    path: str
    @property
    def failed(self) -> bool: ...
    @property
    def cause(self) -> BaseException | None: ...
    def fail(self, cause: BaseException) -> None:
        """Marks the directory offline (once) and calls the listeners."""
    def subscribe(self, listener: Callable[[LogDirFailure], None]) -> None:
        """listener(self) runs in the thread that met the error, at once when already failed."""
