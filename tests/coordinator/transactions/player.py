"""The commands of a transactions transcript, and what came of each: records, answers, markers.

version N                              transaction.version is finalized at that level
init ID [vN] [as=PID/EPOCH] [timeout=MS]
add ID PID/EPOCH P ... [client=2]      AddPartitionsToTxn; client=2 for one of a broker
verify ID PID/EPOCH P ...
end ID PID/EPOCH commit|abort [vN]
describe ID ...      list [states=A,B] [ids=N,M] [older=MS] [pattern=P]
markers [P=ERROR ...]                  what was asked for is written, or fails so
wait MS                                time passes
hold / commit / timeout                nothing is committed any more; it is; who waits is told off
crash                                  what is not committed is lost, another coordinator loads
fail ERROR                             the next append fails with it
ids on|off                             whether there are producer ids to have
bump ID EPOCH                          init until the epoch is that; nothing of it is shown
"""

from __future__ import annotations

from typing import Any

from kafka_py.coordinator.runtime import Ask
from kafka_py.coordinator.transactions.markers import MarkerJob
from kafka_py.coordinator.transactions.requests import AddPartitions
from kafka_py.coordinator.transactions.transaction import State, to_record
from kafka_py.protocol.errors import ErrorCode
from kafka_py.protocol.transactions import (
    DescribeTransactionsRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    ListTransactionsRequest,
)
from kcore.values import replace
from tests.coordinator.transactions.world import WALL_MS, Row, World


def place(word: str) -> tuple[str, int]:
    """TOPIC-P."""
    topic, _, index = word.rpartition("-")
    return topic, int(index)


def who(word: str) -> tuple[int, int]:
    """PID/EPOCH."""
    producer_id, _, epoch = word.partition("/")
    return int(producer_id), int(epoch)


