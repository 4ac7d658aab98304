"""The table, the pictures and the page of saved results, of one run and of several."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import page, plots, report
from bench.report import Row
from tests.oracle.node import ROOT

APACHE = {
    "requests_per_s": 100.0,
    "broker_cpu_us_per_request": 10.0,
    "request_mb_per_s": 50.0,
    "reply_mb_per_s": 60.0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
}
OURS = APACHE | {
    "requests_per_s": 400.0,
    "request_mb_per_s": 200.0,
    "broker_cpu_us_per_request": 2.0,
    "p50_ms": 0.4,
    "p99_ms": 1.2,
}
LIMIT = {"requests_per_s": 500.0}
SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, **sides: object) -> Row:
    """One case's row."""
    (made,) = report.rows({name: {"kafka_py": OURS, "apache": APACHE, **sides}})
    return made


def bars(svg: str) -> list[tuple[str, float]]:
    """Every bar's paint and length."""
    shapes = ElementTree.fromstring(svg).findall(f"{SVG}rect")
    return [
        (shape.attrib["fill"], float(shape.attrib["width"]))
        for shape in shapes
        if shape.attrib["height"] == str(plots.BAR)
    ]


def test_a_bound_is_missed_by_either_of_a_lag_case_s_percentiles() -> None:
    made = row("lag")
    assert [(check.name, check.holds) for check in made.checks] == [("p50", True), ("p99", False)]
    assert made.ok is False
    assert made.rate is None


def test_a_bound_that_was_not_measured_is_neither_reached_nor_missed() -> None:
    (alone,) = report.rows({"lag": {"kafka_py": OURS}})
    assert [check.holds for check in alone.checks] == [None, None]
    assert alone.ok is None
    assert "unmeasured" in page.bounds(alone)


def test_either_of_two_bounds_is_enough_where_the_case_says_so() -> None:
    """4x Apache's rate or 0.8 of the limit, and 0.3 of the CPU."""
    by_rate = row("produce-15k", limit={"requests_per_s": 4000.0})
    by_limit = row("produce-15k", apache=APACHE | {"requests_per_s": 200.0}, limit=LIMIT)
    neither = row("produce-15k", apache=APACHE | {"requests_per_s": 200.0})
    assert [holds for _, holds in by_rate.judged] == [True, True]
    assert by_limit.judged[0] == ("rate ≥ 4x (2.00) or of the limit ≥ 0.8x (0.80)", True)
    assert [holds for _, holds in neither.judged] == [False, True]
    # The black line is at the one that is nearer: 400 of the limit's 500, not 800.
    assert "≥ 200 MB/s: reached" in plots.pictures([by_limit])["produce-large"]


def test_all_bounds_of_a_small_produce_have_to_hold() -> None:
    made = row("produce-d64", apache=APACHE | {"requests_per_s": 80.0}, limit=LIMIT)
    assert [check.name for check in made.checks] == ["rate", "CPU", "of the limit"]
    assert made.ok is True
    assert "≥ 400/s: reached" in plots.pictures([made])["produce-small"]
    slower = row("produce-d64", limit={"requests_per_s": 1000.0})
    assert slower.ok is False
    assert "≥ 600/s: missed" in plots.pictures([slower])["produce-small"]


def test_a_median_s_bound_may_be_the_limit_s() -> None:
    made = row("produce-d1-all", limit={"requests_per_s": 900.0, "p50_ms": 0.3})
    assert made.judged == [("p50 of the limit ≤ 2x (1.33)", True)]
    assert "≤ 0.600 ms: reached" in plots.pictures([made])["latency"]


def test_lengths_of_a_case_s_bars_are_as_the_figures() -> None:
    svg = plots.pictures([row("produce-125k", limit=LIMIT)])["produce-large"]
    (ours, apache, limit), cpu = bars(svg)[:3], bars(svg)[3:]
    assert [ours[0], apache[0]] == [plots.OURS, plots.APACHE]
    assert apache[1] / ours[1] == pytest.approx(0.25, abs=0.01)
    # The limit counts requests only: it moves as much in each as ours does.
    assert limit[1] / ours[1] == pytest.approx(1.25, abs=0.01)
    # 2 us each at half a megabyte a request; the limit has no CPU and no bar.
    assert cpu[0][1] / cpu[1][1] == pytest.approx(0.2, abs=0.01)
    assert len(cpu) == 2
    assert ">250 MB/s<" in svg
    assert ">0.004 ms  (0.20x)<" in svg


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("produce-d64", "produce-small"),
        ("produce-15k", "produce-large"),
        ("produce-d1-all", "latency"),
        ("fetch-128k", "fetch-large"),
        ("fetch-small", "fetch-small"),
        ("rdkafka-produce-lz4", "clients"),
        ("lag", "lag"),
        ("start", "start"),
        ("memory", "memory"),
        ("a case of tomorrow", "other"),
    ],
)
def test_every_case_is_in_its_picture(name: str, picture: str) -> None:
    made = row(name)
    drawn = plots.pictures([made])
    assert set(drawn) - {"produce-fetch"} == {picture}
    for svg in drawn.values():
        assert made.case.title in "".join(ElementTree.fromstring(svg).itertext())


