"""The pictures of a bench run: an SVG a measure, made from rows of bench/report.py.

Each case is a small plot of its own: a bar for each side from 0, to the case's own scale, so that
nothing needs a logarithm and bars of one case can be compared by eye. Sides are named beside their
bars and every bar has its value; a black line is the bound that ours has to reach. The colours are
told apart with any colour vision, and in print by their lightness; the limit is hatched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from bench.cases import Case
from bench.report import (
    Figures,
    Row,
    machine_lines,
    megabytes_per_s,
    ratio_text,
    short,
)

Value = Callable[[Figures, Row], float | None]

NAMES = {"kafka_py": "kafka_py", "apache": "Apache", "limit": "limit"}
#: Okabe and Ito's colours; ours first, then Apache's, then those of peers in turn.
OURS, APACHE = "#0072b2", "#e69f00"
PEERS = ("#009e73", "#cc79a7", "#56b4e9", "#d55e00")

WIDTH, MARGIN, NAME_WIDTH, LABEL_WIDTH, GAP = 880, 20, 78, 144, 20
BAR, BAR_STEP, TITLE_STEP, WORDS_STEP, ROW_GAP = 13, 17, 20, 15, 10
#: About what a bold character of a label takes.
CHARACTER = 7
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Panel:
    """One column of a picture: what is drawn of a side, and in which unit.

    ``bound`` gives where ours has to be, in the same unit, and ``more`` says which way is better.
    """

    title: str
    unit: Callable[[Case], str]
    value: Value
    more: bool
    ratio: Callable[[Row], float | None]
    bound: Callable[[Row], float | None]

    def text(self, row: Row, value: float) -> str:
        """A bar's label."""
        unit = self.unit(row.case)
        if unit == "MB/s" and value >= 100:
            return f"{value:,.0f} MB/s"
        return f"{short(value)} {unit}".replace(" /s", "/s")


@dataclass(frozen=True)
class Picture:
    """A measure: some cases, and one or two panels of each."""

    name: str
    title: str
    chosen: Callable[[Case], bool]
    panels: tuple[Panel, ...]
    against: str = "Apache's"


# ---------------------------------------------------------------------------- what a bar stands for


def rate(side: Figures, row: Row) -> float | None:
    """Requests or records a second."""
    return side.get("requests_per_s")


def megabytes(side: Figures, row: Row) -> float | None:
    """Megabytes a second; a side that only counts requests moves as much in each as ours."""
    moved = megabytes_per_s(side, row.case)
    if not moved and side.get("requests_per_s") and row.ours["requests_per_s"]:
        each = megabytes_per_s(row.ours, row.case) / row.ours["requests_per_s"]
        moved = side["requests_per_s"] * each
    return moved or None


def cpu(side: Figures, row: Row) -> float | None:
    """Microseconds of the broker's CPU a request or record."""
    return side.get("broker_cpu_us_per_request") or None


def cpu_per_megabyte(side: Figures, row: Row) -> float | None:
    """Milliseconds of the broker's CPU a megabyte."""
    used, moved = cpu(side, row), megabytes(side, row)
    return used * side["requests_per_s"] / moved / 1000 if used and moved else None


def inverse(side: Figures, row: Row) -> float | None:
    """Milliseconds of a start, megabytes of a process, which are kept as rates."""
    return 1000 / side["requests_per_s"] if side.get("requests_per_s") else None


def figure_of(key: str) -> Value:
    """A figure as it is kept."""
    return lambda side, row: side.get(key)


def rate_bound(value: Value) -> Callable[[Row], float | None]:
    """Where ours has to be by Apache's rate, by the limit's, or by the one that is nearer."""

    def bound(row: Row) -> float | None:
        shares = (("apache", row.case.rate_min), ("limit", row.case.limit_min))
        least = [
            theirs * share
            for side, share in shares
            if share and side in row.sides and (theirs := value(row.sides[side], row))
        ]
        return (min if row.case.either else max)(least, default=None)

    return bound


