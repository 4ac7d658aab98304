"""XXH3, 64 bits, seed 0: the hash that Kafka 4.1+ keeps of a group's topics (KIP-1101).

In plain Python, since a topic is hashed once a change of its metadata and not once a request.
Source: the XXH3 part of the xxHash specification.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

__all__ = ["xxh3_64"]

_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_MASK: Final = (1 << 64) - 1
_P32_1: Final = 0x9E3779B1
_P32_2: Final = 0x85EBCA77
_P32_3: Final = 0xC2B2AE3D
_P64_1: Final = 0x9E3779B185EBCA87
_P64_2: Final = 0xC2B2AE3D27D4EB4F
_P64_3: Final = 0x165667B19E3779F9
_P64_4: Final = 0x85EBCA77C2B2AE63
_P64_5: Final = 0x27D4EB2F165667C5
_MX1: Final = 0x165667919E3779F9
_MX2: Final = 0x9FB21C651E98DF25

_STRIPE_BYTES: Final = 64
_STRIPES_PER_BLOCK: Final = 16
_BLOCK_BYTES: Final = _STRIPE_BYTES * _STRIPES_PER_BLOCK
_LAST_STRIPE_SECRET: Final = 192 - 64 - 7


def xxh3_64(data: bytes) -> int:
    """The hash of ``data`` as an unsigned 64-bit integer."""
    length = len(data)
    if length <= 16:
        return _short(data, length)
    if length <= 128:
        return _up_to_128(data, length)
    if length <= 240:
        return _up_to_240(data, length)
    return _long(data, length)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _half(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _fold(a: int, b: int) -> int:
    product = a * b
    return (product & _MASK) ^ (product >> 64)


def _avalanche(h: int) -> int:
    h ^= h >> 37
    h = h * _MX1 & _MASK
    return h ^ h >> 32


def _avalanche_64(h: int) -> int:
    h ^= h >> 33
    h = h * _P64_2 & _MASK
    h ^= h >> 29
    h = h * _P64_3 & _MASK
    return h ^ h >> 32


def _rotate(h: int, bits: int) -> int:
    return (h << bits | h >> (64 - bits)) & _MASK


def _short(data: bytes, length: int) -> int:
    secret = _SECRET
    if length > 8:
        low = _word(data, 0) ^ _word(secret, 24) ^ _word(secret, 32)
        high = _word(data, length - 8) ^ _word(secret, 40) ^ _word(secret, 48)
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return _avalanche((length + swapped + high + _fold(low, high)) & _MASK)
    if length >= 4:
        flip = _word(secret, 8) ^ _word(secret, 16)
        h = (_half(data, length - 4) + (_half(data, 0) << 32)) ^ flip
        h ^= _rotate(h, 49) ^ _rotate(h, 24)
        h = h * _MX2 & _MASK
        h ^= (h >> 35) + length
        h = h * _MX2 & _MASK
        return h ^ h >> 28
    if length:
        mixed = data[0] << 16 | data[length >> 1] << 24 | data[-1] | length << 8
        return _avalanche_64(mixed ^ _half(secret, 0) ^ _half(secret, 4))
    return _avalanche_64(_word(secret, 56) ^ _word(secret, 64))


def _mix(data: bytes, at: int, secret_at: int) -> int:
    return _fold(
        _word(data, at) ^ _word(_SECRET, secret_at),
        _word(data, at + 8) ^ _word(_SECRET, secret_at + 8),
    )


def _up_to_128(data: bytes, length: int) -> int:
    total = length * _P64_1
    for i in range((length - 1) // 32, -1, -1):
        total += _mix(data, 16 * i, 32 * i) + _mix(data, length - 16 * (i + 1), 32 * i + 16)
    return _avalanche(total & _MASK)


def _up_to_240(data: bytes, length: int) -> int:
    total = length * _P64_1
    for i in range(8):
        total += _mix(data, 16 * i, 16 * i)
    total = _avalanche(total & _MASK)
    for i in range(8, length // 16):
        total += _mix(data, 16 * i, 16 * (i - 8) + 3)
    total += _mix(data, length - 16, 136 - 17)
    return _avalanche(total & _MASK)


def _accumulate(lanes: list[int], data: bytes, at: int, secret_at: int) -> None:
    words = unpack_from("<8Q", data, at)
    keys = unpack_from("<8Q", _SECRET, secret_at)
    for i in range(8):
        word = words[i]
        key = word ^ keys[i]
        lanes[i ^ 1] = lanes[i ^ 1] + word & _MASK
        lanes[i] = lanes[i] + (key & 0xFFFFFFFF) * (key >> 32) & _MASK


def _long(data: bytes, length: int) -> int:
    lanes = [_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1]
    blocks = (length - 1) // _BLOCK_BYTES
    scramble = unpack_from("<8Q", _SECRET, 128)
    for block in range(blocks):
        for stripe in range(_STRIPES_PER_BLOCK):
            at = block * _BLOCK_BYTES + stripe * _STRIPE_BYTES
            _accumulate(lanes, data, at, stripe * 8)
        for i in range(8):
            lane = lanes[i]
            lanes[i] = (lane ^ lane >> 47 ^ scramble[i]) * _P32_1 & _MASK
    start = blocks * _BLOCK_BYTES
    for stripe in range((length - 1 - start) // _STRIPE_BYTES):
        _accumulate(lanes, data, start + stripe * _STRIPE_BYTES, stripe * 8)
    _accumulate(lanes, data, length - _STRIPE_BYTES, _LAST_STRIPE_SECRET)
    total = length * _P64_1
    for i in range(4):
        at = 11 + 16 * i
        total += _fold(lanes[2 * i] ^ _word(_SECRET, at), lanes[2 * i + 1] ^ _word(_SECRET, at + 8))
    return _avalanche(total & _MASK)
