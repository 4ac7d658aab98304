"""``kafka-py consume``: print records, alone or as a member of a group.

Records on stdout, everything else on stderr. Ctrl-C (or SIGTERM) ends it cleanly: with a group,
what was printed is committed and the group is left.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kafka_py.cli.failures import USER, Failure
from kafka_py.cli.output import DIM, abandoned, coloured, count, silence, styled, tell

if TYPE_CHECKING:
    from kafka_py.client.cluster import Cluster
    from kafka_py.client.records import ConsumerRecord, PartitionRecords
    from kafka_py.client.types import TopicPartition

EARLIEST, LATEST = "earliest", "latest"
POLL_MS: Final = 200
POLL_RECORDS_MAX: Final = 500
METADATA_AGE_MAX_MS: Final = 10_000
PROTOCOLS: Final = ("auto", "classic", "consumer")


def add_commands(commands: Any) -> None:
    """Add this module's command to a parser."""
    from kafka_py.cli.cluster import add_cluster_arguments, add_json_argument

    consume = commands.add_parser(
        "consume",
        help="print records of topics, alone or in a consumer group",
        description="Prints records until Ctrl-C, --max or --to-end.",
    )
    consume.add_argument("topic", nargs="+", metavar="TOPIC[:PARTITIONS]")
    consume.add_argument("--max", type=positive, metavar="N", help="stop after N records")
    consume.add_argument(
        "--from-beginning",
        action="store_true",
        help="from the first record on; with --group, where nothing is committed",
    )
    consume.add_argument(
        "--offset",
        type=parse_start,
        metavar="N",
        help="from offset N on, or with -N from the last N records of each partition on",
    )
    consume.add_argument(
        "--to-end", action="store_true", help="stop at what is now the end of each partition"
    )
    consume.add_argument(
        "--read-committed",
        action="store_true",
        help="leave out records of open and aborted transactions",
    )
    consume.add_argument(
        "--group", "-g", metavar="GROUP", help="join this group and commit what was printed"
    )
    consume.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="auto",
        help="the group protocol (auto: KIP-848's, unless classic members are there)",
    )
    consume.add_argument("--instance-id", metavar="ID", help="be a static member of the group")
    consume.add_argument("--client-id", metavar="ID", default="kafka-py", help="(kafka-py)")
    add_cluster_arguments(consume)
    add_json_argument(consume, "one JSON object a record")
    consume.set_defaults(run=run)


def positive(text: str) -> int:
    """A number above 0. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)


def parse_start(text: str) -> int:
    """An offset, or a count of last records as a negative number. Raises ArgumentTypeError."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no offset: N or -N is wanted") from None


def run(arguments: argparse.Namespace) -> int:
    """Consume; the exit status."""
    from kafka_py.cli.cluster import cluster_of
    from kafka_py.cli.serve import run_loop

    grouped = arguments.group is not None
    if grouped and (arguments.offset is not None or arguments.to_end):
        raise Failure(
            "consume: a group goes on where it has committed: --offset and --to-end are for "
            "reading without --group (kafka-py groups reset-offsets moves a group)",
            USER,
        )
    if arguments.offset is not None and arguments.from_beginning:
        raise Failure("consume: --offset and --from-beginning exclude each other", USER)
    if arguments.instance_id is not None and not grouped:
        raise Failure("consume: --instance-id is for members of a --group", USER)
    cluster = cluster_of(arguments, client_id=arguments.client_id)
    cluster.limits = cluster.limits._replace(metadata_age_max_ms=METADATA_AGE_MAX_MS)
    return run_loop(Consumption(arguments, cluster).run())


