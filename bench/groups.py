"""`python -m bench.groups`: what groups cost, ours beside a warm Apache Kafka in the same run.

    commits      offset commits a second: 64 groups, each on a connection of its own, at two depths
    heartbeats   CPU of a core while 1,000 groups of 10 members (each on a connection of its own)
                 heartbeat as often as clients do, in both protocols
    rebalance    seconds until 1,000 members share 1,000 partitions anew, in both protocols
    load         seconds from a start's first answer to one million committed offsets' being read

Both sides have the same settings. Ours answers a commit when it is on disk, Apache when it is in
the page cache, as both do by default. Exit status 1 when a bound of issue 5 does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from bench import frames, measure
from bench.clients import cpu_seconds
from bench.compare import OUT, SERVER_JVM
from bench.group_peers import (
    Classic,
    Modern,
    Peer,
    create_topic,
    find_coordinator,
    settle,
)
from kafka_py.protocol.group_offsets import OffsetCommitRequest, OffsetFetchRequest
from tests.oracle.apache import ApacheNode
from tests.oracle.node import Node, OurNode, free_port_pair

Figures = dict[str, float]
COMMIT_VERSION = 9
COMMIT_GROUPS = 64
HEARTBEAT_GROUPS, HEARTBEAT_MEMBERS = 1000, 10
CLASSIC_INTERVAL_S, MODERN_INTERVAL_S = 3.0, 5.0
REBALANCE_MEMBERS = REBALANCE_PARTITIONS = 1000
LOAD_GROUPS = 1000
LOAD_TOPICS, LOAD_PARTITIONS = 10, 100
SETTINGS = {
    "group.initial.rebalance.delay.ms": "1000",
    "group.max.session.timeout.ms": "1800000",
    "group.consumer.max.size": "10000",
    "group.consumer.session.timeout.ms": "600000",
    "group.consumer.max.session.timeout.ms": "600000",
    "offsets.retention.minutes": "100000",
}


# ---------------------------------------------------------------------------------------- commits


def commit_frame(group: str, topic: str) -> bytes:
    """An OffsetCommit of one partition by nobody in particular."""
    request = OffsetCommitRequest(
        group_id=group,
        topics=[
            OffsetCommitRequest.OffsetCommitRequestTopic(
                name=topic,
                partitions=[
                    OffsetCommitRequest.OffsetCommitRequestPartition(
                        committed_offset=1_234_567, committed_leader_epoch=0
                    )
                ],
            )
        ],
    )
    return frames.frame(8, COMMIT_VERSION, request.encode(COMMIT_VERSION))


async def prepare_commits(node: Node) -> None:
    """The topic, and a first commit of every group (which makes it)."""
    peer = await Peer.open(node.port)
    await create_topic(peer, "committed", 1)
    await find_coordinator(peer)
    for number in range(COMMIT_GROUPS):
        await commit_all(peer, f"group-{number:04d}", {"committed": [0]})
    peer.close()


async def commit_all(peer: Peer, group: str, places: dict[str, list[int]]) -> None:
    """Commit an offset for each of these partitions; again while the coordinator is loading."""
    request = OffsetCommitRequest(
        group_id=group,
        topics=[
            OffsetCommitRequest.OffsetCommitRequestTopic(
                name=topic,
                partitions=[
                    OffsetCommitRequest.OffsetCommitRequestPartition(
                        partition_index=index, committed_offset=index
                    )
                    for index in indexes
                ],
            )
            for topic, indexes in places.items()
        ],
    )
    while True:
        reply = await peer.call(request, COMMIT_VERSION)
        codes = {row.error_code for topic in reply.topics for row in topic.partitions}
        if codes == {0}:
            return
        assert codes <= {14, 15, 16}, codes
        await asyncio.sleep(0.05)


def commits(node: Node, depth: int, arguments: argparse.Namespace) -> Figures:
    """One pass of the load generator."""
    requests = [commit_frame(f"group-{i:04d}", "committed") for i in range(COMMIT_GROUPS)]
    measured = measure.load(
        node,
        "commit",
        requests,
        *("--connections", COMMIT_GROUPS, "--depth", depth),
        *("--seconds", arguments.seconds, "--warm", 1),
    )
    return {
        "rate": measured["requests_per_s"],
        "p50_ms": measured["p50_ms"],
        "p99_ms": measured["p99_ms"],
        "cpu_us": measured["broker_cpu_us_per_request"],
    }


# ------------------------------------------------------------------------------------- heartbeats


async def beat_on(members: Sequence[Classic | Modern], interval_s: float, seconds: float) -> int:
    """Let everyone heartbeat once an interval, evenly spread; how many were answered."""
    beats = [(member.peer, member.heartbeat()) for member in members]
    loop = asyncio.get_running_loop()
    before = sum(peer.replies for peer, _ in beats)
    began = loop.time()
    sent = 0
    while (elapsed := loop.time() - began) < seconds:
        due = int(elapsed / interval_s * len(beats))
        while sent < due:
            peer, frame = beats[sent % len(beats)]
            peer.beat(frame)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.5)
    problems = [error for peer, _ in beats for error in peer.errors]
    assert not problems, problems[0]
    return sum(peer.replies for peer, _ in beats) - before


async def classic_groups(node: Node) -> list[Classic]:
    """1,000 stable groups of ten."""
    members: list[Classic] = []
    at_once = 50
    for first in range(0, HEARTBEAT_GROUPS, at_once):
        some = [
            Classic(await Peer.open(node.port), f"classic-{first + g:04d}", "beats")
            for g in range(at_once)
            for _ in range(HEARTBEAT_MEMBERS)
        ]
        await asyncio.gather(*(member.join_and_sync(HEARTBEAT_MEMBERS) for member in some))
        members += some
    return members


async def modern_groups(node: Node) -> list[Modern]:
    """The same in the consumer protocol."""
    members: list[Modern] = []
    at_once = 50
    for first in range(0, HEARTBEAT_GROUPS, at_once):
        groups = [
            [
                Modern(await Peer.open(node.port), f"modern-{first + g:04d}", "beats", i)
                for i in range(HEARTBEAT_MEMBERS)
            ]
            for g in range(at_once)
        ]
        await asyncio.gather(*(settle(group, HEARTBEAT_MEMBERS, 0.05) for group in groups))
        members += [member for group in groups for member in group]
    return members


async def heartbeats(node: Node, kind: str, arguments: argparse.Namespace) -> Figures:
    """CPU of a core, in percent, over the measured seconds."""
    peer = await Peer.open(node.port)
    await create_topic(peer, "beats", HEARTBEAT_MEMBERS)
    await find_coordinator(peer)
    members: Sequence[Classic | Modern]
    if kind == "classic":
        members, interval_s = await classic_groups(node), CLASSIC_INTERVAL_S
    else:
        members, interval_s = await modern_groups(node), MODERN_INTERVAL_S
    # All are in their last epoch; a broker may still do more for the first heartbeat in it (ours
    # looks at the topics again), so everyone has had two.
    await beat_on(members, interval_s, max(2 * interval_s, arguments.settle))
    cpu = cpu_seconds(node.pid)
    seconds = max(2 * interval_s, arguments.seconds)
    answered = await beat_on(members, interval_s, seconds)
    used = cpu_seconds(node.pid) - cpu
    for member in members:
        member.peer.close()
    peer.close()
    return {
        # The wait for the last answers is not counted: nobody heartbeats then.
        "percent": used / seconds * 100,
        "rate": answered / seconds,
        "cpu_us": used / answered * 1e6,
    }


# -------------------------------------------------------------------------------------- rebalances


async def classic_rebalance(node: Node, name: str) -> Figures:
    """Seconds until everyone who rejoined at once has its assignment; the best of three."""
    peers = [await Peer.open(node.port) for _ in range(REBALANCE_MEMBERS)]
    members = [Classic(peer, name, "rebalanced") for peer in peers]
    best = 1e9
    for round_number in range(4):
        began = time.perf_counter()
        await asyncio.gather(*(one.join_and_sync(REBALANCE_PARTITIONS) for one in members))
        if round_number:
            best = min(best, time.perf_counter() - began)
        assert sorted(p for one in members for p in one.assigned) == list(
            range(REBALANCE_PARTITIONS)
        )
    for peer in peers:
        peer.close()
    return {"seconds": best}


async def modern_rebalance(node: Node, name: str) -> Figures:
    """Seconds until everyone who joined at once has a partition and the same epoch."""
    peers = [await Peer.open(node.port) for _ in range(REBALANCE_MEMBERS)]
    members = [Modern(peer, name, "rebalanced", i) for i, peer in enumerate(peers)]
    began = time.perf_counter()
    await settle(members, REBALANCE_PARTITIONS, 0.1)
    seconds = time.perf_counter() - began
    owned = sorted(p for one in members for _, indexes in one.owned for p in indexes)
    assert owned == list(range(REBALANCE_PARTITIONS))
    for peer in peers:
        peer.close()
    return {"seconds": seconds}


async def rebalance(node: Node, kind: str, _: argparse.Namespace) -> Figures:
    """A rebalance of 1,000 members over 1,000 partitions; the second one counts."""
    peer = await Peer.open(node.port)
    await create_topic(peer, "rebalanced", REBALANCE_PARTITIONS)
    await find_coordinator(peer)
    peer.close()
    run = classic_rebalance if kind == "classic" else modern_rebalance
    await run(node, f"{kind}-rebalance-0")
    return await run(node, f"{kind}-rebalance-1")


# --------------------------------------------------------------------------------------------- load


async def fill(node: Node) -> None:
    """Commit a million offsets, a hundred partitions a request."""
    peer = await Peer.open(node.port)
    for number in range(LOAD_TOPICS):
        await create_topic(peer, f"loaded-{number}", LOAD_PARTITIONS)
    await find_coordinator(peer)
    for number in range(LOAD_GROUPS):
        await asyncio.gather(
            *(
                commit_all(
                    peer,
                    f"load-{number:04d}",
                    {f"loaded-{topic}": list(range(LOAD_PARTITIONS))},
                )
                for topic in range(LOAD_TOPICS)
            )
        )
    peer.close()


async def served(node: Node) -> None:
    """Until every group's last offset can be read."""
    peer = await Peer.open(node.port)
    topic = OffsetFetchRequest.OffsetFetchRequestTopics(
        name=f"loaded-{LOAD_TOPICS - 1}", partition_indexes=[LOAD_PARTITIONS - 1]
    )
    for number in range(LOAD_GROUPS):
        group = OffsetFetchRequest.OffsetFetchRequestGroup(
            group_id=f"load-{number:04d}", topics=[topic]
        )
        while True:
            answer = (await peer.call(OffsetFetchRequest(groups=[group]), 9)).groups[0]
            if not answer.error_code:
                assert answer.topics[0].partitions[0].committed_offset == LOAD_PARTITIONS - 1
                break
            await asyncio.sleep(0.01)
    peer.close()


