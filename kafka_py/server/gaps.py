"""What Apache Kafka 4.3.1 answers and this node does not yet: the machine-read list of gaps.

`python -m kafka_py.server.gaps` prints it. A test holds it against the dispatch table: what is
advertised and what is a gap together are Apache's own ApiVersions, on both kinds of listener.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from kafka_py.protocol.registry import API, ApiKey
from kafka_py.server.dispatch import BROKER, CONTROLLER

__all__ = ["APACHE", "GAPS", "Gap", "gaps"]

Versions = tuple[int, int]

#: What a live Apache Kafka 4.3.1 node advertises: {role: {api key: (lowest, highest)}}.
APACHE: Final[Mapping[str, Mapping[int, Versions]]] = {
    BROKER: {
        0: (0, 13),
        1: (4, 18),
        2: (1, 11),
        3: (0, 13),
        8: (2, 10),
        9: (1, 10),
        10: (0, 6),
        11: (0, 9),
        12: (0, 4),
        13: (0, 5),
        14: (0, 5),
        15: (0, 6),
        16: (0, 5),
        17: (0, 1),
        18: (0, 4),
        19: (2, 7),
        20: (1, 6),
        21: (0, 2),
        22: (0, 5),
        23: (2, 4),
        24: (0, 5),
        25: (0, 4),
        26: (0, 5),
        27: (1, 2),
        28: (0, 5),
        29: (1, 3),
        30: (1, 3),
        31: (1, 3),
        32: (1, 4),
        33: (0, 2),
        34: (1, 2),
        35: (1, 5),
        36: (0, 2),
        37: (0, 3),
        38: (1, 3),
        39: (1, 2),
        40: (1, 2),
        41: (1, 3),
        42: (0, 2),
        43: (0, 2),
        44: (0, 1),
        45: (0, 1),
        46: (0, 0),
        47: (0, 0),
        48: (0, 1),
        49: (0, 1),
        50: (0, 0),
        51: (0, 0),
        55: (0, 2),
        57: (0, 2),
        60: (0, 2),
        61: (0, 0),
        64: (0, 0),
        65: (0, 0),
        66: (0, 2),
        68: (0, 1),
        69: (0, 1),
        74: (0, 1),
        75: (0, 0),
        76: (1, 1),
        77: (1, 1),
        78: (1, 2),
        79: (1, 2),
        80: (0, 1),
        81: (0, 0),
        83: (0, 0),
        84: (0, 0),
        85: (0, 1),
        86: (0, 0),
        87: (0, 1),
        88: (0, 0),
        89: (0, 0),
        90: (0, 1),
        91: (0, 0),
        92: (0, 0),
    },
    CONTROLLER: {
        1: (4, 18),
        17: (0, 1),
        18: (0, 4),
        19: (2, 7),
        20: (1, 6),
        29: (1, 3),
        30: (1, 3),
        31: (1, 3),
        32: (1, 4),
        33: (0, 2),
        36: (0, 2),
        37: (0, 3),
        38: (1, 3),
        39: (1, 2),
        40: (1, 2),
        41: (1, 3),
        43: (0, 2),
        44: (0, 1),
        45: (0, 1),
        46: (0, 0),
        49: (0, 1),
        50: (0, 0),
        51: (0, 0),
        52: (0, 2),
        53: (0, 1),
        54: (0, 1),
        55: (0, 2),
        56: (2, 3),
        57: (0, 2),
        58: (0, 0),
        59: (0, 1),
        60: (0, 2),
        62: (0, 4),
        63: (0, 1),
        64: (0, 0),
        67: (0, 0),
        70: (0, 0),
        73: (0, 0),
        80: (0, 1),
        81: (0, 0),
        82: (0, 0),
    },
}


class Gap(NamedTuple):
    """Versions of an API (inclusive) that are not there, and why."""

    key: int
    lowest: int
    highest: int
    reason: str


SHARE: Final = "share groups are not there yet"
STREAMS: Final = "streams groups are not there yet"
SECURITY: Final = "there is no authentication yet"
QUOTAS: Final = "there are no quotas yet"
VOTERS: Final = "a quorum's voters cannot be changed while it runs"

#: Which APIs are missing as a whole, by reason.
MISSING: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = {
    BROKER: {
        SHARE: (76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92),
        STREAMS: (88, 89),
        SECURITY: (17, 36, 38, 39, 40, 41, 50, 51),
        QUOTAS: (48, 49),
        VOTERS: (80, 81),
    },
    CONTROLLER: {
        SECURITY: (17, 36, 38, 39, 40, 41, 50, 51),
        QUOTAS: (49,),
        VOTERS: (80, 81, 82),
        "nobody forwards requests in envelopes: a combined node asks its controller directly": (
            58,
        ),
    },
}
#: Versions missing of APIs that are there: {role: {key: (lowest, highest, reason)}}.
PARTLY: Final[Mapping[str, Mapping[int, tuple[int, int, str]]]] = {
    BROKER: {},
    CONTROLLER: {1: (4, 11, "the raft protocol fetches in version 12 and later")},
}


def _all(role: str) -> tuple[Gap, ...]:
    whole = [
        Gap(key, *APACHE[role][key], reason)
        for reason, keys in MISSING[role].items()
        for key in keys
    ]
    return tuple(sorted(whole + [Gap(key, *row) for key, row in PARTLY[role].items()]))


GAPS: Final[Mapping[str, tuple[Gap, ...]]] = {role: _all(role) for role in (BROKER, CONTROLLER)}


def gaps(role: str) -> list[str]:
    """The gaps of one kind of listener, a line each."""
    return [
        f"{gap.key:3d} {API[ApiKey(gap.key)].name} {gap.lowest}-{gap.highest}: {gap.reason}"
        for gap in GAPS[role]
    ]


def main() -> int:
    """Print both lists."""
    parser = argparse.ArgumentParser(prog="kafka_py.server.gaps", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for machines")
    if parser.parse_args().json:
        print(json.dumps({role: [gap._asdict() for gap in GAPS[role]] for role in GAPS}, indent=1))
        return 0
    for role in GAPS:
        print(f"{role} listener:")
        print("\n".join(f"  {line}" for line in gaps(role)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
