"""Fuzzes the request decoder and all other message decoders, seeded from the schema itself.

    python -m tests.fuzz.request --seconds 60 [--seed N] [--save DIR]

Whatever the bytes are, a decoder gives a message or refuses with MalformedRequest, within bounds of
time and memory. A message that it gives encodes and decodes to itself. The compiled parsers of
Produce, Fetch and request headers accept and refuse what the table codec does, and read the same.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafka_py.protocol import hot_requests
from kafka_py.protocol.arbitrary import Arbitrary, versions
from kafka_py.protocol.errors import MalformedRequest, UnsupportedVersion
from kafka_py.protocol.framing import RequestFrame, decode_header, encode_request
from kafka_py.protocol.registry import API, ApiKey, all_messages
from kafka_py.protocol.schema import Message, Struct

CORPUS = Path(__file__).parent / "corpus" / "request"
MESSAGES = {cls.__name__: cls for cls in all_messages()}
PARSERS = {ApiKey.PRODUCE: hot_requests.ProduceParser(), ApiKey.FETCH: hot_requests.FetchParser()}

ALLOCATION_FACTOR = 64
"""Python objects of a small struct cost about this much more than its bytes."""
ALLOCATION_BASE = 512 << 10
SECONDS_BASE = 0.05
SECONDS_A_BYTE = 20e-6

TELLING = (
    *(bytes((b,)) for b in (0, 1, 2, 0x7F, 0x80, 0xFF)),
    *(b"\xff\xff", b"\xff\xfe", b"\x7f\xff", b"\x80\x00", b"\x00\x00"),
    *(
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xfe",
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\x0f\x42\x41",
    ),
    *(b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x00", b"\x80\x00"),
    *(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80\x80\x01"),
    *(b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "é".encode(), "😀".encode()),
)
"""Values of lengths, counts, varints and text that parsers get wrong."""


class Finding(AssertionError):
    """Bytes for which an expectation does not hold."""


def without_unknown_tags(message: Any) -> Any:
    """The message without unknown tagged fields, at every depth: compiled parsers keep none."""
    message.unknown_tags = None
    for f in type(message).__fields__:
        value = getattr(message, f.name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Struct):
                without_unknown_tags(item)
    return message


def check_message(cls: type[Message], version: int, body: bytes) -> bool:
    """Decode the bytes as that message; whether they were one. Raises Finding."""
    began = time.thread_time()
    try:
        message = cls.decode(body, version)
    except MalformedRequest:
        message = None
    except BaseException as error:
        raise Finding(f"{cls.__name__} v{version} raised {error!r}") from error
    if time.thread_time() - began > SECONDS_BASE + SECONDS_A_BYTE * len(body):
        check_time(cls, version, body)
    if message is None:
        return False
    again = cls.decode(message.encode(version), version)
    # NaN is the one value that is not equal to itself; the text forms are.
    if again != message and repr(again) != repr(message):
        raise Finding(f"{cls.__name__} v{version}: {message} became {again}")
    return True


def check_time(cls: type[Message], version: int, body: bytes) -> None:
    """Decode again, now that the decoder is compiled; raises Finding when it is slow still."""
    began = time.thread_time()
    with suppress(MalformedRequest):
        cls.decode(body, version)
    spent = time.thread_time() - began
    if spent > SECONDS_BASE + SECONDS_A_BYTE * len(body):
        raise Finding(f"{cls.__name__} v{version} took {spent:.3f} s for {len(body)} bytes")


def check_allocation(cls: type[Message], version: int, body: bytes) -> None:
    """Decode under tracemalloc; raises Finding when memory grows out of proportion."""
    check_message(cls, version, body)  # compiles the decoder, which is not to be counted
    tracemalloc.start()
    try:
        cls.decode(body, version)
    except MalformedRequest:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if peak > ALLOCATION_BASE + ALLOCATION_FACTOR * len(body):
        raise Finding(f"{cls.__name__} v{version}: {peak} bytes allocated for {len(body)}")


def check_frame(frame: bytes) -> bool:
    """Decode the bytes as a request frame, by table and compiled parsers; whether they were one."""
    head = check_head(frame)
    if head is None or not head.version_known:
        return False
    body = frame[head.body_start :]
    good = check_message(head.api.request, head.version, body)
    parser = PARSERS.get(head.api.key)
    if parser is None:
        return good
    try:
        parser.load(frame, head.version, head.body_start)
    except MalformedRequest as error:
        if good:
            raise Finding(f"only the compiled parser refuses: {error}") from error
        return False
    if not good:
        raise Finding("only the table refuses")
    expected = without_unknown_tags(head.api.request.decode(body, head.version))
    if parser.message() != expected:
        raise Finding(f"compiled: {parser.message()}, table: {expected}")
    return True


def check_head(frame: bytes) -> RequestFrame | None:
    """The header of a frame as both parsers read it; None when both refuse it. Raises Finding."""
    try:
        head = decode_header(frame)
    except (MalformedRequest, UnsupportedVersion):
        head = None
    except BaseException as error:
        raise Finding(f"the header raised {error!r}") from error
    try:
        compiled = hot_requests.request_head(frame)
    except MalformedRequest as error:
        if head is not None:
            raise Finding(f"only the compiled parser refuses the header: {error}") from error
        return None
    if head is None:
        raise Finding("only the table refuses the header")
    mine = (head.api.key, head.version, head.correlation_id, head.client_id, head.body_start)
    if compiled != mine:
        raise Finding(f"headers differ: compiled {compiled}, table {mine}")
    return head


class Fuzzer:
    """Makes inputs and checks them; one seed, one sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.arbitrary = Arbitrary(self.random, unknown_tags=True)
        self.tried = self.good = 0
        self.last = b""

    def mutate(self, data: bytes) -> bytes:
        """The data after a few random changes."""
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 8))):
            at = self.random.randrange(len(changed) + 1)
            roll = self.random.randrange(6)
            if roll == 0:
                del changed[at:]
            elif roll == 1:
                changed[at:at] = self.random.randbytes(self.random.randrange(1, 9))
            elif roll == 2 and self.last:
                start = self.random.randrange(len(self.last))
                changed[at:] = self.last[start:]
            elif roll == 3 and at < len(changed):
                changed[at] ^= 1 << self.random.randrange(8)
            else:
                value = self.random.choice(TELLING)
                changed[at : at + self.random.choice((len(value), 1, 0))] = value
        return bytes(changed)

    def name_and_data(self) -> tuple[str, bytes]:
        """ "frame" and a request frame, or "Class-version" and a body; most are damaged."""
        if self.random.random() < 0.6:
            api = self.random.choice(list(API.values()))
            if self.random.random() < 0.3:
                api = API[self.random.choice(list(PARSERS))]
            version = self.random.choice(versions(api.request))
            parts = encode_request(self.arbitrary.message(api.request, version), version, 7, "fuzz")
            name, data = "frame", b"".join(parts)[4:]
        else:
            cls = self.random.choice(list(MESSAGES.values()))
            version = self.random.choice(versions(cls))
            data = self.arbitrary.message(cls, version).encode(version)
            name = f"{cls.__name__}-{version}"
        hurt = data if self.random.random() < 0.05 else self.mutate(data)
        self.last = data
        return name, hurt

    def once(self) -> None:
        """One input; raises Finding with the input in `found`."""
        name, data = self.name_and_data()
        self.found = (name, data)
        self.tried += 1
        self.good += check(name, data, allocation=self.tried % 50 == 0)


