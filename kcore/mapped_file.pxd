# kcore.mapped_file: one descriptor and one shared map of one file; the only caller of mmap.

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum:
    GROW_BYTES_MIN = 65536          # first chunk of a fresh segment
    GROW_BYTES_MAX = 4194304        # later chunks double up to this
    # Space is populated in steps of a power of two, up to multiples of it, so that the folios are that large:
    POPULATE_BYTES_MIN = 4096       # this is the step at first and after a sync ...
    # ... it may be four times what was appended since then, up to this where a sync writes what is populated, or to
    # that where nobody has synced the file yet (a page takes 10 us, 16 KiB at once 13 to 17, 64 KiB 25) ...
    POPULATE_BYTES_SYNCED = 16384
    POPULATE_BYTES_LIGHT = 65536
    POPULATE_BYTES_MAX = 524288     # ... and beyond that a quarter of it, up to this
    WRITTEN_BYTES_MIN = 12288       # from a file's first sync on, a batch that long is written by write() while no more
    WRITTEN_BATCHES_MAX = 32        # than so many of its length, and less than this, are unsynced: steps are short then
    WRITTEN_UNSYNCED_MAX = 2097152
    POPULATE_STRIDE = 65536         # one page of each so many bytes is asked for where a fault maps a whole folio

    RESIDENT_WINDOW_BITS = 16       # what is known to be in memory is remembered by 64 KiB,
    RESIDENT_WINDOWS = 4            # so many of them,
    # for so long: pages that were in memory and were just sent are the last ones that the kernel lets go, so they
    # are gone sooner only where all of the page cache turns over in that time (and then mincore is late as well).
    RESIDENT_KEPT_MS = 100

cdef enum:                          # how far one page fault for writing reaches, of a Mapping
    FAULTS_UNKNOWN = 0              # not looked at yet
    FAULTS_FOLIO = 1                # it maps the whole folio: Linux 6.18 and ext4
    FAULTS_PAGE = 2                 # it maps one page
    FAULTS_LATE = 3                 # the kernel does not know the advice to fault pages in ahead

cdef struct ResidentWindow:
    Py_ssize_t number               # position >> RESIDENT_WINDOW_BITS, and one: 0 is none
    int64_t seen_ms

cdef class Descriptor:
    cdef int fd

cdef class Mapping:
    cdef uint8_t* data              # start of the map, NULL for an empty read-only file
    cdef Py_ssize_t reserved        # bytes of address space
    cdef Py_ssize_t allocated       # bytes of the file: touching beyond is SIGBUS (T1)
    cdef Py_ssize_t populated       # bytes in the page cache: zeros, faulted in ahead, or batches that were written
    cdef Py_ssize_t synced          # the last sync covered the file up to here; its size when it was opened
    cdef bint syncs                 # it was synced since it was opened, so it will be again
    cdef Py_ssize_t limit           # the file does not grow beyond this within this map
    cdef int fd                     # of `file`, which may belong to an earlier map of the same file, too
    cdef bint writable
    cdef int faults                 # FAULTS_...
    cdef ResidentWindow windows[RESIDENT_WINDOWS]
    cdef readonly str path
    cdef Descriptor file

    # Makes at least `size` bytes touchable: posix_fallocate, then populate. 0, or -1 with errno.
    cdef int grow(self, Py_ssize_t size) noexcept nogil
    cdef int extend(self, Py_ssize_t size) noexcept nogil   # posix_fallocate alone, chunk by chunk
    cdef Py_ssize_t step_beyond(self, Py_ssize_t size) noexcept nogil
    # Makes n bytes at `position` touchable and copies all but the `first` of p there, by turns, so that a step is
    # still in the CPU's cache; crc goes on by what was copied. -1 with errno: zeros are there.
    cdef int copy_in(
        self, Py_ssize_t position, const uint8_t* p, Py_ssize_t first, Py_ssize_t n, uint32_t* crc
    ) noexcept nogil
    # Whether n bytes at `position` are better written than copied.
    cdef bint is_written(self, Py_ssize_t position, Py_ssize_t n) noexcept nogil
    # Writes n bytes to `position`: `first` of them from header, the rest from where they are in p. -1 with errno:
    # zeros are there.
    cdef int write_in(
        self, Py_ssize_t position, const uint8_t* header, Py_ssize_t first, const uint8_t* p, Py_ssize_t n
    ) noexcept nogil
    cdef int populate(self, Py_ssize_t stop) noexcept nogil # zeros from `populated` to stop, and their pages mapped
    cdef int map_pages(self, Py_ssize_t start, Py_ssize_t stop) noexcept nogil
    cdef int allocate(self, Py_ssize_t size) noexcept nogil # the file gets that size, nothing is populated
    cdef int trim(self, Py_ssize_t size) noexcept nogil     # shrink the file; nothing beyond may be viewed
    cdef int sync(self) noexcept nogil                      # fdatasync
    cdef void note_sync(self, Py_ssize_t end) noexcept      # a sync has covered the file up to there
    cdef int warm(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil
    cdef int is_resident(self, Py_ssize_t position, Py_ssize_t size) noexcept nogil  # 1, 0, -1
    # The same, but for what was found to be in memory a moment ago the kernel is not asked again. One thread only.
    cdef int was_resident(self, Py_ssize_t position, Py_ssize_t size, int64_t now_ms) noexcept nogil

cdef Mapping map_writable(str path, Py_ssize_t limit)     # creates the file when it is missing
cdef Mapping map_further(Mapping before, Py_ssize_t limit, Py_ssize_t end)  # takes the place of one that is too short
cdef Mapping map_readonly(str path)