def load(node: Node, _: argparse.Namespace) -> Figures:
    """Fill, stop, start; seconds from the first answer of the process to the offsets' being served,
    and from its start."""
    asyncio.run(fill(node))
    node.stop()
    began = time.perf_counter()
    node.start()
    started = time.perf_counter()
    asyncio.run(served(node))
    ended = time.perf_counter()
    return {"seconds": ended - started, "from_start_s": ended - began}


# ----------------------------------------------------------------------------------------- the run

Case = Callable[[Node, argparse.Namespace], Figures]


def on_loop(run: Callable[..., Coroutine[Any, Any, Figures]], kind: str) -> Case:
    """A case that is a coroutine."""
    return lambda node, arguments: asyncio.run(run(node, kind, arguments))


def warm_commits(node: Node, arguments: argparse.Namespace) -> None:
    """Give the JIT its time with the load itself."""
    asyncio.run(prepare_commits(node))
    until = time.monotonic() + (arguments.warm if node.kind == "apache" else 1)
    while time.monotonic() < until:
        measure.load(
            node,
            "commit",
            [commit_frame("group-0000", "committed")],
            *("--connections", COMMIT_GROUPS, "--depth", 16, "--seconds", 3, "--warm", 0),
        )


CASES: dict[str, Case] = {
    "commits-d16": lambda node, arguments: commits(node, 16, arguments),
    "commits-d100": lambda node, arguments: commits(node, 100, arguments),
    "heartbeats-classic": on_loop(heartbeats, "classic"),
    "heartbeats-modern": on_loop(heartbeats, "modern"),
    "rebalance-classic": on_loop(rebalance, "classic"),
    "rebalance-modern": on_loop(rebalance, "modern"),
    "load": load,
}