class Player:
    """Plays commands on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows = 0
        self.shown: list[MarkerJob] = []
        self.open: list[Ask] = []

    def play(self, line: str) -> str:
        """What a command led to."""
        verb, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        dropped = self.world.dropped
        getattr(self, f"do_{verb}")(plain, options)
        rows = list(self.world.log.rows())
        if len(rows) < self.rows:
            self.rows = len(rows)
        written, self.rows = rows[self.rows :], len(rows)
        lines = [row_text(row) for row in written]
        for ask in [ask for ask in self.open if ask.done]:
            self.open.remove(ask)
            lines += answer(ask)
        lines += [job_text(job) for job in self.world.jobs if job not in self.shown]
        self.shown = list(self.world.jobs)
        if self.world.dropped > dropped:
            lines.append("the machine is dropped")
        return "\n".join(lines)

    def ask(self, request: Any, version: int) -> None:
        self.open.append(self.world.ask(request, version))

    def do_version(self, plain: list[str], _options: dict[str, str]) -> None:
        self.world.version = int(plain[0])

    def do_init(self, plain: list[str], options: dict[str, str]) -> None:
        producer_id, epoch = who(options.get("as", "-1/-1"))
        request = InitProducerIdRequest(
            transactional_id=plain[0],
            transaction_timeout_ms=int(options.get("timeout", 60_000)),
            producer_id=producer_id,
            producer_epoch=epoch,
        )
        self.ask(request, 5)

    def do_bump(self, plain: list[str], _options: dict[str, str]) -> None:
        name, until = plain[0], int(plain[1])
        known = self.world.shard.transactions[name]
        # What so many requests would lead to, without their hour.
        made = replace(known, producer_epoch=until - 1)
        key, value, _ = to_record(made, self.world.version)
        self.world.shard.apply(key, value)
        self.do_init([name], {})
        self.open.clear()
        self.rows = len(list(self.world.log.rows()))

    def do_add(self, plain: list[str], options: dict[str, str], *, verify: bool = False) -> None:
        name, producer, *places = plain
        client = int(options.get("client", 0))
        partitions = tuple(map(place, places))
        self.ask(AddPartitions(name, *who(producer), partitions, verify, client), 3)

    def do_verify(self, plain: list[str], options: dict[str, str]) -> None:
        self.do_add(plain, options, verify=True)

    def do_end(self, plain: list[str], _options: dict[str, str]) -> None:
        name, producer, how, *version = plain
        producer_id, epoch = who(producer)
        request = EndTxnRequest(
            transactional_id=name,
            producer_id=producer_id,
            producer_epoch=epoch,
            committed=how == "commit",
        )
        self.ask(request, int(version[0][1:]) if version else 5)

    def do_describe(self, plain: list[str], _options: dict[str, str]) -> None:
        self.ask(DescribeTransactionsRequest(transactional_ids=plain), 0)

    def do_list(self, _plain: list[str], options: dict[str, str]) -> None:
        request = ListTransactionsRequest(
            state_filters=[one for one in options.get("states", "").split(",") if one],
            producer_id_filters=[int(one) for one in options.get("ids", "").split(",") if one],
            duration_filter=int(options.get("older", -1)),
            transactional_id_pattern=options.get("pattern"),
        )
        self.ask(request, 2)

    def do_markers(self, _plain: list[str], options: dict[str, str]) -> None:
        errors = {place(word): ErrorCode[name] for word, name in options.items()}
        for job in list(self.world.jobs):
            self.world.written(job, errors)

    def do_wait(self, plain: list[str], _options: dict[str, str]) -> None:
        self.world.advance(int(plain[0]))

    def do_hold(self, _plain: list[str], _options: dict[str, str]) -> None:
        self.world.at_once = False

    def do_commit(self, _plain: list[str], _options: dict[str, str]) -> None:
        self.world.at_once = True
        self.world.commit()

    def do_timeout(self, _plain: list[str], _options: dict[str, str]) -> None:
        self.world.log.time_out()
        self.world.settle()

    def do_crash(self, _plain: list[str], _options: dict[str, str]) -> None:
        self.world.crash()
        self.shown = []

    def do_fail(self, plain: list[str], _options: dict[str, str]) -> None:
        self.world.log.error = ErrorCode[plain[0]]

    def do_ids(self, plain: list[str], _options: dict[str, str]) -> None:
        self.world.has_producer_ids = plain[0] == "on"


def row_text(row: Row) -> str:
    """A record as a line."""
    name, value, version = row
    if value is None:
        return f"| {name} gone"
    text = f"| {name} {State(value.transaction_status).name} {value.producer_id}/"
    text += f"{value.producer_epoch} v{version}"
    for topic in value.transaction_partitions or ():
        text += "".join(f" {topic.topic}-{index}" for index in topic.partition_ids)
    if value.transaction_start_timestamp_ms >= 0:
        text += f", since {value.transaction_start_timestamp_ms - WALL_MS}"
    text += f", at {value.transaction_last_update_timestamp_ms - WALL_MS}"
    if value.previous_producer_id not in (-1, value.producer_id):
        text += f", before {value.previous_producer_id}"
    if value.next_producer_id != -1:
        text += f", next {value.next_producer_id}"
    if value.client_transaction_version:
        text += f", client {value.client_transaction_version}"
    return text


def job_text(job: MarkerJob) -> str:
    """Markers that are asked for, as a line."""
    how = "commit" if job.commit else "abort"
    places = " ".join(f"{topic}-{index}" for topic, index in job.partitions)
    return (
        f"> {how} {job.transactional_id} {job.producer_id}/{job.producer_epoch} "
        f"tv {job.transaction_version} epoch {job.coordinator_epoch}: {places}"
    )


def answer(ask: Ask) -> list[str]:
    """An answer as lines."""
    response = ask.response
    if isinstance(ask.request, AddPartitions):
        return [f"{topic}-{i}: {ErrorCode.of(e).name}" for (topic, i), e in response.items()]
    if isinstance(ask.request, DescribeTransactionsRequest):
        return [
            " ".join(
                [
                    f"{row.transactional_id}: {ErrorCode.of(row.error_code).name}",
                    f"{row.transaction_state} {row.producer_id}/{row.producer_epoch}",
                    *(f"{t.topic}-{i}" for t in row.topics for i in t.partitions),
                ]
            )
            for row in response.transaction_states
        ]
    error = ErrorCode.of(response.error_code).name
    if isinstance(ask.request, ListTransactionsRequest):
        return [
            error,
            *(
                f"{row.transactional_id} {row.producer_id} {row.transaction_state}"
                for row in response.transaction_states
            ),
        ]
    if isinstance(ask.request, EndTxnRequest) and ask.caller.api_version < 5:
        return [error]
    return [f"{error} {response.producer_id}/{response.producer_epoch}"]
