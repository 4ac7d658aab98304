"""One descriptor and one shared map of one file. The only caller of mmap.

::

        0           end          populated    allocated                          limit = reserved
        +-----------+------------+------------+--- - - - - - - - - - - - - - - - - - +
        |  batches  | zeros, in  | zeros, on  |   address space without a file:      |
        |           | memory     | disk       |   touching it is SIGBUS (T1)         |
        +-----------+------------+------------+--- - - - - - - - - - - - - - - - - - +
         read, sent   the next     posix_fallocate'd: a full disk said ENOSPC
                      appends      before anything could be stored into a hole

A map neither moves nor grows, since readers hold pointers into it: when the file needs more address space, a map that
reaches further takes its place (segment.pyx says how far). It is as short as that allows, because maps far apart share
no page of the page table: with 10,000 maps of 1 GiB each had two pages of its own (80 MB of the kernel's memory), and
walking there for the next append of each cost a bare C program 0.7 to 1.0 us instead of 0.2. The file itself is
extended chunk by chunk, by posix_fallocate and never by ftruncate, before its pages are touched.

Populating is: write zeros, then MADV_POPULATE_WRITE. The write makes the page cache take large folios (a quarter of
the time that faulting 4 KiB pages in takes, measured on ext4), the advice enters them into the page table at once
and reports an error as errno. A sync writes whole folios, so the step is a page unless more is appended between two
syncs (an append of 170 bytes and its sync take 0.24 ms with steps of 4 KiB, 0.26 with 16, 0.36 with 64). Of a file
that nobody has synced it may be 64 KiB soon: with thousands of logs in turns, taking space four times instead of
once was a seventh of a produce. It ends at a multiple of itself: a write that begins or ends in between gets many
small folios (1 MB batches: 17 page faults each instead of one). On Linux 6.18 one fault maps all of a folio, and the
advice, which looks at each page, costs a quarter of all if it is given for each; so it is given for one page of each
64 KiB, once a look at the thread's count of faults has shown that the page beside came along.

CPU of an append a KiB, memory at hand, EPYC, before and now in turns: batches of 1 MB 489-594 ns and 376-426,
of 128 KiB 412-475 and 355-427, of 15 KiB 530-592 and 474-491. What is left: 240-280 are the write of zeros (half
of it memory, a quarter ext4's buffer heads), 45 the sum. The host's own faults, where it has taken memory back,
come to 1,000-1,100 on top (bench/memory.py).

A batch larger than a step is copied by turns with the populating, so that the zeros of a step are still in the CPU's
cache: 1 MB through a broker 515 us beside 587 before, 600 and 633 in another hour.

**Long batches of a log that is synced all the time** (12 KiB and more, no more than 32 of them unsynced: acks=all and
a flush for each group) do not come through the map: they are written. Their pages are in no page table, so a sync has
none to write-protect and no other CPU to interrupt for it, and no append has a fault there; nor does a sync write
zeros behind the end. CPU of the broker at acks=all, two builds in turns: 125 x 1 KiB 264 us a request beside 335,
librdkafka's batches of 330 KB 0.37 us a record of 100 B beside 0.41; of 1 MB no difference. On a faster host 60 KiB
72-80 us beside 81-182 at 6.1-6.6 k/s beside 4.2-6.1, 30 KiB 51-59 beside 56-60, 15 KiB 46-49 beside 47-52; 4 and
8 KiB no difference. Where nothing is synced, zeros and the copy are better (128 KiB 93 us beside 117; the first eight
of 30 KiB 16 beside 20), so nothing is written before a file's first sync.

Tried and not better (same machine): steps of 1 MiB, and of 256 KiB, within the noise. Steps of 2 MiB, which get 2 MiB folios
and huge pages: 0.9 of the time where such folios are at hand, but in a virtual machine just those have been
given back to the host, and then it is three times as long. MADV_HUGEPAGE likewise, and a sync after one small
append writes 2 MiB: 0.43 ms instead of 0.10. Faults without zeros: 1,400-1,600 ns (4 KiB folios). Writing the
batch itself instead of zeros and a copy, nothing synced: no difference for 1 MB (six builds and step sizes by turns,
500-650 us each), 128 KiB a quarter more, 16 KiB three times. Receiving into the map: one copy less, and no faster.
splice from the socket into the file, a bare C program beside one that receives, sums and stores, frames of 1.01 MB,
four turns: 498-672 us beside 607-686, with memory not at hand 926-1,641 beside 564-664; 128 KiB half as much again.
A thread that takes the next 8 MiB while a broker appends 1 MB batches: 0.81 k requests/s at 1.31 ms of CPU beside
1.04 k at 0.88.

Blocks that were written once before, as a bare C program: syncs of 64 KiB take 0.15 ms instead of 0.30 where a thread
has written zeros ahead past the page cache, because no extent is converted and no journal committed; of 384 KiB and
more no gain (0.35-0.42 beside 0.61-0.64 in the median, 4.7 beside 1.4 at p99, the same rate), and the disk writes all
bytes twice. Not built.

A Mapping lives as long as somebody refers to it: a segment, or a slice that was handed out. Deleting
a segment is unlink now, and munmap when the last slice lets go.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memset

from kcore.crc32c cimport crc32c_copy
from kcore.syscalls cimport (
    file_size_of, raise_errno, sys_close, sys_fallocate, sys_fdatasync, sys_ftruncate, sys_madvise,
    sys_mmap, sys_munmap, sys_open, sys_pwrite,
)

import os

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <sys/mman.h>
    #include <sys/resource.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_READ
    #define MADV_POPULATE_READ 22
    #define MADV_POPULATE_WRITE 23
    #endif
    #define KCORE_PAGES_AT_ONCE 1024
    /* 1 when every page of the range is in the page cache, 0 when not, -1 with errno. */
    static int kcore_resident(const uint8_t *data, Py_ssize_t size) {
        unsigned char pages[KCORE_PAGES_AT_ONCE];
        Py_ssize_t page = (Py_ssize_t)sysconf(_SC_PAGESIZE);
        uintptr_t at = (uintptr_t)data & ~(uintptr_t)(page - 1);
        uintptr_t stop = (uintptr_t)data + (uintptr_t)size;
        while (at < stop) {
            size_t count = (size_t)((stop - at + (uintptr_t)page - 1) / (uintptr_t)page);
            if (count > KCORE_PAGES_AT_ONCE) count = KCORE_PAGES_AT_ONCE;
            if (mincore((void *)at, count * (size_t)page, pages) < 0) return -1;
            for (size_t i = 0; i < count; i++) if (!(pages[i] & 1)) return 0;
            at += (uintptr_t)(count * (size_t)page);
        }
        return 1;
    }
    static Py_ssize_t kcore_page_bytes(void) { return (Py_ssize_t)sysconf(_SC_PAGESIZE); }
    /* Not const, so that it is neither in the library's file nor in memory: reads see the kernel's page of zeros. */
    static uint8_t kcore_zeros[524288];
    /* Page faults of this thread so far that needed no disk; 0 where nobody counts them. */
    static long kcore_faults(void) {
        struct rusage usage;
        return getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_minflt;
    }
    static int kcore_errno(void) { return errno; }
    """
    int kcore_resident(const uint8_t* data, Py_ssize_t size) noexcept nogil
    Py_ssize_t kcore_page_bytes() noexcept nogil
    int kcore_errno() noexcept nogil
    const uint8_t kcore_zeros[524288]
    long kcore_faults() noexcept nogil
    int EINVAL
    int MADV_POPULATE_READ
    int MADV_POPULATE_WRITE
    int O_RDONLY
    int O_RDWR
    int O_CREAT
    int PROT_READ
    int PROT_WRITE

