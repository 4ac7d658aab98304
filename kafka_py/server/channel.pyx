# cython: auto_pickle=False
"""The bytes of one client connection: received into its intake, sent from its output.

Two ways lead to a peer. A socket of the reactor is read and written here, by a system call each. An asyncio transport (TLS, a
simulated network, a loop's own server) brings bytes as to any ``BufferedProtocol`` and takes them by ``writelines``.
What the bytes mean is a subclass's business (:class:`kafka_py.server.connection.Connection`).

* The peer's half-close is "it sends no more": the subclass says whether there is something left to tell it.
* A full socket is waited for; nothing is copied for that.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint8_t
from posix.unistd cimport close

from kafka_py.reactor cimport EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, Reactor, monotonic
from kafka_py.server.blocks cimport Block, Intake
from kafka_py.server.output cimport Output
from kafka_py.server.replies cimport Peer

cdef extern from "<sys/socket.h>" nogil:
    Py_ssize_t recv(int fd, void* at, size_t n, int flags)
    int MSG_DONTWAIT


cdef class Channel(Peer):
    """See the module's text. All methods run on the event loop."""

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    # What a subclass does

    cdef int opened(self) except -1:
        """The peer is there; it may be hung up on at once."""
        raise AssertionError("a connection does this")

    cdef int received(self, Block block) except -1:
        """More bytes are in the intake's block. Exceptions are the connection's business."""
        raise AssertionError("a connection does this")

    cdef bint half_closed(self) except -1:
        """The peer sends no more: whether the channel stays until what is left to say is said."""
        raise AssertionError("a connection does this")

    cdef int drained(self) except -1:
        """The socket, which was full, has taken bytes."""
        raise AssertionError("a connection does this")

    def finish_closing(self):
        """the channel is down: give everything back. Twice is fine."""
        raise AssertionError("a connection does this")

    # A socket of the reactor

    cdef int arrived(self, Reactor reactor, int fd, str host) except -1:
        self.reactor = reactor
        self.fd = fd
        self.host = host
        self.reading = True
        self.active_at = self.sent_at = monotonic()
        reactor.watch(self, EPOLLIN)
        return self.opened()

    cdef int ready(self, uint32_t events) except -1:
        cdef Block block
        cdef uint8_t* at
        cdef Py_ssize_t n, room
        if self.wants_out and events & EPOLLOUT:
            self.writable()
        if self.closed or not events & (EPOLLIN | EPOLLERR | EPOLLHUP):
            return 0
        if not self.reading:
            if events & (EPOLLERR | EPOLLHUP):
                # Nobody is there any more, and epoll would say so again and again.
                self.close()
            return 0
        self.active_at = self.reactor.now
        block = self.intake.room()
        at = block.data + block.used
        room = block.capacity - block.used
        if self.intake.expected:
            with nogil:
                n = recv(self.fd, at, room, MSG_DONTWAIT)
        else:
            # A few small requests: letting the GIL go would take longer than the call.
            n = recv(self.fd, at, room, MSG_DONTWAIT)
        if n > 0:
            block.used += n
            return self.received(block)
        if n == 0:
            return self.input_ended()
        if errno != EAGAIN and errno != EINTR:
            self.close()
        return 0

    cdef int input_ended(self) except -1:
        if not self.half_closed():
            self.close()
        elif not self.closed:
            self.input_over = True
            self.stop_hearing()
        return 0

    cdef int interest(self) except -1:
        return self.reactor.change(
            self, (<uint32_t>EPOLLIN if self.reading else 0) | (<uint32_t>EPOLLOUT if self.wants_out else 0)
        )

    cdef int writable(self) except -1:
        """The socket takes bytes again."""
        cdef Py_ssize_t before = self.out.unsent
        try:
            done = self.out.send_raw(self.fd)
        except OSError:
            self.close()
            return 0
        if self.out.unsent < before:
            self.sent_at = self.active_at = monotonic()
        if done:
            self.wants_out = False
            self.interest()
        return self.drained()

    # An asyncio transport

    def connection_made(self, transport):
        """As asyncio has it."""
        cdef object peer = transport.get_extra_info("peername")
        self.transport = transport
        self.host = peer[0] if peer else ""
        self.reading = True
        self.active_at = self.sent_at = monotonic()
        self.opened()

    def get_buffer(self, sizehint):
        """Where the next bytes go: the shared block, or behind the begun frame."""
        return self.intake.room()

    def buffer_updated(self, Py_ssize_t received):
        """``received`` bytes are there."""
        if not self.closed:
            self.active_at = monotonic()
            self.received(self.intake.filled(received))

    def eof_received(self):
        """True keeps the transport open for writing."""
        return self.half_closed()

    def connection_lost(self, error):
        """The transport is gone."""
        self.finish_closing()

    def pause_writing(self):
        """How much may be unsent is the connection's own limit."""

    def resume_writing(self):
        """See pause_writing."""

    # Both

    cdef int stop_hearing(self) except -1:
        """Receive nothing for a while: the kernel's buffers fill, and the peer has to wait."""
        if self.reading:
            self.reading = False
            if self.transport is not None:
                self.transport.pause_reading()
            elif self.fd >= 0:
                self.interest()
        return 0

    cdef int hear(self) except -1:
        """Receive again."""
        if not self.reading and not self.input_over:
            self.reading = True
            if self.transport is not None:
                self.transport.resume_reading()
            elif self.fd >= 0:
                self.interest()
        return 0

    cdef int send(self) except -1:
        """Send as much as the socket takes; the rest waits for it to be writable."""
        cdef Output out = self.out
        if out.unsent == 0 or self.closed or self.wants_out:
            return 0
        if self.transport is not None:
            out.send_transport(self.transport)
            return 0
        try:
            if out.send_raw(self.fd):
                self.sent_at = self.active_at
                return 0
        except OSError:
            self.close()
            return 0
        self.sent_at = monotonic()
        self.wants_out = True
        return self.interest()

    def close(self):
        """Close now; unsent bytes are dropped."""
        if not self.closed:
            self.finish_closing()
            self.hang_up()

    cdef int hang_up(self) except -1:
        cdef int fd = self.fd
        if self.transport is not None:
            self.transport.abort()
        elif fd >= 0:
            self.reactor.unwatch(self)
            self.fd = -1
            close(fd)
        return 0
