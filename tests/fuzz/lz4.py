"""Fuzzing the LZ4 reader: `python -m tests.fuzz.lz4 --seconds N [--seed S]`.

The target takes any bytes and holds our reader against liblz4's: what ours takes, the library takes
and makes the same bytes of; what the library takes, ours takes too, unless it is among what Java
reads otherwise (an empty block, linked blocks, a dictionary, anything after the frame). Mutations
are seeded; most are made inside of blocks, and the frame around them made anew. Run it under the
asan profile.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lz4.frame

import kcore
from tests.fuzz.driver import command_line, write_down

CORPUS = Path(__file__).parent / "corpus" / "lz4"
BYTES_MAX = 1 << 18
STORED = 0x80000000
SECONDS_MAX = 2.0


class Finding(Exception):
    """Our reader did what it must not do with these bytes."""


def blocks_of(frame: bytes) -> list[bytes]:
    """The blocks of a whole frame, each behind its size and with its checksum."""
    at = 15 if frame[4] & 8 else 7
    found = []
    while size := struct.unpack_from("<I", frame, at)[0]:
        end = at + 4 + (size & ~STORED) + (4 if frame[4] & 16 else 0)
        found.append(frame[at:end])
        at = end
    return found


def refused_on_purpose(frame: bytes) -> bool:
    """Whether ours refuses a frame that the library takes, as it should."""
    if frame[4] & 3 or not frame[4] & 32:
        return True
    return any(struct.unpack_from("<I", block)[0] == STORED for block in blocks_of(frame))


def library(data: bytes) -> bytes | None:
    """What liblz4 makes of exactly one frame; None when it refuses."""
    machine = lz4.frame.LZ4FrameDecompressor()
    try:
        output = machine.decompress(data)
    except (RuntimeError, ValueError, EOFError):
        return None
    return output if machine.eof and not machine.unused_data else None


def fuzz_lz4(data: bytes, bytes_max: int = BYTES_MAX) -> bool:
    """Hold the promises against any bytes; True when they were accepted. Raises Finding."""
    ours: bytes | None = None
    large = False
    try:
        ours = bytes(kcore.decompress(kcore.Codec.LZ4, data, bytes_max=bytes_max))
    except kcore.DecompressedTooLarge:
        large = True
    except kcore.DecompressionFailed:
        pass
    if ours is not None and len(ours) > bytes_max:
        raise Finding("more than the limit")
    if len(data) < 7 or data[:4] != b"\x04\x22\x4d\x18":
        # The library takes legacy and skippable frames.
        if ours is not None:
            raise Finding("accepted, without being a frame")
        return False
    theirs = library(data)
    if ours is not None and theirs != ours:
        raise Finding("accepted, and the library reads it otherwise")
    if theirs is None or ours is not None:
        return ours is not None
    if large and len(theirs) <= bytes_max:
        raise Finding("too large, it says")
    if not large and len(theirs) <= bytes_max and not refused_on_purpose(data):
        raise Finding("refused, and the library takes it")
    return False


def seeds() -> list[bytes]:
    """Frames of every kind of option, of texts that compress in different ways, and the corpus."""
    rng = random.Random(3)
    texts = [b"", b"a", bytes(70_000), rng.randbytes(300), rng.randbytes(66_000)]
    texts.append(b"".join(b'{"id":%d,"n":"%d"}' % (i, rng.randrange(99)) for i in range(200)))
    texts += [bytes(rng.choices(b"ab", k=500)), (b"0123456789abc" * 40) + rng.randbytes(40)]
    options = [{}, {"content_checksum": True}, {"block_checksum": True}, {"store_size": True}]
    options += [{"compression_level": 12}, {"block_size": 5}]
    plain = {"block_linked": False, "store_size": False}
    made = [lz4.frame.compress(text, **plain | more) for text in texts for more in options]
    return made + [path.read_bytes() for path in sorted(CORPUS.glob("*"))]


def change(raw: bytearray, rng: random.Random) -> None:
    """One change in place."""
    at = rng.randrange(len(raw) + 1)
    kind = rng.randrange(7)
    if kind == 0 and at < len(raw):
        raw[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(raw):
        raw[at] = rng.choice((0, 1, 4, 15, 16, 0x4F, 0xF0, 0xFF, rng.randrange(256)))
    elif kind == 2:
        del raw[at : at + rng.choice((1, 1, 2, 4, 16, 1000))]
    elif kind == 3:
        raw[at:at] = rng.choice(
            (b"\xff" * rng.randrange(1, 300), rng.randbytes(rng.choice((1, 9))))
        )
    elif kind == 4:
        raw[at : at + 2] = struct.pack("<H", rng.choice((0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 65535)))
    elif kind == 5:
        raw[at:at] = raw[at : at + rng.choice((1, 8, 61, 200))]
    else:
        # A sequence: few literals, a match of some offset and length.
        literals = rng.randrange(15)
        raw[at:at] = (
            bytes([literals << 4 | rng.randrange(16)])
            + rng.randbytes(literals)
            + struct.pack("<H", rng.randrange(1, 40))
        )


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A frame with changes: anywhere, or inside of its blocks, in a frame that is right again."""
    if rng.random() < 0.3:
        raw = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            change(raw, rng)
        return bytes(raw)
    made = bytearray(b"\x04\x22\x4d\x18\x60\x40\x82")
    blocks = blocks_of(data) or [b"\0\0\0\0\0"]
    for block in blocks[-3:]:
        size = struct.unpack_from("<I", block)[0]
        body = bytearray(block[4 : 4 + (size & ~STORED)])
        for _ in range(rng.choice((0, 1, 1, 2, 8))):
            change(body, rng)
        body = body[:65536] or bytearray(1)
        made += struct.pack("<I", len(body) | (size & STORED)) + body
    return bytes(made + bytes(4))


def cases(seed: int) -> Iterator[tuple[bytes, int]]:
    """Frames and limits without end, the same for the same seed; the accepted join the pool."""
    rng = random.Random(seed)
    pool = seeds()
    kept = len(pool)
    while True:
        case = mutate(rng.choice(pool), rng)
        bytes_max = BYTES_MAX if rng.random() < 0.7 else rng.randrange(3000)
        yield case, bytes_max
        if rng.random() < 0.1 and len(case) < 100_000 and library(case) is not None:
            pool[kept:] = pool[kept + 1 :] if len(pool) > kept + 200 else pool[kept:]
            pool.append(case)


def fuzz(seconds: float, seed: int) -> int:
    """Run mutations for so long; returns the number of cases. Raises Finding, having written the
    case down."""
    end = time.monotonic() + seconds
    count = accepted = 0
    for data, bytes_max in cases(seed):
        if time.monotonic() >= end:
            break
        # Of the thread alone: others may have the machine for as long.
        started = time.thread_time()
        try:
            accepted += fuzz_lz4(data, bytes_max)
            if time.thread_time() - started > SECONDS_MAX:
                raise Finding("it took seconds")
        except BaseException:
            name = write_down(f"lz4-{bytes_max}", data)
            print(f"case {count} of seed {seed} is in {name}", file=sys.stderr)
            raise
        count += 1
    print(f"{count} cases of seed {seed}, {accepted} accepted, no finding")
    return count


if __name__ == "__main__":
    command_line("Fuzz the LZ4 reader.", fuzz)
