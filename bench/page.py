"""The page of a bench run: every picture and the table, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from bench.report import Row, figures, machine_lines, ratio_text

PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kafka_py beside Apache Kafka</title>
<style>
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
       color: #111; background: #fff; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; break-after: avoid; }
p.machine { color: #444; margin-top: 0; }
figure { margin: 1.4rem 0; max-width: 880px; break-inside: avoid; }
figure svg { width: 100%; height: auto; border: 1px solid #ddd; border-radius: 4px; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; text-align: right; vertical-align: top; white-space: nowrap; }
th { border-bottom: 2px solid #111; vertical-align: bottom; }
td { border-bottom: 1px solid #ddd; }
.words { text-align: left; }
td.words:first-child { white-space: normal; min-width: 11rem; }
th[colspan] { text-align: center; border-bottom: 1px solid #999; }
.reached::before { content: "✓ "; } .missed::before { content: "✗ "; }
.reached { color: #00563f; } .missed { color: #a3310a; font-weight: 600; }
.unmeasured { color: #666; }
@page { size: landscape; margin: 12mm; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } table { font-size: 8px; }
               th, td { padding: .15rem .3rem; }
               figure svg { border: 0; max-height: 135mm; } }
</style>
</head>
<body>
<h1>kafka_py beside Apache Kafka 4.3.1</h1>
<p class="machine">$machines</p>
<p>$summary</p>
<p>Both brokers ran on the same machine in the same run and took turns; Apache's was warmed with
each case's own load first, and the best pass of each counts. CPU is the broker's own, over exactly
the measured window. A limit is what a bare program reaches with the same bytes.</p>
$main
<h2>All cases</h2>
<div class="wide"><table>
<thead>
<tr><th rowspan="2" class="words">case</th>
<th colspan="3">kafka_py</th><th colspan="3">Apache Kafka</th>$limit_head
<th colspan="2">kafka_py / Apache</th><th rowspan="2" class="words">bounds</th></tr>
<tr><th>rate</th><th>p50 / p99, ms</th><th>CPU, µs</th><th>rate</th><th>p50 / p99, ms</th>
<th>CPU, µs</th><th>rate</th><th>CPU</th></tr>
</thead>
<tbody>
$rows
</tbody>
</table></div>
<h2>By measure</h2>
$figures
</body>
</html>
"""
)


def bounds(row: Row) -> str:
    """The bounds of a case, each with its verdict and what was measured."""
    names = {True: "reached", False: "missed", None: "unmeasured"}
    return "<br>".join(
        f'<span class="{names[holds]}">{escape(words).replace(" or ", "<br>or ")}</span>'
        for words, holds in row.judged
    )


def table_row(row: Row, with_limit: bool, with_date: bool) -> str:
    """One case as a row of the table."""
    date = f"<br><small>{escape(row.machine.get('date', ''))}</small>" if with_date else ""
    cells = [*figures(row.ours, row.case), *figures(row.apache, row.case)]
    if with_limit:
        cells.append(figures(row.sides.get("limit"), row.case)[0])
    cells += [ratio_text(row.rate), ratio_text(row.cpu)]
    inside = "".join(f"<td>{escape(cell).replace(', ', '<br>')}</td>" for cell in cells)
    return (
        f'<tr><td class="words">{escape(row.case.title)}{date}</td>{inside}'
        f'<td class="words">{bounds(row)}</td></tr>'
    )


def summary(made: Sequence[Row]) -> str:
    """How many bounds hold, in words."""
    verdicts = [holds for row in made for _, holds in row.judged if holds is not None]
    return f"{sum(verdicts)} of {len(verdicts)} bounds are reached." if verdicts else ""


def page(made: Sequence[Row], pictures: Mapping[str, str]) -> str:
    """The whole document."""
    machines = list(machine_lines(made))
    with_limit = any("limit" in row.sides for row in made)
    with_date = len({row.machine.get("date") for row in made}) > 1
    drawn = {name: f"<figure>\n{svg}</figure>" for name, svg in pictures.items()}
    return PAGE.substitute(
        machines="<br>".join(escape(line) for line in machines),
        summary=summary(made),
        main=drawn.pop("produce-fetch", ""),
        limit_head='<th rowspan="2">limit</th>' if with_limit else "",
        rows="\n".join(table_row(row, with_limit, with_date) for row in made),
        figures="\n".join(drawn.values()),
    )
