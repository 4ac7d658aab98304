"""What bench runs leave: results on disk, a table on the terminal, pictures and one page.

    python -m bench.report bench/out/results.json bench/out/lag.json --out bench/out

makes pictures and page again from saved results without running anything; README shows
``produce-fetch.svg`` as it lies in bench/figures. A file is
``{"machine": {...}, "results": {case: {side: figures}}}``; sides are "kafka_py", "apache", "limit"
(what a bare program reaches with the same bytes) and any peers. When several files have a case it
comes whole from the last of them, since ratios are of one run. pytest-benchmark's kcore.json may be
among the files: a benchmark whose ``extra_info`` has ``mb_per_s`` and ``limit_mb_per_s`` (or, for
``bytes``, ``append_ns`` and ``copy_ns``) is a case of the storage core.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cases import CASES, LAG_CASES, Case

Figures = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Figures]]
Machine = Mapping[str, Any]

#: How the names of the storage core's cases begin.
KCORE = "kcore "


@dataclass(frozen=True)
class Check:
    """One bound of a case and what came of it. ``at_least``: whether more is better."""

    name: str
    bound: float
    at_least: bool
    value: float | None
    unit: str = "x"

    @property
    def holds(self) -> bool | None:
        """None when the run has not measured it."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return f"{self.name} {'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"


@dataclass(frozen=True)
class Row:
    """One case with what each side did."""

    case: Case
    sides: Results | Mapping[str, Figures]
    machine: Machine = field(default_factory=dict)

    @property
    def ours(self) -> Figures:
        """The figures of kafka_py."""
        return self.sides["kafka_py"]

    @property
    def apache(self) -> Figures | None:
        """Apache's figures, if it ran."""
        return self.sides.get("apache")

    def ratio(self, key: str, other: str = "apache") -> float | None:
        """Ours / the other side's, or None when one of them has no such figure."""
        ours, theirs = self.ours.get(key), self.sides.get(other, {}).get(key)
        return ours / theirs if ours is not None and theirs else None

    @property
    def rate(self) -> float | None:
        """Ours / Apache's, in whatever the case counts a second."""
        return None if self.case.kind == "lag" else self.ratio("requests_per_s")

    @property
    def cpu(self) -> float | None:
        """Broker CPU a request, ours / Apache's."""
        return self.ratio("broker_cpu_us_per_request")

    @property
    def checks(self) -> list[Check]:
        """The case's bounds, in the order of the columns."""
        case = self.case
        bounds = (
            ("rate", case.rate_min, True, self.rate, "x"),
            ("CPU", case.cpu_max, False, self.cpu, "x"),
            ("p50", case.p50_max, False, self.ratio("p50_ms"), "x"),
            ("p99", case.p99_max, False, self.ratio("p99_ms"), "x"),
            ("of the limit", case.limit_min, True, self.ratio("requests_per_s", "limit"), "x"),
            ("p50 of the limit", case.p50_limit_max, False, self.ratio("p50_ms", "limit"), "x"),
            ("p50", case.p50_ms_max, False, self.ours.get("p50_ms"), " ms"),
            ("p99", case.p99_ms_max, False, self.ours.get("p99_ms"), " ms"),
        )
        return [
            Check(name, bound, at_least, value, unit)
            for name, bound, at_least, value, unit in bounds
            if bound is not None
        ]

    @property
    def judged(self) -> list[tuple[str, bool | None]]:
        """Every bound in words with its value, and whether it holds.

        The two of a case of which either is enough are one.
        """
        pair = ("rate", "of the limit") if self.case.either else ()
        said = [(c.wanted + seen(c.value), c.holds) for c in self.checks if c.name not in pair]
        if choices := [check for check in self.checks if check.name in pair]:
            known = [check.holds for check in choices if check.holds is not None]
            words = " or ".join(check.wanted + seen(check.value) for check in choices)
            said.insert(0, (words, any(known) if known else None))
        return said

    @property
    def ok(self) -> bool | None:
        """Whether all that was measured holds; None when the case has nothing to hold."""
        verdicts = [holds for _, holds in self.judged if holds is not None]
        return all(verdicts) if verdicts else None


def seen(value: float | None) -> str:
    """What was measured, behind its bound."""
    return "" if value is None else f" ({value:.2f})"


def rows(results: Results, machines: Mapping[str, Machine] | None = None) -> list[Row]:
    """One row a case that ours ran, in the order of bench/cases.py; unknown cases come last."""
    known = {case.name: case for case in (*CASES, *LAG_CASES)}
    cases = {
        **{name: case for name, case in known.items() if name in results},
        **{name: Case(name, unknown_kind(name), name) for name in results if name not in known},
    }
    return [
        Row(case, results[name], (machines or {}).get(name, {}))
        for name, case in cases.items()
        if "kafka_py" in results[name]
    ]


def unknown_kind(name: str) -> str:
    """Of a case that bench/cases.py does not have."""
    return "kcore" if name.startswith(KCORE) else "other"


# ------------------------------------------------------------------------------- figures as text


def short(value: float) -> str:
    """Three figures and thousands as a word: 1.10 M, 14.6 k, 0.052."""
    suffix = ""
    for least, unit, word in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if value >= least:
            value, suffix = value / unit, word
            break
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}{suffix}"