cdef Py_ssize_t PAGE_BYTES = kcore_page_bytes()
cdef long open_mappings = 0
cdef long asked = 0
cdef int faults_at_first = FAULTS_UNKNOWN


def mappings_open():
    """How many maps this process holds now: the debug counter that must end where it began."""
    return open_mappings


def residency_asked():
    """How often the kernel was asked whether pages are in memory."""
    return asked


def set_faults_reach(str reach not None):
    """What maps made from now on take for granted instead of looking: "page", "folio", or "look". For tests."""
    global faults_at_first
    faults_at_first = {"look": FAULTS_UNKNOWN, "folio": FAULTS_FOLIO, "page": FAULTS_PAGE}[reach]


cdef inline Py_ssize_t folio_at(Py_ssize_t at, Py_ssize_t stop) noexcept nogil:
    """How far the folio at a position reaches that was written up to `stop`: as far as its position is aligned and its
    end is not beyond. Up to the next stride where that is less than one."""
    cdef Py_ssize_t piece = min(at & -at, <Py_ssize_t>POPULATE_BYTES_MAX) if at else <Py_ssize_t>POPULATE_BYTES_MAX
    while piece > stop - at and piece > POPULATE_STRIDE:
        piece >>= 1
    if piece < POPULATE_STRIDE:
        piece = POPULATE_STRIDE - (at & (POPULATE_STRIDE - 1))
    return min(piece, stop - at)


