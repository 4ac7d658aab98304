"""Fuzzing the batch parser: `python -m tests.fuzz.batch --seconds N [--seed S]`.

The target takes any bytes. What it holds against them: every refusal is a typed KcoreError; what is
accepted can be iterated, decoded into the same columns, and compressed anew into the same records;
nothing takes long. Mutations are seeded and start from batches of every codec and from the
committed corpus; atheris drives the target instead where it is importable (`--atheris`). Run it
under the asan profile for what Python cannot see.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import kcore
from kcore.crc32c import crc32c
from tests.fuzz.driver import write_down

CORPUS = Path(__file__).parent / "corpus" / "batch"
BYTES_MAX = 1 << 20
NOW_MS = 1_700_000_000_000
SECONDS_MAX = 5.0
INTERESTING = (0, 1, 2, 5, 48, 49, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31)
INTERESTING += (2**32 - 1, 2**63 - 1, 2**64 - 1)
VARINTS = (b"\x00", b"\x01", b"\x03", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x0f")
VARINTS += (b"\x80\x80\x80\x80\x80\x01", b"\xff" * 9 + b"\x01", b"\x80" * 12)


class Finding(Exception):
    """The parser did what it must not do with these bytes."""


def records_of(data: bytes) -> list[kcore.Record]:
    """All records of a run of batches, within the limit."""
    found: list[kcore.Record] = []
    for batch in kcore.batches(data, decompressed_bytes_max=BYTES_MAX):
        batch.check_crc()
        found += batch
    return found


def columns_of(data: bytes) -> list[tuple[int, int, bytes | None, bytes | None]]:
    """The same by columns."""
    columns = kcore.decode_columns(data, include_control=True, decompressed_bytes_max=8 * BYTES_MAX)
    arena = memoryview(columns["arena"])

    def cut(position: int, length: int) -> bytes | None:
        if length < -1 or not 0 <= position <= position + max(length, 0) <= len(arena):
            raise Finding(f"a column points to {position}+{length} of {len(arena)}")
        return None if length < 0 else bytes(arena[position : position + length])

    names = ("offset", "timestamp", "key_position", "key_length", "value_position", "value_length")
    return [
        (offset, timestamp, cut(key, key_length), cut(value, value_length))
        for offset, timestamp, key, key_length, value, value_length in zip(
            *(columns[name].tolist() for name in names), strict=True
        )
    ]


def fuzz_batch(data: bytes) -> bool:
    """Hold the promises against any bytes; True when they were accepted. Raises Finding."""
    data = bytes(data)
    before = data[:]
    try:
        expected = records_of(data)
    except kcore.KcoreError:
        expected = None
    try:
        columns = columns_of(data)
    except kcore.KcoreError:
        columns = None
    if expected is not None and columns != [
        (r.offset, r.timestamp, r.key, r.value) for r in expected
    ]:
        raise Finding("columns and iteration differ")
    if expected is None and columns is not None:
        raise Finding("columns take what iteration refuses")
    accepted = False
    for client in (True, False):
        try:
            found = kcore.validate(
                data, now_ms=NOW_MS, from_client=client, decompressed_bytes_max=BYTES_MAX
            )
        except kcore.KcoreError:
            continue
        accepted = True
        check_accepted(data, expected, found.max_timestamp_ms, client)
    if data != before:
        raise Finding("the parser wrote into its input")
    return accepted


def check_accepted(
    data: bytes, expected: list[kcore.Record] | None, max_timestamp_ms: int, client: bool
) -> None:
    """What validation lets through has to be whole."""
    if expected is None:
        raise Finding("accepted, but not to be iterated")
    if max([-1, *(r.timestamp for r in expected)]) != max_timestamp_ms:
        raise Finding("the max timestamp is not that of the records")
    if client and [r.offset for r in expected] != list(range(len(expected))):
        raise Finding("a client's offsets that are not 0, 1, 2, ...")
    if not expected or not client:
        return
    again = kcore.recompress(data, kcore.Codec.ZSTD, decompressed_bytes_max=BYTES_MAX)
    if list(kcore.RecordBatch(again)) != expected:
        raise Finding("recompression changes records")


def seeds() -> list[bytes]:
    """Batches of every codec and shape, and the corpus."""
    shapes = [
        [(b"key", b"value", (), NOW_MS)],
        [(None, None, {"h": b"x", "n": None}, NOW_MS + i) for i in range(3)],
        [(b"", b"v" * 300, (), NOW_MS)] * 20,
        [(b"k", bytes(3000), (), -1)],
    ]
    made = [kcore.build(shape, compression=codec) for shape in shapes for codec in kcore.Codec]
    made.append(kcore.build(shapes[0], producer_id=7, producer_epoch=0, base_sequence=2**31 - 1))
    made.append(
        kcore.build_end_marker(
            True, producer_id=7, producer_epoch=0, coordinator_epoch=1, timestamp=NOW_MS
        )
    )
    made.append(made[0] + kcore.build(shapes[1], base_offset=1, compression=3))
    return made + [path.read_bytes() for path in sorted(CORPUS.glob("*"))]


def mutate(data: bytes, rng: random.Random, pool: list[bytes]) -> bytes:
    """A few changes, after most of which length and checksum are made right again, so that they
    get past the first doors; now and then the payload's own mutation is compressed anew."""
    raw = bytearray(data)
    if len(raw) > 61 and rng.random() < 0.3:
        raw = repack(raw, rng)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        change(raw, rng, pool)
    if len(raw) >= 61 and rng.random() < 0.8:
        raw[16] = 2
        struct.pack_into(">i", raw, 8, len(raw) - 12)
        if rng.random() < 0.2:
            count = rng.choice((0, 1, 2, 3, 20, 2**31 - 1))
            struct.pack_into(">i", raw, 57, count)
            struct.pack_into(">i", raw, 23, (count - 1) & 0x7FFFFFFF)
        struct.pack_into(">I", raw, 17, crc32c(raw[21:]))
    return bytes(raw)