def megabytes_per_s(side: Figures, case: Case) -> float:
    """What the case moves: of requests for a produce, of replies for a fetch; 0 if not known."""
    key = "request_mb_per_s" if case.kind == "produce" else "reply_mb_per_s"
    return float(side.get(key) or 0)


def figures(side: Figures | None, case: Case) -> tuple[str, str, str]:
    """Rate, p50 / p99, CPU of one side as text; empty where there is none."""
    if side is None:
        return "", "", ""
    latency = f"{side['p50_ms']:.3f} / {side['p99_ms']:.3f}" if "p50_ms" in side else ""
    cpu = side.get("broker_cpu_us_per_request")
    cpu_text = f"{cpu:.2f}" if cpu else ""
    if case.kind in ("start", "memory"):
        unit = "ms" if case.kind == "start" else "MB"
        return f"{1000 / side['requests_per_s']:.0f} {unit}", "", ""
    if case.kind == "lag":
        average = f"{side['avg_ms']:.3f} ms, average" if "avg_ms" in side else ""
        return average, latency, cpu_text
    mb = megabytes_per_s(side, case)
    if case.kind == "kcore":
        return f"{mb:,.0f} MB/s", "", ""
    rate = f"{short(side['requests_per_s'])}/s" + (f", {mb:,.0f} MB/s" if mb >= 20 else "")
    return rate, latency, cpu_text


def ratio_text(value: float | None) -> str:
    """4.03x, 75x; empty for None."""
    return "" if value is None else f"{value:.{0 if value >= 20 else 1 if value >= 10 else 2}f}x"