@cython.final
cdef class Descriptor:
    """An open file, for as long as a map of it lives."""

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            sys_close(self.fd)


cdef class Mapping:
    """A file and its map; see the drawing above. Made by map_writable, map_further and map_readonly only."""

    def __cinit__(self):
        global open_mappings
        self.fd = -1
        open_mappings += 1

    def __dealloc__(self):
        global open_mappings
        open_mappings -= 1
        if self.data != NULL:
            sys_munmap(self.data, self.reserved)

    cdef int grow(self, Py_ssize_t size) noexcept nogil:
        if self.extend(size) < 0:
            return -1
        return self.populate(self.step_beyond(size)) if size > self.populated else 0

    cdef int extend(self, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t wanted, step
        if size <= self.allocated:
            return 0
        if size > self.limit:
            return -1
        step = min(max(self.allocated, <Py_ssize_t>GROW_BYTES_MIN), <Py_ssize_t>GROW_BYTES_MAX)
        wanted = self.allocated + step
        if wanted > POPULATE_BYTES_MAX:
            wanted &= ~<Py_ssize_t>(POPULATE_BYTES_MAX - 1)
        wanted = max(size, wanted)
        wanted = min((wanted + GROW_BYTES_MIN - 1) & ~<Py_ssize_t>(GROW_BYTES_MIN - 1), self.limit)
        return self.allocate(wanted)

    cdef Py_ssize_t step_beyond(self, Py_ssize_t size) noexcept nogil:
        """Up to where to populate so that `size` bytes are."""
        cdef Py_ssize_t unsynced = size - self.synced
        cdef Py_ssize_t light = POPULATE_BYTES_SYNCED if self.syncs else POPULATE_BYTES_LIGHT
        cdef Py_ssize_t most = max(unsynced >> 2, min(4 * unsynced, light))
        most = min(most, <Py_ssize_t>POPULATE_BYTES_MAX)
        cdef Py_ssize_t step = POPULATE_BYTES_MIN
        while step * 2 <= most:
            step *= 2
        return min((size + step - 1) & ~(step - 1), self.allocated)

    cdef int copy_in(
        self, Py_ssize_t position, const uint8_t* p, Py_ssize_t first, Py_ssize_t n, uint32_t* crc
    ) noexcept nogil:
        cdef Py_ssize_t at = first, stop, piece
        if self.extend(position + n) < 0:
            return -1
        stop = self.step_beyond(position + n)
        while at < n:
            if position + at >= self.populated:
                if self.populate(
                    min(stop, (self.populated + POPULATE_BYTES_MAX) & ~<Py_ssize_t>(POPULATE_BYTES_MAX - 1))
                ) < 0:
                    memset(self.data + position + first, 0, at - first)
                    return -1
                continue
            piece = min(n - at, self.populated - position - at)
            crc[0] = crc32c_copy(crc[0], self.data + position + at, p + at, piece)
            at += piece
        return 0

    cdef bint is_written(self, Py_ssize_t position, Py_ssize_t n) noexcept nogil:
        return (
            n >= WRITTEN_BYTES_MIN and self.syncs and position + n > self.populated
            and position + n - self.synced < min(WRITTEN_BATCHES_MAX * n, <Py_ssize_t>WRITTEN_UNSYNCED_MAX)
        )

    cdef int write_in(
        self, Py_ssize_t position, const uint8_t* header, Py_ssize_t first, const uint8_t* p, Py_ssize_t n
    ) noexcept nogil:
        cdef Py_ssize_t at = position + first, stop = position + n, piece
        if self.extend(stop) < 0:
            return -1
        while at < stop:
            piece = min(stop, (at + POPULATE_BYTES_MAX) & ~<Py_ssize_t>(POPULATE_BYTES_MAX - 1)) - at
            if sys_pwrite(self.fd, p + (at - position), piece, at) < 0:
                memset(self.data + position, 0, at + piece - position)
                return -1
            at += piece
        # Without it no recovery takes what stands there for a batch.
        if sys_pwrite(self.fd, header, first, position) < 0:
            memset(self.data + position, 0, n)
            return -1
        self.populated = max(self.populated, stop)
        return 0

    cdef int populate(self, Py_ssize_t stop) noexcept nogil:
        cdef Py_ssize_t start = self.populated, step
        while start < stop:
            step = min(stop, (start + POPULATE_BYTES_MAX) & ~<Py_ssize_t>(POPULATE_BYTES_MAX - 1)) - start
            if sys_pwrite(self.fd, kcore_zeros, step, start) < 0:
                return -1
            start += step
        if self.faults != FAULTS_LATE and self.map_pages(self.populated & ~(PAGE_BYTES - 1), stop) < 0:
            # Kernels before 5.14 do not know the advice; the pages then fault in one by one.
            if kcore_errno() != EINVAL:
                return -1
            self.faults = FAULTS_LATE
        self.populated = stop
        return 0

    cdef int map_pages(self, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
        """Enters what was just written into the page table; start is a page's. -1 with errno."""
        cdef Py_ssize_t at = start, piece
        cdef long before
        while at < stop and self.faults != FAULTS_PAGE:
            piece = folio_at(at, stop)
            # What begins within a stride was written from there on, in smaller folios.
            if sys_madvise(self.data + at, PAGE_BYTES if piece >= POPULATE_STRIDE else piece, MADV_POPULATE_WRITE) < 0:
                return -1
            if self.faults == FAULTS_UNKNOWN and at >= self.populated and piece >= POPULATE_STRIDE:
                # All of it is zeros behind the end, and one folio if the file system has any: did the page in its
                # middle come along?
                before = kcore_faults()
                (<volatile uint8_t*>self.data)[at + piece // 2] = 0
                self.faults = FAULTS_FOLIO if kcore_faults() == before else FAULTS_PAGE
            if self.faults != FAULTS_PAGE:
                at += piece
        if at < stop:
            return sys_madvise(self.data + at, stop - at, MADV_POPULATE_WRITE)
        return 0

    cdef int allocate(self, Py_ssize_t size) noexcept nogil:
        if sys_fallocate(self.fd, self.allocated, size - self.allocated) < 0:
            return -1
        self.allocated = size
        return 0

    cdef int trim(self, Py_ssize_t size) noexcept nogil:
        if size == self.allocated:
            return 0
        if sys_ftruncate(self.fd, size) < 0:
            return -1
        self.allocated = size
        self.populated = min(self.populated, size)
        return 0

    cdef int sync(self) noexcept nogil:
        return sys_fdatasync(self.fd)

    cdef void note_sync(self, Py_ssize_t end) noexcept:
        self.syncs = True
        self.synced = max(self.synced, end)

    cdef int warm(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil:
        cdef Py_ssize_t start = position & ~(PAGE_BYTES - 1)
        cdef volatile uint8_t* byte
        cdef uint8_t seen
        if size <= 0:
            return 0
        if sys_madvise(self.data + start, position + size - start, MADV_POPULATE_READ) == 0:
            return 0
        if kcore_errno() != EINVAL:
            return -1
        while start < position + size:
            byte = self.data + start
            seen = byte[0]
            start += PAGE_BYTES
        return 0

    cdef int is_resident(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil:
        global asked
        if size <= 0:
            return 1
        asked += 1
        return kcore_resident(self.data + position, size)

    cdef int was_resident(self, Py_ssize_t position, Py_ssize_t size, int64_t now_ms) noexcept nogil:
        cdef Py_ssize_t number = position >> RESIDENT_WINDOW_BITS, start
        cdef Py_ssize_t last = (position + size - 1) >> RESIDENT_WINDOW_BITS
        cdef ResidentWindow* window
        cdef int result
        if size <= 0:
            return 1
        if last - number >= RESIDENT_WINDOWS:
            return self.is_resident(position, size)
        while number <= last:
            window = &self.windows[number & (RESIDENT_WINDOWS - 1)]
            # A clock that was set back is no reason to believe for longer.
            if window.number != number + 1 or not 0 <= now_ms - window.seen_ms < RESIDENT_KEPT_MS:
                start = number << RESIDENT_WINDOW_BITS
                result = self.is_resident(
                    start, min(self.allocated - start, <Py_ssize_t>1 << RESIDENT_WINDOW_BITS)
                )
                if result != 1:
                    return self.is_resident(position, size)
                window.number = number + 1
                window.seen_ms = now_ms
            number += 1
        return 1


cdef Mapping opened(str path, int flags):
    """A file and its size, without a map. Raises OSError."""
    cdef Mapping self = Mapping.__new__(Mapping)
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef int64_t size = -1
    cdef int fd
    self.path = path
    self.file = Descriptor.__new__(Descriptor)
    with nogil:
        fd = sys_open(name, flags, 0o600)
        if fd >= 0:
            size = file_size_of(fd)
    self.fd = self.file.fd = fd
    if size < 0:
        raise_errno(path)
    self.allocated = self.populated = self.synced = size
    return self


cdef int map_up_to(Mapping self, Py_ssize_t limit, int protection) except -1:
    self.limit = limit
    self.reserved = (limit + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1)
    self.data = <uint8_t*>sys_mmap(self.reserved, protection, self.fd, 0)
    if self.data == NULL:
        raise_errno(self.path)
    return 0


cdef Mapping map_writable(str path, Py_ssize_t limit):
    """Opens (or creates) a file for appending and maps up to `limit` bytes.

    Raises OSError; a file that it made stays behind empty then.
    """
    cdef Mapping self = opened(path, O_RDWR | O_CREAT)
    self.writable = True
    self.faults = faults_at_first
    map_up_to(self, max(limit, self.allocated, 1), PROT_READ | PROT_WRITE)
    return self


cdef Mapping map_further(Mapping before, Py_ssize_t limit, Py_ssize_t end):
    """Another map of a file that is mapped for appending, with `end` bytes in use, by the same descriptor: errors of
    the disk are told to a descriptor once. What was populated behind the end is entered into the page table at once.

    Raises OSError; nothing has changed then.
    """
    cdef Mapping self = Mapping.__new__(Mapping)
    self.path = before.path
    self.file = before.file
    self.fd = before.fd
    self.writable = True
    self.faults = before.faults
    self.allocated = before.allocated
    self.populated = before.populated
    self.synced = before.synced
    self.syncs = before.syncs
    map_up_to(self, max(limit, self.allocated), PROT_READ | PROT_WRITE)
    if end < self.populated and self.faults != FAULTS_LATE:
        if self.map_pages(end & ~(PAGE_BYTES - 1), self.populated) < 0 and kcore_errno() != EINVAL:
            raise_errno(self.path)
    return self


cdef Mapping map_readonly(str path):
    """Maps what the file holds now. Raises OSError."""
    cdef Mapping self = opened(path, O_RDONLY)
    if self.allocated > 0:
        map_up_to(self, self.allocated, PROT_READ)
    return self
