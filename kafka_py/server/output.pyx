# cython: auto_pickle=False
"""What a connection has to send: a growing C buffer for replies made here, with slices of logs spliced in by reference.

``send_raw`` writes straight to the socket: consecutive small pieces by one ``sendmsg``, long log slices by ``sendfile``. It
never blocks and never copies records. Where there is no socket (a simulated network) ``send_transport`` is used.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset
from posix.types cimport off_t

from kcore.segment cimport LogSlice

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    Py_ssize_t send(int fd, const void* at, size_t n, int flags)
    Py_ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT
    int MSG_MORE

cdef extern from "<sys/sendfile.h>" nogil:
    Py_ssize_t sendfile(int out_fd, int in_fd, off_t* offset, size_t count)

cdef enum:
    FIRST_CAPACITY = 512            # of 10,000 connections, most ask little and then wait
    KEPT_CAPACITY = 65536
    PIECES_MAX = 32
    HELD_BYTES_MAX = 16384
    SENDFILE_AT_ONCE = 4194304


cdef class Output:
    """The bytes that wait for one connection's socket; ``total_sent`` counts what went out."""

    def __cinit__(self):
        self.externals = []
        self.sendfile_min = 65536

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t wanted = self.size + more
        cdef Py_ssize_t capacity = self.capacity
        cdef uint8_t* grown
        if wanted <= capacity:
            return 0
        if capacity == 0:
            capacity = FIRST_CAPACITY
        while capacity < wanted:
            capacity *= 2
        grown = <uint8_t*>realloc(self.data, capacity)
        if grown == NULL:
            raise MemoryError
        self.data = grown
        self.capacity = capacity
        return 0

    cdef int put_external(self, object piece, Py_ssize_t n) except -1:
        """Splice ``n`` bytes of ``piece`` in here; it is kept alive until they are sent."""
        if n:
            self.externals.append([self.size, piece, 0])
            self.unsent += n
        return 0

    cdef int rewind(self, Py_ssize_t position, Py_ssize_t externals_count, Py_ssize_t unsent) except -1:
        """Forget what was put since the three values were noted; nothing may have been sent meanwhile."""
        self.size = position
        del self.externals[externals_count:]
        self.unsent = unsent
        return 0

    cdef object cut(self, Py_ssize_t position):
        """Take the bytes put since ``position`` back as parts; for replies that must wait for their turn."""
        cdef list parts = []
        cdef Py_ssize_t at = position
        cdef Py_ssize_t first = len(self.externals)
        cdef Py_ssize_t bytes_cut = self.size - position
        cdef object item
        while first > 0 and self.externals[first - 1][0] >= position:
            first -= 1
        for item in self.externals[first:]:
            if item[0] > at:
                parts.append(PyBytes_FromStringAndSize(<char*>(self.data + at), <Py_ssize_t>item[0] - at))
                at = item[0]
            parts.append(item[1])
            bytes_cut += len(item[1])
        if self.size > at:
            parts.append(PyBytes_FromStringAndSize(<char*>(self.data + at), self.size - at))
        del self.externals[first:]
        self.size = position
        self.unsent -= bytes_cut
        return parts

    cdef int put_parts(self, object parts) except -1:
        """Queue a reply that was made elsewhere; small parts are copied, long ones referenced."""
        cdef Py_buffer view
        cdef object part
        for part in parts:
            PyObject_GetBuffer(part, &view, PyBUF_SIMPLE)
            try:
                if view.len <= 8192:
                    put(self, view.buf, view.len)
                elif type(part) is memoryview and type(part.obj) is LogSlice and len(part.obj) == view.len:
                    # The slice itself knows its file, so that it may go out by sendfile.
                    self.put_external(part.obj, view.len)
                else:
                    self.put_external(part, view.len)
            finally:
                PyBuffer_Release(&view)
        return 0

    cdef int gone(self, Py_ssize_t n) except -1:
        """``n`` more bytes are in the kernel's hands."""
        cdef Py_ssize_t take
        cdef list item
        cdef Py_ssize_t length
        self.unsent -= n
        self.total_sent += n
        while n > 0:
            if self.external_next < len(self.externals):
                item = <list>self.externals[self.external_next]
                take = min(n, <Py_ssize_t>item[0] - self.sent)
                self.sent += take
                n -= take
                if self.sent < <Py_ssize_t>item[0]:
                    return 0
                length = len(item[1])
                take = min(n, length - <Py_ssize_t>item[2])
                item[2] = <Py_ssize_t>item[2] + take
                n -= take
                if <Py_ssize_t>item[2] == length:
                    self.externals[self.external_next] = None
                    self.external_next += 1
            else:
                self.sent += n
                n = 0
        return 0

    cdef int settle(self) except -1:
        """Everything is sent: start again at the front, and give an oversized buffer back."""
        self.size = 0
        self.sent = 0
        if self.external_next:
            self.externals.clear()
            self.external_next = 0
        if self.capacity > KEPT_CAPACITY:
            free(self.data)
            self.data = NULL
            self.capacity = 0
        return 0

    cdef int send_raw(self, int fd) except -1:
        """Send until done (1) or until the socket takes no more (0). Raises OSError when the peer is gone."""
        cdef Py_ssize_t n
        while self.unsent:
            if self.external_next == len(self.externals) and self.unsent <= HELD_BYTES_MAX:
                # A few small replies, as nearly always: letting the GIL go would take longer than it can help anybody.
                n = send(fd, self.data + self.sent, self.unsent, MSG_NOSIGNAL | MSG_DONTWAIT)
                if n < 0:
                    n = -errno
            else:
                n = self.send_some(fd)
            if n >= 0:
                self.gone(n)
            elif n == -EINTR:
                continue
            elif n == -EAGAIN:
                return 0
            else:
                raise OSError(-n, "send")
        if self.size or self.external_next:
            self.settle()
        return 1

    cdef Py_ssize_t send_some(self, int fd) except? -2:
        """One system call: a run of pieces, or one long log slice. The negated errno when it failed."""
        cdef iovec pieces[PIECES_MAX]
        cdef Py_buffer views[PIECES_MAX]
        cdef int views_count = 0
        cdef int count = 0
        cdef Py_ssize_t at = self.sent
        cdef Py_ssize_t index = self.external_next
        cdef Py_ssize_t externals_count = len(self.externals)
        cdef Py_ssize_t n
        cdef Py_ssize_t until
        cdef list item
        cdef LogSlice piece
        cdef msghdr message
        cdef int flags = MSG_NOSIGNAL | MSG_DONTWAIT
        cdef bint more = False
        try:
            while count < PIECES_MAX - 1:
                item = None
                until = self.size
                if index < externals_count:
                    item = <list>self.externals[index]
                    until = item[0]
                if until > at:
                    pieces[count].iov_base = self.data + at
                    pieces[count].iov_len = until - at
                    count += 1
                    at = until
                if item is None:
                    break
                if isinstance(item[1], LogSlice) and (<LogSlice>item[1]).size - <Py_ssize_t>item[2] >= self.sendfile_min:
                    if count == 0:
                        piece = <LogSlice>item[1]
                        n = self.send_slice(fd, piece, item[2])
                        return n
                    more = True
                    break
                PyObject_GetBuffer(item[1], &views[views_count], PyBUF_SIMPLE)
                pieces[count].iov_base = <char*>views[views_count].buf + <Py_ssize_t>item[2]
                pieces[count].iov_len = views[views_count].len - <Py_ssize_t>item[2]
                views_count += 1
                count += 1
                index += 1
            memset(&message, 0, sizeof(message))
            message.msg_iov = pieces
            message.msg_iovlen = count
            if more:
                flags |= MSG_MORE
            with nogil:
                n = sendmsg(fd, &message, flags)
                if n < 0:
                    n = -errno
            return n
        finally:
            while views_count:
                views_count -= 1
                PyBuffer_Release(&views[views_count])

    cdef Py_ssize_t send_slice(self, int fd, LogSlice piece, Py_ssize_t done) except? -2:
        cdef int file_fd
        cdef off_t offset
        cdef size_t count
        cdef Py_ssize_t n
        cdef object given = piece.fd_slice()
        file_fd = given[0]
        offset = <off_t>(<Py_ssize_t>given[1] + done)
        count = min(piece.size - done, <Py_ssize_t>SENDFILE_AT_ONCE)
        with nogil:
            n = sendfile(fd, file_fd, &offset, count)
            if n < 0:
                n = -errno
        if n == 0:
            # The file ends before the slice does: somebody cut it from outside, and the peer waits for bytes.
            raise OSError("a log file is shorter than what was read from it")
        return n

    cdef int send_transport(self, object transport) except -1:
        """Hand everything to an asyncio transport, which keeps it until it is sent."""
        cdef list pieces = []
        cdef Py_ssize_t at = self.sent
        cdef list item
        for item in self.externals[self.external_next:]:
            if <Py_ssize_t>item[0] > at:
                pieces.append(PyBytes_FromStringAndSize(<char*>(self.data + at), <Py_ssize_t>item[0] - at))
                at = item[0]
            pieces.append(memoryview(item[1])[item[2]:])
        if self.size > at:
            pieces.append(PyBytes_FromStringAndSize(<char*>(self.data + at), self.size - at))
        self.total_sent += self.unsent
        self.unsent = 0
        if self.externals:
            self.external_next = len(self.externals)
        self.settle()
        transport.writelines(pieces)
        return 0