def print_table(made: Sequence[Row]) -> None:
    """The table of ratios."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="kafka_py beside Apache Kafka 4.3.1 (warm), one run, best of the passes")
    for name in ("case", "ours", "p50/p99 ms", "CPU us", "Apache", "p50/p99 ms", "CPU us"):
        table.add_column(name, justify="left" if name == "case" else "right")
    for name in ("limit", "rate", "CPU"):
        table.add_column(name, justify="right")
    table.add_column("bound")
    for row in made:
        colours = {True: "green", False: "red", None: "dim"}
        table.add_row(
            row.case.title,
            *figures(row.ours, row.case),
            *figures(row.apache, row.case),
            figures(row.sides.get("limit"), row.case)[0],
            ratio_text(row.rate),
            ratio_text(row.cpu),
            ", ".join(f"[{colours[holds]}]{words}[/]" for words, holds in row.judged),
        )
    Console(width=190).print(table)


# --------------------------------------------------------------------------------------- the files


def this_machine() -> dict[str, Any]:
    """What the figures depend on, as it is kept beside them."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": models[0] if models else platform.machine(),
        "cpus": info.count("processor\t"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def machine_text(machine: Machine) -> str:
    """Date and machine in one line, without what an old file does not have."""
    parts = [
        machine.get("date"),
        machine.get("cpu"),
        f"{machine['cpus']} CPUs" if "cpus" in machine else None,
        f"Linux {machine['kernel']}" if "kernel" in machine else None,
        f"CPython {machine['python']}" if "python" in machine else None,
    ]
    return ", ".join(part for part in parts if part)


def save(results: Results, path: Path) -> list[Row]:
    """Keep results with date and machine; return their rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = this_machine()
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return rows(results, dict.fromkeys(results, machine))


def storage_core(benchmarks: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Figures]]:
    """The benchmarks that say what a bare copy, pass or library does with the same bytes."""
    found: dict[str, Mapping[str, Figures]] = {}
    for benchmark in benchmarks:
        info = benchmark.get("extra_info", {})
        speeds = [info.get("mb_per_s"), info.get("limit_mb_per_s")]
        if "append_ns" in info and "copy_ns" in info:
            speeds = [info["bytes"] / info[key] * 1000 for key in ("append_ns", "copy_ns")]
        if all(speeds):
            words = benchmark["name"].removeprefix("test_").replace("_", " ")
            # A case counts requests; here one is a megabyte.
            sides: list[Figures] = [
                {"requests_per_s": speed, "reply_mb_per_s": speed} for speed in speeds
            ]
            found[KCORE + words] = dict(zip(("kafka_py", "limit"), sides, strict=True))
    return found


def benchmark_machine(kept: Mapping[str, Any]) -> Machine:
    """The machine of a pytest-benchmark file."""
    info = kept.get("machine_info", {})
    cpu = info.get("cpu", {})
    known = {
        "date": kept.get("datetime", "")[:10],
        "cpu": cpu.get("brand_raw"),
        "cpus": cpu.get("count"),
        "kernel": info.get("release"),
        "python": info.get("python_version"),
    }
    return {key: value for key, value in known.items() if value}


def load(paths: Sequence[Path]) -> list[Row]:
    """The rows of saved results, of several runs as of one.

    Raises OSError and ValueError for what is no such file.
    """
    results: dict[str, Mapping[str, Figures]] = {}
    machines: dict[str, Machine] = {}
    for path in paths:
        kept = json.loads(path.read_text())
        if isinstance(kept, dict) and "results" in kept:
            found, machine = kept["results"], kept.get("machine", {})
        elif isinstance(kept, dict) and "benchmarks" in kept:
            found, machine = storage_core(kept["benchmarks"]), benchmark_machine(kept)
        else:
            raise ValueError(f"{path}: no results of a bench run")
        results.update(found)
        machines.update(dict.fromkeys(found, machine))
    return rows(results, machines)


def draw(made: Sequence[Row], directory: Path) -> list[Path]:
    """Write the pictures and index.html; return their paths."""
    from bench import page, plots

    directory.mkdir(parents=True, exist_ok=True)
    written = []
    pictures = plots.pictures(made)
    for name, svg in pictures.items():
        written.append(directory / f"{name}.svg")
        written[-1].write_text(svg)
    written.append(directory / "index.html")
    written[-1].write_text(page.page(made, pictures))
    return written


def write(results: Results, directory: Path) -> list[Row]:
    """Write results.json, the pictures and the page; return the rows."""
    made = save(results, directory / "results.json")
    draw(made, directory)
    return made


def machine_lines(made: Sequence[Row]) -> Iterator[str]:
    """Every date and machine among the rows, once, newest first."""
    yield from sorted({text for row in made if (text := machine_text(row.machine))}, reverse=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", nargs="+", type=Path, help="results.json, lag.json, ...")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out")
    parser.add_argument("--table", action="store_true", help="print the table too")
    arguments = parser.parse_args()
    try:
        made = load(arguments.results)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not made:
        parser.error("no results of kafka_py in these files")
    if arguments.table:
        print_table(made)
    for path in draw(made, arguments.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
