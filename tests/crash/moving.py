"""Load whose partitions move between log directories all the time, so that crashes meet moves."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Sequence

from kafka_py.protocol.cluster import AlterReplicaLogDirsRequest, DescribeLogDirsRequest
from tests.crash.load import Load, Violation
from tests.oracle.node import Node
from tests.oracle.raw import RawClient


class MovingLoad(Load):
    """A Load, and a thread that moves its partitions between ``paths`` while it runs."""

    def __init__(self, seed: int, paths: Sequence[str]) -> None:
        """``paths``: the log directories of the node."""
        super().__init__(seed)
        self.paths = list(paths)
        self.moves_asked = 0
        self.moves_refused: list[int] = []
        self._random = random.Random(seed + 1)
        self._mover: threading.Thread | None = None
        self._quiet = threading.Event()

    def start(self, port: int) -> None:
        """Producers and mover."""
        super().start(port)
        self._quiet.clear()
        self._mover = threading.Thread(target=self._move, args=(port,))
        self._mover.start()

    def join(self) -> None:
        """Both have ended. Raises Violation if a move was refused."""
        super().join()
        self._quiet.set()
        if self._mover is not None:
            self._mover.join()
        if self.moves_refused:
            raise Violation(f"AlterReplicaLogDirs answered {sorted(set(self.moves_refused))}")

    def _move(self, port: int) -> None:
        with contextlib.suppress(OSError), contextlib.closing(RawClient(port)) as client:
            while not self._quiet.is_set():
                index = self._random.randrange(len(self.producers))
                self._ask(client, index, self._random.choice(self.paths))
                time.sleep(self._random.uniform(0.0, 0.06))

    def _ask(self, client: RawClient, index: int, path: str) -> None:
        request = AlterReplicaLogDirsRequest
        topic = request.AlterReplicaLogDirTopic(name=self.topic, partitions=[index])
        asked = request(dirs=[request.AlterReplicaLogDir(path=path, topics=[topic])])
        reply = client.call(asked, 2)
        self.moves_asked += 1
        self.moves_refused += [
            row.error_code for found in reply.results for row in found.partitions if row.error_code
        ]

    def verify_places(self, port: int) -> None:
        """After a while every partition is in one directory. Raises Violation."""
        with contextlib.closing(RawClient(port)) as client:
            self._await_places(client)

    def _await_places(self, client: RawClient) -> None:
        deadline = time.monotonic() + 45
        while True:
            reply = client.call(DescribeLogDirsRequest(topics=None), 4)
            places = sorted(
                (row.partition_index, row.is_future_key)
                for one in reply.results
                for found in one.topics
                for row in found.partitions
                if found.name == self.topic
            )
            if places == [(index, False) for index in range(len(self.producers))]:
                return
            if time.monotonic() > deadline:
                raise Violation(f"(partition, future) in the directories: {places}")
            time.sleep(0.05)


def load_for(node: Node, seed: int) -> Load:
    """What a campaign runs on the node: with moves, if it has more than one directory."""
    paths = node.properties["log.dirs"].split(",")
    return MovingLoad(seed, paths) if len(paths) > 1 else Load(seed)