def check(name: str, data: bytes, allocation: bool = False) -> bool:
    """Check an input under its name ("frame..." or "Class-version..."); whether it was good."""
    kind, _, rest = name.partition("-")
    if kind == "frame":
        return check_frame(data)
    cls, version = MESSAGES[kind], int(rest.partition("-")[0])
    if allocation:
        check_allocation(cls, version, data)
    return check_message(cls, version, data)


def replay(directory: Path = CORPUS) -> int:
    """Check every file of the corpus; how many there were."""
    files = sorted(directory.glob("*.bin"))
    for path in files:
        check(path.stem, path.read_bytes(), allocation=True)
    return len(files)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--save", type=Path, default=CORPUS, help="where a finding's input goes")
    options = parser.parse_args()
    seed = time.time_ns() if options.seed is None else options.seed
    print(f"request fuzzer: corpus of {replay()}, seed {seed}", flush=True)
    fuzzer = Fuzzer(seed)
    until = time.monotonic() + options.seconds
    try:
        while time.monotonic() < until:
            fuzzer.once()
    except Finding as finding:
        name, data = fuzzer.found
        path = options.save / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        options.save.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"FOUND after {fuzzer.tried} inputs, kept as {path}: {finding}", file=sys.stderr)
        return 1
    print(f"{fuzzer.tried} inputs, {fuzzer.good} well-formed, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
