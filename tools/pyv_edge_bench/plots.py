"""Draws what was measured of scale, an image for each axis: `python -m pyv_edge_bench.plots`.

Reads build/scale.json, writes build/scale-AXIS.png. A point is the median of its repeats, its
bar goes from the least to the greatest; what is extrapolated is hollow. Needs matplotlib,
which is imported when there is something to draw.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scale import Point

_SIZE = (11.0, 4.4)  # inches
_DPI = 110
_COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8e6c00", "#6a4c93", "#444444")
_MARKERS = "osD^vP"
_FEW = 1000  # of an axis that goes up to so many times its least value, numbers are written


@dataclass(frozen=True)
class Panel:
    """One pair of axes: which figures are drawn there, each with what it is called."""

    title: str
    y_label: str
    lines: Sequence[tuple[str, str]]
    is_log: bool = True


@dataclass(frozen=True)
class Plot:
    """One image."""

    title: str
    x_label: str
    panels: Sequence[Panel]


PLOTS = {
    "devices": Plot(
        "An agent with 1 to 64 boards on serial lines",
        "boards",
        (
            Panel(
                "CPU time of 1,000 readings",
                "ms",
                (
                    ("cpu_ms_per_1000", "640 a second in all"),
                    ("most_cpu_ms_per_1000", "as many as go"),
                ),
            ),
            Panel(
                "Share of one core",
                "percent",
                (
                    ("cpu_percent", "10 readings a second of each"),
                    ("idle_cpu_percent", "none: the links are up"),
                ),
            ),
        ),
    ),
    "channels": Plot(
        "1 to 1,000 channels on four boards, 2,560 readings a second in all",
        "channels",
        (
            Panel(
                "CPU time of 1,000 readings",
                "ms",
                (("cpu_ms_per_1000", "agent"),),
                is_log=False,
            ),
            Panel(
                "Bytes of a reading",
                "bytes",
                (
                    ("written_bytes_per_reading", "written to the disk"),
                    ("rest_bytes_per_reading", "in the file"),
                ),
                is_log=False,
            ),
        ),
    ),
    "stored": Plot(
        "A store of 10,000 to 10 million readings (hollow: extrapolated)",
        "readings stored",
        (
            Panel(
                "What a reading costs",
                "µs",
                (
                    ("commit_us", "commit, 500 at a time"),
                    ("upkeep_us", "summaries and seals"),
                    ("retention_us", "removal when too old"),
                ),
            ),
            Panel(
                "What a question, or a look at the whole, takes",
                "ms",
                (
                    ("query_hour_ms", "an hour of one channel"),
                    ("chart_30d_ms", "chart of 30 days"),
                    ("open_ms", "opening"),
                    ("open_checked_ms", "the same with a full check"),
                    ("backup_ms", "backup"),
                    ("verify_ms", "audit verify"),
                ),
            ),
        ),
    ),
    "backlog": Plot(
        "A backlog that drains while new readings pass it",
        "readings waiting",
        (
            Panel("Drained", "readings a second", (("drain_per_s", "to an HTTP receiver"),)),
            Panel(
                "Time",
                "ms",
                (
                    ("opened_ms", "to open the store and to know what waits"),
                    ("live_p99_ms", "until a new reading is acknowledged, p99"),
                ),
            ),
        ),
    ),
}


def draw(points: Iterable["Point"], folder: Path) -> list[Path]:
    """Draw an image for each axis that has points; return the files. Imports matplotlib."""
    by_axis: dict[str, list[Point]] = {}
    for one in points:
        by_axis.setdefault(one.axis, []).append(one)
    made = []
    for axis, plot in PLOTS.items():
        if axis in by_axis:
            path = folder / f"scale-{axis}.png"
            _draw(plot, by_axis[axis], path)
            made.append(path)
    return made


def _draw(plot: Plot, points: list["Point"], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    figure.suptitle(plot.title, fontsize=12)
    for axes, panel in zip(figure.subplots(1, len(plot.panels)), plot.panels, strict=True):
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(panel.y_label)
        axes.set_xscale("log")
        if panel.is_log:
            axes.set_yscale("log")
        axes.grid(visible=True, which="major", alpha=0.3)
        for number, (name, label) in enumerate(panel.lines):
            line = [one for one in points if one.figure == name and one.x is not None]
            _draw_line(axes, number, label, sorted(line, key=lambda one: one.x or 0))
        if panel.is_log:
            _label_values(axes)
        else:
            axes.set_ylim(bottom=0)
        _label_places(axes, points)
        if len(panel.lines) > 1:
            axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_line(axes: Any, number: int, label: str, line: list["Point"]) -> None:
    if not line:
        return
    colour, marker = _COLOURS[number], _MARKERS[number]
    known = [one for one in line if not one.is_extrapolated]
    xs, medians = [one.x for one in known], [one.median for one in known]
    bars = [
        [one.median - one.low for one in known],
        [one.high - one.median for one in known],
    ]
    axes.errorbar(
        *(xs, medians, bars), color=colour, marker=marker, ms=5, lw=1.3, capsize=3, label=label
    )
    guessed = line[len(known) - 1 :] if known else line
    if len(guessed) > 1:
        tail_xs, tail = [one.x for one in guessed], [one.median for one in guessed]
        axes.plot(tail_xs, tail, color=colour, lw=1, ls=":")
        axes.plot(tail_xs[1:], tail[1:], color=colour, marker=marker, mfc="white", ms=5, ls="")


def _label_values(axes: Any) -> None:
    """Write numbers instead of powers of ten on an axis that has few of those."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    if high / low < _FEW:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _label_places(axes: Any, points: list["Point"]) -> None:
    """Name the numbers that were measured on the axis, if they are few and small."""
    places = sorted({one.x for one in points if one.x is not None})
    if places and places[-1] <= 1000:
        axes.set_xticks(places, [f"{one:,}" for one in places])
        axes.minorticks_off()


def main() -> int:
    """Draw what build/scale.json has; return the exit status."""
    from .scale import PATH, read

    try:
        made = draw(read(PATH)[1], PATH.parent)
    except (ImportError, OSError, ValueError) as error:
        print(f"no plots: {error}", file=sys.stderr)
        return 1
    print(json.dumps([str(path) for path in made]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