def most_bound(
    value: Value, share: Callable[[Case], float | None]
) -> Callable[[Row], float | None]:
    """Where ours has to stay below, as a share of Apache's."""

    def bound(row: Row) -> float | None:
        most = share(row.case)
        theirs = value(row.apache, row) if row.apache else None
        return theirs * most if theirs and most else None

    return bound


def latency_bound(key: str) -> Callable[[Row], float | None]:
    """The same of a percentile, which may have a bound in milliseconds, or by the limit, too."""
    name = f"{key}_ms"

    def bound(row: Row) -> float | None:
        shares = (("apache", f"{key}_max"), ("limit", f"{key}_limit_max"))
        most = [
            row.sides[side][name] * share
            for side, field in shares
            if (share := getattr(row.case, field, None)) and row.sides.get(side, {}).get(name)
        ]
        absolute = getattr(row.case, f"{name}_max")
        return min(most + ([absolute] if absolute else []), default=None)

    return bound


def moves_megabytes(case: Case) -> bool:
    """Whether the case is about bytes rather than requests."""
    return case.large or case.fetch_bytes > 1


RATE = Panel(
    "requests a second",
    lambda case: "/s",
    rate,
    True,
    lambda row: row.rate,
    rate_bound(rate),
)
CPU = Panel(
    "broker CPU a request",
    lambda case: "µs",
    cpu,
    False,
    lambda row: row.cpu,
    most_bound(cpu, lambda case: case.cpu_max),
)
MB = Panel(
    "megabytes a second",
    lambda case: "MB/s",
    megabytes,
    True,
    lambda row: row.rate,
    rate_bound(megabytes),
)
CPU_MB = Panel(
    "broker CPU a megabyte",
    lambda case: "ms",
    cpu_per_megabyte,
    False,
    lambda row: row.cpu,
    most_bound(cpu_per_megabyte, lambda case: case.cpu_max),
)
MIXED_RATE = Panel(
    "requests or megabytes a second",
    lambda case: "MB/s" if moves_megabytes(case) else "/s",
    lambda side, row: (megabytes if moves_megabytes(row.case) else rate)(side, row),
    True,
    lambda row: row.rate,
    lambda row: rate_bound(megabytes if moves_megabytes(row.case) else rate)(row),
)
P50, P99 = (
    Panel(
        title,
        lambda case: "ms",
        figure_of(f"{key}_ms"),
        False,
        lambda row, key=key: row.ratio(f"{key}_ms"),  # type: ignore[misc]
        latency_bound(key),
    )
    for key, title in (("p50", "median"), ("p99", "99th percentile"))
)
AVERAGE = Panel(
    "average",
    lambda case: "ms",
    figure_of("avg_ms"),
    False,
    lambda row: row.ratio("avg_ms"),
    lambda row: None,
)


def kept_inverse(unit: str) -> Panel:
    """A start's or a process's panel."""
    return Panel(
        "", lambda case: unit, inverse, False, lambda row: 1 / row.rate if row.rate else None,
        lambda row: None,
    )  # fmt: skip


