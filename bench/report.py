"""What a bench run leaves: results.json, a table on the terminal, an SVG plot."""

import datetime
import json
import platform
from pathlib import Path
from typing import Any

from bench.cases import CASES, Case

Row = dict[str, Any]


def rows(results: dict[str, dict[str, dict[str, Any]]]) -> list[Row]:
    """One row a case: both sides' figures, the ratios, and whether the case's bounds hold."""
    made = []
    for case in CASES:
        sides = results.get(case.name)
        if not sides or "kafka_py" not in sides:
            continue
        ours, apache = sides["kafka_py"], sides.get("apache")
        row: Row = {"case": case, "ours": ours, "apache": apache, "rate": None, "cpu": None}
        if apache:
            row["rate"] = ours["requests_per_s"] / apache["requests_per_s"]
            if apache.get("broker_cpu_us_per_request"):
                row["cpu"] = ours["broker_cpu_us_per_request"] / apache["broker_cpu_us_per_request"]
        row["ok"] = verdict(case, row)
        made.append(row)
    return made


def verdict(case: Case, row: Row) -> bool | None:
    """True or False against the case's bounds; None where it has none or Apache was not run."""
    if row["rate"] is None or (case.rate_min is None and case.cpu_max is None):
        return None
    return (case.rate_min is None or row["rate"] >= case.rate_min) and (
        case.cpu_max is None or row["cpu"] <= case.cpu_max
    )


def figures(side: dict[str, Any] | None, case: Case) -> tuple[str, str, str]:
    """Rate, p50 / p99, CPU of one side as text."""
    if side is None:
        return "", "", ""
    if case.kind == "start":
        return f"{1000 / side['requests_per_s']:.0f} ms", "", ""
    if case.kind == "memory":
        return f"{1000 / side['requests_per_s']:.0f} MB", "", ""
    mb = (
        side.get("request_mb_per_s", 0) if case.kind == "produce" else side.get("reply_mb_per_s", 0)
    )
    rate = f"{side['requests_per_s']:,.0f}/s" + (f" {mb:,.0f} MB/s" if mb >= 20 else "")
    latency = f"{side['p50_ms']:.3f} / {side['p99_ms']:.3f}" if "p50_ms" in side else ""
    return rate, latency, f"{side['broker_cpu_us_per_request']:.2f}"


def print_table(made: list[Row]) -> None:
    """The table of ratios."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="kafka_py beside Apache Kafka 4.3.1 (warm), one run, best of the passes")
    for name in ("case", "ours", "p50/p99 ms", "CPU us", "Apache", "p50/p99 ms", "CPU us"):
        table.add_column(name, justify="left" if name == "case" else "right")
    table.add_column("rate", justify="right")
    table.add_column("CPU", justify="right")
    table.add_column("bound")
    for row in made:
        case = row["case"]
        bound = " ".join(
            [f"rate >= {case.rate_min}"] * (case.rate_min is not None)
            + [f"CPU <= {case.cpu_max}"] * (case.cpu_max is not None)
        )
        colour = {True: "green", False: "red", None: "dim"}[row["ok"]]
        table.add_row(
            case.title,
            *figures(row["ours"], case),
            *figures(row["apache"], case),
            f"{row['rate']:.2f}x" if row["rate"] else "",
            f"{row['cpu']:.2f}" if row["cpu"] else "",
            f"[{colour}]{bound}[/{colour}]",
        )
    Console(width=170).print(table)


def write(results: dict[str, dict[str, dict[str, Any]]], directory: Path) -> list[Row]:
    """Write results.json and bench.svg; return the rows."""
    directory.mkdir(parents=True, exist_ok=True)
    made = rows(results)
    machine = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": len(Path("/proc/cpuinfo").read_text().split("processor\t")) - 1,
    }
    (directory / "results.json").write_text(
        json.dumps({"machine": machine, "results": results}, indent=1)
    )
    plot(made, machine, directory / "bench.svg")
    return made


def plot(made: list[Row], machine: dict[str, Any], path: Path) -> None:
    """Two panels of horizontal bars on a log scale: rate and CPU, ours relative to Apache's."""
    compared = [row for row in made if row["rate"]]
    if not compared:
        return
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    names = [row["case"].title for row in compared]
    figure, panels = pyplot.subplots(1, 2, figsize=(13, 0.42 * len(names) + 1.8), sharey=True)
    for panel, key, title in (
        (panels[0], "rate", "rate, ours / Apache (right is better)"),
        (panels[1], "cpu", "broker CPU a request, ours / Apache (left is better)"),
    ):
        values = [row[key] or 1 for row in compared]
        better = [(v >= 1) == (key == "rate") for v in values]
        panel.barh(
            names,
            [v - 1 for v in values],
            left=1,
            color=["#2a7f62" if good else "#b5483a" for good in better],
        )
        for y, row in enumerate(compared):
            bound = row["case"].rate_min if key == "rate" else row["case"].cpu_max
            if bound:
                panel.plot([bound, bound], [y - 0.4, y + 0.4], color="black", linewidth=1.5)
            if row[key]:
                panel.text(row[key], y, f" {row[key]:.2f} ", va="center", fontsize=8)
        panel.axvline(1, color="grey", linewidth=1)
        panel.set_xscale("log")
        panel.set_title(title, fontsize=10)
        panel.margins(x=0.25)
    panels[0].invert_yaxis()
    figure.suptitle(
        f"kafka_py beside Apache Kafka 4.3.1, {machine['date']}, {machine['cpus']} CPUs "
        "(black: what must hold)",
        fontsize=11,
    )
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
