"""`python -m kafka_py.demo`: start a node, load the flights, read them back, serve on.

Exit status: that of the node when it could not start (its own line says why), 1 when what was read
is not what was written, 0 after Ctrl-C.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kafka_py.demo import flights
from kafka_py.demo.load import Tally, consume, percentile_ms, produce

TOPIC = "flights"
PARTITIONS = 6
console = Console(highlight=False)


class NodeStopped(Exception):
    """The node ended before it was ready; it has said why itself."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the node stopped with status {status}")
        self.status = status


@contextlib.contextmanager
def node(host: str, port: int, data: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `kafka-py serve` as a child and stop it at the end.

    Raises NodeStopped if it never got ready.
    """
    command = [sys.executable, "-m", "kafka_py", "serve"]
    command += [
        "--listen",
        f"{host}:{port}",
        "--data",
        data,
        "--set",
        "offsets.topic.replication.factor=1",
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise NodeStopped(child.wait())
        console.print(f"[green]{line.strip()}[/green]", soft_wrap=True)
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(30)


def bars() -> Progress:
    """Live progress in the form: what, bar, records of all, MB/s, time."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=console,
    )


def records_held(admin: AdminClient, bootstrap: str) -> int | None:
    """How many records the topic holds, or None when there is no such topic."""
    if TOPIC not in admin.list_topics(timeout=10).topics:
        return None
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "demo", "log_level": 2})
    try:
        ends = [
            consumer.get_watermark_offsets(TopicPartition(TOPIC, index), timeout=10)
            for index in range(PARTITIONS)
        ]
    finally:
        consumer.close()
    return sum(int(high) - int(low) for low, high in ends)


def create_topic(admin: AdminClient) -> None:
    """Create the six-partition topic and wait for the node's yes."""
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)


def delete_topic(admin: AdminClient) -> None:
    """Delete the topic and wait until the node no longer lists it."""
    admin.delete_topics([TOPIC])[TOPIC].result(30)
    while TOPIC in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)


def closing_table(written: Tally, latencies: list[int], read: Tally) -> Table:
    """The table at the end: both sides, the latencies, the records a partition."""
    table = Table(title=f"{written.records:,} flights, acks=all, through librdkafka")
    for column in ("", "records", "MB", "seconds", "MB/s", "records/s"):
        table.add_column(column, justify="left" if not column else "right")
    for name, side in (("produced", written), ("consumed", read)):
        table.add_row(
            name,
            f"{side.records:,}",
            f"{side.size_bytes / 1e6:.1f}",
            f"{side.seconds:.2f}",
            f"{side.mb_per_s:.1f}",
            f"{side.records / side.seconds:,.0f}",
        )
    table.add_section()
    table.add_row(
        "latency",
        f"p50 {percentile_ms(latencies, 0.5):.2f} ms",
        "",
        "",
        "",
        f"p99 {percentile_ms(latencies, 0.99):.2f} ms",
    )
    table.add_section()
    for index in range(PARTITIONS):
        count = read.per_partition.get(index, 0)
        mark = "=" if count == written.per_partition.get(index, 0) else "differs"
        table.add_row(f"{TOPIC}-{index}", f"{count:,}", mark)
    return table


def load_and_read(bootstrap: str) -> bool:
    """Produce and consume every flight, print the table, and say whether both sides agree."""
    with bars() as progress:
        task = progress.add_task("reading", total=flights.RECORDS, rate="")
        began = time.perf_counter()

        def show(task_id: object, records: int) -> None:
            rate = records / max(time.perf_counter() - began, 1e-3)
            progress.update(task_id, completed=records, rate=f"{rate:>9,.0f} records/s")

        events = []
        for event in flights.events():
            events.append(event)
            if len(events) % 5000 == 0:
                show(task, len(events))
        show(task, len(events))
        task = progress.add_task("producing", total=flights.RECORDS, rate="")
        began = time.perf_counter()
        written, latencies = produce(bootstrap, TOPIC, events, lambda n: show(task, n))
        task = progress.add_task("consuming", total=written.records, rate="")
        began = time.perf_counter()
        read = consume(bootstrap, TOPIC, PARTITIONS, written.records, lambda n: show(task, n))
    console.print(closing_table(written, latencies, read))
    same = written.same_as(read)
    console.print(
        "[green]What came out is what went in: every flight, in order within its carrier.[/green]"
        if same
        else "[red]What came out is NOT what went in.[/red]"
    )
    return same


def what_next(bootstrap: str) -> None:
    """Lines to type in another terminal, with tools that people have."""
    console.print("\nServing until Ctrl-C. In another terminal:")
    for name, line in (
        ("kcat", f"kcat -b {bootstrap} -t {TOPIC} -C -p 0 -o beginning -c 3"),
        (
            "Python",
            '.venv/bin/python -c "from confluent_kafka import *; '
            f"c = Consumer({{'bootstrap.servers': '{bootstrap}', 'group.id': 'me', "
            "'auto.offset.reset': 'earliest'}); "
            f"c.subscribe(['{TOPIC}']); print(c.poll(30).value()); c.close()\"",
        ),
        (
            "Java",
            f"kafka-console-consumer.sh --bootstrap-server {bootstrap} --topic {TOPIC} "
            "--group us --from-beginning --max-messages 3",
        ),
        ("groups", f".venv/bin/python -m kafka_py groups describe me us -b {bootstrap}"),
        ("storage", f".venv/bin/python -m kcore dump data/{TOPIC}-0"),
    ):
        console.print(f"  [bold]{name:<8}[/bold]", end="")
        console.print(line, soft_wrap=True, markup=False)


def demo(bootstrap: str) -> bool:
    """Load (or find) the flights; False when the records read differ from those written."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    held = records_held(admin, bootstrap)
    if held == flights.RECORDS:
        console.print(f"Topic {TOPIC} already holds its {held:,} flights; serving them.")
        return True
    if held is not None:
        console.print(
            f"Topic {TOPIC} holds {held:,} of {flights.RECORDS:,} flights (an interrupted load): "
            "loading it anew."
        )
        delete_topic(admin)
    create_topic(admin)
    return load_and_read(bootstrap)


def main() -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="kafka_py.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument(
        "--data", default="data", help="directory of the node's log (default: data)"
    )
    parser.add_argument(
        "--once", action="store_true", help="stop after the table instead of serving on"
    )
    arguments = parser.parse_args()
    bootstrap = f"{arguments.host}:{arguments.port}"
    try:
        with node(arguments.host, arguments.port, arguments.data) as child:
            if not demo(bootstrap):
                return 1
            if not arguments.once:
                what_next(bootstrap)
                child.wait()
    except NodeStopped as stopped:
        return stopped.status or 1
    except KafkaException as error:
        console.print(f"[red]The client gave up: {error}[/red]")
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; the data stays in the directory, `make run` serves it again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