MAIN = ("produce-d64", "produce-d16x8", "produce-125k", "produce-1mb") + (
    "fetch-1mb",
    "fetch-128k",
    "fetch-small",
)
PICTURES = (
    Picture(
        "produce-fetch",
        "Produce and fetch: kafka_py beside a warm Apache Kafka 4.3.1",
        lambda case: case.name in MAIN,
        (MIXED_RATE, CPU),
    ),
    Picture(
        "produce-small",
        "Produce, small requests",
        lambda case: case.kind == "produce" and not case.large and not single(case),
        (RATE, CPU),
    ),
    Picture(
        "produce-large",
        "Produce, large requests",
        lambda case: case.kind == "produce" and case.large,
        (MB, CPU_MB),
    ),
    Picture(
        "latency",
        "Produce, one request at a time: time to the reply",
        lambda case: case.kind == "produce" and single(case),
        (P50, P99),
    ),
    Picture(
        "fetch-large",
        "Fetch, many bytes",
        lambda case: case.kind == "fetch" and case.fetch_bytes > 1,
        (MB, CPU_MB),
    ),
    Picture(
        "fetch-small",
        "Fetch, one small batch",
        lambda case: case.kind == "fetch" and case.fetch_bytes <= 1,
        (RATE, CPU),
    ),
    Picture(
        "lag",
        "Consumer lag: produce to a waiting fetch",
        lambda case: case.name == "lag",
        (P50, P99),
    ),
    Picture(
        "lag-tool",
        "Consumer lag by Apache's own tool",
        lambda case: case.name == "lag-tool",
        (AVERAGE,),
    ),
    Picture(
        "clients",
        "librdkafka",
        lambda case: case.kind.startswith("client-"),
        (replace(RATE, title="records a second"), replace(CPU, title="broker CPU a record")),
    ),
    Picture(
        "start", "Start to first reply", lambda case: case.kind == "start", (kept_inverse("ms"),)
    ),
    Picture("memory", "Idle memory", lambda case: case.kind == "memory", (kept_inverse("MB"),)),
    Picture(
        "kcore",
        "The storage core beside a bare copy, pass or library call over the same bytes",
        lambda case: case.kind == "kcore",
        (replace(MB, ratio=lambda row: row.ratio("requests_per_s", "limit")),),
        against="the limit's",
    ),
    Picture("other", "More measures", lambda case: case.kind == "other", (RATE, CPU)),
)


def single(case: Case) -> bool:
    """One small request at a time, on one connection: latency is what counts."""
    return case.depth == 1 and case.connections == 1 and not case.large


# ------------------------------------------------------------------------------------------ drawing


def ordered(sides: Mapping[str, Any]) -> list[str]:
    """Ours, Apache, the peers, the limit."""
    rest = [name for name in sides if name not in NAMES]
    return [name for name in ("kafka_py", "apache", *rest, "limit") if name in sides]


def colour(side: str, peers: Sequence[str], picture: str) -> str:
    """A side's paint."""
    if side == "limit":
        return f"url(#hatch-{picture})"
    return {"kafka_py": OURS, "apache": APACHE}.get(side) or PEERS[peers.index(side) % len(PEERS)]


def text(x: float, y: float, content: str, attributes: str = "") -> str:
    """A text element."""
    return f"<text x='{x:.1f}' y='{y:.1f}' {attributes}>{escape(content)}</text>"


def bars(
    row: Row, panel: Panel, at: tuple[float, float], width: float, paint: Callable[[str], str]
) -> Iterator[str]:
    """One case in one panel: a bar a side, and the bound's line."""
    left, top = at
    values = {side: panel.value(row.sides[side], row) for side in ordered(row.sides)}
    bound = panel.bound(row)
    most = max(
        [value for value in values.values() if value] + ([bound] if bound else []), default=0
    )
    if not most:
        yield text(left, top + BAR - 2, "not measured", "fill='#666'")
        return
    for number, (side, value) in enumerate(values.items()):
        y = top + number * BAR_STEP
        if value is None:
            continue
        long = max(value / most * width, 1)
        edge = " stroke='#444' stroke-width='0.8'" if side == "limit" else ""
        yield (
            f"<rect x='{left:.1f}' y='{y:.1f}' width='{long:.1f}' height='{BAR}'"
            f" fill='{paint(side)}'{edge}/>"
        )
        label = panel.text(row, value)
        ratio = panel.ratio(row) if side == "kafka_py" else None
        if ratio is not None:
            label += f"  ({ratio_text(ratio)})"
        after = long
        if side == "kafka_py" and bound:
            line = bound / most * width
            # The label goes past the bound's line where the two would meet.
            if -2 < line - long < len(label) * CHARACTER + 8:
                after = line
        weight = "font-weight='600'" if side == "kafka_py" else ""
        yield text(left + after + 5, y + BAR - 2.5, label, weight)
    if bound:
        x = left + bound / most * width
        yield f"<path d='M{x:.1f} {top - 3:.1f}v{BAR + 6}' stroke='#000' stroke-width='2'/>"


