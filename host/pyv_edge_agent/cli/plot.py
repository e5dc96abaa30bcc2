"""`pyv-edge-host plot`: a sensor over time, in the terminal."""

import argparse
from typing import TYPE_CHECKING, Any

from ..exit_status import DONE
from .filters import add_local, add_times
from .place import add_store

if TYPE_CHECKING:
    from .series_points import Points

POINTS_MAX = 4000  # readings that are drawn one by one; of more, their summaries are
_HEIGHT, _WIDTH = 15, 80
_MARGIN = 23  # columns: 13 before the axis of time, 9 behind it, one that a line may not reach
_SIZE_MIN = 10
_TICK_SIZE = 10  # columns of a value beside its axis; what is longer would be cut off


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sensor", metavar="SENSOR", help="its name, or a pattern that fits one")
    add_store(parser)
    add_times(parser)
    add_local(parser)
    parser.add_argument("--json", action="store_true", help="print the points as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Draw; return the exit status."""
    import json
    from contextlib import closing

    from ..clock import SystemClock
    from .selection import open_view, read_times
    from .series_points import find_points

    times = read_times(args, SystemClock().utc_ms())
    figure = None if args.json else _figure()
    with closing(open_view(args)) as view:
        points = find_points(view, args.sensor, times, POINTS_MAX)
    if args.json:
        print(json.dumps(points.to_dict()))
    else:
        print("\n".join(_drawn(figure, points)))
    return DONE


def _figure() -> Any:
    """Return an empty drawing. Raises UsageError without the library for it."""
    from ..errors import UsageError

    try:
        from plotille import Figure
    except ImportError:
        raise UsageError(
            "plotille is not installed: pip install '.[tui]' in a clone, or take --json"
        ) from None
    return Figure()


def _drawn(figure: Any, points: "Points") -> list[str]:
    """Return the lines of the drawing and one that says what it shows."""
    import os
    import sys
    from datetime import datetime, timezone

    from .output import has_colour

    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        columns = _WIDTH
    figure.width = max(_SIZE_MIN, columns - _MARGIN)
    figure.height = _HEIGHT
    figure.with_colors = has_colour(sys.stdout)
    figure.color_mode = "names"
    figure.origin = False  # no lines through 0, which is just a value
    figure.x_label, figure.y_label = "UTC", points.unit or "value"
    figure.y_ticks_fkt = lambda low, high: _tick(low)
    when = [datetime.fromtimestamp(ms / 1000, timezone.utc) for ms in points.times_ms]
    for name, colour in (("min", "blue"), ("max", "red"), ("mean", "cyan"), ("value", "cyan")):
        for run in points.runs() if name in points.values else ():
            figure.plot(when[run], points.values[name][run], lc=colour)
    return [*figure.show().splitlines(), points.described()]


def _tick(value: float) -> str:
    """Return a value with as many digits as there is room for."""
    shown = (f"{value:.{digits}g}" for digits in (6, 5, 4, 3, 2))
    return next((text for text in shown if len(text) <= _TICK_SIZE), f"{value:.1g}")