def test_a_peer_has_a_bar_and_a_colour_of_its_own() -> None:
    svg = plots.pictures([row("produce-d64", kfake=APACHE)])["produce-small"]
    assert "kfake" in "".join(ElementTree.fromstring(svg).itertext())
    assert [paint for paint, _ in bars(svg)[:3]] == [plots.OURS, plots.APACHE, plots.PEERS[0]]


def test_saved_runs_make_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    first, second = tmp_path / "results.json", tmp_path / "lag.json"
    both = {"kafka_py": OURS, "apache": APACHE}
    first.write_text(
        json.dumps(
            {
                "machine": {"date": "2026-11-01", "cpus": 2, "kernel": "6.18", "python": "3.11.7"},
                "results": {
                    "produce-d64": both | {"limit": LIMIT},
                    "fetch-1mb": {"apache": APACHE},
                },
            }
        )
    )
    second.write_text(
        json.dumps(
            {
                "machine": {"date": "2026-11-24", "cpu": "A & B", "cpus": 4},
                "results": {"lag": both, "produce-125k": {"kafka_py": OURS}},
            }
        )
    )
    command = [sys.executable, "-m", "bench.report", first, second, "--out", tmp_path / "out"]
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, capture_output=True)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("index.html", "produce-fetch.svg", "produce-small.svg", "produce-large.svg", "lag.svg"),
    }
    html = (tmp_path / "out" / "index.html").read_text()
    assert "2026-11-24, A &amp; B, 4 CPUs<br>2026-11-01, 2 CPUs, Linux 6.18, CPython 3.11.7" in html
    assert html.count("<svg") == 4
    assert "500/s" in html, "the limit has its column"
    assert not re.search(r"(src|href)=|@import|url\((?!#)", html)
    assert "fetch 1 MB" not in html, "a case that ours has not run compares nothing"


def test_a_case_of_several_runs_comes_whole_from_the_last(tmp_path: Path) -> None:
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    faster = OURS | {"requests_per_s": 900.0}
    runs = ({"kafka_py": OURS, "apache": APACHE}, {"kafka_py": faster})
    for path, sides in zip(files, runs, strict=True):
        path.write_text(json.dumps({"results": {"produce-d64": sides}}))
    (made,) = report.load(files)
    assert (made.ours["requests_per_s"], made.apache) == (900.0, None)


def test_benchmarks_that_name_a_limit_are_cases_of_the_storage_core(tmp_path: Path) -> None:
    path = tmp_path / "kcore.json"
    benchmarks = [
        {"name": "test_append[1]", "extra_info": {"bytes": 50, "append_ns": 20, "copy_ns": 10}},
        {"name": "test_check", "extra_info": {"mb_per_s": 800.0, "limit_mb_per_s": 1000.0}},
        {"name": "test_build", "extra_info": {"records": 1000}},
    ]
    machine = {"release": "6.18", "cpu": {"count": 2}}
    path.write_text(json.dumps({"benchmarks": benchmarks, "machine_info": machine}))
    made = report.load([path])
    shares = [(one.case.name, one.ratio("requests_per_s", "limit")) for one in made]
    assert shares == [("kcore append[1]", 0.5), ("kcore check", 0.8)]
    assert report.machine_text(made[0].machine) == "2 CPUs, Linux 6.18"
    svg = plots.pictures(made)["kcore"]
    assert ">2,500 MB/s  (0.50x)<" in svg
    assert "Ratios: ours / the limit's." in "".join(ElementTree.fromstring(svg).itertext())
    assert "<td>800 MB/s</td>" in page.page(made, {})


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="no results of a bench run"):
        report.load([path])


def test_the_machine_has_what_the_figures_depend_on() -> None:
    machine = report.this_machine()
    assert machine["cpus"] >= 1
    assert machine["cpu"]
    assert machine["date"] in report.machine_text(machine)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0521, "0.052"), (1.5, "1.50"), (14.62, "14.6"), (9156.0, "9,156")]
    + [(14_600.0, "14.6 k"), (1_096_000.0, "1.10 M")],
)
def test_figures_are_short(value: float, text: str) -> None:
    assert report.short(value) == text