def verdict(name: str, ours: Figures, apache: Figures | None) -> str:
    """What issue 5 wants of the case, and whether it holds."""
    if name.startswith("commits"):
        if apache is None:
            return "no Apache"
        ratio = ours["rate"] / apache["rate"]
        return f"{'ok' if ratio >= 5 else 'FAILED'}: {ratio:.1f}x Apache's rate (5x)"
    key, limit = {
        "heartbeats": ("percent", 10.0),
        "rebalance": ("seconds", 2.0),
        "load": ("seconds", 3.0),
    }[name.partition("-")[0]]
    return f"{'ok' if ours[key] < limit else 'FAILED'}: {ours[key]:.2f} {key} (below {limit:g})"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.groups", description=__doc__)
    parser.add_argument("cases", nargs="*", help="names of cases (default: all)")
    parser.add_argument("--only-ours", action="store_true", help="without Apache")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds a pass")
    parser.add_argument("--settle", type=float, default=5.0, help="heartbeat seconds before that")
    parser.add_argument("--passes", type=int, default=3, help="passes of the commits")
    parser.add_argument("--warm", type=float, default=20.0, help="seconds of warming Apache")
    parser.add_argument("--out", type=Path, default=OUT / "groups.json")
    arguments = parser.parse_args()
    # Asked to end, it ends its brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if wrong := [name for name in arguments.cases if name not in CASES]:
        parser.error(f"no such case: {', '.join(wrong)}; there are {', '.join(CASES)}")
    wanted = [name for name in CASES if not arguments.cases or name in arguments.cases]
    results: dict[str, dict[str, Figures]] = {name: {} for name in wanted}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-py-bench-")))
        sides: list[Node] = [
            OurNode(directory / "ours", free_port_pair(20400, 20498), SETTINGS),
        ]
        if not arguments.only_ours:
            port = free_port_pair(20500, 20598)
            sides.append(ApacheNode(directory / "apache", port, SETTINGS, jvm=SERVER_JVM))
        for node in sides:
            stack.enter_context(node)
        if any(name.startswith("commits") for name in wanted):
            for node in sides:
                warm_commits(node, arguments)
        for name in wanted:
            passes = arguments.passes if name.startswith("commits") else 1
            for _ in range(passes):
                for node in sides:
                    figures = CASES[name](node, arguments)
                    best = results[name].get(node.kind)
                    if best is None or figures.get("rate", 0) > best.get("rate", 0):
                        results[name][node.kind] = figures
            print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1))
    verdicts = {
        name: verdict(name, sides_of["kafka_py"], sides_of.get("apache"))
        for name, sides_of in results.items()
    }
    for name, text in verdicts.items():
        print(f"{name:20} {text}")
    return 1 if any(text.startswith("FAILED") for text in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