class Consumption:
    """One run of the command."""

    def __init__(self, arguments: argparse.Namespace, cluster: Cluster) -> None:
        self.arguments = arguments
        self.cluster = cluster
        self.printed = 0
        self.stopping = False
        self.write = json_line if arguments.json else Text(coloured(sys.stdout)).line

    @property
    def left(self) -> int:
        """How many records may still be printed at once."""
        limit: int | None = self.arguments.max
        return POLL_RECORDS_MAX if limit is None else min(POLL_RECORDS_MAX, limit - self.printed)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to be printed."""
        return self.stopping or self.left <= 0 or (self.printed > 0 and abandoned())

    async def run(self) -> int:
        """Consume until it is done; the exit status."""
        from kafka_py.cli.cluster import existing_partitions, parse_topic
        from kafka_py.client.admin import Admin

        topics = dict(map(parse_topic, self.arguments.topic))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.on_signal, number)
        async with self.cluster:
            partitions = await existing_partitions(Admin(self.cluster), topics)
            if self.arguments.group is None:
                await self.read(partitions)
                self.farewell(count(self.printed, "record"))
            else:
                if any(numbers is not None for numbers in topics.values()):
                    raise Failure("consume: a group divides partitions itself: name topics", USER)
                await self.read_in_group(tuple(topics))
        return 0

    def on_signal(self, number: signal.Signals) -> None:
        """Stop cleanly; asked again, let the signal do what it does without us."""
        if self.stopping:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.raise_signal(number)
        self.stopping = True

    def farewell(self, text: str) -> None:
        """The last line, for a person only."""
        if sys.stderr.isatty() or self.arguments.group is not None:
            tell(text)

    async def read(self, partitions: list[TopicPartition]) -> None:
        """Read partitions without a group."""
        from kafka_py.client.fetching import Fetcher

        fetcher = Fetcher(self.cluster, self.fetch_settings(LATEST))
        starts, ends = await self.bounds(partitions)
        for partition, start in starts.items():
            fetcher.assign(partition, start)
        try:
            while not self.done:
                if ends is not None and all(
                    fetcher.positions.get(each, 0) >= end for each, end in ends.items()
                ):
                    return
                chunk = fetcher.take(self.left)
                if not self.show(chunk, ends):
                    return
                if not chunk:
                    await fetcher.wait(POLL_MS)
        finally:
            await fetcher.close()

    async def bounds(
        self, partitions: list[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int] | None]:
        """Where to begin, and with --to-end where to stop."""
        from kafka_py.client.admin import list_offsets
        from kafka_py.client.types import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP

        isolation = self.fetch_settings(LATEST).isolation
        firsts = await list_offsets(self.cluster, dict.fromkeys(partitions, EARLIEST_TIMESTAMP))
        lasts = await list_offsets(
            self.cluster, dict.fromkeys(partitions, LATEST_TIMESTAMP), isolation=isolation
        )
        starts = {}
        offset = self.arguments.offset
        for each in partitions:
            first, last = firsts[each].offset, lasts[each].offset
            if offset is None:
                starts[each] = first if self.arguments.from_beginning else last
            else:
                starts[each] = max(last + offset, first) if offset < 0 else offset
                if not first <= starts[each] <= last:
                    raise Failure(f"{each} has offsets {first} to {last}, not {offset}", USER)
        ends = {each: lasts[each].offset for each in partitions} if self.arguments.to_end else None
        return starts, ends

    def fetch_settings(self, reset: str) -> Any:
        """How to fetch."""
        from kafka_py.client.admin import READ_COMMITTED, READ_UNCOMMITTED
        from kafka_py.client.fetching import FetchSettings

        isolation = READ_COMMITTED if self.arguments.read_committed else READ_UNCOMMITTED
        return FetchSettings(isolation=isolation, auto_offset_reset=reset)

    async def read_in_group(self, topics: tuple[str, ...]) -> None:
        """Read as a member of a group."""
        from kafka_py.cli.rebalances import Teller
        from kafka_py.client.group_consumer import GroupConsumer
        from kafka_py.client.membership import GroupSettings

        group: str = self.arguments.group
        reset = EARLIEST if self.arguments.from_beginning else LATEST
        consumer = GroupConsumer(
            self.cluster,
            GroupSettings(group, topics, instance_id=self.arguments.instance_id),
            fetch=self.fetch_settings(reset),
            protocol=self.arguments.protocol,
            listener=Teller(group),
        )
        try:
            while not self.done:
                chunk = await consumer.poll(POLL_MS, records_max=self.left)
                if not self.show(chunk):
                    for records in chunk:
                        consumer.seek(records.partition, records.start)
                    break
        finally:
            await consumer.close()
        self.farewell(f"{count(self.printed, 'record')}; offsets committed, left group {group}")

    def show(
        self, chunk: list[PartitionRecords], ends: dict[TopicPartition, int] | None = None
    ) -> bool:
        """Print records; False when nobody reads stdout any more."""
        lines = []
        for records in chunk:
            end = None if ends is None else ends.get(records.partition)
            lines += [
                self.write(record) for record in records if end is None or record.offset < end
            ]
        if not lines:
            return True
        try:
            sys.stdout.write("".join(lines))
            sys.stdout.flush()
        except BrokenPipeError:
            silence()
            return False
        self.printed += len(lines)
        return True


class Text:
    """Records as lines for people: where, when, key, value, headers."""

    def __init__(self, colours: bool) -> None:
        self.colours = colours

    def line(self, record: ConsumerRecord) -> str:
        """One record."""
        place = f"{record.topic}-{record.partition}@{record.offset}"
        head = f"{place}  {time_text(record.timestamp_ms)}"
        if self.colours:
            head = styled(head, DIM, sys.stdout)
        parts = [head, text_of(record.key), text_of(record.value)]
        if record.headers:
            pairs = (f"{text_of(name)}={text_of(value)}" for name, value in record.headers)
            parts.append(f"[{', '.join(pairs)}]")
        return "  ".join(parts) + "\n"


def time_text(timestamp_ms: int) -> str:
    """A time in UTC to the millisecond; "-" for none."""
    if timestamp_ms < 0:
        return "-"
    try:
        moment = datetime.fromtimestamp(timestamp_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % 1000:03d}Z"


def text_of(data: bytes | None) -> str:
    """Bytes on one line of a terminal: control characters and what is no UTF-8 are escaped."""
    if data is None:
        return "null"
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_line(record: ConsumerRecord) -> str:
    """A record as JSON; what is no UTF-8 is in base64, under a name that says so."""
    fields: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms if record.timestamp_ms >= 0 else None,
    }
    put(fields, "key", record.key)
    put(fields, "value", record.value)
    fields["headers"] = []
    for name, value in record.headers:
        header = {"name": text_of(name)}
        put(header, "value", value)
        fields["headers"].append(header)
    return json.dumps(fields, ensure_ascii=False) + "\n"


def put(fields: dict[str, Any], name: str, data: bytes | None) -> None:
    """Put bytes into a JSON object."""
    if data is None:
        fields[name] = None
        return
    try:
        fields[name] = data.decode("utf-8")
    except UnicodeDecodeError:
        fields[f"{name}_base64"] = base64.b64encode(data).decode()
