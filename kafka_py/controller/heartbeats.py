"""When each broker was last heard of: soft state, lost with the leadership by design."""

from __future__ import annotations

from kcore.values import mutable

__all__ = ["Heartbeats"]


@mutable
class _Broker:
    last_contact_ms: int
    fenced: bool
    metadata_offset: int = -1
    controlled_shutdown_offset: int = -1
    presumed_gone: bool = False


class Heartbeats:
    """Sessions of brokers. Times are monotonic milliseconds.

    A new leader knows of no heartbeat: every broker of the image gets a full session to report.
    """

    def __init__(self, session_timeout_ms: int) -> None:
        self.session_timeout_ms = session_timeout_ms
        self._brokers: dict[int, _Broker] = {}

    def register(
        self, broker_id: int, *, fenced: bool, now_ms: int, presumed_gone: bool = False
    ) -> None:
        """A broker registered, or was found registered by a new leader.

        `presumed_gone`: another incarnation may take its place at once, though it is fenced only
        when its session ends.
        """
        self._brokers[broker_id] = _Broker(now_ms, fenced, presumed_gone=presumed_gone)

    def remove(self, broker_id: int) -> None:
        """The broker is gone."""
        self._brokers.pop(broker_id, None)

    def touch(self, broker_id: int, *, fenced: bool, metadata_offset: int, now_ms: int) -> None:
        """A heartbeat came."""
        broker = self._brokers.setdefault(broker_id, _Broker(now_ms, fenced))
        broker.last_contact_ms = now_ms
        broker.fenced = fenced
        broker.presumed_gone = False
        broker.metadata_offset = metadata_offset
        if fenced:
            broker.controlled_shutdown_offset = -1

    def has_session(self, broker_id: int, now_ms: int) -> bool:
        """Whether that broker is alive, as far as is known."""
        broker = self._brokers.get(broker_id)
        if broker is None or broker.presumed_gone:
            return False
        return now_ms < broker.last_contact_ms + self.session_timeout_ms

    def presume_gone(self, broker_id: int) -> None:
        """The broker was told that it may stop: its next incarnation need not wait."""
        self._brokers[broker_id].presumed_gone = True

    def begin_controlled_shutdown(self, broker_id: int, offset: int) -> None:
        """The broker may stop once all active ones have seen `offset`."""
        broker = self._brokers[broker_id]
        if broker.controlled_shutdown_offset < 0:
            broker.controlled_shutdown_offset = offset

    def may_shut_down(self, broker_id: int) -> bool:
        """Whether every active broker has seen that this one leaves."""
        broker = self._brokers.get(broker_id)
        if broker is None:
            return True
        lowest = min(
            (one.metadata_offset for one in self._brokers.values() if not one.fenced),
            default=1 << 62,
        )
        return broker.controlled_shutdown_offset <= lowest

    def stale(self, now_ms: int) -> int | None:
        """One unfenced broker whose session is over."""
        for broker_id in sorted(self._brokers):
            broker = self._brokers[broker_id]
            if not broker.fenced and now_ms >= broker.last_contact_ms + self.session_timeout_ms:
                return broker_id
        return None

    def fence(self, broker_id: int) -> None:
        """The broker was fenced."""
        self._brokers[broker_id].fenced = True

    def next_deadline_ms(self) -> int:
        """When the next session ends."""
        return min(
            (
                one.last_contact_ms + self.session_timeout_ms
                for one in self._brokers.values()
                if not one.fenced
            ),
            default=1 << 62,
        )
