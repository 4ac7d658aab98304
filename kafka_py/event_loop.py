"""The event loop of a node: asyncio's own, waiting in the reactor.

`ReactorLoop` is asyncio's selector loop with a selector that serves connections by itself while the
loop has nothing else to do. A node also runs on any other loop (`async with Broker()` in an
application's): there the reactor is one descriptor among that loop's.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from kafka_py.reactor import Reactor

__all__ = ["ReactorLoop", "new_event_loop", "reactor_of", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_FOREIGN: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Reactor] = (
    weakref.WeakKeyDictionary()
)


class _Selector(selectors.EpollSelector):
    """Python's epoll selector, in whose epoll the reactor has its sockets, too."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Reactor(self.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As selectors has it; within it the reactor's sockets are served."""
        ready = []
        for fd, events in self.reactor.poll(timeout):
            try:
                key = self.get_key(fd)
            except KeyError:
                continue  # a callback of this very look has unregistered it
            found = 0
            if events & ~select.EPOLLIN:
                found |= selectors.EVENT_WRITE
            if events & ~select.EPOLLOUT:
                found |= selectors.EVENT_READ
            if found & key.events:
                ready.append((key, found & key.events))
        return ready


class ReactorLoop(asyncio.SelectorEventLoop):
    """asyncio's loop; whatever is scheduled on it ends the reactor's wait."""

    def __init__(self) -> None:
        selector = _Selector()
        self.reactor = selector.reactor
        super().__init__(selector)
        self.reactor.later = self.call_later

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio has it."""
        self.reactor.wanted = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio has it."""
        self.reactor.wanted = True
        return super().call_at(when, callback, *args, context=context)

    def close(self) -> None:
        """As asyncio has it."""
        self.reactor.later = None
        super().close()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop for a thread of a node's own."""
    return ReactorLoop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh loop, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


def reactor_of(loop: asyncio.AbstractEventLoop) -> Reactor:
    """The reactor whose sockets this loop serves; a foreign loop gets one at the first call."""
    if isinstance(loop, ReactorLoop):
        return loop.reactor
    made = _FOREIGN.get(loop)
    if made is None:
        made = _FOREIGN[loop] = Reactor()
        # No reference back to the loop, or neither would ever be collected.
        held = weakref.ref(loop)
        made.later = lambda delay_s, work: (alive := held()) and alive.call_later(delay_s, work)
        loop.add_reader(made.fileno(), made.turn)
    return made