def repack(raw: bytearray, rng: random.Random) -> bytearray:
    """The batch with its payload unpacked, changed, and compressed by some codec."""
    try:
        payload = bytearray(kcore.RecordBatch(raw, decompressed_bytes_max=BYTES_MAX).payload())
    except kcore.KcoreError:
        return raw
    for _ in range(rng.choice((0, 1, 2))):
        change(payload, rng, [])
    codec = rng.randrange(5)
    packed = raw[:61] + bytes(kcore.compress(codec, payload))
    struct.pack_into(">h", packed, 21, codec | (raw[22] & 0x78))
    return packed


def change(raw: bytearray, rng: random.Random, pool: list[bytes]) -> None:
    """One change in place."""
    at = rng.randrange(len(raw) + 1)
    kind = rng.randrange(8)
    if kind == 0 and at < len(raw):
        raw[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(raw):
        raw[at] = rng.randrange(256)
    elif kind == 2:
        del raw[at : at + rng.choice((1, 1, 2, 4, 16, 1000))]
    elif kind == 3:
        raw[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 16)))
    elif kind == 4:
        size = rng.choice((1, 2, 4, 8))
        number = rng.choice(INTERESTING) & ((1 << 8 * size) - 1)
        raw[at : at + size] = number.to_bytes(size, "big")
    elif kind == 5:
        raw[at : at + rng.choice((0, 1, 5))] = rng.choice(VARINTS)
    elif kind == 6:
        raw[at:at] = raw[at : at + rng.choice((1, 8, 61, 200))]
    elif pool:
        other = rng.choice(pool)
        raw[at:] = other[rng.randrange(len(other) + 1) :]


def cases(seed: int) -> Iterator[bytes]:
    """Mutations without end, the same for the same seed; what was accepted joins the pool."""
    rng = random.Random(seed)
    pool = seeds()
    while True:
        yield mutate(rng.choice(pool), rng, pool)


def fuzz(seconds: float, seed: int) -> int:
    """Run mutations for so long; returns the number of cases. Raises Finding, having written the
    case down."""
    end = time.monotonic() + seconds
    count = accepted = 0
    for data in cases(seed):
        if time.monotonic() >= end:
            break
        # Of the thread alone: others may have the machine for as long.
        started = time.thread_time()
        try:
            accepted += fuzz_batch(data)
            if time.thread_time() - started > SECONDS_MAX:
                raise Finding("it took seconds")
        except BaseException:
            name = write_down("batch", data)
            print(f"case {count} of seed {seed} is in {name}", file=sys.stderr)
            raise
        count += 1
    print(f"{count} cases of seed {seed}, {accepted} accepted, no finding")
    return count


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the record batch parser.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="let atheris drive, if it is there")
    options, rest = parser.parse_known_args()
    if options.atheris:
        import atheris

        atheris.Setup([sys.argv[0], *rest, str(CORPUS)], lambda data: fuzz_batch(data) and None)
        atheris.Fuzz()
    fuzz(options.seconds, options.seed)


if __name__ == "__main__":
    main()
