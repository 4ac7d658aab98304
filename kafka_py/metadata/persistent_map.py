"""A hash map whose copies are cheap: what a published image holds, and a new one starts from.

Layout: `_chunks` is a list of small dicts, one for every value of the key's low hash bits.

    frozen copy --.
                  v
    _chunks -> [ {..}, {..}, {..}, ... ]      256 chunks and more, about 16 entries each
                  ^
    the original -'   copies the list, then a chunk, on its first write to each

`freeze()` shares all chunks, so publishing costs nothing; the first write after it copies the
list of pointers (2-8 KiB), and each chunk when it is first written to.  Creating one topic among
100,000 therefore copies some kilobytes.  What is frozen twice without a write in between is the
same copy, and all empty maps begin with the same chunks.  Iteration order is by chunk and is not
meaningful.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar

__all__ = ["PersistentMap"]

K = TypeVar("K")
V = TypeVar("V")

_CHUNKS_MIN = 16
_ENTRIES_PER_CHUNK_MAX = 32
_GROWTH = 8
#: Never written to: a map owns none of them until it has copied the list.
_NO_CHUNKS: list[dict[Any, Any]] = [{} for _ in range(_CHUNKS_MIN)]


class PersistentMap(Mapping[K, V], Generic[K, V]):
    """A mapping with copy-on-write chunks.  A frozen one never changes and raises on writes."""

    __slots__ = ("_chunks", "_frozen", "_frozen_copy", "_length", "_mask", "_owned", "_shared")

    def __init__(self, items: Mapping[K, V] | None = None) -> None:
        self._chunks: list[dict[K, V]] = _NO_CHUNKS
        self._mask = _CHUNKS_MIN - 1
        self._length = 0
        self._frozen = False
        self._frozen_copy: PersistentMap[K, V] | None = None
        self._shared = True
        self._owned = bytearray()
        if items:
            for key, value in items.items():
                self[key] = value

    def freeze(self) -> PersistentMap[K, V]:
        """An immutable copy of the present content; this map stays writable. O(1)."""
        if self._frozen:
            return self
        if self._frozen_copy is None:
            self._frozen_copy = self._share(frozen=True)
        return self._frozen_copy

    def thaw(self) -> PersistentMap[K, V]:
        """A writable copy that shares chunks until they are written to. O(1)."""
        return self._share(frozen=False)

    def _share(self, *, frozen: bool) -> PersistentMap[K, V]:
        copy: PersistentMap[K, V] = PersistentMap.__new__(PersistentMap)
        copy._chunks = self._chunks
        copy._mask = self._mask
        copy._length = self._length
        copy._frozen = frozen
        copy._frozen_copy = None
        copy._shared = True
        copy._owned = bytearray()
        # Neither side may write to a chunk in place from here on.
        self._shared = True
        return copy

    def _writable_chunk(self, index: int) -> dict[K, V]:
        if self._frozen:
            raise TypeError("a published metadata image cannot be changed")
        self._frozen_copy = None
        if self._shared:
            self._chunks = list(self._chunks)
            self._owned = bytearray(len(self._chunks))
            self._shared = False
        chunk = self._chunks[index]
        if not self._owned[index]:
            chunk = dict(chunk)
            self._chunks[index] = chunk
            self._owned[index] = 1
        return chunk

    def __getitem__(self, key: K) -> V:
        return self._chunks[hash(key) & self._mask][key]

    def get(self, key: K, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self._chunks[hash(key) & self._mask].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._chunks[hash(key) & self._mask]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[K]:
        return chain.from_iterable(self._chunks)

    def __setitem__(self, key: K, value: V) -> None:
        chunk = self._writable_chunk(hash(key) & self._mask)
        length = len(chunk)
        chunk[key] = value
        if len(chunk) != length:
            self._length += 1
            if self._length > len(self._chunks) * _ENTRIES_PER_CHUNK_MAX:
                self._grow()

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        del self._writable_chunk(hash(key) & self._mask)[key]
        self._length -= 1

    def pop(self, key: K) -> V | None:
        """Remove `key` and return its value; None when it is absent."""
        value: V | None = self.get(key)
        if key in self:
            del self[key]
        return value

    def _grow(self) -> None:
        count = len(self._chunks) * _GROWTH
        chunks: list[dict[K, V]] = [{} for _ in range(count)]
        self._mask = count - 1
        for chunk in self._chunks:
            for key, value in chunk.items():
                chunks[hash(key) & self._mask][key] = value
        self._chunks = chunks
        self._owned = bytearray(b"\x01" * count)
        self._shared = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and all(
            key in other and other[key] == value for key, value in self.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self)!r})"