def wanted(row: Row, panel: Panel) -> str:
    """What the black line stands for, in words, with the verdict."""
    bound = panel.bound(row)
    ours = panel.value(row.ours, row)
    if bound is None or ours is None:
        return ""
    reached = ours >= bound if panel.more else ours <= bound
    sign, verdict = "≥" if panel.more else "≤", "reached" if reached else "missed"
    return f"{sign} {panel.text(row, bound)}: {verdict}"


def draw(picture: Picture, chosen: Sequence[Row]) -> str:
    """One picture as an SVG document."""
    peers = sorted({side for row in chosen for side in row.sides} - set(NAMES))
    count = len(picture.panels)
    left = MARGIN + NAME_WIDTH
    column = (WIDTH - left - MARGIN - GAP * (count - 1)) / count
    y = 58.0
    parts = [
        text(MARGIN, 28, picture.title, "font-size='17' font-weight='600'"),
    ]
    for number, panel in enumerate(picture.panels):
        better = "more is better" if panel.more else "less is better"
        title = f"{panel.title} ({better})" if panel.title else better
        parts.append(text(left + number * (column + GAP), 50, title, "fill='#444'"))
    for row in chosen:
        y += TITLE_STEP
        parts.append(
            f"<path d='M{MARGIN} {y - 15:.1f}H{WIDTH - MARGIN}' stroke='#ddd' stroke-width='1'/>"
        )
        parts.append(text(MARGIN, y, row.case.title, "font-weight='600'"))
        words = [wanted(row, panel) for panel in picture.panels]
        y += WORDS_STEP + 8 if any(words) else 8
        for number, side in enumerate(ordered(row.sides)):
            name = NAMES.get(side, side)
            parts.append(
                text(left - 6, y + number * BAR_STEP + BAR - 2.5, name, "text-anchor='end'")
            )
        for number, panel in enumerate(picture.panels):
            x = left + number * (column + GAP)
            paint = lambda side: colour(side, peers, picture.name)  # noqa: E731
            parts += bars(row, panel, (x, y), column - LABEL_WIDTH, paint)
            parts.append(text(x, y - 8, words[number], "font-size='11' fill='#444'"))
        y += len(row.sides) * BAR_STEP + ROW_GAP
    notes = [
        "Each case has its own scale from 0. Black line: the bound."
        f" Ratios: ours / {picture.against}.",
        *machine_lines(chosen),
    ]
    for note in notes:
        y += 15
        parts.append(text(MARGIN, y, note, "font-size='11' fill='#444'"))
    return document(picture, parts, y + 14)


def document(picture: Picture, parts: Sequence[str], height: float) -> str:
    """The SVG around its parts."""
    hatch = (
        f"<defs><pattern id='hatch-{picture.name}' width='5' height='5'"
        " patternUnits='userSpaceOnUse' patternTransform='rotate(45)'>"
        "<rect width='5' height='5' fill='#fff'/><path d='M0 0v5' stroke='#666' stroke-width='2'/>"
        "</pattern></defs>"
    )
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}'"
            f" width='{WIDTH}' height='{height:.0f}' role='img' {FONT} font-size='13' fill='#111'>",
            f"<title>{escape(picture.title)}</title>",
            hatch,
            f"<rect width='{WIDTH}' height='{height:.0f}' fill='#fff'/>",
            *parts,
            "</svg>",
            "",
        ]
    )


def pictures(made: Sequence[Row]) -> dict[str, str]:
    """Every picture that has a case among the rows, by its name."""
    drawn = {}
    for picture in PICTURES:
        chosen = [row for row in made if picture.chosen(row.case)]
        if chosen:
            drawn[picture.name] = draw(picture, chosen)
    return drawn
