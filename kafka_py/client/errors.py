"""What can go wrong, as a client sees it."""

from __future__ import annotations

from kafka_py.protocol.errors import ErrorCode


class ClientError(Exception):
    """Base of all errors of this package. `retriable`: the same call may succeed later."""

    retriable = False


class NotReachable(ClientError):
    """No connection could be made. `addresses`: what was tried, as ``host:port``."""

    retriable = True

    def __init__(self, addresses: list[str], reason: str) -> None:
        super().__init__(f"no broker answers at {', '.join(addresses)}: {reason}")
        self.addresses = addresses
        self.reason = reason


class Disconnected(ClientError):
    """The connection ended while a reply was due, or what came over it was no Kafka reply."""

    retriable = True


class TimedOut(ClientError):
    """No reply, or no success, in the time given."""

    retriable = True


class NotSupported(ClientError):
    """The broker lacks an API, a version or a field that the call needs."""


class BrokerError(ClientError):
    """The broker answered with an error. `code`: which; ``str()``: its text, for a person."""

    def __init__(self, code: int, message: str | None = None, *, what: str = "") -> None:
        self.code = ErrorCode.of(code)
        self.message = message or self.code.message
        super().__init__(f"{what}: {self.message}" if what else self.message)

    @property
    def retriable(self) -> bool:  # type: ignore[override]
        """Whether Kafka calls the error so."""
        return self.code.retriable


class NoOffset(ClientError):
    """A partition has no position and the reset policy is "none"."""


class MemberFailed(ClientError):
    """A group member cannot go on: fenced by another of its instance id, refused by the group."""


def check(code: int, message: str | None = None, *, what: str = "") -> None:
    """Raise `BrokerError` unless the code is 0."""
    if code != 0:
        raise BrokerError(code, message, what=what)
